# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory claims of a machine's disks, and whether the claims lead to disks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.disks import choose
from ansible_collections.trinode.platform.plugins.module_utils.disks.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.preflight import constraints
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_disks import describe_disks

_KERNEL_KEYS = ("name", "path", "disk", "device", "by_id")


@dataclass(frozen=True)
class Machine:
    """A machine: what the inventory says of its disks, and the disks that it has. ``running``: it is configured and ours, not in maintenance."""

    name: str
    hostname: str = ""
    running: bool = False
    disks: Sequence[Disk] = ()
    install_disk: Any = field(default_factory=dict)
    osd_disks: Sequence[Any] = ()
    wipe_disks: Sequence[str] = ()


@dataclass(frozen=True)
class Claim:
    """A setting and the disks that it leads to. ``entry`` is the entry in machine_osd_disks, from 1; ``link`` the one that the setting itself names."""

    variable: str
    use: str
    entry: int
    selector: Mapping[str, Any]
    disks: Sequence[Disk]
    options: Mapping[str, Any] = field(default_factory=dict)
    link: str = ""

    @property
    def name(self) -> str:
        """The setting for a person."""
        return _place(self.variable, self.entry, self.use)


def claims_of(machine: Machine, machines: Sequence[Machine]) -> tuple[list[Claim], list[Finding]]:
    """The claims that lead to as many disks as they should, and what is wrong with the others. ``machines``: where a missing disk may be instead."""
    claims: list[Claim] = []
    findings: list[Finding] = []
    # Expressions last: they look at the disks that nothing names.
    for claim in sorted(_wanted(machine, findings), key=lambda claim: ("match" in claim.selector, claim.use != "install")):
        free = _free(machine, claims) if "match" in claim.selector and claim.use != "install" else machine.disks
        try:
            found = choose.chosen(claim.selector, free)
        except InputError as error:
            findings.append(_finding(machine, claim, error.what, error.hint))
            continue
        wanted = int(claim.selector.get("count", 1))
        # A disk that is there twice, over two paths, is told as such by the judgement.
        if len(found) == wanted or (len(found) > wanted == 1 and len({disk.wwid for disk in found}) == 1 and found[0].wwid):
            claims.append(Claim(claim.variable, claim.use, claim.entry, claim.selector, found, claim.options, _link(claim.selector)))
        elif not (claim.use == "install" and machine.running):
            findings.append(_miss(machine, claim, found, free, machines))
    findings += _wipes(machine, machines)
    return claims, findings


def _wanted(machine: Machine, findings: list[Finding]) -> Iterator[Claim]:
    """The settings as claims without disks; those that make no sense become findings."""
    settings: list[tuple[str, str, int, Any, constraints.Constraint]] = []
    if machine.install_disk:
        settings.append(("machine_install_disk", "install", 0, machine.install_disk, constraints.install_disk))
    settings += [("machine_osd_disks", "osd", number, value, constraints.osd_disk) for number, value in enumerate(machine.osd_disks, 1)]
    for variable, use, entry, value, constraint in settings:
        if problem := _kernel_name(machine, value):
            findings.append(Finding(machine.name, variable, problem.what, problem.hint))
            continue
        problem = constraint(value) if isinstance(value, Mapping) else constraints.Problem(f"{value!r} names no disk", "Name it by its serial, wwid or by_id.")
        if problem:
            findings.append(Finding(machine.name, variable, problem.what, problem.hint))
            continue
        selector = {key: text for key, text in value.items() if key not in constraints.OSD_OPTIONS}
        options = {key: text for key, text in value.items() if key in constraints.OSD_OPTIONS}
        yield Claim(variable, use, entry, selector, (), options)
        if "metadata" in options:
            yield Claim(variable, "metadata", entry, options["metadata"], ())


