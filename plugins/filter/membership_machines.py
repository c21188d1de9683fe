# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's machines as membership_plan takes them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: membership_machines
short_description: The machines of an inventory as M(trinode.platform.membership_plan) takes them
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes host names and C(hostvars), and returns each machine with its address, its node, its role, and the UUID and serial number that the inventory gives.
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
- name: Plan
  trinode.platform.membership_plan:
    operation: add
    machines: "{{ groups['machines'] | trinode.platform.membership_machines(hostvars) }}"
    talosconfig: cluster/talosconfig
    kubeconfig: cluster/kubeconfig
"""

RETURN = r"""
_value:
  description: Dictionaries with C(name), C(address), C(node), C(role), C(uuid) and C(serial).
  type: list
  elements: dict
  sample: [{"name": "m1", "address": "192.0.2.11", "node": "m1", "role": "controlplane", "uuid": "", "serial": "S9X2"}]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.filter.rolling_machines import described


def membership_machines(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """See DOCUMENTATION."""
    variables = {"role": ("machine_role", "controlplane"), "uuid": ("machine_uuid", ""), "serial": ("machine_serial", "")}
    return described(names, hostvars, variables)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"membership_machines": membership_machines}
