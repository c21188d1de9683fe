# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks of a machine a setting means, and by what a disk is named so that the name stays with it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube import query
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_disks import describe_disks, matching_disks
from ansible_collections.trinode.platform.plugins.module_utils.talos.patches import install_disk

BY_ID = "/dev/disk/by-id/"
# What an expression sees of a disk. No kernel names, which are another disk's after the next boot, and not what is on it, which changes as soon as it is used.
FACTS = ("by_id", "serial", "wwid", "model", "size", "transport", "rotational", "readonly", "removable", "system")


def facts(disk: Disk) -> dict[str, Any]:
    """The facts of one disk: JSON types, size in bytes."""
    return {"name": disk.name, "path": disk.path, **{name: getattr(disk, name) for name in FACTS}, "by_id": list(disk.by_id)}


def chosen(selector: Mapping[str, Any], disks: Sequence[Disk]) -> list[Disk]:
    """Every disk that a selector (serial | wwid | by_id | attributes | match) means. Raises InputError for one that makes no sense."""
    if "match" in selector:
        expression = query.compile(str(selector["match"]), option="match")
        return [disk for disk in disks if query.is_true(expression.search({name: value for name, value in facts(disk).items() if name in FACTS}))]
    wanted = {key: str(value).strip() for key, value in selector.items() if key != "count"}
    if "by_id" in wanted:
        return [disk for disk in disks if BY_ID + wanted["by_id"].removeprefix(BY_ID) in disk.by_id]
    exact = next((key for key in ("serial", "wwid") if key in wanted), "")
    if exact:
        return [disk for disk in disks if getattr(disk, exact) == wanted[exact]]
    return matching_disks(install_disk(wanted, "metal"), disks)


def describe(selector: Mapping[str, Any]) -> str:
    """The selector for a person: ``serial S1``."""
    return ", ".join(f"{key} {value}" for key, value in selector.items() if key != "count")


def identity(disk: Disk, disks: Sequence[Disk]) -> dict[str, str]:
    """The setting that names this disk among the machine's: by serial, else by wwid, else by a link. Empty when nothing tells it from the others."""
    for key in ("serial", "wwid"):
        value = getattr(disk, key)
        # In Talos these are patterns, and a name with such a character would match more than it says.
        if value and not set(value) & set("*?[]{}\\") and [other for other in disks if getattr(other, key) == value] == [disk]:
            return {key: value}
    link = link_of(disk)
    return {"by_id": link.removeprefix(BY_ID)} if link else {}


def link_of(disk: Disk) -> str:
    """The link below /dev/disk/by-id that says most to a person: the shortest with the serial in it, else the shortest. Empty without links."""
    serial = re.sub(r"\s+", "_", disk.serial.strip())
    named = [link for link in disk.by_id if serial and serial in link]
    return min(named or list(disk.by_id) or [""], key=lambda link: (len(link), link))


def resolved(selector: Mapping[str, Any], disks: Sequence[Disk], *, where: str) -> dict[str, Any]:
    """The install disk as Talos can be told it: ``match`` becomes the name of the one disk that it holds for, everything else stays.

    On a machine that Talos is installed on, that is the disk, whatever else the expression holds for by now. Raises InputError when it is not one disk.
    """
    if "match" not in selector:
        return dict(selector)
    found = chosen(selector, disks)
    system = [disk for disk in disks if disk.system]
    if system and not set(found) & set(system):
        raise InputError(
            f"Talos is installed on {describe_disks(system)}, for which the expression in machine_install_disk ({selector['match']}) does not hold",
            where=where,
            hint="Name that disk by its serial.",
        )
    found = system or found
    if len(found) != 1:
        raise InputError(
            f"the expression in machine_install_disk ({selector['match']}) holds for {len(found) or 'no'} disk{'s' if len(found) > 1 else ''}, not for one",
            where=where,
            hint=f"The machine has: {describe_disks(disks)}.",
        )
    name = identity(found[0], disks)
    if not name:
        raise InputError(f"the install disk {describe_disks(found)} has neither serial nor wwid nor link of its own, so Talos cannot be told it", where=where)
    return name
