"""On-disk headers, byte for byte: BlueStore's label, LVM's physical volume, Linux software RAID, GPT. All sparse: what is empty is not written."""

from __future__ import annotations

import secrets
import struct
import time
import uuid
import zlib
from pathlib import Path

GIB = 1 << 30
SECTOR = 512


# -- BlueStore (bluestore_bdev_label_t): a page with the label and its CRC-32C; since Ceph 19.3 again at 1, 10, 100 and 1000 GiB

_PAGE = 4096
_TEXT = 60  # "bluestore block device\n", the OSD's UUID and a line feed, for whoever looks at the device
_BLUESTORE_GIB = (0, 1, 10, 100, 1000)


def bluestore_offsets(path: Path) -> list[int]:
    """Where on a disk of that size labels are, in bytes."""
    return [offset * GIB for offset in _BLUESTORE_GIB if offset * GIB + _PAGE <= path.stat().st_size]


def write_bluestore(path: Path) -> None:
    """Labels at all offsets, as Ceph 20 has them: like the one that is at the start, or of an invented OSD of an invented cluster."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        first = file.read(_PAGE)
        if first.startswith(b"bluestore block device"):
            identity, size, born, description, meta = _decode_label(first)
        else:
            identity, born, description = uuid.uuid4().bytes, int(time.time()) - 86400, "main"
            meta = {
                "bluefs": "1",
                "ceph_fsid": str(uuid.uuid4()),
                "kv_backend": "rocksdb",
                "magic": "ceph osd volume v026",
                "mkfs_done": "yes",
                "ready": "ready",
                "require_osd_release": "20",
                "whoami": "3",
            }
        label = _encode_label(identity, size, born, description, {**meta, "epoch": "1", "multi": "yes"})
        for offset in bluestore_offsets(path):
            file.seek(offset)
            file.write(label)


def _encode_label(identity: bytes, size: int, born: int, description: str, meta: dict[str, str]) -> bytes:
    body = identity + struct.pack("<QII", size, born, 0) + _string(description)
    body += struct.pack("<I", len(meta)) + b"".join(_string(key) + _string(value) for key, value in sorted(meta.items()))
    text = f"bluestore block device\n{uuid.UUID(bytes=identity)}\n".encode()
    label = text + struct.pack("<BBI", 2, 1, len(body)) + body
    return (label + struct.pack("<I", _crc32c(label))).ljust(_PAGE, b"\0")


def _decode_label(page: bytes) -> tuple[bytes, int, int, str, dict[str, str]]:
    position = _TEXT + 6
    identity = page[position : position + 16]
    size, born, _ = struct.unpack_from("<QII", page, position + 16)
    description, position = _unpack_string(page, position + 32)
    count = struct.unpack_from("<I", page, position)[0]
    position += 4
    meta = {}
    for _ in range(count):
        key, position = _unpack_string(page, position)
        meta[key], position = _unpack_string(page, position)
    return identity, size, born, description, meta


def _string(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode()


def _unpack_string(page: bytes, position: int) -> tuple[str, int]:
    end = position + 4 + int(struct.unpack_from("<I", page, position)[0])
    return page[position + 4 : end].decode(), end


def _crc32c(content: bytes) -> int:
    """CRC-32C that starts at -1 and is not inverted at the end, as Ceph has it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


# -- LVM: label, physical volume and metadata of a volume group


def write_lvm(path: Path) -> None:
    """A physical volume, the only one of the volume group vg-home."""
    size = path.stat().st_size
    volume, group = _lvm_uuid(), _lvm_uuid()
    area, area_size, data = 4096, GIB // 1024 - 4096, GIB // 1024
    header = volume.replace("-", "").encode() + struct.pack("<Q", size) + struct.pack("<4Q", data, 0, 0, 0)
    header += struct.pack("<4Q", area, area_size, 0, 0) + struct.pack("<II2Q", 2, 1, 0, 0)
    label = struct.pack("<I8s", 32, b"LVM2 001") + header.ljust(SECTOR - 32, b"\0")
    text = _lvm_metadata(group, volume, size, data).encode() + b"\0"
    location = struct.pack("<2Q2I", SECTOR, len(text), _lvm_crc(text), 0) + bytes(24)
    metadata = b" LVM2 x[5A%r0N*>" + struct.pack("<I2Q", 1, area, area_size) + location
    metadata = metadata.ljust(SECTOR - 4, b"\0")
    with path.open("r+b") as file:
        file.seek(SECTOR)
        file.write(b"LABELONE" + struct.pack("<QI", 1, _lvm_crc(label)) + label)
        file.seek(area)
        file.write(struct.pack("<I", _lvm_crc(metadata)) + metadata + text)


