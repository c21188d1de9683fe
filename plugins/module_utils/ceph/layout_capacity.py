# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much fits, and what is lost with one disk or one machine. Pure; all sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_model import Disk, Host, Policy
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_pools import Protection

Access = Literal["stays", "stops", "lost"]
"""What clients see: data is read and written on; it is there and can be neither until something is back; it is gone."""


@dataclass(frozen=True)
class Loss:
    """What one loss means. ``raw`` is what is lost with it; ``heals`` how much may be stored for Ceph to make all copies anew elsewhere (0: never)."""

    what: str
    host: str
    raw: int
    osds: int
    access: Access
    heals: int


@dataclass(frozen=True)
class Capacity:
    """``usable`` is what fits with all copies at best; ``warns`` and ``stops`` where Ceph warns and where it takes no more; ``idle`` what no data can use."""

    raw: int
    usable: int
    warns: int
    stops: int
    idle: int


def usable(places: Sequence[int], protection: Protection) -> int:
    """The most data whose pieces (one a place: a machine or an OSD, by the failure domain) fit on places of these sizes.

    A place holds one piece of each datum at most, so it takes part with no more than one piece of all data: with three copies on three machines the
    smallest one bounds.
    """
    pieces, ordered = protection.pieces, sorted((size for size in places if size > 0), reverse=True)
    if len(ordered) < pieces:
        return 0
    # Places larger than a piece of all data count as that piece; the others count whole, and share what is left. Whichever bounds first.
    return int(min(sum(ordered[large:]) / (pieces - large) for large in range(pieces)) * protection.data)


def capacity(hosts: Sequence[Host], policy: Policy, protection: Protection) -> Capacity:
    """Of the disks that pools use."""
    raw = sum(host.capacity(policy.device_class) for host in hosts)
    fits = usable(_places(hosts, policy), protection)
    taken = fits * protection.pieces // protection.data
    return Capacity(raw, fits, int(fits * policy.near_full), int(fits * policy.full), raw - taken)


def disk_losses(hosts: Sequence[Host], policy: Policy, protection: Protection) -> list[Loss]:
    """By machine, the worst loss of one of its disks: the largest, or one that holds the databases of others, which are lost with it."""
    losses = []
    for host in hosts:
        groups: list[tuple[str, list[Disk]]] = [(disk.label, [disk]) for disk in host.disks]
        groups += [(f"{disk.label} (databases)", [data for data in host.disks if data.metadata in disk.links]) for disk in host.metadata]
        if groups:
            label, lost = max(groups, key=lambda group: sum(disk.size for disk in group[1]))
            losses.append(_loss(label, host, lost, hosts=hosts, policy=policy, protection=protection))
    return losses


def host_losses(hosts: Sequence[Host], policy: Policy, protection: Protection) -> list[Loss]:
    """What the loss of each machine means."""
    return [_loss(host.machine.hostname, host, host.disks, hosts=hosts, policy=policy, protection=protection) for host in hosts if host.disks]


def _loss(what: str, host: Host, lost: Sequence[Disk], *, hosts: Sequence[Host], policy: Policy, protection: Protection) -> Loss:
    left: list[Host] = [
        Host(other.machine, tuple(disk for disk in other.disks if disk not in lost)) if other.machine.name == host.machine.name else other for other in hosts
    ]
    # Pieces of one datum that can be among what is lost: one a failure domain.
    pieces = min(1 if policy.failure_domain == "host" else sum(disk.osds for disk in lost), protection.pieces)
    if protection.pieces - pieces < protection.data:
        access: Access = "lost"
    else:
        access = "stays" if protection.pieces - pieces >= protection.minimum else "stops"
    heals = 0 if access == "lost" else int(usable(_places(left, policy), protection) * policy.backfill_full)
    raw = sum(disk.size for disk in lost if policy.device_class in ("", disk.device_class))
    return Loss(what, host.machine.hostname, raw, sum(disk.osds for disk in lost), access, heals)


def _places(hosts: Sequence[Host], policy: Policy) -> list[int]:
    """Sizes of the places that hold at most one piece of a datum each."""
    if policy.failure_domain == "host":
        return [host.capacity(policy.device_class) for host in hosts]
    return [disk.size // disk.osds for host in hosts for disk in host.disks if policy.device_class in ("", disk.device_class) for _osd in range(disk.osds)]


def imbalance(hosts: Sequence[Host], policy: Policy) -> tuple[float, Mapping[str, int]]:
    """By how much the smallest machine is below the largest, as a share of the largest; and each one's capacity."""
    sizes = {host.machine.hostname: host.capacity(policy.device_class) for host in hosts}
    known = [size for size in sizes.values() if size > 0]
    return (1 - min(known) / max(known) if known else 0.0), sizes
