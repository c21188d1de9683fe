# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judged disks for a person: a table with verdicts, and the lines that an inventory could have. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ansible_collections.trinode.platform.plugins.module_utils.disks import choose
from ansible_collections.trinode.platform.plugins.module_utils.disks.claims import Machine
from ansible_collections.trinode.platform.plugins.module_utils.disks.judge import GIB, SMALLEST, Judged, Judgement
from ansible_collections.trinode.platform.plugins.module_utils.table import aligned
from ansible_collections.trinode.platform.plugins.module_utils.talos import disk_contents
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk

_HEADINGS = ("MACHINE", "DISK", "SIZE", "KIND", "SERIAL", "WWID", "ON IT", "USE", "VERDICT")


def table(judgement: Judgement) -> list[str]:
    """One line a disk, then one line a finding."""
    lines = aligned([_HEADINGS, *(_row(judged) for judged in judgement.disks)])
    refused = [f"refused: {finding}" for finding in judgement.refusals]
    return [*lines, *refused, *(f"note: {finding}" for finding in judgement.warnings)]


def size_of(disk: Disk) -> str:
    """``10.0 GiB``, ``3.6 TiB``."""
    return f"{disk.size / GIB:.1f} GiB" if disk.size < 1024 * GIB else f"{disk.size / GIB / 1024:.1f} TiB"


def suggestions(machines: Sequence[Machine], judgement: Judgement) -> dict[str, list[str]]:
    """For each machine whose settings lead to no install disk or to no disk for storage, the lines that would: only disks that are fit and empty."""
    return {machine.name: lines for machine in machines if (lines := _suggest(machine, [judged for judged in judgement.disks if judged.machine is machine]))}


def _row(judged: Judged) -> tuple[str, ...]:
    disk = judged.disk
    kind = " ".join(text for text in (disk.transport, "hdd" if disk.rotational else "ssd") if text)
    found = judged.detail if judged.contents in (disk_contents.FILESYSTEM, disk_contents.OURS) else judged.contents
    return (judged.machine.name, disk.name, size_of(disk), kind, disk.serial or "-", disk.wwid or "-", found, judged.use or "-", _verdict(judged))


def _verdict(judged: Judged) -> str:
    if any(not finding.warning for finding in judged.findings):
        return "refused"
    if judged.wipe:
        return "will be wiped"
    if any(judged.contents == disk_contents.UNKNOWN and finding.warning for finding in judged.findings):
        return "not decided"
    if not judged.use:
        in_use = {disk_contents.OURS: "Ceph's, not claimed"}.get(judged.contents, "not used")
        return "system disk" if judged.disk.system else in_use
    return "ok"


def _suggest(machine: Machine, disks: Sequence[Judged]) -> list[str]:
    by_use = {use: [judged for judged in disks if judged.use == use and not any(not finding.warning for finding in judged.findings)] for use in SMALLEST}
    fit = [judged for judged in disks if not judged.use and _is_fit(judged)]
    lines: list[str] = []
    install = by_use["install"]
    if not install:
        install = _best_install(disks, fit)
        lines += [f"machine_install_disk: {_named(judged, machine)}" for judged in install]
    if by_use["osd"]:
        return lines
    rest = [judged for judged in fit if judged not in install and judged.contents == disk_contents.EMPTY and judged.disk.size >= SMALLEST["osd"]]
    if rest:
        lines += ["machine_osd_disks:", *(f"  - {_named(judged, machine)}" for judged in rest)]
    lines += [
        f"# {judged.disk.name} holds {judged.detail or judged.contents}; to use it: machine_wipe_disks: [{_scalar(judged.disk.serial or judged.disk.wwid)}]"
        for judged in fit
        if judged not in install and judged.contents not in (disk_contents.EMPTY, disk_contents.OURS) and (judged.disk.serial or judged.disk.wwid)
    ]
    return lines


def _is_fit(judged: Judged) -> bool:
    disk = judged.disk
    return not (disk.readonly or disk.removable or disk.used_by) and bool(choose.identity(disk, judged.machine.disks))


def _best_install(disks: Sequence[Judged], fit: Sequence[Judged]) -> list[Judged]:
    """Where Talos is already; else the smallest empty disk that is large enough, flash first, as etcd lives there."""
    system = [judged for judged in disks if judged.disk.system and choose.identity(judged.disk, judged.machine.disks)]
    empty = [judged for judged in fit if judged.contents == disk_contents.EMPTY and judged.disk.size >= SMALLEST["install"]]
    return system or sorted(empty, key=lambda judged: (judged.disk.rotational, judged.disk.size, judged.disk.name))[:1]


def _named(judged: Judged, machine: Machine) -> str:
    ((key, value),) = choose.identity(judged.disk, machine.disks).items()
    kind = f"{judged.disk.model}, " if judged.disk.model else ""
    return f"{{{key}: {_scalar(value)}}}  # {judged.disk.name} now: {kind}{size_of(judged.disk)}"


def _scalar(text: str) -> str:
    """As YAML, in quotes, so that a serial of digits stays text."""
    return json.dumps(text)
