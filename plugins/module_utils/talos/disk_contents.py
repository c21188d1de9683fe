# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Talos found on a disk, in one word and a text. Pure.

Talos probes the beginning of each disk and partition with its own go-blockdevice (DiscoveredVolume) and knows nothing else: no software RAID that is not
running, and none of the later copies of a BlueStore label. udev knows more kinds, and shows it by a link of the disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

EMPTY = "empty"
OURS = "ours"
BLUESTORE = "bluestore"
LVM = "lvm"
PARTITIONS = "partitions"
FILESYSTEM = "filesystem"
RAID = "raid"
ENCRYPTED = "encrypted"
TALOS = "talos"
SWAP = "swap"
UNKNOWN = "unknown"

# What go-blockdevice calls what it finds; the rest of its names are filesystems.
_PROBED = {"bluestore": BLUESTORE, "lvm2-pv": LVM, "luks": ENCRYPTED, "swap": SWAP, "talosmeta": TALOS, "gpt": PARTITIONS}
_FILESYSTEMS = frozenset(("xfs", "ext4", "ext3", "ext2", "btrfs", "vfat", "iso9660", "squashfs", "zfs"))
_NAMES = {"bluestore": "BlueStore", "lvm2-pv": "LVM", "luks": "LUKS", "talosmeta": "Talos's META"}
_TALOS_PARTITIONS = frozenset(("EFI", "BIOS", "BOOT", "META", "STATE", "EPHEMERAL", "IMAGECACHE"))
# udev makes such a link to a whole disk only where it found something on it.
_FOUND_BY_UDEV = ("/dev/disk/by-uuid/", "/dev/disk/by-label/")
_LVM_LINK = "/dev/disk/by-id/lvm-pv-uuid-"
_RAID_MARKS = ("raid", "mdadm", "isw", "ddf")


@dataclass(frozen=True)
class Contents:
    """``kind`` is one of this module's words; ``detail`` says it to a person (``ext4 «home»``), empty where the word says all."""

    kind: str
    detail: str = ""


def contents(disk: str, links: Sequence[str], volumes: Mapping[str, Mapping[str, Any]]) -> Contents:
    """What is on the disk of that kernel name, from its links and from all DiscoveredVolumes (their specs by id)."""
    whole = volumes.get(disk)
    parts = [(name, spec) for name, spec in sorted(volumes.items()) if spec.get("parent") == disk]
    if whole is None:
        return Contents(UNKNOWN, "Talos has not looked at it, or could not read it")
    probed = str(whole.get("name") or "")
    if parts or probed == "gpt":
        return _partitioned(probed, [spec for _name, spec in parts])
    if not probed:
        return _by_links(links)
    if probed in _FILESYSTEMS:
        return Contents(FILESYSTEM, _named(whole))
    if probed in _PROBED:
        return Contents(_PROBED[probed], _named(whole))
    return Contents(RAID if any(mark in probed for mark in _RAID_MARKS) else UNKNOWN, _named(whole))


def _partitioned(probed: str, parts: Sequence[Mapping[str, Any]]) -> Contents:
    table = "GPT" if probed == "gpt" else "a partition table"
    if not parts:
        return Contents(PARTITIONS, f"{table} without partitions")
    labels = [str(part.get("partition_label") or "") for part in parts]
    if set(labels) <= _TALOS_PARTITIONS:
        return Contents(TALOS, f"Talos's partitions {', '.join(labels)}")
    shown = ", ".join(
        " ".join(text for text in (_named(part), f"({label})" if label else "") if text) or "one without content"
        for part, label in zip(parts, labels, strict=True)
    )
    return Contents(PARTITIONS, f"{table} with {len(parts)} partition{'s' if len(parts) > 1 else ''}: {shown}")


def _by_links(links: Sequence[str]) -> Contents:
    """A disk on which Talos found nothing."""
    for link in links:
        if link.startswith(_LVM_LINK):
            return Contents(LVM, f"LVM «{link.removeprefix(_LVM_LINK)}»")
        if link.startswith(_FOUND_BY_UDEV):
            return Contents(UNKNOWN, f"udev found something, and links it as {link}")
    return Contents(EMPTY)


def _named(volume: Mapping[str, Any]) -> str:
    """What a volume is, with its label: ``ext4 «home»``."""
    name, label = str(volume.get("name") or ""), str(volume.get("label") or "")
    return " ".join(text for text in (_NAMES.get(name, name), f"«{label}»" if label else "") if text)
