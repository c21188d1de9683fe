"""The pod cluster-cleanup-job-<node>: wipes the disks of this machine that are OSDs of the cluster that is given up, and the monitors' data.

cleanup.py FSID DIRECTORY
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import disks

_GIB = 1 << 30
_LABELS = tuple(number * _GIB for number in (0, 1, 10, 100, 1000))
_WIPED = 10 << 20


def main(fsid: str, directory: str) -> None:
    for disk in disks.found():
        if not disk.failed and disk.owner() and disks.label(disk.path).get("ceph_fsid") == fsid:
            _wipe(disk.path)
            print(f"wiped {disk.serial}", flush=True)
    for path in Path(directory).iterdir():
        shutil.rmtree(path)
        print(f"removed {path}", flush=True)


def _wipe(path: Path) -> None:
    """The beginning, and every place of a BlueStore label."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        for offset in _LABELS:
            if offset < size:
                file.seek(offset)
                file.write(bytes(min(_WIPED, size - offset)))


if __name__ == "__main__":
    main(*sys.argv[1:])
