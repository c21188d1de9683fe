# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory and processors: what OSDs reserve, against what the machine has and everything else on it needs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_model import Host, Policy
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_units import memory_size

# What an OSD needs when it is busy. Nobody is stopped from having fewer: the processor is shared, and everything becomes slower.
CPUS_OF_OSD = {"nvme": 2.0}
CPUS_OF_OTHER_OSD = 1.0
# Below this share of a machine's memory for workloads it is said.
WORKLOADS = 0.25


@dataclass(frozen=True)
class Reservation:
    """Of one machine: bytes and processors that OSDs take, that the rest of the platform takes, and that there are (0: not known)."""

    host: str
    osds: int
    osd_memory: int
    reserved_memory: int
    memory: int
    osd_cpus: float
    reserved_cpus: int
    cpus: float

    @property
    def left(self) -> int:
        """Memory that workloads can have; negative where even the OSDs do not fit."""
        return self.memory - self.osd_memory - self.reserved_memory


def reservations(hosts: Sequence[Host], policy: Policy) -> list[Reservation]:
    return [
        Reservation(
            host.machine.hostname,
            host.osds,
            host.osds * policy.osd_memory,
            policy.reserved_memory,
            host.machine.memory,
            sum(disk.osds * CPUS_OF_OSD.get(disk.kind, CPUS_OF_OTHER_OSD) for disk in host.disks),
            policy.reserved_cpus,
            host.machine.cpus,
        )
        for host in hosts
        if host.disks
    ]


def refusals(found: Sequence[Reservation], policy: Policy) -> list[str]:
    """Machines whose memory does not hold what is reserved: their OSDs would stay Pending, or etcd would be starved."""
    return [
        f"{entry.host}: {_sum(entry, policy)}, and it has {memory_size(entry.memory)}. Fewer OSDs, a smaller rook_ceph_osd_memory, or more memory."
        for entry in found
        if entry.memory and entry.left < 0
    ]


def warnings(found: Sequence[Reservation], policy: Policy) -> list[str]:
    said = []
    for entry in found:
        if entry.memory and 0 <= entry.left < entry.memory * WORKLOADS:
            said.append(f"{entry.host}: {_sum(entry, policy)}: of {memory_size(entry.memory)}, {memory_size(entry.left)} are left for workloads.")
        if entry.cpus and entry.osd_cpus + entry.reserved_cpus > entry.cpus:
            said.append(
                f"{entry.host}: {entry.osds} OSDs want {entry.osd_cpus:g} processors when they are busy, and etcd and the control plane {entry.reserved_cpus}; "
                f"it has {entry.cpus:g}, and workloads need some too. etcd suffers first."
            )
    return said


def _sum(entry: Reservation, policy: Policy) -> str:
    return (
        f"{entry.osds} {'OSD' if entry.osds == 1 else 'OSDs'} of {memory_size(policy.osd_memory)} take {memory_size(entry.osd_memory)}; Talos, etcd, "
        f"the control plane and Ceph's other daemons {memory_size(entry.reserved_memory)}"
    )
