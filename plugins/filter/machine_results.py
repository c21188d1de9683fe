# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task came to on each machine of the inventory, for a task that judges all of them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: machine_results
short_description: What a task came to on each machine
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes host names, C(hostvars) and the name of a registered variable, and returns for each machine its name and what M(trinode.platform.talos_apply)
    predicted, as M(trinode.platform.drift_report) wants it.
  - A machine that the task was not run on has an empty result.
positional: _input, hostvars, variable
options:
  _input:
    description: Inventory names of machines.
    type: list
    elements: str
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  variable:
    description: Name of the registered variable.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what differs
  ansible.builtin.debug:
    msg: "{{ groups['machines'] | trinode.platform.machine_results(hostvars, 'machine_config_drift') }}"
"""

RETURN = r"""
_value:
  description: Dictionaries with C(name) and C(result).
  type: list
  elements: dict
  sample: [{"name": "m1", "result": {"step": "none", "documents": []}}]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

# All that is judged. Differences in full are shown by the task itself.
_KEYS = ("step", "documents", "reboot_required", "msg")


def machine_results(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], variable: str) -> list[dict[str, Any]]:
    """See DOCUMENTATION."""
    found = []
    for name in names:
        result = hostvars[name].get(variable) or {}
        found.append({"name": str(name), "result": {key: result[key] for key in _KEYS if key in result}})
    return found


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"machine_results": machine_results}
