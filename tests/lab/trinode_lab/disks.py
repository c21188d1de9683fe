"""The machines' disks: sparse files that the hardware front shows as disks, described in ``disks.json``; plugged, pulled, failing, under other names."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trinode_lab.errors import LabError
from trinode_lab.settings import Machine, Settings
from trinode_lab.timeline import Timeline

GIB = 1 << 30
Disk = dict[str, Any]  # an entry of disks.json, see tests/lab/README.md


@dataclass(frozen=True)
class Kind:
    """What disks of a kind have in common; ``bus`` is the first part of their by-id names."""

    transport: str
    bus: str
    model: str
    rotational: bool = False
    readonly: bool = False
    size: int = 10  # GiB, when none is asked for


KINDS = {
    "ssd": Kind("sata", "ata", "TRINODE LAB DISK"),
    "nvme": Kind("nvme", "nvme", "TRINODE LAB NVME", size=12),
    "hdd": Kind("sata", "ata", "TRINODE LAB HDD", rotational=True, size=16),
    "usb": Kind("usb", "usb", "TRINODE LAB STICK", size=4),
    "readonly": Kind("sata", "ata", "TRINODE LAB DISK", readonly=True),
}

# What each machine has: name (the end of its serial), kind, GiB. The NVMe one is large enough for a BlueStore label at 10 GiB.
FACTORY = (("SYS", "ssd", 20), ("OSD1", "ssd", 10), ("OSD2", "ssd", 10), ("NVME1", "nvme", 12), ("HDD1", "hdd", 16))

_GET_FLAGS, _SET_FLAGS, _IMMUTABLE = 0x80086601, 0x40086602, 0x10  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL


def description(machine: Machine) -> Path:
    return machine.directory / "disks.json"


def present(machine: Machine) -> list[Disk]:
    """The disks that the machine sees."""
    found: list[Disk] = json.loads(description(machine).read_text())
    return found


def manufacture(settings: Settings, machine: Machine) -> None:
    """The disks of a new machine."""
    disks: list[Disk] = []
    for name, kind, size in FACTORY:
        disk = _make(settings, machine, name, kind, size)
        disks.append({"name": _free_name(disk["transport"], disks), **disk})
    _write(description(machine), disks)
    _link(machine, disks)


def add(settings: Settings, machine: Machine, name: str, *, kind: str, size: int | None, twin_of: str | None) -> Disk:
    """Plug in a disk: one that was pulled before, with what is on it, or a new and empty one; ``twin_of``: the same disk seen by a second path."""
    name = name.upper()
    if not re.fullmatch(r"[A-Z0-9]{1,12}", name):
        raise LabError(f"a disk's name must be 1 to 12 letters and digits, such as OSD3, not {name!r}: it becomes the end of its serial")
    with _changing(machine) as (disks, absent):
        if any(disk["serial"] == _serial(settings, machine, name) for disk in disks):
            raise LabError(f"{machine.name} has a disk {name} already")
        pulled = next((disk for disk in absent if disk["serial"] == _serial(settings, machine, name)), None)
        if twin_of:
            disk = {**find(machine, twin_of, disks), "by_id": []}
            disk["name"] = _free_name(disk["transport"], disks)
        elif pulled is None:
            disk = _make(settings, machine, name, kind, size or KINDS[kind].size)
            disk = {"name": _free_name(disk["transport"], disks), **disk}
        elif pulled["absent"] == "failed":
            raise LabError(f"{machine.name}'s disk {name} has failed; `lab fault disk {machine.name} {name} restore` repairs it")
        else:
            disk = _plug(pulled, disks, absent)
        disks.append(disk)
    _note(settings, machine, "disk-added", disk)
    return disk


def remove(settings: Settings, machine: Machine, name: str) -> Disk:
    """Pull a disk out of the running machine."""
    with _changing(machine) as (disks, absent):
        disk = _pull(machine, name, disks, absent, "removed")
    _note(settings, machine, "disk-removed", disk)
    return disk


def fail(settings: Settings, machine: Machine, name: str) -> Disk:
    """The disk dies: it vanishes, and whoever has it open can write no more."""
    with _changing(machine) as (disks, absent):
        disk = _pull(machine, name, disks, absent, "failed")
    _note(settings, machine, "fault", disk, fault="disk-failed")
    return disk


def restore(settings: Settings, machine: Machine, name: str) -> Disk:
    """The failed disk is there again, with what is on it."""
    with _changing(machine) as (disks, absent):
        failed = [disk for disk in absent if disk["absent"] == "failed"]
        if not failed:
            raise LabError(f"no disk of {machine.name} has failed")
        disk = _plug(find(machine, name, failed), disks, absent)
        disks.append(disk)
    _note(settings, machine, "fault", disk, fault="disk-restored")
    return disk


def swap(settings: Settings, machine: Machine, first: str, second: str) -> None:
    """At the next power-on the two disks have each other's kernel name."""
    with _changing(machine) as (disks, _):
        one, other = find(machine, first, disks), find(machine, second, disks)
        if _family(one["name"]) != _family(other["name"]) or one["name"] == other["name"]:
            raise LabError(f"{one['name']} and {other['name']} cannot change names: Linux gives those of one driver to one sort of disk")
        _write(_swaps(machine), [*_read(_swaps(machine)), [one["name"], other["name"]]])
    Timeline(settings.timeline).record(
        "fault",
        machine=machine.name,
        changes=True,
        fault="disks-swapped-at-next-boot",
        disks=[one["name"], other["name"]],
        serials=[one["serial"], other["serial"]],
    )


