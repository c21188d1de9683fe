# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks of which nodes Ceph may take, as a CephCluster says it, from the disks that the inventory names."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ceph_nodes
short_description: The nodes and disks of a CephCluster, from the machines' C(machine_osd_disks)
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes inventory names and C(hostvars) and returns C(storage.nodes) of a C(CephCluster). Machines without disks for storage are left out.
  - Only the disks that C(machine_osd_disks) names are taken, each by a link in C(/dev/disk/by-id), which stays with its disk. A serial number is a part of
    such a link, so it becomes a pattern that matches the links which end in it.
  - Attributes such as a size may match another disk one day, so they are refused for disks that are given to Ceph.
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
- name: Show which disks Ceph gets
  ansible.builtin.debug:
    msg: "{{ groups['machines'] | trinode.platform.ceph_nodes(hostvars) }}"
"""

RETURN = r"""
_value:
  description: One entry a machine, with C(name) and either C(devices) or C(devicePathFilter).
  type: list
  elements: dict
  sample:
    - name: m1
      devices:
        - name: /dev/disk/by-id/wwn-0x5002538e40c3a5d2
    - name: m2
      devicePathFilter: "^/dev/disk/by-id/(?:[^/]+[-_]S4X9NF0M(?:_[0-9]+|-[0-9]+:[0-9]+)?)$"
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

_LINKS = "/dev/disk/by-id/"
# What udev calls the link of a disk with such a wwid: the wwid's first part to the link's.
_WWID_LINKS = {"naa.": "wwn-0x", "eui.": "nvme-eui.", "nvme.": "nvme-nvme.", "uuid.": "nvme-uuid."}
# A link may go on after the serial number with the namespace of an NVMe disk, or with the unit of a USB disk. Partitions (-part1) do not match.
_AFTER_SERIAL = "(?:_[0-9]+|-[0-9]+:[0-9]+)?"


def ceph_nodes(names: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """``storage.nodes`` of a CephCluster for the machines ``names``, in their order."""
    nodes = []
    for name in names:
        machine = hostvars[name]
        disks = machine.get("machine_osd_disks") or []
        if disks:
            nodes.append({"name": str(machine.get("machine_hostname") or name), **_selection(disks, name)})
    return nodes


def _selection(disks: Iterable[Mapping[str, Any]], machine: str) -> dict[str, Any]:
    """Rook takes either names or one pattern, not both; names where all disks have one."""
    found = [_link(disk, machine) for disk in disks]
    if all(exact for _text, exact in found):
        return {"devices": [{"name": f"{_LINKS}{text}"} for text, _exact in found]}
    patterns = [re.escape(text) if exact else text for text, exact in found]
    return {"devicePathFilter": f"^{_LINKS}(?:{'|'.join(patterns)})$"}


def _link(disk: Mapping[str, Any], machine: str) -> tuple[str, bool]:
    """The last part of a disk's link and true, or a pattern of it and false."""
    if "by_id" in disk:
        return str(disk["by_id"]).removeprefix(_LINKS), True
    if "serial" in disk:
        serial = re.escape(re.sub(r"\s+", "_", str(disk["serial"]).strip()))
        return f"[^/]+[-_]{serial}{_AFTER_SERIAL}", False
    if "wwid" in disk:
        wwid = str(disk["wwid"])
        for prefix, link in _WWID_LINKS.items():
            if wwid.startswith(prefix):
                return f"{link}{wwid.removeprefix(prefix)}", True
        raise AnsibleFilterError(
            f"ceph_nodes: machine_osd_disks of {machine} names a disk by the wwid {wwid!r}, which no link in {_LINKS} is known for: name it by serial or by_id"
        )
    given = ", ".join(sorted(str(key) for key in disk)) or "nothing"
    raise AnsibleFilterError(
        f"ceph_nodes: machine_osd_disks of {machine} names a disk by {given}, which another disk may match one day: name it by serial, wwid or by_id"
    )


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ceph_nodes": ceph_nodes}
