# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option of the modules that must know which disks are Ceph's."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  ours:
    description:
      - What the running Ceph cluster calls its disks; none of them is wiped. Leave it out when Ceph was not asked or does not answer; then a disk with
        BlueStore, LVM or LUKS on a running machine is not decided, and nothing writes to it. An empty list means that there is no OSD.
      - An entry with an empty C(serial) is an OSD that has never started; while there is one, an OSD's disk that is not named is not decided either.
    type: list
    elements: dict
    suboptions:
      host:
        description: The node that the OSD runs on.
        type: str
        default: ""
      serial:
        description: Serial of the OSD's disk.
        type: str
        default: ""
      osd:
        description: Number of the OSD.
        type: raw
"""
