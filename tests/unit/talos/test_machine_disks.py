from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_disks import check_empty, check_install_disk, describe_disks, matching_disks


def disk(name: str, **changes: Any) -> Disk:
    fields: dict[str, Any] = {
        "name": name,
        "path": f"/dev/{name}",
        "size": 500_000_000_000,
        "model": "SSD 870",
        "serial": f"S-{name}",
        "wwid": f"naa.{name}",
        "uuid": "",
        "transport": "sata",
        "rotational": False,
        "readonly": False,
        "bus_path": "/pci0000:00/x",
        "by_id": (f"/dev/disk/by-id/ata-{name}",),
        "system": False,
    }
    return Disk(**{**fields, **changes})


DISKS = [
    disk("sda"),
    disk("sdb", size=4_000_000_000_000, rotational=True),
    disk("nvme0n1", size=1_000_000_000_000, transport="nvme", model="NVMe 990"),
    disk("sdr", readonly=True),
    disk("dm", transport=""),
]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ({"serial": "S-sda"}, ["sda"]),
        ({"serial": "S-sd*"}, ["sda", "sdb"]),
        ({"wwid": "naa.nvme0n1"}, ["nvme0n1"]),
        ({"model": "NVMe*"}, ["nvme0n1"]),
        ({"type": "nvme"}, ["nvme0n1"]),
        ({"type": "hdd"}, ["sdb"]),
        ({"type": "ssd"}, ["sda", "nvme0n1"]),
        ({"size": ">= 1TB"}, ["sdb", "nvme0n1"]),
        ({"size": "< 1TB"}, ["sda"]),
        ({"size": "4TB"}, ["sdb"]),
        ({"size": "<= 500 GB"}, ["sda"]),
        ({"size": ">= 1TiB"}, ["sdb"]),
        ({"type": "ssd", "size": "> 600GB"}, ["nvme0n1"]),
        ({"busPath": "/pci0000:00/*"}, ["sda", "sdb", "nvme0n1"]),
        ({"serial": "S-sdr"}, []),
        ({"serial": "S-dm"}, []),
        ({"serial": "none"}, []),
    ],
)
def test_selectors(selector: dict[str, Any], names: list[str]) -> None:
    assert [found.name for found in matching_disks({"diskSelector": selector}, DISKS)] == names


def test_paths() -> None:
    assert [found.name for found in matching_disks({"disk": "/dev/disk/by-id/ata-sdb"}, DISKS)] == ["sdb"]
    assert [found.name for found in matching_disks({"disk": "/dev/sda"}, DISKS)] == ["sda"]


def test_one_disk_is_returned() -> None:
    found = check_install_disk({"diskSelector": {"serial": "S-sda"}}, DISKS, where="m1")
    assert found is not None
    assert found.name == "sda"


def test_nothing_to_install_is_no_error() -> None:
    assert check_install_disk({}, [], where="m1") is None
    assert check_install_disk({"disk": "/dev/disk/by-id/none-in-a-container"}, DISKS, where="m1") is None


def test_a_missing_disk_is_named_with_those_there_are() -> None:
    with pytest.raises(InputError) as error:
        check_install_disk({"diskSelector": {"serial": "NO-SUCH-DISK"}}, DISKS, where="m1")
    for text in ("m1", "NO-SUCH-DISK", "S-sda", "machine_install_disk"):
        assert text in str(error.value)


def test_an_ambiguous_disk_is_named_with_those_that_match() -> None:
    with pytest.raises(InputError) as error:
        check_install_disk({"diskSelector": {"type": "ssd"}}, DISKS, where="m1")
    for text in ("matches 2 disks", "S-sda", "S-nvme0n1", "machine_install_disk"):
        assert text in str(error.value)
    assert "S-sdb" not in str(error.value)


def test_no_disk_at_all_is_said() -> None:
    with pytest.raises(InputError, match="no disk at all"):
        check_install_disk({"diskSelector": {"serial": "S"}}, [], where="m1")
    assert describe_disks([]) == "no disk at all"


@pytest.mark.parametrize("changes", [{"contents": "empty"}, {"contents": "talos", "system": True}, {"contents": "unknown", "system": True}])
def test_talos_may_overwrite_nothing_and_itself(changes: dict[str, Any]) -> None:
    check_empty(disk("sda", **changes), where="m1")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"contents": "filesystem", "detail": "ext4 «home»"}, "it holds ext4 «home»"),
        ({"contents": "talos"}, "it holds talos"),
        ({}, "it holds unknown"),
        ({"contents": "empty", "used_by": ("md0",)}, "it is a part of md0"),
    ],
)
def test_talos_overwrites_nothing_else(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_empty(disk("sda", **changes), where="m1")
    for part in ("m1", "S-sda", text, "nothing was written", "machine_wipe_disks: [S-sda]"):
        assert part in str(caught.value)
