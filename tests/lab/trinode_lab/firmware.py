"""What a machine boots when it gets power, as its firmware decides it: an upgrade's system, the disk, a boot device that its BMC has set, or nothing.

A machine of a lab that came up as ever has a stick with Talos in it, which it boots when no disk has a system. In a lab that came up powered off there is no
stick: an empty disk boots nothing, and maintenance mode comes from virtual media or from the network.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass, field, replace

from trinode_lab import systems
from trinode_lab.settings import Machine
from trinode_lab.systems import System, Systems

CD, PXE, HDD, NONE = "Cd", "Pxe", "Hdd", "None"
DEVICES = (NONE, CD, PXE, HDD)
ENABLED = ("Disabled", "Once", "Continuous")
COMMANDS = ("boot-device", "insert", "eject")  # of the supervisor's socket
_ISO_MARK = (0x8001, b"CD001")
_FETCH_SECONDS = 5
_KERNEL = re.compile(r"^\s*kernel\s+(\S+)(.*)$", re.MULTILINE)
_CHAIN = re.compile(r"^\s*chain\s+(?:--\S+\s+)*(\S+)", re.MULTILINE)
_INITRD = re.compile(r"^\s*initrd\s+(?:--\S+\s+\S+\s+)?(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Firmware:
    """What outlives the power: ``device`` and ``enabled`` are the BMC's override of the boot order; ``media`` is the URL in the virtual drive, or ""."""

    device: str = NONE
    enabled: str = "Disabled"
    media: str = ""


@dataclass(frozen=True)
class Plan:
    """``source``: disk, stick, cd or pxe; "" when nothing starts, and then ``reason`` says why. ``wipe``: this Talos finds no STATE, so it has none."""

    source: str
    systems: Systems
    reason: str = ""
    wipe: bool = False
    upgrade: dict[str, object] | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def system(self) -> System:
        return self.systems.running or System()


def decide(firmware: Firmware, known: Systems, *, disk: str, stick: bool, fault: str, cd: System | str, pxe: System | str) -> Plan:
    """What this power-on boots. ``disk``: name of the one with a system, or ""; ``cd`` and ``pxe``: what they would boot, or why they do not."""
    notes = []
    if firmware.enabled != "Disabled" and firmware.device in (CD, PXE):
        offered = cd if firmware.device == CD else pxe
        if isinstance(offered, System):
            return _from_outside(firmware.device, offered, known, disk)
        notes.append(f"{firmware.device}: {offered}")
    if disk:
        settled = systems.boot(known, fault)
        if settled.hangs:
            return Plan("", settled.systems, reason="hangs after an upgrade (a fault of the lab)", notes=tuple(notes))
        return Plan("disk", settled.systems, upgrade=settled.upgrade, notes=tuple(notes))
    if stick:
        return Plan("stick", Systems(System()), notes=tuple(notes))
    return Plan("", Systems(), reason="no boot device: no disk has a system", notes=tuple(notes))


def _from_outside(device: str, offered: System, known: Systems, disk: str) -> Plan:
    if not disk:
        return Plan(device.lower(), Systems(offered), wipe=True)
    if device == CD:
        # Talos's ISO has talos.halt_if_installed on its command line.
        return Plan("", replace(known, running=None), reason="Talos is already installed to disk but booted from another media: it halts")
    return Plan("pxe", replace(known, running=offered))


def read(machine: Machine) -> Firmware:
    try:
        return Firmware(**json.loads((machine.directory / "firmware.json").read_text()))
    except FileNotFoundError:
        return Firmware()


def write(machine: Machine, firmware: Firmware) -> None:
    temporary = machine.directory / "firmware.new"
    temporary.write_text(json.dumps(asdict(firmware)) + "\n")
    temporary.replace(machine.directory / "firmware.json")


