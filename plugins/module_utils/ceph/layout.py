# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a Ceph cluster's storage: from disks, policy and what runs to the CephCluster's sections and their consequences. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.ceph import (
    layout_capacity,
    layout_databases,
    layout_network,
    layout_pools,
    layout_resources,
    layout_storage,
)
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_capacity import Capacity, Loss
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_model import Disk, Host, Osd, Policy, Running, osds_on
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_pools import Pools
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_resources import Reservation
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_storage import REMOVAL, Storage
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_units import disk_size, names
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError


@dataclass(frozen=True)
class Layout:
    """A plan. ``capacity`` and the losses are None and empty where disks were not judged. ``refusals`` say why it must not be carried out."""

    hosts: tuple[Host, ...]
    policy: Policy
    running: Running
    storage: Storage
    network: Mapping[str, Any]
    pools: Pools
    capacity: Capacity | None
    bulk_usable: int
    disk_losses: tuple[Loss, ...]
    host_losses: tuple[Loss, ...]
    reservations: tuple[Reservation, ...]
    monitors: int
    managers: int
    warnings: tuple[str, ...]
    refusals: tuple[str, ...]

    @property
    def osds(self) -> int:
        return sum(host.osds for host in self.hosts)

    def osds_of(self, host: Host, disk: Disk) -> list[Osd]:
        return osds_on(disk, self.running.osds_of(host.machine.hostname))


def plan(hosts: Sequence[Host], policy: Policy, running: Running) -> Layout:
    """Raises InputError and RefusedError for what cannot be laid out at all; what could and should not be is in ``refusals``."""
    warnings: list[str] = []
    nodes = {str(node.get("name", "")): node for node in running.storage.get("nodes") or []}
    laid_out = []
    for host in hosts:
        if any(disk.size for disk in host.disks) and (lacking := layout_databases.without_a_disk(host)):
            raise InputError(f"the disk {', '.join(lacking)} for databases is not among its disks", where=f"machine_osd_disks of {host.machine.name}")
        node = nodes.get(host.machine.hostname, {})
        taken = [disk for disk in host.disks if layout_storage.established(disk, node, host.machine.hostname, running)]
        known = replace(host, disks=tuple(replace(disk, database=_database(disk, node) or disk.database) if disk in taken else disk for disk in host.disks))
        taken = [disk for disk in known.disks if any(disk.link == other.link for other in taken)]
        done, said = layout_databases.with_databases(known, policy, taken)
        laid_out.append(done)
        warnings += said
    hosts = laid_out
    pools = layout_pools.decide(hosts, policy, len(hosts))
    if running.bulk_coded is not None and running.bulk_coded != bool(pools.chunks):
        kinds = ("erasure-coded", "kept in copies") if running.bulk_coded else ("kept in copies", "erasure-coded")
        raise RefusedError(
            f"the data of buckets is {kinds[0]}, and is to be {kinds[1]}; a pool cannot be changed in that",
            where="rook_ceph_pool_erasure_coded",
            hint="Set it back. To change it, make another object store and copy the buckets.",
        )
    storage = layout_storage.build(hosts, policy, running)
    network = layout_network.build(hosts, policy, running)
    with_disks = [host for host in hosts if host.disks]
    judged = bool(with_disks) and all(disk.size for host in with_disks for disk in host.disks)
    reservations = layout_resources.reservations(hosts, policy)
    refusals = layout_resources.refusals(reservations, policy)
    monitors = _monitors(hosts, policy)
    if hosts and monitors == 1:
        warnings.append("There is one monitor: while its machine is away, so is all storage. Three machines are needed for more.")
    warnings += [*pools.warnings, *storage.warnings, *layout_resources.warnings(reservations, policy), *(_kept(entry, hosts) for entry in storage.kept)]
    capacity, disk_losses, host_losses, bulk_usable = None, [], [], 0
    if judged:
        capacity = layout_capacity.capacity(hosts, policy, pools.copies)
        bulk_usable = layout_capacity.capacity(hosts, policy, pools.chunks or pools.copies).usable
        disk_losses = layout_capacity.disk_losses(hosts, policy, pools.copies)
        host_losses = layout_capacity.host_losses(hosts, policy, pools.copies)
        unbalanced = _imbalance(hosts, policy, capacity)
        (refusals if policy.imbalance == "refuse" else warnings).extend(unbalanced)
        warnings += _mixed(hosts, policy)
        warnings += _fill(running, capacity, pools, disk_losses)
    return Layout(
        tuple(hosts),
        policy,
        running,
        storage,
        network,
        pools,
        capacity,
        bulk_usable,
        tuple(disk_losses),
        tuple(host_losses),
        tuple(reservations),
        monitors,
        min(policy.managers, max(len(hosts), 1)),
        tuple(warnings),
        tuple(refusals),
    )


