# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks the running Ceph cluster calls its own. Pure.

Talos reads no label of BlueStore beyond its mark, so what is on a disk cannot tell whose it is; the cluster can: it names host and serial of each OSD.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.disks.claims import Machine
from ansible_collections.trinode.platform.plugins.module_utils.talos import disk_contents
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk

# In these forms Rook makes an OSD: plainly, encrypted, several on a disk or with its metadata elsewhere.
_FORMS = (disk_contents.BLUESTORE, disk_contents.ENCRYPTED, disk_contents.LVM)

OURS_OPTION: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "options": {"host": {"type": "str", "default": ""}, "serial": {"type": "str", "default": ""}, "osd": {"type": "raw"}},
}
"""The option ``ours`` of modules, as the fragment trinode.platform.disks documents it."""


@dataclass(frozen=True)
class Osd:
    """An OSD as the cluster knows it. One that has never started has neither host nor serial."""

    host: str
    serial: str
    number: str

    @property
    def name(self) -> str:
        return f"osd.{self.number}" if self.number else "an OSD"


@dataclass(frozen=True)
class Membership:
    """``osds`` is None when Ceph was not asked or does not answer. ``cluster``: there is a cluster already, so a disk can be its own."""

    osds: Sequence[Osd] | None
    cluster: bool

    def osd_on(self, machine: Machine, disk: Disk) -> str:
        """The name of the machine's OSD on this disk, if it is one."""
        return next((osd.name for osd in self._named(disk) if osd.host in (machine.name, machine.hostname)), "")

    def osd_elsewhere(self, machine: Machine, disk: Disk) -> str:
        """The name of the OSD that the cluster knows this disk as, on another machine."""
        return next((f"{osd.name} of {osd.host}" for osd in self._named(disk) if osd.host not in (machine.name, machine.hostname)), "")

    def undecided(self, machine: Machine, disk: Disk) -> bool:
        """Whether the disk may be an OSD of the cluster that the cluster did not name: it was not asked, or has OSDs that never told their disks."""
        if disk.contents not in _FORMS:
            return False
        if self.osds is None:
            return machine.running or self.cluster
        return any(not osd.serial for osd in self.osds)

    def _named(self, disk: Disk) -> Iterable[Osd]:
        if disk.contents not in _FORMS or not disk.serial:
            return ()
        return [osd for osd in self.osds or () if _same(osd.serial, disk.serial)]


def _same(told: str, serial: str) -> bool:
    """Ceph tells a serial alone, or after vendor and model with underscores for blanks."""
    plain = "_".join(serial.split())
    return told in (serial, plain) or told.endswith(f"_{plain}")


def membership_from(ours: Iterable[Mapping[str, Any]] | None, machines: Iterable[Machine]) -> Membership:
    """From ``[{host, serial, osd}]``, or None when Ceph could not be asked."""
    known = None if ours is None else tuple(Osd(str(entry.get("host") or ""), str(entry.get("serial") or ""), _number(entry.get("osd"))) for entry in ours)
    return Membership(known, bool(known) or any(machine.running for machine in machines))


def _number(value: Any) -> str:
    return "" if value is None else str(value).removeprefix("osd.")
