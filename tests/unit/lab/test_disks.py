"""The lab's machines' disks: what they are called, and what commands about them change in disks.json."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from trinode_lab import disks
from trinode_lab.errors import LabError
from trinode_lab.settings import Machine, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings("lab", ipaddress.IPv4Network("10.5.0.0/24"), 1, tmp_path)


@pytest.fixture
def machine(settings: Settings) -> Machine:
    """A machine that was never switched on."""
    machine = settings.machine("m1")
    (machine.directory / "disks").mkdir(parents=True)
    disks.manufacture(settings, machine)
    return machine


def names(machine: Machine) -> dict[str, str]:
    """Kernel name -> end of the serial."""
    return {disk["name"]: disk["serial"].removeprefix("LAB-M1-") for disk in disks.present(machine)}


def add(settings: Settings, machine: Machine, name: str, kind: str = "ssd", twin_of: str | None = None) -> str:
    return str(disks.add(settings, machine, name, kind=kind, size=1, twin_of=twin_of)["name"])


def test_a_new_machine(machine: Machine) -> None:
    assert names(machine) == {"sda": "SYS", "sdb": "OSD1", "sdc": "OSD2", "nvme0n1": "NVME1", "sdd": "HDD1"}
    for disk in disks.present(machine):
        assert Path(disk["path"]).stat().st_size == disk["size_bytes"]
        assert Path(disk["path"]).stat().st_blocks == 0
    assert len({disk["wwid"] for disk in disks.present(machine)}) == 5


@pytest.mark.parametrize("name", ["sdb", "LAB-M1-OSD1", "OSD1", "osd1"])
def test_a_disk_is_found_by_each_of_its_names(machine: Machine, name: str) -> None:
    assert disks.find(machine, name)["serial"] == "LAB-M1-OSD1"


def test_a_disk_that_is_not_there_is_said_with_those_that_are(machine: Machine) -> None:
    with pytest.raises(LabError, match=r"no disk 'OSD9': there are sda \(LAB-M1-SYS\), sdb"):
        disks.find(machine, "OSD9")


def test_a_new_disk_gets_the_first_free_name(settings: Settings, machine: Machine) -> None:
    assert [add(settings, machine, name) for name in ("OSD3", "OSD4")] == ["sde", "sdf"]
    assert add(settings, machine, "FAST1", "nvme") == "nvme1n1"
    disks.remove(settings, machine, "OSD3")
    assert add(settings, machine, "OSD5") == "sde"
    assert add(settings, machine, "OSD3") == "sdg", "pulled and back, with its old name taken"
    with pytest.raises(LabError, match="has a disk OSD3 already"):
        add(settings, machine, "OSD3")
    with pytest.raises(LabError, match="1 to 12 letters and digits"):
        add(settings, machine, "../x")


def test_a_failed_disk_comes_back_by_restore_only(settings: Settings, machine: Machine) -> None:
    disks.fail(settings, machine, "OSD1")
    assert "sdb" not in names(machine)
    with pytest.raises(LabError, match="has failed; `lab fault disk m1 OSD1 restore`"):
        add(settings, machine, "OSD1")
    disks.restore(settings, machine, "OSD1")
    assert names(machine)["sdb"] == "OSD1"
    assert "absent" not in disks.find(machine, "OSD1")
    with pytest.raises(LabError, match="no disk of m1 has failed"):
        disks.restore(settings, machine, "OSD1")


def test_names_are_exchanged_at_power_on_once(settings: Settings, machine: Machine) -> None:
    disks.swap(settings, machine, "OSD1", "HDD1")
    assert names(machine)["sdb"] == "OSD1"
    disks.power_on(settings, machine)
    assert (names(machine)["sdb"], names(machine)["sdd"]) == ("HDD1", "OSD1")
    disks.power_on(settings, machine)
    assert names(machine)["sdb"] == "HDD1"
    with pytest.raises(LabError, match="cannot change names"):
        disks.swap(settings, machine, "OSD1", "NVME1")


def test_a_twin_is_pulled_without_the_disk(settings: Settings, machine: Machine) -> None:
    assert add(settings, machine, "PATH2", twin_of="OSD1") == "sde"
    first, second = disks.find(machine, "sdb"), disks.find(machine, "sde")
    assert {key for key in first if first[key] != second[key]} == {"name", "by_id"}
    disks.remove(settings, machine, "sde")
    with Path(first["path"]).open("r+b") as file:
        file.write(b"still writable")
    assert names(machine)["sdb"] == "OSD1"


def test_names_that_stay_lead_to_the_files(settings: Settings, machine: Machine) -> None:
    directory = machine.directory / "disk" / "by-id"
    names = {name for disk in disks.present(machine) for name in disk["by_id"]}
    assert {link.name for link in directory.iterdir()} == names
    assert (directory / "ata-TRINODE_LAB_DISK_LAB-M1-OSD1").resolve() == (machine.directory / "disks" / "OSD1").resolve()
    disks.add(settings, machine, "OSD3", kind="ssd", size=None, twin_of=None)
    disks.remove(settings, machine, "OSD1")
    assert (directory / "ata-TRINODE_LAB_DISK_LAB-M1-OSD3").exists()
    assert not (directory / "ata-TRINODE_LAB_DISK_LAB-M1-OSD1").is_symlink()
    disks.release(settings.state)
