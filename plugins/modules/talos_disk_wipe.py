#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_disk_wipe
short_description: Wipe one disk of a Talos machine
version_added: 1.0.0
description:
  - Zeroes a whole disk, whose serial confirms it, and proves afterwards that Talos finds nothing on it. B(Everything on the disk is lost.)
  - Looks again right before. It refuses a disk that is no longer where it was seen, the system disk, a disk in use, and a disk that is an OSD of the running
    Ceph cluster, or may be one.
  - An empty disk is left alone. Zeroing clears every copy of a BlueStore label, the last of which lies at 1000 GiB; it takes seconds where the disk zeroes
    itself (most NVMe and SSD disks), and as long as writing the whole disk where it does not.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.disks
  - trinode.platform.talos
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_talos
options:
  timeout:
    default: 7200
  serial:
    description: Serial of the disk, whole (its wwid, if it has no serial). It is the confirmation.
    type: str
    required: true
  path:
    description: Where the disk was seen before, such as V(/dev/sdb). When the disk is elsewhere by now, the wipe is refused. Empty takes it wherever it is.
    type: str
    default: ""
  name:
    description: The machine's node name, by which Ceph knows it. Empty means O(address).
    type: str
    default: ""
  always:
    description: Wipe also a disk on which Talos finds nothing. For one that was wiped at its ends alone and keeps old labels of BlueStore further in.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: full
    details: Not with O(always=true).
seealso:
  - module: trinode.platform.disk_contract
"""

EXAMPLES = r"""
- name: Wipe a disk
  trinode.platform.talos_disk_wipe:
    address: 192.0.2.11
    talosconfig: cluster/talosconfig
    serial: S4X9NF0M
    path: /dev/sdb
"""

RETURN = r"""
disk:
  description: The disk as it was before, with C(path), C(serial), C(wwid), C(size) in bytes, C(contents) and C(detail).
  type: dict
  returned: success
  sample:
    path: /dev/sdb
    serial: S4X9NF0M
    wwid: naa.5002538e40000000
    size: 1000204886016
    contents: lvm
    detail: LVM «u2Gkeq-…»
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks.membership import OURS_OPTION, membership_from
from ansible_collections.trinode.platform.plugins.module_utils.disks.wipe import WipeRequest, wipe
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_disks import describe_disks
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "address": {"type": "str", "required": True},
    "talosconfig": {"type": "path"},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 7200},
    "serial": {"type": "str", "required": True},
    "path": {"type": "str", "default": ""},
    "name": {"type": "str", "default": ""},
    "ours": OURS_OPTION,
    "always": {"type": "bool", "default": False},
}


def run(task: Task) -> Outcome:
    """Wipe unless it is empty already."""
    params = task.params
    request = WipeRequest(
        machine=Machine(params["address"], talosctl=params["talosctl"], talosconfig=params["talosconfig"]),
        name=params["name"] or params["address"],
        serial=params["serial"],
        path=params["path"],
        membership=membership_from(params["ours"], []),
        always=params["always"],
        check_mode=task.check_mode,
    )
    wiped = wipe(request, deadline=Deadline(params["timeout"]))
    disk = wiped.disk
    done = ("would be wiped" if task.check_mode else "was wiped") if wiped.changed else "is empty"
    return Outcome(
        changed=wiped.changed,
        message=f"{describe_disks([disk])} {done}.",
        values={"disk": {key: getattr(disk, key) for key in ("path", "serial", "wwid", "size", "contents", "detail")}},
    )


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
