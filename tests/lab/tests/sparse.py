"""What is on the lab's disks, which are sparse files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def fingerprint(path: Path) -> str:
    """Of a sparse file: its size, and each piece that was written, with its place. Holes are skipped, so tens of GiB take no time."""
    digest = hashlib.sha256(str(path.stat().st_size).encode())
    handle = os.open(path, os.O_RDONLY)
    try:
        end = 0
        while (start := _data(handle, end)) is not None:
            end = os.lseek(handle, start, os.SEEK_HOLE)
            digest.update(f"{start}-{end}".encode())
            for offset in range(start, end, 1 << 20):
                digest.update(os.pread(handle, min(1 << 20, end - offset), offset))
    finally:
        os.close(handle)
    return digest.hexdigest()


def _data(handle: int, offset: int) -> int | None:
    try:
        return os.lseek(handle, offset, os.SEEK_DATA)
    except OSError:
        return None


def zero(path: Path, start: int, end: int) -> None:
    """Zeroes over all that was written from start to end."""
    with path.open("r+b") as file:
        position = start
        while (data := _data(file.fileno(), position)) is not None and data < end:
            position = min(os.lseek(file.fileno(), data, os.SEEK_HOLE), end)
            for offset in range(data, position, 1 << 20):
                os.pwrite(file.fileno(), bytes(min(1 << 20, position - offset)), offset)