def _lvm_metadata(group: str, volume: str, size: int, data: int) -> str:
    extent = 8192  # sectors
    return f"""vg-home {{
id = "{group}"
seqno = 1
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = {extent}
max_lv = 0
max_pv = 0
metadata_copies = 0

physical_volumes {{

pv0 {{
id = "{volume}"
device = "/dev/sdb"

status = ["ALLOCATABLE"]
flags = []
dev_size = {size // SECTOR}
pe_start = {data // SECTOR}
pe_count = {(size - data) // SECTOR // extent}
}}
}}

}}
# Generated by LVM2 version 2.03.16(2) (2022-05-18)

contents = "Text Format Volume Group"
version = 1

description = "Write from vgcreate"

creation_host = "other"
creation_time = {int(time.time())}

"""


def _lvm_uuid() -> str:
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "-".join("".join(secrets.choice(letters) for _ in range(length)) for length in (6, 4, 4, 4, 4, 4, 6))


def _lvm_crc(content: bytes) -> int:
    """CRC-32 that starts at LVM's own value and is not inverted."""
    return zlib.crc32(content, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


# -- Linux software RAID, superblock version 1.2: 4 KiB after the start


def write_raid(path: Path) -> None:
    """One of the two disks of a mirror."""
    sectors = path.stat().st_size // SECTOR
    data, now = 2048 * 4, int(time.time())
    size = sectors - data
    name = b"other:home".ljust(32, b"\0")
    block = bytearray(256)
    struct.pack_into("<4I16s32sQiIQ2I", block, 0, 0xA92B4EFC, 1, 0, 0, uuid.uuid4().bytes, name, now, 1, 0, size, 0, 2)
    struct.pack_into("<4Q2I16s", block, 128, data, size, 8, 0, 0, 0, uuid.uuid4().bytes)
    struct.pack_into("<3Q2I", block, 192, now, 17, 0xFFFFFFFFFFFFFFFF, 0, 2)
    superblock = bytes(block) + struct.pack("<2H", 0, 1)  # roles of the two disks
    total = sum(struct.unpack(f"<{len(superblock) // 4}I", superblock))
    checksum = (total & 0xFFFFFFFF) + (total >> 32)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(superblock[:216] + struct.pack("<I", checksum & 0xFFFFFFFF) + superblock[220:])


# -- GPT: protective MBR, table at the start and its copy at the end


def write_gpt(path: Path) -> None:
    """A table with one partition of all the space, for Linux data."""
    last = path.stat().st_size // SECTOR - 1
    linux = uuid.UUID("0FC63DAF-8483-4772-8E79-3D69D8477DE4").bytes_le
    entry = linux + uuid.uuid4().bytes_le + struct.pack("<3Q", 2048, last - 2048, 0) + "home".encode("utf-16-le").ljust(72, b"\0")
    table = entry.ljust(128 * 128, b"\0")
    disk = uuid.uuid4().bytes_le

    def header(own: int, other: int, entries: int) -> bytes:
        text = struct.pack("<8s4I4Q16sQ3I", b"EFI PART", 0x10000, 92, 0, 0, own, other, 34, last - 33, disk, entries, 128, 128, zlib.crc32(table))
        return text[:16] + struct.pack("<I", zlib.crc32(text)) + text[20:]

    protective = bytes(446) + struct.pack("<B3sB3s2I", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(last, 0xFFFFFFFF)) + bytes(48) + b"\x55\xaa"
    with path.open("r+b") as file:
        file.write(protective + header(1, last, 2).ljust(SECTOR, b"\0") + table)
        file.seek((last - 32) * SECTOR)
        file.write(table + header(last, 1, last - 32).ljust(SECTOR, b"\0"))
