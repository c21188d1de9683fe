from __future__ import annotations

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import Resource
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import MachineState, describe, disk_from_values, link_of, read_status

DISK = {"dev_path": "/dev/sda", "size": 21474836480, "model": "M", "serial": "S1", "wwid": "naa.1", "transport": "sata"}


def resources(*specs: dict[str, Any], names: tuple[str, ...] = ("x", "y", "z")) -> list[Resource]:
    return [Resource(name, spec) for name, spec in zip(names, specs, strict=False)]


def test_status() -> None:
    spec = {"stage": "booting", "status": {"ready": False, "unmetConditions": [{"name": "services", "reason": "etcd not running"}]}}
    status = read_status([Resource("machine", spec, created="2026-11-24T13:17:04Z")])
    assert (status.stage, status.ready, status.unmet, status.boot) == ("booting", False, ("services: etcd not running",), "2026-11-24T13:17:04Z")
    assert read_status([]).stage == ""


def test_what_was_not_read_is_not_made_up() -> None:
    assert describe({}) == {}


def test_system() -> None:
    fields = describe(
        {
            "version": resources({"name": "Talos", "version": "v1.13.8"}),
            "hostname": resources({"hostname": "m1", "domainname": ""}),
            "systeminformation": resources({"uuid": "u", "serialnumber": "sn", "manufacturer": "mf", "productName": "pn"}),
            "platformmetadata": resources({"platform": "metal"}),
            "extensions": resources(
                {"image": "a", "metadata": {"name": "schematic", "version": "3765"}},
                {"image": "b", "metadata": {"name": "util-linux-tools", "version": "2.41"}},
                {"image": "c", "metadata": {"name": "modules.dep", "version": "6.12"}},
            ),
        }
    )
    assert fields == {
        "version": "v1.13.8",
        "hostname": "m1",
        "platform": "metal",
        "uuid": "u",
        "serial_number": "sn",
        "manufacturer": "mf",
        "product": "pn",
        "schematic": "3765",
        "extensions": ("util-linux-tools",),
    }


def test_disks() -> None:
    links = ["/dev/disk/by-path/p", "/dev/disk/by-id/wwn-1", "/dev/disk/by-id/ata-S1"]
    found = {
        "disks": resources({"size": 1, "cdrom": True}, {"size": 1}, {**DISK, "symlinks": links}, names=("sr0", "loop0", "sda")),
        "systemdisk": resources({"diskID": "sda", "devPath": "/dev/sda"}),
    }
    state = MachineState("192.0.2.11", "ours", **describe(found))
    (disk,) = state.disks
    assert (disk.name, disk.by_id, disk.system, disk.serial) == ("sda", ("/dev/disk/by-id/ata-S1", "/dev/disk/by-id/wwn-1"), True, "S1")
    assert state.system_disk == "/dev/sda"
    assert (disk.contents, disk.removable, disk.used_by) == ("unknown", False, ())


def test_what_is_on_a_disk_and_what_is_made_of_it() -> None:
    found = {
        "disks": resources(DISK, {**DISK, "transport": "usb"}, {"size": 1, "secondary_disks": ["sda"]}, names=("sda", "sdb", "md0")),
        "discoveredvolumes": resources({"name": "swap"}, {"name": "gpt"}, {"name": "xfs", "parent": "sdb"}, names=("sda", "sdb", "sdb1")),
    }
    first, second = describe(found)["disks"]
    assert (first.contents, first.detail, first.used_by, first.removable) == ("swap", "swap", ("md0",), False)
    assert (second.contents, second.detail, second.used_by, second.removable) == ("partitions", "GPT with 1 partition: xfs", (), True)
    values = MachineState("192.0.2.11", "ours", disks=(first,)).as_values()["disks"][0]
    assert disk_from_values(values) == first


def test_network() -> None:
    addresses = resources(
        {"address": "192.0.2.11/24", "scope": "global", "linkName": "eth0"},
        {"address": "fe80::1/64", "scope": "link", "linkName": "eth0"},
        {"address": "127.0.0.1/8", "scope": "host", "linkName": "lo"},
    )
    links = resources(
        {"type": "ether", "hardwareAddr": "02:00", "permanentAddr": "02:01", "linkState": True, "speedMbit": 4294967295},
        {"type": "ether", "hardwareAddr": "02:00"},
        {"type": "loopback"},
        names=("eth0", "cilium_host", "lo"),
    )
    fields = describe({"addresses": addresses, "links": links})
    assert fields["addresses"] == ("192.0.2.11/24",)
    assert [(link.name, link.hardware_address, link.up) for link in fields["links"]] == [("eth0", "02:01", True)]
    assert link_of("192.0.2.11", addresses) == "eth0"
    assert link_of("192.0.2.99", addresses) == ""


def test_values_are_json_types() -> None:
    state = MachineState("192.0.2.11", "ours", disks=describe({"disks": resources(DISK, names=("sda",))})["disks"])
    values = state.as_values()
    assert values["reachable"] is True
    assert values["unmet"] == []
    assert values["disks"][0]["by_id"] == []
    assert MachineState("192.0.2.11", "unreachable").as_values()["reachable"] is False
