"""The disks of the hardware front: kinds, hot-plug, failure, names that change, other people's data, and Talos's wipes with what they leave behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driver import Lab
from machines import SYSTEM_DISK, Machines, wait_for

pytestmark = pytest.mark.lab

GIB = 1 << 30
BLUESTORE = b"bluestore block device"


class Disks(Machines):
    """One machine in maintenance mode."""

    def serials(self) -> dict[str, str]:
        """Kernel name -> serial, as Talos tells."""
        return {name: spec.get("serial", "") for name, spec in self.resources("disks", "--insecure").items()}

    def named(self, serial: str) -> str:
        """The kernel name of the disk whose serial ends so."""
        return next(name for name, found in self.serials().items() if found.endswith(serial))

    def file(self, serial: str) -> Path:
        """The disk's sparse file."""
        return Path(self.disks()[0]["path"]).with_name(serial)

    def found(self, disk: str) -> str:
        """What Talos found on the disk."""
        return str(self.resources("discoveredvolumes", "--insecure")[disk].get("name", ""))

    def foreign(self, serial: str, contents: str, found: str | None = None) -> str:
        """Put somebody's data on a disk, and wait until Talos has seen it, by default under the same name."""
        disk = self.named(serial)
        said = self.lab.command("fault", "foreign", "m1", serial, contents)
        wait_for(lambda: self.found(disk) == (contents if found is None else found), 5)
        return said

    def wipe(self, disk: str, *options: str, check: bool = True) -> str:
        return self.run("wipe", "disk", disk, *options, "--insecure", "--nodes", self.lab.address(1), check=check).stderr


def piece(path: Path, offset: int, length: int = len(BLUESTORE)) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def allocated(path: Path) -> int:
    """Bytes that the sparse file takes."""
    return path.stat().st_blocks * 512


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    work = tmp_path_factory.mktemp("disks")
    lab = Lab(name="disks", network=os.environ.get("TRINODE_TEST_FRONT_NETWORK", "10.83.0.0/24"), state=work / "state", machines=1)
    lab.up()
    try:
        yield Disks(lab, work)
    finally:
        lab.down()


def test_kinds(disks: Disks) -> None:
    found = {spec["serial"].rsplit("-", 1)[-1]: spec for spec in disks.resources("disks", "--insecure").values()}
    assert set(found) == {"SYS", "OSD1", "OSD2", "NVME1", "HDD1"}
    assert found["NVME1"]["transport"] == "nvme"
    assert found["NVME1"]["size"] > 10 * GIB
    assert [name for name, spec in found.items() if spec.get("rotational")] == ["HDD1"]
    assert all(allocated(Path(disk["path"])) == 0 for disk in disks.disks())


def test_hot_plug(disks: Disks) -> None:
    disks.lab.command("disk", "add", "m1", "OSD3", "--kind", "hdd", "--size", "2")
    wait_for(lambda: "DISKS-M1-OSD3" in disks.serials().values(), 5)
    assert disks.named("OSD3") == "sde"
    disks.foreign("OSD3", "swap")
    disks.lab.command("disk", "remove", "m1", "OSD3")
    wait_for(lambda: "sde" not in disks.serials(), 5)
    assert "sde" not in disks.resources("discoveredvolumes", "--insecure")
    disks.lab.command("disk", "add", "m1", "osd3")
    wait_for(lambda: "sde" in disks.serials(), 5)
    assert disks.found("sde") == "swap", "the same disk, with what was on it"
    disks.lab.command("disk", "remove", "m1", "OSD3")
    wait_for(lambda: "sde" not in disks.serials(), 5)
    assert [event["serial"] for event in disks.events("disk-added") + disks.events("disk-removed")] == ["DISKS-M1-OSD3"] * 4


