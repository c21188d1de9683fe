# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of an inventory's control planes, with the same defaults that the roles use for one machine."""

from __future__ import annotations

DOCUMENTATION = r"""
name: control_plane_addresses
short_description: Addresses of the control plane machines of the inventory
version_added: 1.0.0
description:
  - Takes host names and C(hostvars) and returns the addresses of those that are control planes, in the order given.
  - A machine's address is C(machine_address), or else C(ansible_host), or else its inventory name.
positional: _input, hostvars
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
"""

EXAMPLES = r"""
- name: Show the Talos endpoints
  ansible.builtin.debug:
    msg: "{{ groups['machines'] | trinode.platform.control_plane_addresses(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Addresses.
  type: list
  elements: str
  sample: [192.0.2.11, 192.0.2.12, 192.0.2.13]
"""

from collections.abc import Callable, Iterable, Mapping  # noqa: E402
from typing import Any  # noqa: E402


def control_plane_addresses(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Addresses of those of the machines ``names`` whose ``machine_role`` is ``controlplane`` (the default)."""
    machines = ((name, hostvars[name]) for name in names)
    return [
        str(variables.get("machine_address") or variables.get("ansible_host") or name)
        for name, variables in machines
        if variables.get("machine_role", "controlplane") == "controlplane"
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"control_plane_addresses": control_plane_addresses}
