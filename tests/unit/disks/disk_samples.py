# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and machines for the tables."""

from __future__ import annotations

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.disks.claims import Machine
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk, disk_from_values

GIB = 1024**3
SYSTEM = {"contents": "talos", "detail": "Talos's partitions EFI, META", "system": True}


def disk(name: str, serial: str | None = None, **changes: Any) -> Disk:
    """An empty SSD of 100 GiB, whose serial is S- and its name, if none is given."""
    serial = f"S-{name}" if serial is None else serial
    values = {
        "name": name,
        "path": f"/dev/{name}",
        "serial": serial,
        "wwid": f"naa.5{abs(hash(serial)) % 10**12:015d}",
        "size": 100 * GIB,
        "model": "SSD 870",
        "transport": "sata",
        "by_id": [f"/dev/disk/by-id/ata-SSD_870_{serial}", f"/dev/disk/by-id/wwn-0x500{name}"],
        "contents": "empty",
    }
    return disk_from_values({**values, **changes})


def machine(*disks: Disk, name: str = "m1", **changes: Any) -> Machine:
    return Machine(**{"name": name, "hostname": f"node-{name}", "disks": disks, **changes})