def change(before: Firmware, what: str, *values: str) -> Firmware:
    """The settings after a command. Raises ValueError, with what would be right."""
    if what == "boot-device" and len(values) == 2 and values[0] in DEVICES and values[1] in ENABLED:
        return replace(before, device=values[0], enabled=values[1])
    if what == "insert" and len(values) == 1:
        return replace(before, media=values[0])
    if what == "eject" and not values:
        return replace(before, media="")
    raise ValueError(f"boot-device {'|'.join(DEVICES)} {'|'.join(ENABLED)}, insert URL, or eject; not {' '.join((what, *values))}")


def set_up(machine: Machine, what: str, *values: str) -> tuple[str, dict[str, str]]:
    """Carry out a command; the timeline's event and its fields. Raises ValueError."""
    before = read(machine)
    after = change(before, what, *values)
    write(machine, after)
    if what == "boot-device":
        return what, {"device": after.device, "enabled": after.enabled}
    return ("media-inserted", {"image": after.media}) if what == "insert" else ("media-ejected", {"image": before.media})


def consume(machine: Machine) -> None:
    """A boot device that is set once is set for one power-on, whatever came of it."""
    now = read(machine)
    if now.enabled == "Once":
        write(machine, replace(now, device=NONE, enabled="Disabled"))


def power_on(machine: Machine, *, stick: bool, boot_url: str) -> Plan:
    """Read everything, decide, and keep which Talos the machine has from now on."""
    firmware = read(machine)
    disk = systems.installed_disk(machine)
    known = systems.read(machine)
    overridden = firmware.device if firmware.enabled != "Disabled" else NONE
    plan = decide(
        firmware,
        known,
        disk=disk,
        stick=stick,
        fault=systems.take_fault(machine) if disk and known.next and overridden not in (CD, PXE) else "",
        cd=cd_system(firmware.media) if overridden == CD else "not asked",
        pxe=pxe_system(machine, boot_url) if overridden == PXE else "not asked",
    )
    systems.write(machine, plan.systems)
    return plan


def cd_system(url: str) -> System | str:
    """The Talos on the image in the virtual drive, or why it does not boot."""
    if not url:
        return "no media in the drive"
    offset, mark = _ISO_MARK
    try:
        found = _fetch(url, offset, len(mark))
    except urllib.error.HTTPError as error:
        if error.code != 416:  # it is too short for one
            return f"{url} cannot be read: {error}"
        found = b""
    except (OSError, ValueError) as error:
        return f"{url} cannot be read: {error}"
    return systems.system_of(url) if found == mark else f"{url} is no image of a CD"


def pxe_system(machine: Machine, url: str) -> System | str:
    """The Talos that the network offers this machine: by an iPXE script for its address, or for all."""
    problem = ""
    for name in (f"mac-{machine.mac.replace(':', '')}.ipxe", "boot.ipxe"):
        try:
            script = _fetch(f"{url}/{name}").decode(errors="replace")
        except (OSError, ValueError) as error:
            problem = problem or f"no answer: {url}/{name}: {error}"
            continue
        return _script_system(script, f"{url}/{name}")
    return problem


def _script_system(script: str, where: str) -> System | str:
    chain = _CHAIN.search(script)
    if chain:
        try:
            return _script_system(_CHAIN.sub("", _fetch(chain[1]).decode(errors="replace")), chain[1])
        except (OSError, ValueError) as error:
            return f"{where}: {chain[1]} cannot be read: {error}"
    kernel, initrd = _KERNEL.search(script), _INITRD.search(script)
    if not kernel or not initrd:
        return f"{where} names no kernel, or no initrd"
    if "talos.platform=" not in kernel[2]:
        return f"{where}: the kernel's command line lacks talos.platform"
    for url in (kernel[1], initrd[1]):
        try:
            _fetch(url, 0, 1)
        except (OSError, ValueError) as error:
            return f"{where}: {url} cannot be read: {error}"
    return systems.system_of(kernel[1])


def _fetch(url: str, offset: int = 0, length: int = 0) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ValueError("only HTTP is known here")
    request = urllib.request.Request(url)  # noqa: S310
    if length:
        request.add_header("Range", f"bytes={offset}-{offset + length - 1}")
    with urllib.request.urlopen(request, timeout=_FETCH_SECONDS) as response:  # noqa: S310
        content: bytes = response.read(length) if length else response.read()
    return content
