# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of an inventory with the settings of their disks, with the same defaults that the roles use for one machine."""

from __future__ import annotations

DOCUMENTATION = r"""
name: disk_machines
short_description: Machines of the inventory with their settings about disks
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes host names and C(hostvars) and returns what M(trinode.platform.disk_contract) takes as O(trinode.platform.disk_contract#module:machines).
  - A machine needs no more than an address.
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
- name: Judge the disks
  trinode.platform.disk_contract:
    machines: "{{ groups['machines'] | trinode.platform.disk_machines(hostvars) }}"
"""

RETURN = r"""
_value:
  description: One entry a machine, with C(name), C(hostname), C(address), C(install_disk), C(osd_disks), C(wipe_disks).
  type: list
  elements: dict
  sample:
    - name: m1
      hostname: m1
      address: 192.0.2.11
      install_disk: {serial: S3Z1NB0K}
      osd_disks: [{serial: S4X9NF0M}]
      wipe_disks: []
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.filter.machine_addresses import machine_addresses
from ansible_collections.trinode.platform.plugins.filter.machine_hostnames import machine_hostnames


def disk_machines(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The machines ``names`` with the settings of their disks; a setting that is missing is empty."""
    names = list(names)
    return [
        {
            "name": name,
            "hostname": hostname,
            "address": address,
            "install_disk": hostvars[name].get("machine_install_disk") or {},
            "osd_disks": hostvars[name].get("machine_osd_disks") or [],
            "wipe_disks": hostvars[name].get("machine_wipe_disks") or [],
        }
        for name, address, hostname in zip(names, machine_addresses(names, hostvars), machine_hostnames(names, hostvars), strict=True)
    ]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"disk_machines": disk_machines}
