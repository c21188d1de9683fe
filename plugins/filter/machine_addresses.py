# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses of an inventory's machines, with the same defaults that the roles use for one machine."""

from __future__ import annotations

DOCUMENTATION = r"""
name: machine_addresses
short_description: Addresses of machines of the inventory
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes host names and C(hostvars) and returns the machines' addresses, in the order given.
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
  role:
    description: Only machines of this C(machine_role). Empty takes all.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Show the Talos endpoints
  ansible.builtin.debug:
    msg: "{{ groups['machines'] | trinode.platform.machine_addresses(hostvars, role='controlplane') }}"
"""

RETURN = r"""
_value:
  description: Addresses.
  type: list
  elements: str
  sample: [192.0.2.11, 192.0.2.12, 192.0.2.13]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def machine_addresses(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], role: str = "") -> list[str]:
    """Addresses of the machines ``names``; with ``role``, of those with that ``machine_role`` (``controlplane`` where none is set)."""
    machines = ((name, hostvars[name]) for name in names)
    return [
        str(variables.get("machine_address") or variables.get("ansible_host") or name)
        for name, variables in machines
        if role in ("", variables.get("machine_role", "controlplane"))
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"machine_addresses": machine_addresses}
