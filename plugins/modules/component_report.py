#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: component_report
short_description: Note what has become of a component in this run
version_added: 1.0.0
description:
  - Tells the other components of the run, and its closing summary, that a component is ready, removed, or has failed.
  - With O(state=failed) the task itself fails with the first line of O(reason).
author:
  - trinode.platform contributors (@trinode)
options:
  component:
    description: The component.
    type: str
    required: true
  state:
    description: What has become of it.
    type: str
    choices: [ready, removed, failed]
    required: true
  reason:
    description: Why it has failed.
    type: str
    default: ""
  versions:
    description: Versions of what is in it, by name.
    type: dict
    default: {}
  routes:
    description: Its user interfaces, for the closing summary.
    type: list
    elements: dict
    default: []
    suboptions:
      title:
        description: What people call it.
        type: str
        required: true
      url:
        description: Where it is reached.
        type: str
        required: true
      password:
        description: How to get the first password.
        type: str
        default: ""
  run_directory:
    description: Directory with the run's records, from the lookup P(trinode.platform.run_directory#lookup).
    type: path
    required: true
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_platform
attributes:
  check_mode:
    support: full
    details: It changes nothing but the run's own records.
  diff_mode:
    support: N/A
    details: It changes nothing.
  idempotent:
    support: full
    details: It never reports a change.
"""

EXAMPLES = r"""
- name: Tell that cert-manager is ready
  trinode.platform.component_report:
    component: cert_manager
    state: ready
    run_directory: "{{ lookup('trinode.platform.run_directory') }}"
"""

RETURN = r"""
msg:
  description: What was noted.
  type: str
  returned: always
  sample: cert_manager is ready
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog, latest
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "component": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["ready", "removed", "failed"], "required": True},
    "reason": {"type": "str", "default": ""},
    "versions": {"type": "dict", "default": {}},
    "routes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "title": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "password": {"type": "str", "default": "", "no_log": False},
        },
    },
    "run_directory": {"type": "path", "required": True},
}


def run(task: Task) -> Outcome:
    params = task.params
    component, state = params["component"], params["state"]
    log = RunLog(params["run_directory"])
    if state == "failed":
        reason = next(iter(params["reason"].splitlines()), "no reason was given")
        told = latest(log.read()).get(component)
        # What told of it itself knows the reason better; one that stood already is ready before it is verified.
        if told is None or told.state not in ("failed", "blocked"):
            log.record(component, "failed", reason)
        raise PlatformError(f"{component} failed: {reason}")
    log.record(component, state, "", {"versions": params["versions"], "routes": params["routes"]})
    return Outcome(message=f"{component} is {state}")


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
