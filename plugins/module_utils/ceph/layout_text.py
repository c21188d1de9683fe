# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A layout as a person reads it: tables of disks and machines, what fits, what is lost with what, and warnings. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout import Layout
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_capacity import Capacity, Loss
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_model import Disk, Host
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_units import disk_size, memory_size, names
from ansible_collections.trinode.platform.plugins.module_utils.table import aligned

UNJUDGED = "No machine was asked for its disks: they are taken as machine_osd_disks names them, unseen. Neither sizes nor contents were judged."
NO_DISKS = "No machine gives a disk to Ceph (machine_osd_disks): Ceph starts, and stores nothing."


def lines(layout: Layout, *, judged: bool) -> list[str]:
    """Everything, a line each; an empty line between the parts."""
    parts = [_summary(layout, judged)]
    if any(host.disks for host in layout.hosts):
        parts.append(aligned(_disks(layout)))
    if layout.reservations and any(entry.memory for entry in layout.reservations):
        parts.append(aligned(_machines(layout)))
    parts.append(consequences(layout))
    parts.append([f"Warning: {warning}" for warning in layout.warnings])
    parts.append([f"Refused: {refusal}" for refusal in layout.refusals])
    return "\n\n".join("\n".join(part) for part in parts if part).split("\n")


def consequences(layout: Layout) -> list[str]:
    """What fits, and what the loss of a disk or a machine means."""
    said = []
    if layout.capacity and layout.osds:
        said += _fits(layout, layout.capacity)
        said += ["Lost with one disk, the worst of each machine:", *_losses(layout.disk_losses, layout)]
        said += ["Lost with one machine:", *_losses(layout.host_losses, layout)]
    return [*said, *_daemons(layout)]


def _summary(layout: Layout, judged: bool) -> list[str]:
    with_disks = [host for host in layout.hosts if host.disks]
    if not with_disks:
        return [NO_DISKS]
    new = sum(disk.osds for host in layout.hosts for disk in host.disks if not layout.osds_of(host, disk))
    running = len(layout.running.osds or ())
    count = f"{_count(layout.osds, 'OSD')} on {_count(len(with_disks), 'machine')}"
    there = f"; {running} run already" if running else ""
    headline = f"Ceph: {count}{there}{f', {new} to be made' if running and new else ''}. {_kept_apart(layout)}"
    return [headline, *([] if judged else [UNJUDGED])]


def _kept_apart(layout: Layout) -> str:
    word = "machines" if layout.policy.failure_domain == "host" else "OSDs"
    text = f"Pools: {layout.pools.copies.text}, each on another of the {word} (min_size {layout.pools.copies.minimum})"
    if layout.pools.chunks:
        text += f"; buckets: {layout.pools.chunks.text} (min_size {layout.pools.chunks.minimum})"
    return text + (f"; on disks of class {layout.policy.device_class}." if layout.policy.device_class else ".")


def _disks(layout: Layout) -> list[list[str]]:
    rows = [["MACHINE", "DISK", "SIZE", "KIND", "CLASS", "OSDS", "DATABASES", "STATE"]]
    for host in layout.hosts:
        rows += [_disk(layout, host, disk) for disk in host.disks]
        rows += [[host.machine.hostname, disk.label, _size(disk), disk.kind or "?", "-", "-", "here", "holds databases"] for disk in host.metadata]
        rows += [
            [host.machine.hostname, kept.device.rpartition("/")[2] or "all its disks", "?", "?", "?", "?", "?", "stays, not in the inventory"]
            for kept in layout.storage.kept
            if kept.host == host.machine.hostname
        ]
    return rows


def _disk(layout: Layout, host: Host, disk: Disk) -> list[str]:
    osds = layout.osds_of(host, disk)
    state = names(f"osd.{osd.id}{'' if osd.up else ' (down)'}" for osd in osds) or (
        "new" if layout.running.osds is not None or not layout.running.exists else "?"
    )
    database = "with the data"
    if disk.metadata:
        holder = next((other.label for other in host.metadata if disk.metadata in other.links), disk.metadata.rpartition("/")[2])
        database = f"{disk_size(disk.database)} on {holder}" if disk.database else f"on {holder}"
    return [host.machine.hostname, disk.label, _size(disk), disk.kind or "?", disk.device_class or "?", str(disk.osds), database, state]