def power_on(settings: Settings, machine: Machine) -> None:
    """What happens to the names as the machine is switched on."""
    if not _swaps(machine).exists():
        return
    with _changing(machine) as (disks, _):
        for names in _read(_swaps(machine)):
            pair = [disk for disk in disks if disk["name"] in names]
            if len(pair) == 2:  # one that was pulled since has no name to give
                pair[0]["name"], pair[1]["name"] = pair[1]["name"], pair[0]["name"]
                now = {disk["name"]: disk["serial"] for disk in pair}
                Timeline(settings.timeline).record("disks-swapped", machine=machine.name, changes=True, disks=now)
        disks.sort(key=lambda disk: str(disk["name"]))
        _swaps(machine).unlink()


def _link(machine: Machine, disks: list[Disk]) -> None:
    """The disks' names that stay, as udev has them: ``disk/by-id`` of the machine's directory, which pods see as they see /dev elsewhere."""
    directory = machine.directory / "disk" / "by-id"
    directory.mkdir(parents=True, exist_ok=True)
    wanted = {link: Path("../../disks") / Path(disk["path"]).name for disk in disks for link in disk["by_id"]}
    for link in directory.iterdir():
        if link.name not in wanted:
            link.unlink()
    for name, target in wanted.items():
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(target)


def find(machine: Machine, name: str, disks: list[Disk] | None = None) -> Disk:
    """The disk of that kernel name, serial, or end of its serial (OSD1). Raises LabError, naming those that there are."""
    disks = present(machine) if disks is None else disks
    for matches in (
        lambda disk: disk["name"] == name,
        lambda disk: disk["serial"] == name,
        lambda disk: disk["serial"].rsplit("-", 1)[-1] == name.upper(),
    ):
        found = [disk for disk in disks if matches(disk)]
        if found:
            return found[0]
    there = ", ".join(f"{disk['name']} ({disk['serial']})" for disk in disks)
    raise LabError(f"{machine.name} has no disk {name!r}: there are {there or 'none'}")


def release(state: Path) -> None:
    """Let the files of all machines be removed."""
    for path in state.glob("machines/*/disks/*"):
        _protect(path, False)


def _serial(settings: Settings, machine: Machine, name: str) -> str:
    return f"{settings.name}-{machine.name}-{name}".upper()


