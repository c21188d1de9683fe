#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: component_needs
short_description: Wait until the components that one needs are ready
version_added: 1.0.0
description:
  - Returns when every component of O(needs), and those of O(uses) that are part of this run, are ready.
  - A component that is needed and not part of this run must be installed in the cluster already.
  - Where the cluster has O(revision) of the component already, there is nothing to wait for.
  - Fails at once when one of them has failed in this run.
author:
  - trinode.platform contributors (@trinode)
options:
  component:
    description: The component that waits.
    type: str
    required: true
  needs:
    description: Components that must be there.
    type: list
    elements: str
    default: []
  uses:
    description: Components that are waited for when they are part of this run.
    type: list
    elements: str
    default: []
  revision:
    description: The revision that is to be installed, as M(trinode.platform.component_render) returns it.
    type: str
    default: ""
  state:
    description:
      - Whether the component is to be installed or removed. One that is removed waits until those of the run that need it are gone.
    type: str
    choices: [present, absent]
    default: present
  needed_by:
    description: Components of this run that need O(component), for O(state=absent).
    type: list
    elements: str
    default: []
  in_run:
    description: The components of this run.
    type: list
    elements: str
    required: true
  run_directory:
    description: Directory with the run's records, from the lookup P(trinode.platform.run_directory#lookup).
    type: path
    required: true
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
attributes:
  check_mode:
    support: full
    details: It changes nothing. Where there is no cluster yet, what is not part of the run is taken to be there.
  diff_mode:
    support: N/A
    details: It changes nothing.
  idempotent:
    support: full
    details: It never reports a change.
"""

EXAMPLES = r"""
- name: Wait for what cert-manager needs
  trinode.platform.component_needs:
    component: cert_manager
    needs: [cilium]
    in_run: "{{ ansible_play_hosts_all }}"
    run_directory: "{{ lookup('trinode.platform.run_directory') }}"
    kubeconfig: "{{ trinode_kubeconfig }}"
    timeout: 3600
"""

RETURN = r"""
waited_for:
  description: The components of this run that were waited for.
  type: list
  elements: str
  returned: success
  sample: [cilium]
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component import needs as component_needs
from ansible_collections.trinode.platform.plugins.module_utils.component.installed import installed_components
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "component": {"type": "str", "required": True},
    "needs": {"type": "list", "elements": "str", "default": []},
    "uses": {"type": "list", "elements": "str", "default": []},
    "revision": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "needed_by": {"type": "list", "elements": "str", "default": []},
    "in_run": {"type": "list", "elements": "str", "required": True},
    "run_directory": {"type": "path", "required": True},
}


def run(task: Task) -> Outcome:
    params = task.params
    deadline = Deadline(params["timeout"])
    removing = params["state"] == "absent"
    wanted = [name for name in params["needed_by"] if name in params["in_run"]] if removing else _wanted(task, deadline)
    log = RunLog(params["run_directory"])
    log.record(params["component"], "waiting", ", ".join(wanted), {"needs": wanted})
    component_needs.wait(params["component"], wanted, log, deadline, removing=removing)
    return Outcome(message=f"Ready: {', '.join(wanted)}" if wanted else "Nothing to wait for", values={"waited_for": wanted})


def _wanted(task: Task, deadline: Deadline) -> list[str]:
    """What must be ready in this run before the component can be installed; nothing where it is. Raises InputError for what is nowhere."""
    params = task.params
    in_run = set(params["in_run"])
    outside = [name for name in params["needs"] if name not in in_run]
    if outside or params["revision"]:
        found = installed_components(params["kubeconfig"], params["context"], deadline, lenient=task.check_mode or not outside)
        component_needs.require_present(outside, in_run, lambda name: found is None or name in found)
        known = (found or {}).get(params["component"])
        if known and known.revision == params["revision"]:
            return []
    return list(dict.fromkeys(name for name in (*params["needs"], *params["uses"]) if name in in_run))


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
