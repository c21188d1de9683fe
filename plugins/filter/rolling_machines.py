# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's machines as rolling_plan takes them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rolling_machines
short_description: The machines of an inventory as M(trinode.platform.rolling_plan) takes them
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes host names and C(hostvars), and returns each machine with its address, its node, and what it is to get (its facts C(rolling_image) and
    C(rolling_reason)).
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
  trinode.platform.rolling_plan:
    machines: "{{ groups['machines'] | trinode.platform.rolling_machines(hostvars) }}"
    talosconfig: cluster/talosconfig
    kubeconfig: cluster/kubeconfig
"""

RETURN = r"""
_value:
  description: Dictionaries with C(name), C(address), C(node), C(image) and C(reason).
  type: list
  elements: dict
  sample: [{"name": "m1", "address": "192.0.2.11", "node": "m1", "image": "", "reason": ""}]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.filter.machine_addresses import machine_addresses
from ansible_collections.trinode.platform.plugins.filter.machine_hostnames import machine_hostnames


def described(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], variables: Mapping[str, tuple[str, str]]) -> list[dict[str, str]]:
    """Each machine with its name, address and node, and by their keys the values of ``variables``: a variable's name, and what stands for one without."""
    names = list(names)
    return [
        {
            "name": str(name),
            "address": address,
            "node": node,
            **{key: str(hostvars[name].get(variable) or otherwise) for key, (variable, otherwise) in variables.items()},
        }
        for name, address, node in zip(names, machine_addresses(names, hostvars), machine_hostnames(names, hostvars), strict=True)
    ]


def rolling_machines(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """See DOCUMENTATION."""
    return described(names, hostvars, {"image": ("rolling_image", ""), "reason": ("rolling_reason", "")})


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"rolling_machines": rolling_machines}
