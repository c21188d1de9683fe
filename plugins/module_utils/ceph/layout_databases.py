# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a fast disk each OSD gets for its database and write-ahead log (DB/WAL, which go together). Pure; sizes in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_model import Disk, Host, Policy
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_units import disk_size
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError

_GIB = 1024**3
# Rook passes over a smaller size without a word.
_SMALLEST = _GIB
# What LVM keeps for itself, generously.
_SPARE = _GIB
# Ceph's advice for what buckets and file systems need, of the data; less than a hundredth spills over to the slow disk.
_GENEROUS, _SCANT = 0.04, 0.01
_AT_LEAST = 30 * _GIB


def with_databases(host: Host, policy: Policy, taken: Sequence[Disk]) -> tuple[Host, list[str]]:
    """The host with ``database`` set on its disks that have another for it, and warnings. ``taken`` are those of its disks that have OSDs already.

    Databases of OSDs that exist keep their size, and new ones share what is left. Raises RefusedError where it is too little, or where Rook would refuse.
    """
    sizes: dict[str, int] = {}
    warnings: list[str] = []
    for metadata in host.metadata:
        users = [disk for disk in host.disks if disk.metadata in metadata.links]
        old, new = [disk for disk in users if disk in taken], [disk for disk in users if disk not in taken]
        if not new:
            continue
        where = f"{host.machine.name}, databases on {metadata.label}"
        if len({disk.osds for disk in new}) > 1:
            raise RefusedError(
                "the disks whose databases are there do not have the same number of OSDs, which Rook refuses", where=where, hint="Set osds_per_device alike."
            )
        if len({disk.device_class for disk in new}) > 1:
            raise RefusedError("the disks whose databases are there have several device classes, and Rook gives all of them one", where=where)
        share = (metadata.size - _SPARE - sum(disk.osds * disk.database for disk in old)) // sum(disk.osds for disk in new)
        largest = max(disk.size // disk.osds for disk in new)
        size = policy.database_size or min(share, max(_AT_LEAST, int(largest * _GENEROUS)))
        if size > share or size < _SMALLEST:
            count = sum(disk.osds for disk in new)
            raise RefusedError(
                f"{count} new {'OSD is' if count == 1 else 'OSDs are each'} to get {disk_size(max(size, _SMALLEST))} of it, "
                f"and there are {disk_size(max(share, 0))}",
                where=where,
                hint="Lower rook_ceph_database_size, use fewer OSDs, or a larger disk.",
            )
        if size < largest * _SCANT:
            warnings.append(f"{where}: {disk_size(size)} for {disk_size(largest)} of data is little, below 1 %: the rest spills over to the slow disk.")
        sizes.update({disk.link: size // 1024**2 * 1024**2 for disk in new})
    return replace(host, disks=tuple(replace(disk, database=sizes.get(disk.link, disk.database)) for disk in host.disks)), warnings


def without_a_disk(host: Host) -> list[str]:
    """Links of disks for databases that the host's disks name, and that are not among its disks for them."""
    known = {link for disk in host.metadata for link in disk.links}
    return sorted({disk.metadata for disk in host.disks if disk.metadata and disk.metadata not in known})
