# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every disk of every machine against what the inventory says of it. Pure: machines with their disks in, judged disks and findings out.

Only disks that the inventory claims can be refused. What is on the others is told, and nothing writes to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.disks import choose
from ansible_collections.trinode.platform.plugins.module_utils.disks.claims import Claim, Machine, claims_of
from ansible_collections.trinode.platform.plugins.module_utils.disks.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.disks.membership import Membership
from ansible_collections.trinode.platform.plugins.module_utils.talos import disk_contents
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_disks import describe_disks

GIB = 1024**3
# What Talos asks for, and below which Ceph's tools leave a disk alone.
SMALLEST = {"install": 10 * GIB, "osd": 5 * GIB, "metadata": 5 * GIB}
_CONTENTS = {
    disk_contents.BLUESTORE: "an OSD of another Ceph cluster, or of one that is gone",
    disk_contents.LVM: "LVM",
    disk_contents.PARTITIONS: "a partition table",
    disk_contents.FILESYSTEM: "a filesystem",
    disk_contents.RAID: "a part of a software RAID",
    disk_contents.ENCRYPTED: "an encrypted volume",
    disk_contents.TALOS: "a Talos that is not this machine's",
    disk_contents.SWAP: "swap space",
}


@dataclass
class Judged:
    """A disk with what was found about it. ``use``: install | osd | metadata, or empty; ``metadata``: the link of the disk with its metadata.

    ``wipe``: it is claimed, not empty, and may be wiped.
    """

    machine: Machine
    disk: Disk
    contents: str
    detail: str
    use: str = ""
    claim: Claim | None = None
    link: str = ""
    metadata: str = ""
    wipe: bool = False
    findings: list[Finding] = field(default_factory=list)

    def as_values(self) -> dict[str, Any]:
        """As a return value: JSON types."""
        values = {
            **choose.facts(self.disk),
            "machine": self.machine.name,
            "use": self.use,
            "contents": self.contents,
            "detail": self.detail,
            "findings": [finding.what for finding in self.findings if not finding.warning],
            "warnings": [finding.what for finding in self.findings if finding.warning],
            "wipe": self.wipe,
            "link": self.link,
        }
        options = {key: value for key, value in (self.claim.options if self.claim and self.use == "osd" else {}).items() if key != "metadata"}
        return {**values, **options, **({"metadata": self.metadata} if self.metadata else {})}


@dataclass(frozen=True)
class Judgement:
    """All disks, and all findings: those about a disk, and those about a setting that leads to none."""

    disks: Sequence[Judged]
    findings: Sequence[Finding]

    @property
    def refusals(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.warning]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.warning]


def judge(machines: Sequence[Machine], membership: Membership) -> Judgement:
    """Judge the machines that answered; what is to be said of the others is the caller's to say."""
    disks: list[Judged] = []
    findings: list[Finding] = []
    for machine in machines:
        judged = {disk.name: _look(machine, disk, membership) for disk in machine.disks}
        claims, problems = claims_of(machine, machines)
        _note_claims(judged, claims)
        for entry in judged.values():
            entry.findings += _findings(entry, [claim for claim in claims if entry.disk in claim.disks], membership)
            entry.wipe = entry.wipe and not any(not finding.warning for finding in entry.findings)
        findings += [*problems, *(finding for entry in judged.values() for finding in entry.findings)]
        disks += judged.values()
    for entry, finding in _shared(disks):
        entry.findings.append(finding)
        findings.append(finding)
    return Judgement(disks, findings)


def permitted(machine: Machine, disk: Disk) -> bool:
    """Whether the machine's settings name this disk as one that may be wiped: by its serial, or by its wwid where it has no serial."""
    return (disk.serial or disk.wwid) in machine.wipe_disks and bool(disk.serial or disk.wwid)


def _look(machine: Machine, disk: Disk, membership: Membership) -> Judged:
    osd = membership.osd_on(machine, disk)
    if osd:
        return Judged(machine, disk, disk_contents.OURS, osd)
    return Judged(machine, disk, disk.contents, disk.detail)


def _note_claims(judged: Mapping[str, Judged], claims: Sequence[Claim]) -> None:
    links: dict[int, str] = {}
    for claim in claims:
        for disk in claim.disks:
            entry = judged[disk.name]
            if not entry.use or claim.use == "install":
                entry.use, entry.claim = claim.use, claim
            entry.link = claim.link or choose.link_of(disk)
            if claim.use == "metadata":
                links[claim.entry] = entry.link
    for entry in judged.values():
        if entry.use == "osd" and entry.claim:
            entry.metadata = links.get(entry.claim.entry, "")


def _findings(judged: Judged, claims: Sequence[Claim], membership: Membership) -> Iterator[Finding]:
    """What is wrong with a disk that is claimed. A machine that runs has its system disk; only its disks for storage are still to be judged."""
    if not claims:
        return
    yield from _twice(judged, claims)
    if judged.use == "install":
        yield from _installed_elsewhere(judged)
        if judged.machine.running:
            return
    elif judged.disk.system:
        yield _about(judged, "Talos is installed on it", "Name another disk for storage.")
        return
    yield from _hardware(judged)
    if not judged.disk.system:
        yield from _held(judged, membership)


