"""One OSD's pod: finds the disk that carries the OSD, whatever it is called at this boot, and runs ceph-osd on it until the disk is gone.

osd.py ID UUID
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import disks

_SECONDS = 2.0
_PATIENCE = 60.0


def _wait_for_disk(uuid: str) -> disks.Disk | None:
    """The disk with the OSD. One that is not there may come soon; until then this is lighter than a container that ends again and again."""
    end = time.monotonic() + _PATIENCE
    while (disk := disks.carrying(uuid)) is None and time.monotonic() < end:
        time.sleep(_SECONDS)
    return disk


def main(number: str, uuid: str) -> int:
    disk = _wait_for_disk(uuid)
    if disk is None:
        print(f"osd.{number}: no disk of this machine carries the OSD {uuid}", flush=True)
        return 1
    data = Path(f"/var/lib/ceph/osd/ceph-{number}")
    data.mkdir(parents=True, exist_ok=True)
    block = data / "block"
    block.unlink(missing_ok=True)
    block.symlink_to(disk.path)
    subprocess.run(["ceph-bluestore-tool", "prime-osd-dir", "--dev", str(block), "--path", str(data), "--no-mon-config"], check=True)
    address = os.environ["HOST_IP"]
    location = f"root=default host={os.environ['NODE_NAME']}"
    command = ["ceph-osd", "-f", "-i", number, "--osd-uuid", uuid, f"--crush-location={location}", "--osd-data", str(data)]
    daemon = subprocess.Popen([*command, "--public-addr", address, "--cluster-addr", address, "--default-log-to-stderr=true"])
    signal.signal(signal.SIGTERM, lambda *_: daemon.send_signal(signal.SIGTERM))
    print(f"osd.{number}: on {disk.serial} ({disk.path})", flush=True)
    while True:
        try:
            return daemon.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            if not disks.present(disk):
                print(f"osd.{number}: disk {disk.serial} is gone or has failed", flush=True)
                daemon.kill()
                daemon.wait()
                time.sleep(1)
                return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