def refuse(layout: Layout, details: Mapping[str, Any]) -> None:
    """Raise RefusedError with everything that the layout must not be carried out for, if there is anything."""
    if layout.refusals:
        count = len(layout.refusals)
        raise RefusedError(
            f"the layout is refused for {count} {'reason' if count == 1 else 'reasons'}",
            where="rook_ceph",
            hint="\n" + "\n".join(f"- {reason}" for reason in layout.refusals),
            details=details,
        )


def _database(disk: Disk, node: Mapping[str, Any]) -> int:
    config = layout_storage.entry_of(disk, node).get("config") or {}
    return int(config.get("databaseSizeMB") or 0) * 1024**2


def _monitors(hosts: Sequence[Host], policy: Policy) -> int:
    """How many monitors, one a machine. They vote: an even number of them survives no more losses than one less."""
    there = min(policy.monitors, max(len(hosts), 1))
    return there - 1 + there % 2


def _imbalance(hosts: Sequence[Host], policy: Policy, capacity: Capacity) -> list[str]:
    share, sizes = layout_capacity.imbalance(hosts, policy)
    sizes = {name: size for name, size in sizes.items() if size}
    if share <= policy.balance_tolerance:
        return []
    smallest, largest = min(sizes, key=lambda name: sizes[name]), max(sizes, key=lambda name: sizes[name])
    idle = f", so {disk_size(capacity.idle)} on the others stay unused" if capacity.idle else ", which data and load follow"
    text = (
        f"{smallest} has {disk_size(sizes[smallest])} and {largest} {disk_size(sizes[largest])}: {share:.0%} less, and {policy.balance_tolerance:.0%} is "
        f"tolerated (rook_ceph_balance_tolerance){idle}."
    )
    return [text]


def _mixed(hosts: Sequence[Host], policy: Policy) -> list[str]:
    classes = sorted({disk.device_class for host in hosts for disk in host.disks})
    if policy.device_class or "hdd" not in classes or len(classes) < 2:
        return []
    return [f"Pools use disks of the classes {names(classes)} alike, so they are as slow as the slowest. rook_ceph_pool_device_class picks one."]


def _fill(running: Running, capacity: Capacity, pools: Pools, losses: Sequence[Loss]) -> list[str]:
    """What is stored now, against what the layout holds."""
    stored = int(running.used / pools.copies.overhead)
    if stored > capacity.warns:
        return [f"{disk_size(stored)} of {disk_size(capacity.usable)} are stored already; Ceph warns from {disk_size(capacity.warns)}. Add disks."]
    tight = [loss for loss in losses if loss.access == "stays" and 0 < loss.heals < stored]
    return [f"{disk_size(stored)} are stored: after the loss of {loss.what} on {loss.host} they would not all get their copies again." for loss in tight]


def _kept(entry: layout_storage.Kept, hosts: Sequence[Host]) -> str:
    osds = names(f"osd.{osd}" for osd in entry.osds)
    there = f" ({osds})" if osds else ""
    if not entry.device:
        gone = "is not in the inventory any more" if entry.host not in {host.machine.hostname for host in hosts} else "has no disks in the inventory any more"
        return f"{entry.host} {gone} and stays Ceph's as it is{there}: {REMOVAL} removes its OSDs, one after another, when that is safe."
    return (
        f"{entry.host}: {entry.device} is not in machine_osd_disks any more and stays Ceph's as it is{there}: {REMOVAL} removes an OSD, when that is safe; "
        "or put the disk back into the list."
    )
