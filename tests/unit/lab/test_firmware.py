"""What a machine of the lab boots, and which Talos that is."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests
import yaml
from trinode_lab import factory, firmware, systems
from trinode_lab.firmware import Firmware, decide
from trinode_lab.settings import Machine, make_settings
from trinode_lab.systems import System, Systems
from trinode_lab.timeline import Timeline

SCHEMATIC = "a" * 64
OLD = System("ghcr.io/siderolabs/installer:v1.13.8", "v1.13.8")
NEW = System(f"factory.talos.dev/metal-installer/{SCHEMATIC}:v1.13.9", "v1.13.9", SCHEMATIC)
CD = System("http://lab/image/x/v1.13.8/metal-amd64.iso")
ONCE = Firmware(firmware.CD, "Once", CD.image)


@pytest.mark.parametrize(
    ("image", "version", "schematic"),
    [
        ("ghcr.io/siderolabs/installer:v1.13.9", "v1.13.9", ""),
        (NEW.image, "v1.13.9", SCHEMATIC),
        (f"{NEW.image}@sha256:{'b' * 64}", "v1.13.9", SCHEMATIC),
        (f"10.0.0.1:5000/metal-installer-secureboot/{SCHEMATIC}:v1.14.0-beta.1", "v1.14.0-beta.1", SCHEMATIC),
        (f"http://10.5.0.1:8080/image/{SCHEMATIC}/v1.13.7/metal-amd64.iso", "v1.13.7", SCHEMATIC),
        ("http://10.5.0.1/talos.iso", "v1.13.8", ""),
    ],
)
def test_system_of(image: str, version: str, schematic: str) -> None:
    assert systems.system_of(image) == System(image, version, schematic)


@pytest.mark.parametrize(
    ("known", "fault", "expected", "event"),
    [
        (Systems(), "", Systems(System(), System()), None),
        (Systems(installed=OLD), "", Systems(OLD, OLD), None),
        (Systems(OLD, OLD, NEW), "", Systems(NEW, NEW, None, OLD), {"from": "v1.13.8", "to": "v1.13.9", "rolled_back": False}),
        (Systems(OLD, OLD, NEW), "rollback", Systems(OLD, OLD), {"from": "v1.13.8", "to": "v1.13.9", "rolled_back": True}),
        (Systems(NEW, NEW, None, OLD), "", Systems(NEW, NEW, None, OLD), None),
    ],
)
def test_boot(known: Systems, fault: str, expected: Systems, event: dict[str, object] | None) -> None:
    found = systems.boot(known, fault)
    assert found.systems == expected
    assert not found.hangs
    assert event is None or event.items() <= (found.upgrade or {}).items()
    assert (event is None) is (found.upgrade is None)


def test_a_boot_that_hangs_keeps_the_upgrade_for_the_next() -> None:
    hung = systems.boot(Systems(OLD, OLD, NEW), "hang")
    assert hung.hangs
    assert systems.boot(hung.systems, "").systems == Systems(NEW, NEW, None, OLD)


@pytest.mark.parametrize(
    ("set_up", "disk", "stick", "source"),
    [
        (Firmware(), "", True, "stick"),
        (Firmware(), "", False, ""),
        (Firmware(), "sda", True, "disk"),
        (Firmware(), "sda", False, "disk"),
        (ONCE, "", True, "cd"),
        (ONCE, "", False, "cd"),
        (replace(ONCE, enabled="Continuous"), "", False, "cd"),
        (replace(ONCE, enabled="Disabled"), "", False, ""),
        (replace(ONCE, device=firmware.HDD), "sda", False, "disk"),
        (replace(ONCE, device=firmware.PXE), "", False, "pxe"),
        (replace(ONCE, device=firmware.PXE), "sda", False, "pxe"),
    ],
)
def test_decide(set_up: Firmware, disk: str, stick: bool, source: str) -> None:
    plan = decide(set_up, Systems(installed=OLD) if disk else Systems(), disk=disk, stick=stick, fault="", cd=CD, pxe=NEW)
    assert plan.source == source
    assert bool(plan.reason) is (source == "")
    assert plan.wipe is (source in ("cd", "pxe") and not disk)
    assert plan.system == {"cd": CD, "pxe": NEW, "disk": OLD}.get(source, System())


def test_an_installed_machine_halts_on_a_cd() -> None:
    plan = decide(ONCE, Systems(OLD, OLD, NEW), disk="sda", stick=False, fault="", cd=CD, pxe="")
    assert (plan.source, plan.systems) == ("", Systems(None, OLD, NEW))
    assert "already installed" in plan.reason


def test_a_boot_device_that_fails_is_passed_over_and_said() -> None:
    plan = decide(ONCE, Systems(), disk="", stick=False, fault="", cd="no media in the drive", pxe="")
    assert (plan.source, plan.notes) == ("", ("Cd: no media in the drive",))


def test_a_disk_without_system_forgets_what_was_installed() -> None:
    plan = decide(Firmware(), Systems(NEW, NEW, None, OLD), disk="", stick=True, fault="", cd="", pxe="")
    assert plan.systems == Systems(System())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = make_settings("units", "10.99.0.0/24", 1, str(tmp_path)).machine("m1")
    (machine.directory / "front").mkdir(parents=True)
    (machine.directory / "disks.json").write_text("[]")
    return machine


def test_systems_outlive_reading_and_writing(machine: Machine) -> None:
    assert systems.read(machine) == Systems()
    systems.write(machine, Systems(OLD, OLD, NEW))
    assert systems.read(machine) == Systems(OLD, OLD, NEW)


@pytest.mark.parametrize(("fault", "taken"), [("rollback", "rollback"), ("hang", "hang"), ("install-fails", "")])
def test_a_fault_happens_once(machine: Machine, fault: str, taken: str) -> None:
    systems.upgrade_fault(machine).write_text(f"{fault}\n")
    assert systems.take_fault(machine) == taken
    assert systems.take_fault(machine) == ""


def test_extensions_are_as_talos_reads_them() -> None:
    assert systems.extensions("") == ""
    [layer] = yaml.safe_load(systems.extensions(SCHEMATIC))["layers"]
    assert (layer["metadata"]["name"], layer["metadata"]["version"]) == ("schematic", SCHEMATIC)


def test_once_is_consumed_and_continuous_is_not(machine: Machine) -> None:
    for enabled, after in (("Once", Firmware(media=CD.image)), ("Continuous", replace(ONCE, enabled="Continuous"))):
        firmware.write(machine, replace(ONCE, enabled=enabled))
        firmware.consume(machine)
        assert firmware.read(machine) == after


def test_commands_of_the_bmc(machine: Machine) -> None:
    assert firmware.set_up(machine, "boot-device", "Cd", "Once") == ("boot-device", {"device": "Cd", "enabled": "Once"})
    assert firmware.set_up(machine, "insert", CD.image) == ("media-inserted", {"image": CD.image})
    assert firmware.read(machine) == ONCE
    assert firmware.set_up(machine, "eject") == ("media-ejected", {"image": CD.image})


@pytest.mark.parametrize("words", [("boot-device",), ("boot-device", "Tape", "Once"), ("boot-device", "Cd", "Twice"), ("insert",), ("eject", "now")])
def test_a_command_that_is_none_changes_nothing(machine: Machine, words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="boot-device None"):
        firmware.set_up(machine, *words)
    assert firmware.read(machine) == Firmware()


@pytest.fixture
def images(tmp_path: Path) -> Iterator[str]:
    handler = type("Images", (factory.Factory,), {"state": tmp_path, "timeline": Timeline(tmp_path / "timeline.jsonl"), "log_message": lambda *_: None})
    (tmp_path / "boot").mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_cd(images: str) -> None:
    url = f"{images}/image/{factory.EMPTY_SCHEMATIC}/v1.13.7/metal-amd64.iso"
    assert firmware.cd_system(url) == System(url, "v1.13.7", factory.EMPTY_SCHEMATIC)
    assert firmware.cd_system("") == "no media in the drive"
    assert "no image of a CD" in str(firmware.cd_system(f"{images}/image/{factory.EMPTY_SCHEMATIC}/v1.13.7/initramfs-amd64.xz"))
    assert "404" in str(firmware.cd_system(f"{images}/image/{SCHEMATIC}/v1.13.7/metal-amd64.iso"))


def test_the_factory_knows_what_was_posted(images: str) -> None:
    name = requests.post(f"{images}/schematics", data=b"customization: {}\n", timeout=5).json()["id"]
    whole = requests.get(f"{images}/image/{name}/v1.13.8/metal-amd64.iso", timeout=5)
    assert whole.status_code == 200
    part = requests.get(f"{images}/image/{name}/v1.13.8/metal-amd64.iso", headers={"Range": "bytes=32769-32773"}, timeout=5)
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b"CD001", f"bytes 32769-32773/{len(whole.content)}")


def test_pxe(images: str, machine: Machine, tmp_path: Path) -> None:
    boot, url = tmp_path / "boot", f"{images}/boot"
    assert "no answer" in str(firmware.pxe_system(machine, url))
    kernel = f"{images}/image/{factory.EMPTY_SCHEMATIC}/v1.13.7/kernel-amd64"
    script = f"#!ipxe\nkernel {kernel} talos.platform=metal\ninitrd {kernel.replace('kernel-amd64', 'initramfs-amd64.xz')}\nboot\n"
    (boot / "boot.ipxe").write_text(script)
    assert firmware.pxe_system(machine, url) == System(kernel, "v1.13.7", factory.EMPTY_SCHEMATIC)
    own = boot / f"mac-{machine.mac.replace(':', '')}.ipxe"
    own.write_text(script.replace("talos.platform=metal", ""))
    assert "lacks talos.platform" in str(firmware.pxe_system(machine, url))
    own.write_text(script.replace("kernel-amd64", "kernel-vax"))
    assert "cannot be read" in str(firmware.pxe_system(machine, url))
    own.write_text(f"#!ipxe\nchain --autofree {images}/pxe/{factory.EMPTY_SCHEMATIC}/v1.13.6/metal-amd64\n")
    assert getattr(firmware.pxe_system(machine, url), "version", "") == "v1.13.6"


def test_power_on_reads_and_keeps(machine: Machine, images: str) -> None:
    systems.write(machine, Systems(OLD, OLD, NEW))
    firmware.write(machine, Firmware(firmware.CD, "Once", f"{images}/image/{factory.EMPTY_SCHEMATIC}/v1.13.8/metal-amd64.iso"))
    plan = firmware.power_on(machine, stick=False, boot_url=f"{images}/boot")
    assert (plan.source, plan.wipe) == ("cd", True)
    assert json.loads((machine.directory / "systems.json").read_text())["installed"] is None
