# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Talos tells of a disk, as one of our words. The names are those of go-blockdevice 2.0.30."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.talos.disk_contents import contents

TALOS = {
    "sda": {"name": "gpt", "type": "disk"},
    **{
        f"sda{number}": {"parent": "sda", "name": name, "partition_label": label}
        for number, (name, label) in enumerate([("vfat", "EFI"), ("", "BIOS"), ("xfs", "BOOT"), ("talosmeta", "META"), ("", "STATE"), ("", "EPHEMERAL")], 1)
    },
}


@pytest.mark.parametrize(
    ("volumes", "kind", "detail"),
    [
        ({"sda": {"name": ""}}, "empty", ""),
        ({"sda": {}, "sdb": {"name": "ext4"}}, "empty", ""),
        ({"sda": {"name": "bluestore"}}, "bluestore", "BlueStore"),
        ({"sda": {"name": "lvm2-pv", "label": "u2Gkeq-1"}}, "lvm", "LVM «u2Gkeq-1»"),
        ({"sda": {"name": "luks", "uuid": "u"}}, "encrypted", "LUKS"),
        ({"sda": {"name": "swap"}}, "swap", "swap"),
        ({"sda": {"name": "ext4", "label": "home"}}, "filesystem", "ext4 «home»"),
        *[({"sda": {"name": name}}, "filesystem", name) for name in ("xfs", "btrfs", "ext2", "ext3", "vfat", "iso9660", "squashfs", "zfs")],
        ({"sda": {"name": "gpt"}}, "partitions", "GPT without partitions"),
        (
            {"sda": {"name": "gpt"}, "sda1": {"parent": "sda", "name": "ext4", "label": "home"}, "sda2": {"parent": "sda", "name": "", "partition_label": "x"}},
            "partitions",
            "GPT with 2 partitions: ext4 «home», (x)",
        ),
        # A partition table that only the kernel knows: Talos has no name for the disk, and a volume for each partition.
        ({"sda": {"name": ""}, "sda1": {"parent": "sda", "name": ""}}, "partitions", "a partition table with 1 partition: one without content"),
        (TALOS, "talos", "Talos's partitions EFI, BIOS, BOOT, META, STATE, EPHEMERAL"),
        ({**TALOS, "sda7": {"parent": "sda", "name": "xfs", "partition_label": "u-data"}}, "partitions", None),
        # Names that a later Talos may have.
        ({"sda": {"name": "linux_raid_member"}}, "raid", "linux_raid_member"),
        ({"sda": {"name": "bcachefs"}}, "unknown", "bcachefs"),
        # Talos could not probe the disk.
        ({"sdb": {"name": ""}}, "unknown", None),
    ],
)
def test_contents(volumes: dict[str, dict[str, Any]], kind: str, detail: str | None) -> None:
    found = contents("sda", [], volumes)
    assert found.kind == kind
    assert detail is None or found.detail == detail


@pytest.mark.parametrize(
    ("link", "kind"),
    [
        ("/dev/disk/by-id/ata-SSD_S1", "empty"),
        ("/dev/disk/by-path/pci-1", "empty"),
        ("/dev/disk/by-id/lvm-pv-uuid-u2Gkeq", "lvm"),
        ("/dev/disk/by-uuid/01D1", "unknown"),
        ("/dev/disk/by-label/WINDOWS", "unknown"),
    ],
)
def test_links_tell_what_talos_does_not_know(link: str, kind: str) -> None:
    found = contents("sda", [link], {"sda": {"name": ""}})
    assert found.kind == kind
    assert kind == "empty" or link.rsplit("/", 1)[-1].removeprefix("lvm-pv-uuid-") in found.detail
