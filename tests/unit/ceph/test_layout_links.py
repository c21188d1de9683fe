"""Links of disks that were not seen, and patterns of them."""

from __future__ import annotations

import re

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.ceph import layout_links

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
    part, exact = layout_links.link({"serial": "S4X9NF0M"}, "m1")
    pattern = re.compile(layout_links.path_filter([part]))
    assert not exact
    assert [link for link in MATCHING if not pattern.search(f"/dev/disk/by-id/{link}")] == []
    assert [link for link in OTHERS if pattern.search(f"/dev/disk/by-id/{link}")] == []
    assert not pattern.search("/dev/disk/by-path/pci-S4X9NF0M")
    assert not pattern.search("/dev/sda")


@pytest.mark.parametrize(
    ("wwid", "link"),
    [("naa.5002538e40c3a5d2", "wwn-0x5002538e40c3a5d2"), ("eui.0025385971b0a1c2", "nvme-eui.0025385971b0a1c2"), ("nvme.1af4-31", "nvme-nvme.1af4-31")],
)
def test_a_wwid_becomes_the_link_that_udev_makes(wwid: str, link: str) -> None:
    assert layout_links.link({"wwid": wwid}, "m1") == (f"/dev/disk/by-id/{link}", True)


def test_a_pattern_comes_apart_again() -> None:
    parts = [layout_links.link({"serial": serial}, "m1")[0] for serial in ("S.1", "S2")] + ["nvme-eui\\.01"]
    assert layout_links.alternatives(layout_links.path_filter(parts)) == parts
    assert layout_links.alternatives("sd[b-z]") == ["sd[b-z]"]
