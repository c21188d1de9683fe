"""Makes the disk slow for one machine of a lab: the kernel lets its processes write only so often a second.

The lab's disks are files on one disk of this computer, so what is slowed down is the machine's control group on that disk.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from driver import Lab

MOUNT = Path("/sys/fs/cgroup")


def _device(path: Path) -> str:
    """MAJOR:MINOR of the whole disk that a path is on."""
    number = path.stat().st_dev
    block = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    return ((block.parent if (block / "partition").exists() else block) / "dev").read_text().strip()


@contextlib.contextmanager
def slow_disk(lab: Lab, machine: str, writes_a_second: int) -> Iterator[None]:
    """Within the block, the machine writes no more than so often a second; a sync of etcd takes about three writes. Skips the test where that cannot be."""
    unified = (MOUNT / "cgroup.controllers").exists()
    top = (MOUNT if unified else MOUNT / "blkio") / "trinode-lab" / lab.name / machine
    file, limit, none = ("io.max", "wiops={}", "wiops=max") if unified else ("blkio.throttle.write_iops_device", "{}", "0")
    if not (top / file).exists():
        pytest.skip("this kernel cannot slow a disk down (blk-throttle)")
    device = _device(lab.state)

    def write(value: str) -> None:
        # Version 1 does not hand a limit down, and containers get groups of their own as they start.
        for directory, _, _ in os.walk(top):
            if unified and Path(directory) != top:
                return
            with contextlib.suppress(OSError):  # the group has gone
                Path(directory, file).write_text(f"{device} {value}")

    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(0.05):
            write(limit.format(writes_a_second))

    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
        write(none)