def test_a_failed_disk_vanishes_and_takes_no_more_writes(disks: Disks) -> None:
    path = disks.file("OSD2")
    with path.open("r+b", buffering=0) as file:
        file.write(b"before")
        disks.lab.command("fault", "disk", "m1", "OSD2", "fail")
        wait_for(lambda: "sdc" not in disks.serials(), 5)
        with pytest.raises(PermissionError):
            file.write(b"lost")
    with pytest.raises(PermissionError):
        path.open("r+b")
    refused = disks.lab.command("disk", "add", "m1", "OSD2", check=False)
    assert "OSD2" not in refused
    disks.lab.command("fault", "disk", "m1", "OSD2", "restore")
    wait_for(lambda: disks.serials().get("sdc") == "DISKS-M1-OSD2", 5)
    assert piece(path, 0, 8) == b"before\0\0"
    disks.wipe("sdc")


def test_names_change_at_the_next_boot_only(disks: Disks) -> None:
    disks.lab.command("fault", "swap-disks", "m1", "OSD1", "HDD1")
    assert disks.serials()["sdb"] == "DISKS-M1-OSD1"
    disks.reboot_in_maintenance()
    assert (disks.serials()["sdb"], disks.serials()["sdd"]) == ("DISKS-M1-HDD1", "DISKS-M1-OSD1")
    assert disks.events("disks-swapped")[-1]["disks"] == {"sdb": "DISKS-M1-HDD1", "sdd": "DISKS-M1-OSD1"}
    disks.lab.command("fault", "swap-disks", "m1", "sdb", "sdd")
    disks.reboot_in_maintenance()
    assert disks.serials()["sdb"] == "DISKS-M1-OSD1"


def test_a_multipath_twin_is_the_same_disk_under_two_names(disks: Disks) -> None:
    disks.lab.command("disk", "add", "m1", "PATH2", "--twin-of", "OSD2")
    wait_for(lambda: "sde" in disks.serials(), 5)
    found = disks.resources("disks", "--insecure")
    assert [found["sde"][key] for key in ("serial", "wwid", "size")] == [found["sdc"][key] for key in ("serial", "wwid", "size")]
    disks.foreign("OSD2", "xfs")
    wait_for(lambda: disks.found("sde") == "xfs", 5)
    disks.lab.command("disk", "remove", "m1", "sde")
    wait_for(lambda: "sde" not in disks.serials(), 5)
    disks.wipe("sdc")
    assert disks.found("sdc") == ""


def test_read_only_and_removable_disks(disks: Disks) -> None:
    disks.lab.command("disk", "add", "m1", "RO1", "--kind", "readonly")
    disks.lab.command("disk", "add", "m1", "USB1", "--kind", "usb")
    wait_for(lambda: {"sde", "sdf"} <= set(disks.serials()), 5)
    found = disks.resources("disks", "--insecure")
    assert found["sde"]["readonly"]
    assert found["sdf"]["transport"] == "usb"
    assert 'blockdevice "sde" is read-only' in disks.wipe("sde", check=False)
    assert disks.events("disk-wipe-refused")[-1]["device"] == "sde"
    for name in ("RO1", "USB1"):
        disks.lab.command("disk", "remove", "m1", name)


@pytest.mark.parametrize(
    ("contents", "found", "link"),
    [
        ("ext4", "ext4", "/dev/disk/by-label/home"),
        ("xfs", "xfs", "/dev/disk/by-label/home"),
        ("swap", "swap", "/dev/disk/by-label/home"),
        ("luks", "luks", "/dev/disk/by-uuid/"),
        ("lvm", "lvm2-pv", "/dev/disk/by-id/lvm-pv-uuid-"),
        ("gpt", "gpt", None),
        ("bluestore", "bluestore", None),
        ("raid", "", None),
    ],
)
def test_foreign_contents(disks: Disks, contents: str, found: str, link: str | None) -> None:
    """Talos finds what go-blockdevice knows; what it does not know (software RAID) stays unseen, as on metal."""
    said = disks.foreign("HDD1", contents, found)
    assert f"sdd (DISKS-M1-HDD1): {contents}" in said
    links = {*disks.resources("disks", "--insecure")["sdd"]["symlinks"]} - {f"/dev/disk/by-id/{name}" for name in disks.disks()[-1]["by_id"]}
    assert any(path.startswith(link) for path in links) if link else not links
    assert 0 < allocated(disks.file("HDD1")) < GIB // 4
    event = [event for event in disks.events("fault") if event["fault"] == "foreign-contents"][-1]
    assert (event["contents"], event["serial"]) == (contents, "DISKS-M1-HDD1")


