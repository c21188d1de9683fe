"""sushy-tools' drivers for the lab's machines. Only the BMCs' process imports this: sushy-tools is a requirement of the tests only."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import flask
from sushy_tools import error
from sushy_tools.emulator.resources.systems.base import AbstractSystemsDriver
from sushy_tools.emulator.resources.vmedia import DeviceInfo

from trinode_lab import bmc_faults, control, firmware
from trinode_lab.errors import LabError
from trinode_lab.settings import Machine

_HANG_SECONDS = 600.0
_FETCH_SECONDS = 10
_POWER = {"On": "on", "ForceOn": "on", "ForceOff": "cut", "GracefulShutdown": "poweroff", "GracefulRestart": "reboot", "ForceRestart": "restart"}


class Systems(AbstractSystemsDriver):  # type: ignore[misc]
    """The machine's power and boot device."""

    def __init__(self, bmcs: Any, machine: Callable[[], Machine]) -> None:
        super().__init__()
        self._bmcs = bmcs
        self._of_request = machine

    def _machine(self, identity: str) -> Machine:
        machine = self._of_request()
        if identity != self._bmcs.system(machine):
            raise error.NotFound(f"this BMC has no system {identity}")
        return machine

    @property
    def driver(self) -> str:
        return "<trinode lab>"

    @property
    def systems(self) -> list[str]:
        return [self._bmcs.system(self._of_request())]

    def uuid(self, identity: str) -> str:
        self._machine(identity)
        return identity

    def name(self, identity: str) -> str:
        return self._machine(identity).name

    def get_power_state(self, identity: str) -> str:
        return "On" if _status(self._machine(identity))["power"] == "on" else "Off"

    def set_power_state(self, identity: str, state: str) -> None:
        machine = self._machine(identity)
        if state not in _POWER:
            raise error.BadRequest(f"this BMC knows no ResetType {state}: one of {', '.join(_POWER)}")
        if "Restart" in state and _status(machine)["power"] == "off":
            raise error.Conflict(f"{state}: the system is off")
        ignored = self._bmcs.fault(machine) == "power-ignored"
        self._bmcs.record("bmc-power", machine, type=state, ignored=ignored)
        if not ignored:
            _send(machine, _POWER[state])

    def get_boot_device(self, identity: str) -> str:
        return firmware.read(self._machine(identity)).device

    def set_boot_device(self, identity: str, boot_source: str) -> None:
        machine = self._machine(identity)
        enabled = (flask.request.get_json().get("Boot") or {}).get("BootSourceOverrideEnabled", "Once")
        if boot_source not in firmware.DEVICES or enabled not in firmware.ENABLED:
            raise error.BadRequest(f"this BMC cannot boot {boot_source} ({enabled})")
        if self._bmcs.fault(machine) != "boot-ignored":
            _send(machine, f"boot-device {boot_source} {enabled}")

    def get_boot_mode(self, identity: str) -> str:
        self._machine(identity)
        return "UEFI"

    def set_boot_mode(self, identity: str, boot_mode: str) -> None:
        self._machine(identity)
        if boot_mode != "UEFI":
            raise error.BadRequest(f"this BMC knows no boot mode {boot_mode}: it has UEFI only")

    def get_secure_boot(self, identity: str) -> bool:
        self._machine(identity)
        return False

    def get_nics(self, identity: str) -> list[dict[str, str]]:
        machine = self._machine(identity)
        address = "02:00:00:00:00:00" if self._bmcs.fault(machine) == "wrong-machine" else machine.mac
        return [{"id": address, "mac": address}]

    def set_boot_image(self, identity: str, device: str, boot_image: str | None = None, write_protected: bool = True) -> None:
        self._machine(identity)  # the drive is Media's


