# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Talos does not look for on a disk: the labels of BlueStore, all of them, and superblocks of Linux software RAID. Pure: bytes in, what they are out.

BlueStore (``bluestore_bdev_label_t``): since Ceph 19.3 the label at the start is there again at 1, 10, 100 and 1000 GiB, and Ceph takes any of them for an OSD.
Software RAID (``md``): a superblock at the start (1.1), 4 KiB after it (1.2), or near the end (1.0, 0.90).
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BLOCK = 4096
"""Everything here is read in blocks of this size, and each thing that is looked for lies at the beginning of one."""
_GIB = 1 << 30
_LABELS = tuple(gib * _GIB for gib in (0, 1, 10, 100, 1000))
_MAGIC = b"bluestore block device\n"
_TEXT = 60  # the magic, the OSD's UUID and a line feed, for whoever looks at the device
_LONGEST = 4096
_RAID = 0xA92B4EFC
_RESERVED = 65536  # at the end, for superblock 0.90


@dataclass(frozen=True)
class Label:
    """A label of BlueStore at ``offset`` (bytes). ``fsid`` of the cluster and ``osd``, its number, are empty where the label does not tell them."""

    offset: int
    fsid: str = ""
    osd: str = ""
    osd_uuid: str = ""

    @property
    def owner(self) -> str:
        """The OSD for a person."""
        return f"osd.{self.osd} of the Ceph cluster {self.fsid}" if self.fsid and self.osd else "an OSD that it does not tell"


@dataclass(frozen=True)
class Raid:
    """A superblock of software RAID of this ``version`` at ``offset``. ``name`` is the array's, as ``host:name``; 0.90 has none."""

    offset: int
    version: str
    name: str = ""

    def __str__(self) -> str:
        array = f" «{self.name}»" if self.name else ""
        return f"a superblock {self.version} of a software RAID{array} at {_place(self.offset)}"


def places(size: int) -> list[int]:
    """The offsets of all blocks that have to be read of a disk of this size."""
    offsets = {*_LABELS, *_superblocks(size).values()}
    return sorted(offset for offset in offsets if 0 <= offset <= size - BLOCK)


def found(size: int, blocks: Mapping[int, bytes]) -> list[Label | Raid]:
    """What is on a disk of this size, by its blocks at ``places``."""
    labels: list[Label | Raid] = [label for offset in _LABELS if (label := _label(offset, blocks.get(offset, b"")))]
    return [*labels, *(raid for version, offset in _superblocks(size).items() if (raid := _raid(offset, version, blocks.get(offset, b""))))]


def described(contents: Iterable[Label | Raid]) -> str:
    """For a person. The labels of one OSD are told as one, with all their places."""
    labels: dict[str, list[int]] = {}
    raids = []
    for item in contents:
        if isinstance(item, Label):
            labels.setdefault(item.owner, []).append(item.offset)
        else:
            raids.append(str(item))
    texts = [
        f"{'a label' if len(at) == 1 else 'labels'} of BlueStore at {', '.join(_place(offset) for offset in at)}, of {owner}" for owner, at in labels.items()
    ]
    return " and ".join([*texts, *raids])


def _superblocks(size: int) -> dict[str, int]:
    """Where the kernel (md.c) has a superblock of each version."""
    return {"1.1": 0, "1.2": BLOCK, "1.0": (size // 512 - 16) // 8 * 8 * 512, "0.90": size // _RESERVED * _RESERVED - _RESERVED}


def _label(offset: int, block: bytes) -> Label | None:
    if not block.startswith(_MAGIC):
        return None
    try:
        return _decoded(offset, block)
    except (struct.error, ValueError):
        # Damaged, or of a form that is not known: somebody's all the same.
        return Label(offset)


def _decoded(offset: int, block: bytes) -> Label:
    """The label as Ceph encodes it: versions and length; UUID, size and time of birth; a description; a map of texts (since version 2)."""
    version, _compatible, _length, identity = struct.unpack_from("<BBI16s", block, _TEXT)
    _description, position = _text(block, _TEXT + 6 + 16 + 8 + 8)
    told: dict[str, str] = {}
    if version >= 2:
        (count,) = struct.unpack_from("<I", block, position)
        position += 4
        for _number in range(min(count, _LONGEST)):
            key, position = _text(block, position)
            told[key], position = _text(block, position)
    return Label(offset, told.get("ceph_fsid", ""), told.get("whoami", ""), str(uuid.UUID(bytes=identity)))


def _text(block: bytes, position: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<I", block, position)
    end = position + 4 + length
    if end > len(block):
        raise ValueError("a text that is longer than its block")
    return block[position + 4 : end].decode(), end


def _raid(offset: int, version: str, block: bytes) -> Raid | None:
    if len(block) < BLOCK:
        return None
    magic, major = struct.unpack_from("<II", block)
    if version == "0.90":
        # Written in the order of bytes of the machine that made it.
        return Raid(offset, version) if (magic, major) == (_RAID, 0) or struct.unpack_from(">II", block) == (_RAID, 0) else None
    if (magic, major) != (_RAID, 1):
        return None
    name: bytes = struct.unpack_from("<32s", block, 32)[0]
    return Raid(offset, version, name.split(b"\0")[0].decode("utf-8", "replace"))


def _place(offset: int) -> str:
    if offset == 0:
        return "its start"
    return f"{offset // _GIB} GiB" if offset % _GIB == 0 else f"{offset // 1024} KiB"
