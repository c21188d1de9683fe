# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks a configuration's ``machine.install`` chooses on a machine, by Talos's rules. Pure.

Talos takes the first of several matching disks and says nothing, and its message for none is an expression; so this looks before anything is sent.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.disk_contents import EMPTY
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk

_PATTERNS: Mapping[str, Callable[[Disk], str]] = {
    "serial": lambda disk: disk.serial,
    "wwid": lambda disk: disk.wwid,
    "uuid": lambda disk: disk.uuid,
    "model": lambda disk: disk.model,
    "busPath": lambda disk: disk.bus_path,
}
_TYPES: Mapping[str, Callable[[Disk], bool]] = {
    "nvme": lambda disk: disk.transport == "nvme",
    "sd": lambda disk: disk.transport == "mmc",
    "hdd": lambda disk: disk.rotational,
    "ssd": lambda disk: not disk.rotational,
}
_OPERATORS: Mapping[str, Callable[[int, int], bool]] = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq}
_UNITS = {"": 1, **{f"{unit}{'i' * binary}b": (1024 if binary else 1000) ** power for power, unit in enumerate("kmgtp", 1) for binary in (0, 1)}}
# For machines that install nothing (patches.py writes it for the container platform without a chosen disk).
_NO_DISK_NAME = "none-in-a-container"


def check_install_disk(install: Mapping[str, Any], disks: Sequence[Disk], *, where: str) -> Disk | None:
    """The one disk that the configuration chooses; None when it installs nothing. Raises InputError when none or several match, with the disks there are."""
    path = str(install.get("disk", ""))
    selector = install.get("diskSelector") or {}
    if path.endswith(_NO_DISK_NAME) or (not path and not selector):
        return None
    wanted = f"diskSelector {{{', '.join(f'{key}: {value}' for key, value in selector.items())}}}" if selector else path
    matching = matching_disks(install, disks)
    if not matching:
        raise InputError(
            f"no disk matches the install disk {wanted}",
            where=where,
            hint=f"The machine has: {describe_disks(disks)}. Set machine_install_disk to one of them.",
        )
    if len(matching) > 1:
        raise InputError(
            f"the install disk {wanted} matches {len(matching)} disks: {describe_disks(matching)}",
            where=where,
            hint="Set machine_install_disk so that it names exactly one, best by its serial.",
        )
    return matching[0]


def check_empty(disk: Disk, *, where: str) -> None:
    """Raise RefusedError for an install disk that holds something, as Talos overwrites it without a question. Where Talos is installed already, it is right."""
    if disk.system or (disk.contents == EMPTY and not disk.used_by):
        return
    held = f"it is a part of {', '.join(disk.used_by)}" if disk.used_by else f"it holds {disk.detail or disk.contents}"
    raise RefusedError(
        f"the install disk {describe_disks([disk])} is not empty: {held}; nothing was written",
        where=where,
        hint=f"Choose another one; or permit to wipe it with machine_wipe_disks: [{disk.serial or disk.wwid}], and run site.yml, or use talos_disk_wipe.",
    )


def matching_disks(install: Mapping[str, Any], disks: Sequence[Disk]) -> list[Disk]:
    """Every disk that ``machine.install`` (``disk`` or ``diskSelector``) matches."""
    selector: Mapping[str, Any] = install.get("diskSelector") or {}
    if not selector:
        path = str(install.get("disk", ""))
        return [disk for disk in disks if path in (disk.path, *disk.by_id)]
    return [disk for disk in disks if not disk.readonly and disk.transport and _selected(selector, disk)]


def describe_disks(disks: Sequence[Disk]) -> str:
    """One disk after another: ``/dev/sda (serial S1, wwid naa.1, 21.5 GB)``."""
    return "; ".join(f"{disk.path} ({', '.join(_features(disk))})" for disk in disks) or "no disk at all"


def _features(disk: Disk) -> list[str]:
    named = [f"{name} {value}" for name, value in (("serial", disk.serial), ("wwid", disk.wwid)) if value]
    return [*named, *([] if named or not disk.model else [disk.model]), f"{disk.size / 1e9:.1f} GB"]


def _selected(selector: Mapping[str, Any], disk: Disk) -> bool:
    for key, value in selector.items():
        if key in _PATTERNS:
            if not fnmatch.fnmatchcase(_PATTERNS[key](disk), str(value)):
                return False
        elif (key == "size" and not _size_matches(str(value), disk.size)) or (key == "type" and str(value) in _TYPES and not _TYPES[str(value)](disk)):
            return False
    return True


def _size_matches(condition: str, size: int) -> bool:
    found = re.fullmatch(r"\s*(>=|<=|>|<|==)?\s*([\d.]+)\s*([A-Za-z]*)\s*", condition)
    # A condition that Talos would not take is the renderer's validation's business, not a missing disk.
    if not found or found[3].lower() not in _UNITS:
        return True
    return _OPERATORS[found[1] or "=="](size, int(float(found[2]) * _UNITS[found[3].lower()]))
