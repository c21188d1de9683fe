# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The links below /dev/disk/by-id of disks that are only named, and were not looked at: on machines that cannot be asked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError

LINKS = "/dev/disk/by-id/"
# What udev calls the link of a disk with such a wwid: the wwid's first part to the link's.
_WWID_LINKS = {"naa.": "wwn-0x", "eui.": "nvme-eui.", "nvme.": "nvme-nvme.", "uuid.": "nvme-uuid."}
# A link may go on after the serial number with the namespace of an NVMe disk, or with the unit of a USB disk. Partitions (-part1) do not match.
_AFTER_SERIAL = "(?:_[0-9]+|-[0-9]+:[0-9]+)?"


def link(disk: Mapping[str, Any], machine: str) -> tuple[str, bool]:
    """A disk's path and True, or a pattern of its path's last part and False. Raises InputError for what may fit another disk one day."""
    where = f"machine_osd_disks of {machine}"
    if "by_id" in disk:
        return LINKS + str(disk["by_id"]).removeprefix(LINKS), True
    if "serial" in disk:
        serial = re.escape(re.sub(r"\s+", "_", str(disk["serial"]).strip()))
        return f"[^/]+[-_]{serial}{_AFTER_SERIAL}", False
    if "wwid" in disk:
        wwid = str(disk["wwid"])
        for prefix, name in _WWID_LINKS.items():
            if wwid.startswith(prefix):
                return f"{LINKS}{name}{wwid.removeprefix(prefix)}", True
        raise InputError(f"a disk is named by the wwid {wwid!r}, which no link in {LINKS} is known for", where=where, hint="Name it by serial or by_id.")
    given = ", ".join(sorted(str(key) for key in disk)) or "nothing"
    raise InputError(f"a disk is named by {given}, and the machine cannot be asked which disk that is", where=where, hint="Name it by serial, wwid or by_id.")


def path_filter(parts: list[str]) -> str:
    """Rook's devicePathFilter (a Go regular expression) for patterns of links' last parts."""
    return f"^{LINKS}(?:{'|'.join(parts)})$"


def alternatives(pattern: str) -> list[str]:
    """The parts of a pattern that ``path_filter`` made; one that somebody else made as a whole."""
    start, end = f"^{LINKS}(?:", ")$"
    if not (pattern.startswith(start) and pattern.endswith(end)):
        return [pattern]
    parts, depth = [""], 0
    for character in pattern[len(start) : -len(end)]:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
