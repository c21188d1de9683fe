# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How OSDs are removed without risk to data: which may be, and what the next step is. Pure: a look at the cluster comes in, steps come out.

Nothing is remembered between looks, so a removal that was interrupted goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_units import disk_size
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Ceph, Osd

DISK = "trinode.dev/disk"
"""Annotation of an OSD's Deployment that is being removed: the serial number of its disk, which Ceph forgets before the Deployment is gone."""

Kind = Literal["out", "drain", "forget", "stop", "purge", "delete"]


@dataclass(frozen=True)
class Daemon:
    """The Deployment of an OSD. ``disk`` is what DISK says, ``path`` the device that Rook gave to it."""

    osd: int
    replicas: int
    disk: str = ""
    path: str = ""


@dataclass(frozen=True)
class Look:
    """One look: Ceph, its Deployments, and ``spec.storage`` of the CephCluster."""

    ceph: Ceph
    daemons: tuple[Daemon, ...]
    storage: Mapping[str, Any]

    def daemon(self, osd: int) -> Daemon | None:
        return next((daemon for daemon in self.daemons if daemon.osd == osd), None)


@dataclass(frozen=True)
class Step:
    """What to do with some OSDs, which share a disk. ``text`` says it to a person."""

    kind: Kind
    osds: tuple[int, ...]
    text: str


def find(look: Look, osds: Sequence[int], disks: Sequence[str]) -> list[tuple[int, ...]]:
    """The OSDs that are meant, those of a disk together: by number, or by their disks' serial numbers. Those that are gone already are left out."""
    numbers = {osd.id for osd in look.ceph.osds} | {daemon.osd for daemon in look.daemons}
    wanted = {number for number in osds if number in numbers}
    wanted |= {osd.id for osd in look.ceph.osds if any(on_disk(osd, disk) for disk in disks)}
    wanted |= {daemon.osd for daemon in look.daemons if daemon.disk in disks and look.ceph.osd(daemon.osd) is None}
    groups: dict[tuple[str, str], list[int]] = {}
    for number in sorted(wanted):
        osd = look.ceph.osd(number)
        key = (osd.host, osd.serial) if osd and osd.serial else ("", str(number))
        groups.setdefault(key, []).append(number)
    return [tuple(group) for group in groups.values()]


def on_disk(osd: Osd, serial: str) -> bool:
    """Whether Ceph says that the OSD is on the disk with this serial number, of which it joins the parts with underscores."""
    plain = "_".join(serial.split())
    return bool(serial) and (osd.serial in (serial, plain) or osd.device_id.endswith(f"_{plain}"))


def refusals(group: Sequence[int], look: Look, *, failed: bool) -> list[str]:
    """Why these OSDs must not be removed, each in a sentence. What is out already is on its way, and was judged when it began."""
    ceph = look.ceph
    osds = [osd for osd in ceph.osds if osd.id in group]
    found = []
    if failed:
        found += [f"osd.{osd.id} is up, so its disk has not failed: playbooks/osd_remove.yml empties it first." for osd in osds if osd.up]
        if lost := unusable(ceph):
            found.append(f"{lost}: osd.{group[0]} may have the only copy. Bring other OSDs back first.")
    found += _shared(osds, ceph)
    if not failed and any(osd.in_ for osd in osds):
        found += [*_copies(osds, ceph), *_capacity(osds, ceph)]
    return found


def unusable(ceph: Ceph) -> str:
    """What data cannot be used before more OSDs are there; empty where all can. Peering passes; these do not."""
    waiting = ceph.groups.matching("down", "incomplete")
    if not ceph.groups.unfound and not waiting:
        return ""
    return f"{waiting} placement groups are down or incomplete and {ceph.groups.unfound} objects are nowhere to be found"


def plan(group: Sequence[int], look: Look, *, failed: bool) -> list[Step]:
    """The steps that are left for the OSDs of a disk, in order; none when nothing of them is left."""
    ceph = look.ceph
    osds = [osd for osd in ceph.osds if osd.id in group]
    names = ", ".join(f"osd.{osd.id}" for osd in osds)
    where = f" of {osds[0].host}" + (f" (disk {osds[0].serial})" if osds[0].serial else "") if osds else ""
    present, steps = tuple(osd.id for osd in osds), []
    if any(osd.in_ for osd in osds):
        steps.append(Step("out", present, f"take {names}{where} out, so that its data is copied elsewhere"))
    if osds and not expendable(osds, ceph, failed=failed):
        left = sum(osd.placement_groups for osd in osds)
        steps.append(Step("drain", present, f"wait until nothing is on {names} that is not elsewhere ({left} placement groups now)"))
    paths = sorted({path for osd in osds for path in devices(osd, look)})
    if paths:
        steps.append(Step("forget", present, f"take {', '.join(paths)} of {osds[0].host} out of the CephCluster"))
    running = [number for number in group if _running(number, look)]
    if running:
        steps.append(Step("stop", tuple(running), f"stop {', '.join(f'rook-ceph-osd-{number}' for number in running)}"))
    if osds:
        steps.append(Step("purge", present, f"remove {names} from Ceph for good"))
    deployments = tuple(number for number in group if look.daemon(number))
    if deployments:
        steps.append(Step("delete", deployments, f"delete {', '.join(f'rook-ceph-osd-{number}' for number in deployments)}"))
    return steps