def test_a_fast_wipe_leaves_the_later_labels_of_bluestore(disks: Disks) -> None:
    disks.foreign("NVME1", "bluestore")
    path = disks.file("NVME1")
    assert [piece(path, offset * GIB) for offset in (0, 1, 10)] == [BLUESTORE] * 3
    disks.wipe("nvme0n1", "--method", "FAST")
    assert disks.found("nvme0n1") == ""
    assert [piece(path, offset * GIB) for offset in (0, 1, 10)] == [bytes(len(BLUESTORE)), BLUESTORE, BLUESTORE]
    disks.wipe("nvme0n1", "--method", "ZEROES")
    assert allocated(path) == 0
    assert path.stat().st_size == 12 * GIB
    assert [event["method"] for event in disks.events("disk-wiped")[-2:]] == ["FAST", "ZEROES"]


def test_a_fast_wipe_clears_both_ends(disks: Disks) -> None:
    disks.foreign("HDD1", "gpt")
    path = disks.file("HDD1")
    with path.open("r+b") as file:
        for offset in (2 << 20, 8 * GIB):
            file.seek(offset)
            file.write(b"data")
    assert piece(path, path.stat().st_size - 512, 8) == b"EFI PART"
    disks.wipe("sdd")
    assert disks.found("sdd") == ""
    assert piece(path, path.stat().st_size - 512, 8) == bytes(8)
    assert [piece(path, offset, 4) for offset in (2 << 20, 8 * GIB)] == [b"data", b"data"]


def test_a_partition_is_wiped_alone(disks: Disks) -> None:
    disks.foreign("OSD1", "gpt")
    assert "sdb1" in disks.resources("discoveredvolumes", "--insecure")
    path = disks.file("OSD1")
    start, elsewhere = 2048 * 512, 4 * GIB
    for offset in (start, elsewhere):
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(b"data")
    disks.wipe("sdb1", "--method", "FAST")
    assert [piece(path, offset, 4) for offset in (512, start, elsewhere)] == [b"EFI ", bytes(4), b"data"]
    disks.wipe("sdb1", "--drop-partition")
    assert "sdb1" not in disks.resources("discoveredvolumes", "--insecure")
    assert disks.found("sdb") == "gpt"
    disks.wipe("sdb", "--method", "ZEROES")


def test_what_talos_uses_is_not_wiped(disks: Disks) -> None:
    disks.install()

    def refused(device: str, *options: str) -> str:
        return disks.run("wipe", "disk", device, *options, "--nodes", disks.lab.address(1), check=False).stderr

    partitions = {spec["partition_label"]: name for name, spec in disks.resources("discoveredvolumes").items() if spec.get("parent") == SYSTEM_DISK}
    changes = disks.lab.changes()
    assert 'blockdevice "sda" is in use by volume "EPHEMERAL"' in refused(SYSTEM_DISK)
    for label in ("META", "STATE", "EPHEMERAL"):
        assert f'blockdevice "{partitions[label]}" is in use by volume "{label}"' in refused(partitions[label])
    assert 'blockdevice "sdx" not found' in refused("sdx")
    # One of several that is refused, and none is touched.
    disks.lab.command("fault", "foreign", "m1", "OSD1", "ext4")
    before = digest(disks)
    assert "in use by volume" in disks.run("wipe", "disk", "sdb", SYSTEM_DISK, "--nodes", disks.lab.address(1), check=False).stderr
    assert digest(disks) == before
    assert [event for event in disks.lab.changes()[len(changes) :] if event["event"].startswith("disk")] == []


def digest(disks: Disks) -> Any:
    """The disk's first MiB and when it was last written."""
    path = disks.file("OSD1")
    return piece(path, 0, 1 << 20), path.stat().st_mtime_ns
