"""Which Talos a machine has. The lab has one Talos only, so versions and schematics are simulated: they are those that the reference of an image says.

``<machine dir>/systems.json`` says what runs, what is installed, what the next boot takes up (an upgrade) and what that could go back to. The supervisor
settles it at each boot; in between the hardware front writes into it what an installer would.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from trinode_lab import tools
from trinode_lab.settings import Machine

UPGRADE_FAULTS = ("rollback", "hang", "install-fails")
_SECTOR = 512
_SCHEMATIC = re.compile(r"/([0-9a-f]{64})(?:[/:@]|$)")
_VERSION = re.compile(r"[:/](v\d+\.\d+\.\d+[^@/:]*)(?:[@/]|$)")


@dataclass(frozen=True)
class System:
    """A Talos: ``image`` is where it came from, a reference or a URL."""

    image: str = ""
    version: str = tools.TALOS_VERSION
    schematic: str = ""


@dataclass(frozen=True)
class Systems:
    running: System | None = None
    installed: System | None = None
    next: System | None = None
    previous: System | None = None


@dataclass(frozen=True)
class Boot:
    """What a boot makes of it: the systems from now on, what the timeline says of an upgrade (None: there was none), and whether it hangs."""

    systems: Systems
    upgrade: dict[str, Any] | None = None
    hangs: bool = False


def system_of(image: str) -> System:
    """The Talos of an installer's reference or of a boot image's URL, as the image factory names them; the lab's own version where there is none."""
    schematic, version = _SCHEMATIC.search(image), _VERSION.search(image)
    return System(image, version[1] if version else tools.TALOS_VERSION, schematic[1] if schematic else "")


def boot(systems: Systems, fault: str) -> Boot:
    """A boot from the disk: the system that an upgrade has put there, or the present one."""
    present = systems.installed or System()
    if systems.next is None:
        return Boot(Systems(present, present, None, systems.previous))
    new = systems.next
    if fault == "hang":
        return Boot(replace(systems, running=None), hangs=True)
    back = fault == "rollback"
    upgrade = {"from": present.version, "to": new.version, "schematic": new.schematic, "image": new.image, "rolled_back": back}
    return Boot(Systems(present, present, None, systems.previous) if back else Systems(new, new, None, present), upgrade)


def read(machine: Machine) -> Systems:
    try:
        found = json.loads(_file(machine).read_text())
    except FileNotFoundError:
        return Systems()
    return Systems(**{name: System(**value) for name, value in found.items() if value})


def write(machine: Machine, systems: Systems) -> None:
    temporary = _file(machine).with_suffix(".new")
    temporary.write_text(json.dumps(asdict(systems), indent=2) + "\n")
    temporary.replace(_file(machine))


def _file(machine: Machine) -> Path:
    return machine.directory / "systems.json"


def upgrade_fault(machine: Machine) -> Path:
    """A file that says what the next upgrade shall do wrong; it is gone once that has happened."""
    return machine.directory / "front" / "upgrade-fault"


def take_fault(machine: Machine) -> str:
    """The fault of a boot after an upgrade, once."""
    path = upgrade_fault(machine)
    fault = path.read_text().strip() if path.exists() else ""
    if fault in ("rollback", "hang"):
        path.unlink()
        return fault
    return ""


def installed_disk(machine: Machine) -> str:
    """The kernel name of the first disk that has Talos's partitions, or ""."""
    for disk in json.loads((machine.directory / "disks.json").read_text()):
        if {"EFI", "META"} <= set(_partitions(Path(disk["path"]))):
            return str(disk["name"])
    return ""


def _partitions(path: Path) -> list[str]:
    """Names of a disk's GPT partitions."""
    with path.open("rb") as disk:
        disk.seek(_SECTOR)
        header = disk.read(_SECTOR)
        if header[:8] != b"EFI PART":
            return []
        start, number, size = struct.unpack_from("<QII", header, 72)
        disk.seek(start * _SECTOR)
        table = disk.read(min(number, 128) * size)
    entries = (table[offset : offset + size] for offset in range(0, len(table), size))
    return [entry[56:128].decode("utf-16-le").rstrip("\0") for entry in entries if any(entry[:16])]


def os_release(version: str) -> str:
    return f'NAME="Talos"\nID=talos\nVERSION_ID={version}\nPRETTY_NAME="Talos ({version})"\n'


def extensions(schematic: str) -> str:
    """Talos's /etc/extensions.yaml with the virtual extension by which the image factory says the schematic; Talos reads it at its start."""
    if not schematic:
        return ""
    metadata = {
        "name": "schematic",
        "version": schematic,
        "author": "the lab",
        "description": "Virtual extension which specifies the schematic of the image built with Image Factory.",
        "compatibility": {"talos": {"version": ">= 1.0.0"}},
    }
    return json.dumps({"layers": [{"image": "0.sqsh", "metadata": metadata}]}) + "\n"  # JSON is YAML