def drained(osds: Sequence[int], ceph: Ceph) -> bool:
    """Whether everything that was on OSDs has all its copies elsewhere.

    Ceph calls an OSD safe to destroy as soon as no placement group counts on it, though its copies may just be being made anew.
    """
    return set(osds) <= set(ceph.destroyable or ()) and ceph.groups.active_clean == ceph.groups.total


def expendable(osds: Sequence[Osd], ceph: Ceph, *, failed: bool) -> bool:
    """Whether OSDs can go for good: all copies are elsewhere; or the OSDs have failed, all data can be used, and there is no place to make copies anew."""
    return drained([osd.id for osd in osds], ceph) or (failed and nowhere(osds, ceph) and not ceph.groups.inactive and not ceph.groups.unfound)


def nowhere(osds: Sequence[Osd], ceph: Ceph) -> bool:
    """Whether copies that were on OSDs that are down have no place to be made anew, so that waiting does not help."""
    return all(not osd.up for osd in osds) and bool(_copies(osds, ceph))


def devices(osd: Osd, look: Look) -> list[str]:
    """The entries of the CephCluster that mean the OSD's disk."""
    daemon = look.daemon(osd.id)
    node: Mapping[str, Any] = next((node for node in look.storage.get("nodes") or [] if node.get("name") in (osd.host, osd.bucket)), {})
    plain = "_".join(osd.serial.split())
    found = []
    for device in node.get("devices") or []:
        path = str(device.get("fullpath") or device.get("name") or "")
        if (plain and plain in path) or (daemon and daemon.path and daemon.path == path):
            found.append(path)
    return found


def without(storage: Mapping[str, Any], host: str, paths: Iterable[str]) -> list[Any]:
    """``nodes`` of a storage section without these devices of a host; a node without any device is left out."""
    gone, kept = set(paths), []
    for node in storage.get("nodes") or []:
        if node.get("name") != host:
            kept.append(node)
            continue
        left = [device for device in node.get("devices") or [] if str(device.get("fullpath") or device.get("name")) not in gone]
        if left or node.get("devicePathFilter") or node.get("deviceFilter"):
            kept.append({**node, "devices": left})
    return kept


def _running(number: int, look: Look) -> bool:
    osd, daemon = look.ceph.osd(number), look.daemon(number)
    return bool((daemon and daemon.replicas) or (osd and osd.up))


def _shared(osds: Sequence[Osd], ceph: Ceph) -> Iterable[str]:
    named = {osd.id for osd in osds}
    for osd in osds:
        others = [other for other in ceph.osds if other.id not in named and osd.serial and (other.host, other.serial) == (osd.host, osd.serial)]
        if others:
            yield f"osd.{osd.id} shares the disk {osd.serial} with {', '.join(f'osd.{other.id}' for other in others)}: name the disk, or all of them."
            return


def _copies(osds: Sequence[Osd], ceph: Ceph) -> list[str]:
    """Each copy of a pool needs a place of its own: would there be fewer places than copies?"""
    gone = {osd.id for osd in osds}
    found = []
    for pool in ceph.pools:
        able = [osd for osd in ceph.osds if osd.up and osd.in_ and pool.device_class in ("", osd.device_class)]
        concerned = [osd for osd in osds if pool.device_class in ("", osd.device_class)]
        left = {_place(osd, pool.failure_domain) for osd in able if osd.id not in gone}
        lost = {_place(osd, pool.failure_domain) for osd in concerned} - left
        if lost and len(left) < pool.size:
            word = "piece" if pool.erasure_coded else "copy"
            kind = "OSDs" if pool.failure_domain == "osd" else "hosts"
            found.append(
                f"pool {pool.name} has {pool.size} {'pieces' if pool.erasure_coded else 'copies'}, each on another of the {kind}; without "
                f"{', '.join(f'osd.{osd.id}' for osd in osds)} {len(left)} {kind} can take a {word}. Add a disk to {', '.join(sorted(lost))} first, or "
                "replace the disk in one go with playbooks/osd_replace.yml once it has failed."
            )
    return found


def _place(osd: Osd, domain: str) -> str:
    return f"osd.{osd.id}" if domain == "osd" else osd.host


def _capacity(osds: Sequence[Osd], ceph: Ceph) -> Iterable[str]:
    """Would what is left be too full? Where there are as many hosts as copies, what is on a host has to stay there."""
    classes = {pool.device_class for pool in ceph.pools if pool.device_class}
    gone = {osd.id for osd in osds}
    for host, mine in {osd.host: osd for osd in osds}.items():
        peers = [osd for osd in ceph.osds if osd.in_ and (mine.device_class not in classes or osd.device_class == mine.device_class)]
        copies = max((pool.size for pool in ceph.pools if pool.failure_domain != "osd"), default=0)
        bound = len({osd.host for osd in peers}) <= copies
        if bound:
            peers = [osd for osd in peers if osd.host == host]
        used, left = sum(osd.used for osd in peers), sum(osd.size for osd in peers if osd.id not in gone)
        if left and used / left > ceph.ratios.near_full:
            place = f"on {host}, where as many copies as hosts have to stay," if bound else "in the cluster"
            yield (
                f"{disk_size(used)} are stored {place} and {disk_size(left)} would be left for them: {used / left:.0%} full, and Ceph warns from "
                f"{ceph.ratios.near_full:.0%}. Add disks or delete data first."
            )
