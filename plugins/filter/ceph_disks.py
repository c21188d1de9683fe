# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ceph says of its OSDs, as the disk contract wants to know it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ceph_disks
short_description: The disks of a running Ceph cluster, for the disk contract
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes C(osds) of M(trinode.platform.ceph_info) and returns what M(trinode.platform.disk_contract) takes as O(trinode.platform.disk_contract#module:ours).
options:
  _input:
    description: OSDs.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the disks of Ceph
  ansible.builtin.debug:
    msg: "{{ ceph.osds | trinode.platform.ceph_disks }}"
"""

RETURN = r"""
_value:
  description: One entry an OSD, with C(host), C(serial), C(osd).
  type: list
  elements: dict
  sample:
    - {host: m1, serial: S4X9NF0M, osd: 0}
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def ceph_disks(osds: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Host, serial number and OSD of each."""
    return [{"host": str(osd.get("host") or ""), "serial": str(osd.get("serial") or ""), "osd": osd["id"]} for osd in osds]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"ceph_disks": ceph_disks}
