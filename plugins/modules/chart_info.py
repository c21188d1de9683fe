#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: chart_info
short_description: Compare pinned charts with the newest that their repositories have
version_added: 1.0.0
description:
  - Asks the repository of each pinned chart, or the mirror, for its newest version that is not a pre-release.
  - A repository that cannot be read is reported in the result and does not fail the task.
author:
  - trinode.platform contributors (@trinode)
options:
  pins:
    description: Pinned charts by name, each with C(chart), C(repository) and C(version), as C(trinode_pins).
    type: dict
    required: true
  mirror:
    description: A repository to ask in place of the charts' own.
    type: str
    default: ""
  helm:
    description: The program C(helm), version 3.
    type: str
    default: helm
  timeout:
    description: Seconds after which the task gives up.
    type: int
    default: 300
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_platform
attributes:
  check_mode:
    support: full
    details: It changes nothing.
  diff_mode:
    support: N/A
    details: It changes nothing.
  idempotent:
    support: full
    details: It never reports a change.
"""

EXAMPLES = r"""
- name: What could be upgraded
  trinode.platform.chart_info:
    pins: "{{ trinode_pins }}"
    mirror: "{{ trinode_chart_mirror }}"
  register: charts
"""

RETURN = r"""
charts:
  description: One entry for each pin, in their order.
  type: list
  elements: dict
  returned: success
  contains:
    pin:
      description: Name of the pin.
      type: str
      sample: cilium
    pinned:
      description: The pinned version.
      type: str
      sample: 1.20.0
    newest:
      description: The newest version; empty where it is not known.
      type: str
      sample: 1.20.1
    application:
      description: Version of the program in the newest chart.
      type: str
      sample: 1.20.1
    behind:
      description: Whether there is a newer version than the pinned one.
      type: bool
      sample: true
    problem:
      description: Why the newest version is not known.
      type: str
      sample: ""
table:
  description: The same for a person, line by line.
  type: list
  elements: str
  returned: success
  sample: ["CHART   PINNED  NEWEST  APPLICATION", "cilium  1.20.0  1.20.1  1.20.1       newer"]
"""

from dataclasses import asdict
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.helm.newest import newest, table
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "pins": {"type": "dict", "required": True},
    "mirror": {"type": "str", "default": ""},
    "helm": {"type": "str", "default": "helm"},
    "timeout": {"type": "int", "default": 300},
}


def run(task: Task) -> Outcome:
    params = task.params
    wrong = [name for name, pin in params["pins"].items() if not isinstance(pin, dict) or "version" not in pin or ("chart" in pin and "repository" not in pin)]
    if wrong:
        raise InputError(f"{', '.join(wrong)}: a pin needs chart, repository and version, or url and version", where="pins")
    found = newest(params["pins"], mirror=params["mirror"], helm=params["helm"], deadline=Deadline(params["timeout"]))
    behind = sum(item.behind for item in found)
    return Outcome(
        message=f"{behind} of {len(found)} charts have a newer version",
        values={"charts": [{**asdict(item), "behind": item.behind} for item in found], "table": table(found)},
    )


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