def _kernel_name(machine: Machine, value: Any) -> constraints.Problem | None:
    """A kernel name, wherever it stands, with the names of the disk that it is now."""
    texts = [str(value[key]) for key in _KERNEL_KEYS if key in value] if isinstance(value, Mapping) else [str(value)]
    if isinstance(value, Mapping) and isinstance(value.get("metadata"), Mapping):
        texts += [str(value["metadata"][key]) for key in _KERNEL_KEYS if key in value["metadata"]]
    for text in texts:
        if problem := constraints.kernel_disk(text):
            return constraints.Problem(problem.what, kernel_name_hint(text, machine.disks) or problem.hint)
    return None


def kernel_name_hint(name: str, disks: Sequence[Disk]) -> str:
    """What to write instead of a kernel name: the names of the disk that has it now, else those of all disks. Empty where no disks are known."""
    found = [disk for disk in disks if disk.name == name.removeprefix("/dev/")] or list(disks)
    lines = [f"{disk.path} is now {{by_id: {link.removeprefix(choose.BY_ID)}}}" for disk in found if (link := choose.link_of(disk))]
    return f"Copy the name that stays with the disk: {'; '.join(lines)}." if lines else ""


def _free(machine: Machine, claims: Sequence[Claim]) -> list[Disk]:
    taken = [disk for claim in claims for disk in claim.disks]
    return [disk for disk in machine.disks if disk not in taken and not disk.system]


def _link(selector: Mapping[str, Any]) -> str:
    return choose.BY_ID + str(selector["by_id"]).strip().removeprefix(choose.BY_ID) if "by_id" in selector else ""


def _miss(machine: Machine, claim: Claim, found: Sequence[Disk], free: Sequence[Disk], machines: Sequence[Machine]) -> Finding:
    text = choose.describe(claim.selector)
    if "match" in claim.selector:
        wanted = claim.selector.get("count", 1)
        what = f"{len(found) or 'no'} disk{'s' if len(found) > 1 else ''} of the machine fit {text}, and {wanted} should"
        beside = " that nothing else claims" if len(free) < len(machine.disks) else ""
        return _finding(machine, claim, what, f"Correct the expression or count. Its disks{beside}: {describe_disks(free)}.")
    if found:
        return _finding(machine, claim, f"{len(found)} disks of the machine have {text}", f"Name one by what it has alone: {describe_disks(found)}.")
    owner = _owner(machine, claim.selector, machines)
    elsewhere = f"; it is a disk of {owner}" if owner else ""
    return _finding(machine, claim, f"no disk of the machine has {text}{elsewhere}", f"Its disks: {describe_disks(machine.disks)}.")


def _owner(machine: Machine, selector: Mapping[str, Any], machines: Sequence[Machine]) -> str:
    if not set(selector) & set(constraints.DISK_IDENTITIES):
        return ""
    owners = [(other, disk) for other in machines if other is not machine for disk in choose.chosen(selector, other.disks)]
    return f"{owners[0][0].name} ({owners[0][1].path})" if owners else ""


def _wipes(machine: Machine, machines: Sequence[Machine]) -> Iterator[Finding]:
    """Permissions to wipe that name no disk of the machine: another machine's is a mistake, one that is nowhere may have been replaced."""
    for name in machine.wipe_disks:
        if any(name in (disk.serial, disk.wwid) for disk in machine.disks):
            continue
        owner = _owner(machine, {"serial": name}, machines)
        yield Finding(
            machine.name,
            "machine_wipe_disks",
            f"no disk of the machine has the serial {name}" + (f"; it is a disk of {owner}" if owner else ""),
            f"Its disks: {describe_disks(machine.disks)}." if owner else "Take it out of the list.",
            warning=not owner,
        )


def _finding(machine: Machine, claim: Claim, what: str, hint: str) -> Finding:
    return Finding(machine.name, claim.variable, what, hint)


def _place(variable: str, entry: int, use: str) -> str:
    part = f" ({use})" if use == "metadata" else ""
    return f"{variable}[{entry - 1}]{part}" if entry else variable
