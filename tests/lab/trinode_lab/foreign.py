"""Somebody else's data on a disk: written by the programs that write it in life, where they run on a file, else byte for byte as those write it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from trinode_lab import disks, host, signatures
from trinode_lab.errors import LabError
from trinode_lab.settings import Machine, Settings
from trinode_lab.timeline import Timeline

# program -> Debian package
_PACKAGES = {"mkfs.ext4": "e2fsprogs", "mkfs.xfs": "xfsprogs", "mkswap": "util-linux", "cryptsetup": "cryptsetup-bin", "lvm": "lvm2", "ceph-osd": "ceph-osd"}
_SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_LABEL = "home"


def put(settings: Settings, machine: Machine, name: str, kind: str) -> str:
    """Replace what is on the disk; the answer says what was written and by what."""
    disk = disks.find(machine, name)
    path = Path(disk["path"])
    _empty(path)
    how = KINDS[kind](path)
    Timeline(settings.timeline).record(
        "fault", machine=machine.name, changes=True, fault="foreign-contents", contents=kind, by=how, disk=disk["name"], serial=disk["serial"]
    )
    return f"{machine.name} {disk['name']} ({disk['serial']}): {kind}, {how}"


def _empty(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(0)
        file.truncate(size)


def _ext4(path: Path) -> str:
    return _run("mkfs.ext4", "-q", "-F", "-L", _LABEL, str(path))


def _xfs(path: Path) -> str:
    return _run("mkfs.xfs", "-q", "-f", "-L", _LABEL, str(path))


def _swap(path: Path) -> str:
    return _run("mkswap", "-L", _LABEL, str(path))


def _luks(path: Path) -> str:
    derivation = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")  # weak and quick: nobody opens it
    return _run("cryptsetup", "luksFormat", "--batch-mode", "--type", "luks2", *derivation, "--key-file", "-", str(path), text="lab")


def _lvm(path: Path) -> str:
    """A volume group of another machine. LVM takes devices only, so it needs a loop device."""
    with _loop_device(path) as device:
        if not device or not _program("lvm"):
            signatures.write_lvm(path)
            return "bytes of the lab's own (there is no lvm program, or no loop device)"
        filters = f'devices {{ filter=["a|^{device}$|","r|.*|"] use_devicesfile=0 hints="none" }}'
        quiet = f"{filters} activation {{ udev_sync=0 udev_rules=0 }} backup {{ backup=0 archive=0 }}"
        _run("lvm", "pvcreate", "--config", quiet, device)
        return _run("lvm", "vgcreate", "--config", quiet, "vg-home", device)


def _raid(path: Path) -> str:
    signatures.write_raid(path)
    return "bytes of the lab's own (mdadm writes with the kernel's driver only)"


def _gpt(path: Path) -> str:
    signatures.write_gpt(path)
    return "bytes of the lab's own"


def _bluestore(path: Path) -> str:
    """Another cluster's OSD. The store is made by ceph-osd where it is there; labels beyond the first, which Ceph 16 does not write, are the lab's."""
    offsets = [f"{offset >> 30} GiB" for offset in signatures.bluestore_offsets(path)]
    text = f"with labels at {', '.join(offsets)}"
    if shutil.which("ceph-osd", path=_SYSTEM_PATH) is None:
        signatures.write_bluestore(path)
        return f"{text}: bytes of the lab's own (there is no ceph-osd)"
    how = _make_store(path)
    signatures.write_bluestore(path)
    return f"{text}: store and first label {how}, the others as Ceph 20 has them"


def _make_store(path: Path) -> str:
    """Have ceph-osd make OSD 3 of a cluster that does not exist; its label tells cluster and number."""
    with tempfile.TemporaryDirectory(prefix="trinode-foreign-") as directory:
        (Path(directory) / "block").symlink_to(path)
        settings = {
            "id": "3",
            "fsid": str(uuid.uuid4()),
            "osd-uuid": str(uuid.uuid4()),
            "osd-data": directory,
            "osd-objectstore": "bluestore",
            "conf": os.devnull,
            "log-file": os.devnull,
            "admin-socket": "",
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return _run("ceph-osd", *options, "--mkfs", "--mkkey", "--no-mon-config")


KINDS: dict[str, Callable[[Path], str]] = {
    "ext4": _ext4,
    "xfs": _xfs,
    "lvm": _lvm,
    "bluestore": _bluestore,
    "gpt": _gpt,
    "raid": _raid,
    "luks": _luks,
    "swap": _swap,
}


def _program(name: str) -> str | None:
    """The program's path; its package is installed when it is missing and apt can."""
    found = shutil.which(name, path=_SYSTEM_PATH)
    if found is None and shutil.which("apt-get"):
        host.install_packages([_PACKAGES[name]])
        found = shutil.which(name, path=_SYSTEM_PATH)
    return found


def _run(name: str, *arguments: str, text: str = "") -> str:
    """Run one of _PACKAGES; returns "by NAME"."""
    program = _program(name)
    if program is None:
        raise LabError(f"{name} is missing (Debian package {_PACKAGES[name]}): it writes those contents")
    environment = {**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1"}
    result = subprocess.run([program, *arguments], input=text, capture_output=True, text=True, env=environment, check=False)
    if result.returncode:
        raise LabError(f"{name} {' '.join(arguments)}: {result.stderr.strip() or result.stdout.strip()}")
    return f"by {name}"


@contextlib.contextmanager
def _loop_device(path: Path) -> Iterator[str]:
    """A block device that is the file; "" where the host has none to give."""
    losetup = shutil.which("losetup", path=_SYSTEM_PATH)
    result = subprocess.run([losetup, "--find", "--show", str(path)], capture_output=True, text=True, check=False) if losetup else None
    if result is None or result.returncode:
        yield ""
        return
    device = result.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run([str(losetup), "--detach", device], capture_output=True, check=False)
