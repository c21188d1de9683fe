from __future__ import annotations

import re
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.trinode.platform.plugins.filter.ceph_nodes import FilterModule, ceph_nodes


def nodes(*disks: dict[str, Any]) -> dict[str, Any]:
    [node] = ceph_nodes(["a"], {"a": {"machine_osd_disks": list(disks)}})
    return node


def test_machines_without_disks_are_left_out_and_hostnames_count() -> None:
    hostvars = {
        "a": {"machine_osd_disks": [{"by_id": "wwn-0x1"}], "machine_hostname": "node-a"},
        "b": {"machine_osd_disks": []},
        "c": {},
        "d": {"machine_osd_disks": [{"by_id": "/dev/disk/by-id/ata-X_1"}]},
    }
    assert FilterModule().filters()["ceph_nodes"](["d", "a", "b", "c"], hostvars) == [
        {"name": "d", "devices": [{"name": "/dev/disk/by-id/ata-X_1"}]},
        {"name": "node-a", "devices": [{"name": "/dev/disk/by-id/wwn-0x1"}]},
    ]


@pytest.mark.parametrize(
    ("wwid", "link"),
    [("naa.5002538e40c3a5d2", "wwn-0x5002538e40c3a5d2"), ("eui.0025385971b0a1c2", "nvme-eui.0025385971b0a1c2"), ("nvme.1af4-31", "nvme-nvme.1af4-31")],
)
def test_a_wwid_becomes_the_link_that_udev_makes(wwid: str, link: str) -> None:
    assert nodes({"wwid": wwid})["devices"] == [{"name": f"/dev/disk/by-id/{link}"}]


MATCHING = (
    "ata-Samsung_SSD_870_EVO_2TB_S4X9NF0M",
    "nvme-Samsung_SSD_980_PRO_S4X9NF0M",
    "nvme-Samsung_SSD_980_PRO_S4X9NF0M_1",
    "virtio-S4X9NF0M",
    "usb-Vendor_Disk_S4X9NF0M-0:0",
)
OTHERS = (
    "ata-Samsung_SSD_870_EVO_2TB_S4X9NF0M-part1",
    "nvme-Samsung_SSD_980_PRO_S4X9NF0M_1-part2",
    "ata-Samsung_SSD_870_EVO_2TB_S4X9NF0MX",
    "ata-Samsung_SSD_870_EVO_2TB_XS4X9NF0M",
    "wwn-0x5002538e40c3a5d2",
)


def test_a_serial_number_matches_its_disk_alone() -> None:
    pattern = re.compile(nodes({"serial": "S4X9NF0M"})["devicePathFilter"])
    assert [link for link in MATCHING if not pattern.search(f"/dev/disk/by-id/{link}")] == []
    assert [link for link in OTHERS if pattern.search(f"/dev/disk/by-id/{link}")] == []
    assert not pattern.search("/dev/disk/by-path/pci-S4X9NF0M")
    assert not pattern.search("/dev/sda")


def test_names_and_serial_numbers_of_one_machine_become_one_pattern() -> None:
    node = nodes({"serial": "S.1"}, {"wwid": "eui.01"})
    assert set(node) == {"name", "devicePathFilter"}
    pattern = re.compile(node["devicePathFilter"])
    assert pattern.search("/dev/disk/by-id/nvme-eui.01")
    assert pattern.search("/dev/disk/by-id/ata-DISK_S.1")
    assert not pattern.search("/dev/disk/by-id/ata-DISK_SX1")
    assert not pattern.search("/dev/disk/by-id/nvme-euiX01")


@pytest.mark.parametrize(("disk", "named"), [({"size": ">= 1TB", "type": "nvme"}, "size, type"), ({"wwid": "t10.ATA X"}, "t10.ATA X")])
def test_what_may_match_another_disk_is_refused(disk: dict[str, Any], named: str) -> None:
    with pytest.raises(AnsibleFilterError, match=re.escape(named)) as refused:
        nodes(disk)
    assert "machine_osd_disks of a" in str(refused.value)
    assert "name it by serial" in str(refused.value)
