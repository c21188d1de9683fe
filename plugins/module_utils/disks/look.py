# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks are looked at byte by byte before Ceph is given them, and what follows from what is there. Pure.

The disk contract has judged them before, by what Talos finds; so only those that Talos calls empty are left to be looked at.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.disks import signatures
from ansible_collections.trinode.platform.plugins.module_utils.disks.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.disks.signatures import Label, Raid
from ansible_collections.trinode.platform.plugins.module_utils.talos import disk_contents
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk, disk_from_values
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_disks import describe_disks

_VARIABLE = "machine_osd_disks"
_USES = ("osd", "metadata")


@dataclass(frozen=True)
class Candidate:
    """A disk that Ceph is about to be given. ``machine`` is its machine's name in the inventory, ``node`` in Kubernetes; ``link`` the name that stays with it.

    ``permitted``: it may be wiped. ``wiped``: it just was, so nothing may be left.
    """

    machine: str
    node: str
    address: str
    disk: Disk
    use: str
    link: str
    permitted: bool = False
    wiped: bool = False

    @property
    def name(self) -> str:
        """By which a wipe is permitted and confirmed; empty where it has no such name."""
        return self.disk.serial or self.disk.wwid


@dataclass(frozen=True)
class Bytes:
    """What was read of a disk, by offset. ``error`` says why some of it could not be."""

    blocks: Mapping[int, bytes]
    error: str = ""


@dataclass(frozen=True)
class Cluster:
    """The Ceph cluster that the disks are for. ``fsid`` is empty before it has one; ``osds`` are the numbers of its OSDs, None while it does not answer."""

    fsid: str = ""
    osds: Container[str] | None = None


@dataclass(frozen=True)
class Seen:
    """A disk with what is on it, for a person; ``wipe``: it holds something foreign and is to be wiped, as permitted."""

    candidate: Candidate
    contents: str = ""
    finding: Finding | None = None
    wipe: bool = False


def candidates(machines: Iterable[Mapping[str, Any]], disks: Iterable[Mapping[str, Any]], wiped: Iterable[str] = ()) -> list[Candidate]:
    """The disks to look at, of all judged ones (return value C(disks) of disk_contract): those given to Ceph that Talos finds empty, or the ``wiped`` ones."""
    known = {str(machine["name"]): machine for machine in machines}
    names = set(wiped)
    found = []
    for entry in disks:
        machine = known.get(str(entry.get("machine")))
        if machine is None or entry.get("use") not in _USES or not entry.get("link"):
            continue
        disk = disk_from_values(entry)
        name = disk.serial or disk.wwid
        if name not in names if names else (entry.get("contents") != disk_contents.EMPTY or entry.get("findings")):
            continue
        permitted = bool(name) and name in [str(serial) for serial in machine.get("wipe_disks") or ()]
        node, address = str(machine.get("hostname") or machine["name"]), str(machine["address"])
        found.append(Candidate(str(machine["name"]), node, address, disk, str(entry["use"]), str(entry["link"]), permitted and not names, bool(names)))
    return found


def judge(candidate: Candidate, read: Bytes, cluster: Cluster) -> Seen:
    """What a disk's bytes say of it. What cannot be read is not empty."""
    missing = [offset for offset in signatures.places(candidate.disk.size) if len(read.blocks.get(offset, b"")) < signatures.BLOCK]
    if missing:
        what = f"it could not be read at {', '.join(str(offset) for offset in missing)}{f' ({read.error})' if read.error else ''}, so it may hold something"
        return Seen(candidate, finding=_about(candidate, what, "Check the disk, or use another one."))
    contents = signatures.found(candidate.disk.size, read.blocks)
    text = signatures.described(contents)
    foreign = [item for item in contents if candidate.wiped or isinstance(item, Raid) or not _taken_back(item, cluster)]
    if foreign and len(foreign) < len(contents):
        # Beside what is the cluster's own: nobody may permit to wipe that.
        what = f"it holds {text}, of which only a part is this cluster's"
        return Seen(candidate, text, _about(candidate, what, "Take it out of machine_osd_disks, and find out what it is."))
    if foreign:
        return _foreign(candidate, text, foreign, cluster)
    if not contents or any(item.offset == 0 for item in contents):
        return Seen(candidate, text)
    what = f"its first label of BlueStore is gone, and it holds {text}, which is this cluster's"
    return Seen(candidate, text, _about(candidate, what, "It is left as it is: Ceph decides whether it takes its OSD back.", warning=True))


def _taken_back(label: Label, cluster: Cluster) -> bool:
    """Whether it is an OSD of this cluster: one that Ceph has, may have, or has just made while we looked."""
    if not cluster.fsid or label.fsid != cluster.fsid:
        return False
    return label.offset == 0 or cluster.osds is None or label.osd in cluster.osds


def _foreign(candidate: Candidate, text: str, foreign: Sequence[Label | Raid], cluster: Cluster) -> Seen:
    if candidate.permitted:
        return Seen(candidate, text, wipe=True)
    gone = any(isinstance(item, Label) and cluster.fsid and item.fsid == cluster.fsid for item in foreign)
    holds = f"it holds {signatures.described(foreign)}{', which this cluster does not have any more' if gone else ''}"
    if candidate.wiped:
        return Seen(candidate, text, _about(candidate, f"it was wiped, and {holds}", "The disk may be failing, or something wrote to it."))
    hint = (
        f"Use another one; or, if nothing on it is needed any more, permit to wipe it with machine_wipe_disks: [{candidate.name}] for {candidate.machine}."
        if candidate.name
        else "Use another one, or wipe it by hand: it has neither serial nor wwid by which machine_wipe_disks could name it."
    )
    return Seen(candidate, text, _about(candidate, f"it is not empty, though Talos finds nothing on it: {holds}", hint))


def _about(candidate: Candidate, what: str, hint: str, *, warning: bool = False) -> Finding:
    return Finding(candidate.machine, _VARIABLE, f"{describe_disks([candidate.disk])}: {what}", hint, warning)