def _make(settings: Settings, machine: Machine, name: str, kind: str, size: int) -> Disk:
    """A new disk: an empty sparse file and its description, but for the kernel name."""
    traits = KINDS[kind]
    path = machine.directory / "disks" / name
    with path.open("xb") as file:
        file.truncate(size * GIB)
    serial = _serial(settings, machine, name)
    digest = hashlib.sha256(serial.encode()).hexdigest()
    wwid = {"sata": f"naa.5002538e{digest[:8]}", "nvme": f"eui.0025385{digest[:9]}"}.get(traits.transport, "")
    links = {"sata": f"wwn-0x{wwid.removeprefix('naa.')}", "nvme": f"nvme-{wwid}"}
    by_id = [f"{traits.bus}-{traits.model.replace(' ', '_')}_{serial}", *([links[traits.transport]] if wwid else [])]
    return {
        "path": str(path),
        "size_bytes": size * GIB,
        "serial": serial,
        "wwid": wwid,
        "model": traits.model,
        "transport": traits.transport,
        "rotational": traits.rotational,
        "readonly": traits.readonly,
        "by_id": by_id,
    }


def _free_name(transport: str, disks: list[Disk]) -> str:
    """The first kernel name that is free, as Linux gives it to a disk that comes."""
    taken = {disk["name"] for disk in disks}
    names = (f"nvme{number}n1" if transport == "nvme" else f"sd{chr(ord('a') + number)}" for number in range(26))
    free = next((name for name in names if name not in taken), None)
    if free is None:
        raise LabError("the machine has 26 disks of that sort already")
    return free


def _family(name: str) -> str:
    return "nvme" if name.startswith("nvme") else "sd"


def _pull(machine: Machine, name: str, disks: list[Disk], absent: list[Disk], why: str) -> Disk:
    disk = find(machine, name, disks)
    disks.remove(disk)
    if any(other["path"] == disk["path"] for other in disks):
        return disk  # a second path to the same disk
    absent.append({**disk, "absent": why})
    _protect(Path(disk["path"]), True)
    return disk


def _plug(disk: Disk, disks: list[Disk], absent: list[Disk]) -> Disk:
    absent.remove(disk)
    _protect(Path(disk["path"]), False)
    name = disk["name"]
    if any(other["name"] == name for other in disks):
        name = _free_name(disk["transport"], disks)
    return {**{key: value for key, value in disk.items() if key != "absent"}, "name": name}


def _protect(path: Path, protected: bool) -> None:
    """Have every write fail, also one by a program that has the file open already; where the file system cannot do that, open ones go on."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        flags = struct.unpack("I", fcntl.ioctl(file, _GET_FLAGS, bytes(4)))[0]
        fcntl.ioctl(file, _SET_FLAGS, struct.pack("I", flags | _IMMUTABLE if protected else flags & ~_IMMUTABLE))


def _swaps(machine: Machine) -> Path:
    return machine.directory / "disk-swaps.json"


def _absent(machine: Machine) -> Path:
    return machine.directory / "absent-disks.json"


def _read(path: Path) -> list[Any]:
    found: list[Any] = json.loads(path.read_text()) if path.exists() else []
    return found


def _write(path: Path, content: list[Any]) -> None:
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(content, indent=1))
    temporary.replace(path)


@contextlib.contextmanager
def _changing(machine: Machine) -> Iterator[tuple[list[Disk], list[Disk]]]:
    """The disks that are there and those that are not, to be changed in place; written when the block ends well. One change at a time."""
    with (machine.directory / "disks.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        disks, absent = present(machine), _read(_absent(machine))
        yield disks, absent
        _write(_absent(machine), absent)
        _write(description(machine), disks)
        _link(machine, disks)


def _note(settings: Settings, machine: Machine, event: str, disk: Disk, **fields: object) -> None:
    Timeline(settings.timeline).record(event, machine=machine.name, changes=True, **fields, disk=disk["name"], serial=disk["serial"])