def _machines(layout: Layout) -> list[list[str]]:
    rows = [["MACHINE", "OSDS", "RAW", "MEMORY", "OF OSDS", "OF THE REST", "LEFT FOR WORKLOADS", "PROCESSORS", "BUSY OSDS WANT"]]
    raw = {host.machine.hostname: host.capacity() for host in layout.hosts}
    for entry in layout.reservations:
        memory, left = (memory_size(entry.memory), memory_size(max(entry.left, 0))) if entry.memory else ("?", "?")
        row = [entry.host, str(entry.osds), disk_size(raw[entry.host]) if raw[entry.host] else "?", memory]
        row += [memory_size(entry.osd_memory), memory_size(entry.reserved_memory), left, f"{entry.cpus:g}" if entry.cpus else "?", f"{entry.osd_cpus:g}"]
        rows.append(row)
    return rows


def _fits(layout: Layout, capacity: Capacity) -> list[str]:
    text = f"Room: {disk_size(capacity.raw)} on disks, {disk_size(capacity.usable)} of data with {layout.pools.copies.text} at best"
    if layout.pools.chunks:
        text += f" (or {disk_size(layout.bulk_usable)} of buckets, {layout.pools.chunks.text})"
    limits = [f"{disk_size(size)} ({share:.0%})" for size, share in ((capacity.warns, layout.policy.near_full), (capacity.stops, layout.policy.full))]
    text += f". Ceph warns from {limits[0]} and takes no more at {limits[1]}."
    said = [text]
    with_disks = [host for host in layout.hosts if host.capacity(layout.policy.device_class)]
    if layout.policy.failure_domain == "host" and len(with_disks) == layout.pools.copies.pieces > 1:
        smallest = min(with_disks, key=lambda host: host.capacity(layout.policy.device_class))
        idle = f"; {disk_size(capacity.idle)} of the others stay unused" if capacity.idle else ""
        said.append(f"Every machine has a copy of everything, so the smallest one bounds: {smallest.machine.hostname}{idle}.")
    return said


def _losses(losses: Sequence[Loss], layout: Layout) -> list[str]:
    """A line for each kind of loss; those that mean the same are named together."""
    alike: dict[tuple[object, ...], list[str]] = {}
    meaning: dict[tuple[object, ...], str] = {}
    for loss in losses:
        key = (loss.raw, loss.osds, loss.access, loss.heals)
        alike.setdefault(key, []).append(loss.what if loss.what == loss.host else f"{loss.what} on {loss.host}")
        meaning[key] = f"({disk_size(loss.raw)}, {_count(loss.osds, 'OSD')}): {_meaning(loss, layout)}"
    return [f"  {' or '.join(whats)} {meaning[key]}" for key, whats in alike.items()]


def _meaning(loss: Loss, layout: Layout) -> str:
    if loss.access == "lost":
        return "its data is lost, as there is no other copy."
    spare = layout.pools.copies.pieces - layout.pools.copies.data - 1
    text = (
        "data stays there and is read and written on" if loss.access == "stays" else "no data is lost, and it can neither be read nor written until it is back"
    )
    if loss.heals:
        return f"{text}; up to {disk_size(loss.heals)}, Ceph makes the copies anew on what is left."
    nowhere = "no place is left for another copy, so it has to come back or be replaced"
    return f"{text}; {nowhere}{'' if spare else ', and until then nothing else may fail'}."


def _daemons(layout: Layout) -> list[str]:
    hosts = [host.machine.hostname for host in layout.hosts]
    if not hosts:
        return []
    tolerated = (layout.monitors - 1) // 2
    on = f"on {names(hosts)}" if len(hosts) == layout.monitors else f"on {layout.monitors} of {names(hosts)}"
    survive = f"{_count(tolerated, 'machine')} may be away" if tolerated else "its machine may not be away"
    text = f"Monitors: {layout.monitors}, one a machine, {on}: {survive}. Managers: {layout.managers}, on different machines."
    ranges = layout.network.get("addressRanges", {})
    network = "Network: the pods' own."
    if ranges:
        network = f"Network: the machines' own; clients reach Ceph in {', '.join(ranges.get('public') or ['any of their networks'])}"
        network += f", OSDs each other in {', '.join(ranges['cluster'])}." if ranges.get("cluster") else "."
    return [text, network]


def _size(disk: Disk) -> str:
    return disk_size(disk.size) if disk.size else "?"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