def _hardware(judged: Judged) -> Iterator[Finding]:
    """What the disk is, whatever is on it."""
    disk, use = judged.disk, judged.use
    if twins := _twins(disk, judged.machine.disks):
        yield _about(
            judged,
            f"the same disk is there a second time, as {describe_disks(twins)}: one disk over two paths",
            "Connect it by one path only, since Talos has no multipath and writing over both destroys data.",
        )
    if disk.readonly:
        yield _about(judged, "it is read-only", "Take off its write protection, or name another one.")
    if disk.removable:
        yield _about(judged, "it is removable (USB)", "Name a disk that is built in.")
    if disk.size < SMALLEST[use]:
        what = "Talos" if use == "install" else "Ceph"
        yield _about(judged, f"it is too small: {disk.size / GIB:.1f} GiB", f"{what} needs {SMALLEST[use] // GIB} GiB or more.")
    if use != "install" and not judged.link:
        yield _about(judged, "it has no link below /dev/disk/by-id, so Rook cannot be given a name that stays with it", "Name another one.")


def _twice(judged: Judged, claims: Sequence[Claim]) -> Iterator[Finding]:
    """One disk may hold the metadata of several others; everything else it can be only once."""
    uses = [claim for claim in claims if claim.use != "metadata"] + [claim for claim in claims if claim.use == "metadata"][:1]
    if len(uses) > 1:
        names = " and ".join(dict.fromkeys(claim.name for claim in uses))
        again = f" ({len(uses)} times)" if len({claim.name for claim in uses}) == 1 else ""
        yield _about(judged, f"it is claimed twice, by {names}{again}", "Name each disk once.")


def _installed_elsewhere(judged: Judged) -> Iterator[Finding]:
    system = [disk for disk in judged.machine.disks if disk.system]
    if system and not judged.disk.system:
        yield _about(
            judged,
            f"Talos is installed on another disk, {describe_disks(system)}, and is not installed a second time",
            "Name that disk; or wipe it, and boot the machine from the network or a stick.",
            warning=judged.machine.running,
        )


def _twins(disk: Disk, disks: Sequence[Disk]) -> list[Disk]:
    """Other paths of the same disk: the same wwid, or, without any, the same serial, model and size. Namespaces of one NVMe share the serial alone."""
    return [
        other
        for other in disks
        if other is not disk
        and (
            (disk.wwid and other.wwid == disk.wwid)
            or (not disk.wwid and not other.wwid and disk.serial and (other.serial, other.model, other.size) == (disk.serial, disk.model, disk.size))
        )
    ]


def _held(judged: Judged, membership: Membership) -> Iterator[Finding]:
    """Who has the disk, and what is on it: nothing, or ours, or a reason to refuse it."""
    machine, disk = judged.machine, judged.disk
    if judged.contents == disk_contents.OURS:
        if permitted(machine, disk):
            what = f"it is {judged.detail} of this cluster and is not wiped"
            yield _about(judged, what, "Take it out of machine_wipe_disks.", warning=True, variable="machine_wipe_disks")
    elif elsewhere := membership.osd_elsewhere(machine, disk):
        yield _about(judged, f"it is {elsewhere} in this cluster", "Put it back into that machine, or remove the OSD from Ceph first.")
    elif judged.use != "install" and membership.undecided(machine, disk):
        judged.contents, judged.detail = disk_contents.UNKNOWN, judged.detail or judged.contents
        what = f"it holds {judged.detail}; whether it is this cluster's cannot be told yet"
        hint = "It is left as it is: Ceph takes back what is its own, and the disks are judged again once it answers."
        yield _about(judged, what, hint, warning=True)
    elif disk.used_by:
        yield _about(judged, f"it is in use, as a part of {', '.join(disk.used_by)}", "Name another one, or take that apart first.")
    elif judged.contents != disk_contents.EMPTY:
        if permitted(machine, disk):
            judged.wipe = True
        else:
            yield _foreign(judged)


def _foreign(judged: Judged) -> Finding:
    """Contents that are neither nothing nor ours, and the setting that would permit to wipe them."""
    name = judged.disk.serial or judged.disk.wwid
    hint = (
        f"Use another one; or, if nothing on it is needed any more, permit to wipe it with machine_wipe_disks: [{name}] for {judged.machine.name}."
        if name
        else "Use another one, or wipe it by hand: it has neither serial nor wwid by which machine_wipe_disks could name it."
    )
    holds = f"holds {_CONTENTS[judged.contents]}" if judged.contents in _CONTENTS else "may hold something"
    return _about(judged, f"it is not empty: it {holds}{f' ({judged.detail})' if judged.detail else ''}", hint)


def _shared(disks: Sequence[Judged]) -> Iterator[tuple[Judged, Finding]]:
    """One disk that two machines see (on a SAN, say) and both claim. Serials alone repeat in virtual machines; names like these do not."""
    first: dict[str, Judged] = {}
    for judged in disks:
        wwid = judged.disk.wwid
        if not judged.use or not wwid.startswith(("naa.", "eui.")) or re.fullmatch(r"[a-z]+\.0*", wwid):
            continue
        other = first.setdefault(wwid, judged)
        if other.machine is not judged.machine:
            yield judged, _about(judged, f"{other.machine.name} claims the same disk, as {other.disk.path}", "Give each disk to one machine.")


def _about(judged: Judged, what: str, hint: str, *, warning: bool = False, variable: str = "") -> Finding:
    variable = variable or (judged.claim.variable if judged.claim else "")
    return Finding(judged.machine.name, variable, f"{describe_disks([judged.disk])}: {what}", hint, warning)
