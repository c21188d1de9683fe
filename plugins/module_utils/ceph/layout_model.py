# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a layout is made from: the policy, the machines, their disks and what runs already. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError


@dataclass(frozen=True)
class Policy:
    """How storage is to be laid out. Sizes are in bytes, shares between 0 and 1.

    ``copies`` 0 means one on each machine with disks, three at most. ``erasure_coded`` is (data chunks, coding chunks) for the data of buckets, (0, 0)
    for copies. ``database_size`` 0 means that it is chosen. ``device_class`` empty means that pools use all disks.
    """

    osds_per_device: int = 1
    encrypted: bool = False
    database_size: int = 0
    failure_domain: str = "host"
    copies: int = 0
    erasure_coded: tuple[int, int] = (0, 0)
    device_class: str = ""
    balance_tolerance: float = 0.25
    imbalance: str = "warn"
    near_full: float = 0.85
    backfill_full: float = 0.90
    full: float = 0.95
    osd_memory: int = 4 * 1024**3
    reserved_memory: int = 6 * 1024**3
    reserved_cpus: int = 2
    monitors: int = 3
    managers: int = 2
    public_networks: tuple[str, ...] = ()
    cluster_networks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.osds_per_device <= 8:
            raise InputError(f"osds_per_device is {self.osds_per_device}", where="policy", hint="It is 1 to 8; more than one is for large NVMe disks.")
        if not 0 < self.near_full < self.backfill_full < self.full < 1:
            raise InputError(
                f"the full ratios are {self.near_full}, {self.backfill_full}, {self.full}",
                where="policy",
                hint="near_full, backfill_full and full grow in this order, between 0 and 1: 0.85, 0.90, 0.95.",
            )
        if self.copies < 0 or (self.erasure_coded != (0, 0) and min(self.erasure_coded) < 1):
            raise InputError(
                f"copies {self.copies}, erasure_coded {self.erasure_coded}", where="policy", hint="Copies are 1 or more; chunks like {data: 2, coding: 1}."
            )
        if not 0 <= self.balance_tolerance < 1:
            raise InputError(f"balance_tolerance is {self.balance_tolerance}", where="policy", hint="It is a share, such as 0.25.")


@dataclass(frozen=True)
class Machine:
    """One machine. ``hostname`` is its node's name; ``cpus`` and ``memory`` (bytes) are 0 where they are not known."""

    name: str
    hostname: str
    cpus: float = 0
    memory: int = 0
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Disk:
    """One disk that Ceph is to have, or that holds databases of OSDs.

    ``link`` is what Rook is given: a path below /dev/disk/by-id, or with ``exact`` False a pattern of its last part. ``links`` are all its paths.
    ``size`` is 0 where the disk was not judged. ``metadata`` is the link of the disk that holds its OSDs' databases; ``database`` what each gets there.
    """

    link: str
    links: tuple[str, ...] = ()
    exact: bool = True
    serial: str = ""
    size: int = 0
    kind: str = ""
    device_class: str = ""
    osds: int = 1
    metadata: str = ""
    database: int = 0

    @property
    def label(self) -> str:
        """The name of a disk for a person."""
        return self.serial or self.link.rpartition("/")[2]


@dataclass(frozen=True)
class Host:
    """A machine with the disks that the inventory gives to Ceph, and all disks that it has (where it was judged)."""

    machine: Machine
    disks: tuple[Disk, ...] = ()
    metadata: tuple[Disk, ...] = ()
    present: tuple[Disk, ...] = ()

    @property
    def osds(self) -> int:
        return sum(disk.osds for disk in self.disks)

    def capacity(self, device_class: str = "") -> int:
        """Bytes on its disks of a class (all: empty)."""
        return sum(disk.size for disk in self.disks if device_class in ("", disk.device_class))


@dataclass(frozen=True)
class Osd:
    """An OSD that runs. ``serial`` is empty where Ceph does not know its disk's."""

    id: int
    host: str
    serial: str = ""
    size: int = 0
    device_class: str = ""
    up: bool = True


@dataclass(frozen=True)
class Running:
    """What runs: the storage and network sections of the CephCluster (empty: there is none), its OSDs (None: not known), raw bytes that are used, and whether
    the data of buckets is erasure-coded (None: there are none, or it is not known)."""

    storage: Mapping[str, Any] = field(default_factory=dict)
    network: Mapping[str, Any] = field(default_factory=dict)
    osds: Sequence[Osd] | None = None
    used: int = 0
    bulk_coded: bool | None = None

    @property
    def exists(self) -> bool:
        return bool(self.storage)

    def osds_of(self, hostname: str) -> list[Osd]:
        return [osd for osd in self.osds or () if osd.host == hostname]


def osds_on(disk: Disk, running: Sequence[Osd]) -> list[Osd]:
    """Which of a host's OSDs are on a disk."""
    return [osd for osd in running if osd.serial and osd.serial == disk.serial]
