"""On-disk headers that the lab writes itself: read back here, and by the programs that know them where they are installed."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from trinode_lab import signatures

GIB = 1 << 30
SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A sparse disk that labels at 0, 1 and 10 GiB fit on, and not one sector more."""
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(10 * GIB + 4096)
    return path


def piece(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def ask(name: str, *arguments: str) -> str:
    """What one of the programs says of a disk."""
    program = shutil.which(name, path=SYSTEM_PATH)
    if program is None:
        pytest.skip(f"{name} is not installed")
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("write", "known"),
    [
        (signatures.write_raid, "linux_raid_member"),
        (signatures.write_lvm, "LVM2_member"),
        (signatures.write_bluestore, "ceph_bluestore"),
        (signatures.write_gpt, 'PTTYPE="gpt"'),
    ],
)
def test_util_linux_knows_them_and_the_file_stays_sparse(disk: Path, write: Callable[[Path], None], known: str) -> None:
    write(disk)
    assert known in ask("blkid", "-p", str(disk))
    assert disk.stat().st_size == 10 * GIB + 4096
    assert disk.stat().st_blocks * 512 < 1 << 20


def test_bluestore_labels_are_all_the_same_and_their_checksum_holds(disk: Path) -> None:
    signatures.write_bluestore(disk)
    assert signatures.bluestore_offsets(disk) == [0, GIB, 10 * GIB]
    labels = {piece(disk, offset, 4096) for offset in (0, GIB, 10 * GIB)}
    assert len(labels) == 1
    label = labels.pop()
    end = 66 + struct.unpack_from("<I", label, 62)[0]
    assert struct.unpack_from("<I", label, end)[0] == signatures._crc32c(label[:end])
    assert b"ceph_fsid" in label


def test_the_checksum_is_crc32c() -> None:
    """123456789 is the usual example: E3069283 with the last inversion, which Ceph leaves out."""
    assert signatures._crc32c(b"123456789") == 0xE3069283 ^ 0xFFFFFFFF


def test_labels_of_a_store_that_is_there_keep_its_cluster(disk: Path) -> None:
    signatures.write_bluestore(disk)
    first = signatures._decode_label(piece(disk, 0, 4096))
    signatures.write_bluestore(disk)
    assert signatures._decode_label(piece(disk, GIB, 4096)) == first


def test_ceph_reads_the_label(disk: Path) -> None:
    signatures.write_bluestore(disk)
    said = ask("ceph-bluestore-tool", "show-label", "--dev", str(disk))
    assert '"whoami": "3"' in said
    assert f'"size": {10 * GIB + 4096}' in said


def test_the_table_is_there_twice(disk: Path) -> None:
    signatures.write_gpt(disk)
    last = disk.stat().st_size - 512
    for offset, other in ((512, last // 512), (last, 1)):
        header = piece(disk, offset, 92)
        assert header[:8] == b"EFI PART"
        assert struct.unpack_from("<Q", header, 32)[0] == other
        assert struct.unpack_from("<I", header, 16)[0] == zlib.crc32(header[:16] + bytes(4) + header[20:])
