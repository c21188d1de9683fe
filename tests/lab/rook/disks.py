"""The disks of the machine that this pod runs on: sparse files, described by the lab in disks.json (see tests/lab/README.md)."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MACHINE = Path("/lab")
_MAGIC = b"bluestore block device\n"


@dataclass(frozen=True)
class Disk:
    """``name`` is the kernel's name at this boot, ``path`` the file that holds the bytes."""

    name: str
    serial: str
    model: str
    path: Path
    links: tuple[str, ...]
    rotational: bool
    failed: bool

    @property
    def names(self) -> set[str]:
        """All names by which it can be asked for."""
        return {self.name, f"/dev/{self.name}", *(f"/dev/disk/by-id/{link}" for link in self.links), *self.links}

    @property
    def link(self) -> str:
        """The name that stays."""
        return f"/dev/disk/by-id/{self.links[0]}" if self.links else f"/dev/{self.name}"

    def owner(self) -> str:
        """The UUID of the OSD whose BlueStore label the disk begins with, or ""."""
        with self.path.open("rb") as file:
            start = file.read(len(_MAGIC) + 36)
        return start[len(_MAGIC) :].decode(errors="replace") if start.startswith(_MAGIC) else ""


def found() -> list[Disk]:
    """The disks that the machine has now."""
    entries = json.loads((_MACHINE / "disks.json").read_text())
    return [_disk(entry) for entry in entries if not str(entry.get("serial", "")).endswith("-SYS")]


def _disk(entry: Mapping[str, Any]) -> Disk:
    # Paths in disks.json are those of the computer that the lab runs on.
    path = _MACHINE / "disks" / Path(entry["path"]).name
    links = tuple(Path(link).name for link in entry.get("by_id", ()))
    failed = bool(entry.get("failed")) or not path.exists()
    return Disk(entry["name"], entry["serial"], entry.get("model", ""), path, links, bool(entry.get("rotational")), failed)


def present(disk: Disk) -> bool:
    """Whether the disk is still there and works."""
    return any(other.serial == disk.serial and not other.failed for other in found())


def carrying(uuid: str) -> Disk | None:
    """The disk with the data of this OSD."""
    return next((disk for disk in found() if not disk.failed and disk.owner() == uuid), None)


def label(path: Path) -> dict[str, str]:
    """The BlueStore label of a device: ``ceph_fsid``, ``whoami``, ``osd_uuid``, ...; empty where there is none."""
    result = subprocess.run(["ceph-bluestore-tool", "show-label", "--dev", str(path), "--no-mon-config"], capture_output=True, text=True, check=False)
    if result.returncode:
        return {}
    found: dict[str, str] = next(iter(json.loads(result.stdout).values()), {})
    return found


def content(disk: Disk) -> str:
    """What is on a disk that is no BlueStore, in the words of blkid; "" where it finds nothing."""
    result = subprocess.run(["blkid", "--probe", "--output", "export", str(disk.path)], capture_output=True, text=True, check=False)
    values = dict(re.findall(r"^(\w+)=(.*)$", result.stdout, re.MULTILINE))
    return values.get("TYPE") or (f"partition table {values['PTTYPE']}" if "PTTYPE" in values else "")
