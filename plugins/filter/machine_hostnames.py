# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host names of an inventory's machines, with the same defaults that the roles use for one machine."""

from __future__ import annotations

DOCUMENTATION = r"""
name: machine_hostnames
short_description: Host names of machines of the inventory, which are their nodes' names in Kubernetes
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes host names and C(hostvars) and returns the machines' host names, in the order given.
  - A machine's host name is C(machine_hostname), or else its inventory name.
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
- name: Show the nodes' names
  ansible.builtin.debug:
    msg: "{{ groups['machines'] | trinode.platform.machine_hostnames(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Host names.
  type: list
  elements: str
  sample: [m1, m2, m3]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def machine_hostnames(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Host names of the machines ``names``."""
    return [str(hostvars[name].get("machine_hostname") or name) for name in names]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"machine_hostnames": machine_hostnames}