class Media:
    """The machine's virtual drive. It is strict, as some BMCs are: what is inserted has to be ejected first, and an image that cannot be read is refused."""

    devices = ("Cd",)

    def __init__(self, bmcs: Any, machine: Callable[[], Machine]) -> None:
        self._bmcs = bmcs
        self._of_request = machine

    def _machine(self, identity: str, device: str) -> Machine:
        machine = self._of_request()
        if identity != self._bmcs.system(machine) or device not in self.devices:
            raise error.NotFound(f"this BMC has no drive {device} of a system {identity}")
        return machine

    def get_device_name(self, identity: str, device: str) -> str:
        self._machine(identity, device)
        return "Virtual CD"

    def get_device_media_types(self, identity: str, device: str) -> list[str]:
        self._machine(identity, device)
        return ["CD", "DVD"]

    def get_device_image_info(self, identity: str, device: str) -> DeviceInfo:
        machine = self._machine(identity, device)
        url = firmware.read(machine).media
        shown = self._bmcs.attaching.get(machine.name) or url
        return DeviceInfo(shown.rpartition("/")[2], shown, bool(url), True, "", "", False)

    def update_device_info(self, identity: str, device: str, verify: bool = False) -> None:
        self._machine(identity, device)

    def insert_image(  # noqa: PLR0917 - as sushy-tools calls it
        self,
        identity: str,
        device: str,
        image_url: str,
        inserted: bool = True,
        write_protected: bool = True,
        username: str | None = None,
        password: str | None = None,
    ) -> str:
        machine = self._machine(identity, device)
        if not image_url or not inserted:
            raise error.BadRequest("InsertMedia needs an Image, and Inserted true or left out")
        if firmware.read(machine).media or machine.name in self._bmcs.attaching:
            raise error.Conflict("virtual media are inserted already: they are to be ejected first")
        fault = self._bmcs.fault(machine)
        if fault in ("media-hangs", "media-stuck"):
            self._hang(machine, image_url)
        if fault == "media-fails":
            raise error.FishyError("the virtual media service has an internal error", 500)
        try:
            request = urllib.request.Request(image_url, method="HEAD")  # noqa: S310
            with urllib.request.urlopen(request, timeout=_FETCH_SECONDS):  # noqa: S310
                pass
        except (OSError, ValueError) as problem:
            raise error.BadRequest(f"the image {image_url} cannot be read: {problem}") from problem
        _send(machine, f"insert {image_url}")
        return image_url

    def _hang(self, machine: Machine, image_url: str) -> None:
        """Answer nothing until the media are ejected or the fault is taken back."""
        ejected: threading.Event = self._bmcs.ejected[machine.name]
        ejected.clear()
        self._bmcs.attaching[machine.name] = image_url
        self._bmcs.record("media-hang", machine, image=image_url)
        until = time.monotonic() + _HANG_SECONDS
        while not ejected.wait(0.2) and self._bmcs.fault(machine) in ("media-hangs", "media-stuck") and time.monotonic() < until:
            pass
        self._bmcs.attaching.pop(machine.name, None)
        if ejected.is_set():
            raise error.FishyError("the insertion of virtual media was given up", 500)

    def eject_image(self, identity: str, device: str) -> None:
        machine = self._machine(identity, device)
        if self._bmcs.attaching.pop(machine.name, None):
            self._bmcs.ejected[machine.name].set()
            if self._bmcs.fault(machine) == "media-hangs":
                bmc_faults.write(self._bmcs.settings.state, machine.name, "up")
        elif firmware.read(machine).media:
            _send(machine, "eject")

    def list_certificates(self, identity: str, device: str) -> list[Any]:
        self._machine(identity, device)
        return []


def _send(machine: Machine, command: str) -> None:
    try:
        control.send(machine, command)
    except LabError as problem:
        raise error.FishyError(str(problem), 500) from problem


def _status(machine: Machine) -> dict[str, Any]:
    try:
        return control.status(machine)
    except LabError as problem:
        raise error.FishyError(str(problem), 500) from problem
