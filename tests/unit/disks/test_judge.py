# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement: every refusal, what is only told, and what passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from disk_samples import GIB, SYSTEM, disk, machine

from ansible_collections.trinode.platform.plugins.module_utils.disks.claims import Machine
from ansible_collections.trinode.platform.plugins.module_utils.disks.judge import Judgement, judge
from ansible_collections.trinode.platform.plugins.module_utils.disks.membership import membership_from
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk

INSTALL = {"install_disk": {"serial": "S-sda"}}
OSD = {"osd_disks": [{"serial": "S-sda"}]}
BLUESTORE = {"contents": "bluestore", "detail": "BlueStore"}


def judged(*machines: Machine, ours: Sequence[dict[str, Any]] | None = None) -> Judgement:
    return judge(machines, membership_from(ours, machines))


# what is wrong: (the disk, settings of the machine, further disks of the machine, what the finding says)
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], list[Disk], str]] = {
    "install disk missing": (
        {},
        {"install_disk": {"serial": "X"}},
        [],
        "machine_install_disk: no disk of the machine has serial X. Its disks: /dev/sda (serial S-sda",
    ),
    "OSD disk missing": ({}, {"osd_disks": [{"wwid": "naa.1"}]}, [], "machine_osd_disks: no disk of the machine has wwid naa.1. Its disks: /dev/sda"),
    "metadata disk missing": ({}, {"osd_disks": [{"serial": "S-sda", "metadata": {"serial": "X"}}]}, [], "no disk of the machine has serial X"),
    "ambiguous serial": ({}, OSD, [disk("sdb", "S-sda", wwid="naa.2")], "2 disks of the machine have serial S-sda. Name one by what it has alone: /dev/sda"),
    "ambiguous attributes": ({}, {"install_disk": {"type": "ssd"}}, [disk("sdb")], "2 disks of the machine have type ssd"),
    "expression fits none": (
        {},
        {"osd_disks": [{"match": "rotational"}]},
        [],
        "no disk of the machine fit match rotational, and 1 should. Correct the expression",
    ),
    "expression fits too many": (
        {},
        {"osd_disks": [{"match": "!rotational", "count": 1}]},
        [disk("sdb")],
        "2 disks of the machine fit match !rotational, and 1 should",
    ),
    "expression fits too few": ({}, {"osd_disks": [{"match": "!rotational", "count": 2}]}, [], "1 disk of the machine fit match !rotational, and 2 should"),
    "expression is none": ({}, {"osd_disks": [{"match": "size >"}]}, [], "not a JMESPath expression"),
    "expression cannot be worked out": ({}, {"osd_disks": [{"match": "abs(serial)"}]}, [], "the expression fails"),
    "kernel name": (
        {},
        {"osd_disks": ["/dev/sda"]},
        [],
        "is a kernel name, which may be another disk after the next boot. Copy the name that stays with the disk: /dev/sda is now {by_id: ata-SSD_870_S-sda}.",
    ),
    "kernel name of nothing": ({}, {"install_disk": {"name": "sdx"}}, [], "/dev/sda is now {by_id: ata-SSD_870_S-sda}"),
    "kernel name as by_id": ({}, {"install_disk": {"by_id": "/dev/sda"}}, [], "is a kernel name"),
    "kernel name of the metadata": ({}, {"osd_disks": [{"serial": "S-sda", "metadata": {"name": "sdb"}}]}, [], "'sdb' is a kernel name"),
    "nothing named": ({}, {"osd_disks": [{"device_class": "ssd"}]}, [], "a disk for storage names no disk"),
    "attributes for storage": ({}, {"osd_disks": [{"size": ">1TB"}]}, [], "a disk for storage is chosen by size"),
    "system and storage": ({}, {**INSTALL, **OSD}, [], "it is claimed twice, by machine_install_disk and machine_osd_disks[0]. Name each disk once."),
    "twice for storage": (
        {},
        {"osd_disks": [{"serial": "S-sda"}, {"by_id": "ata-SSD_870_S-sda"}]},
        [],
        "it is claimed twice, by machine_osd_disks[0] and machine_osd_disks[1]",
    ),
    "two expressions": (
        {},
        {"osd_disks": [{"match": "!rotational"}, {"match": "!rotational"}]},
        [],
        "no disk of the machine fit match !rotational, and 1 should",
    ),
    "storage and metadata": (
        {},
        {"osd_disks": [{"serial": "S-sda", "metadata": {"serial": "S-sda"}}]},
        [],
        "by machine_osd_disks[0] and machine_osd_disks[0] (metadata)",
    ),
    "Talos is on the storage disk": (SYSTEM, OSD, [], "Talos is installed on it"),
    "Talos is on another disk": ({}, INSTALL, [disk("sdb", **SYSTEM)], "Talos is installed on another disk, /dev/sdb (serial S-sdb"),
    "too small for Talos": ({"size": 10 * GIB - 1}, INSTALL, [], "it is too small: 10.0 GiB. Talos needs 10 GiB or more."),
    "too small for Ceph": ({"size": 4 * GIB}, OSD, [], "it is too small: 4.0 GiB. Ceph needs 5 GiB or more."),
    "read-only": ({"readonly": True}, OSD, [], "it is read-only"),
    "read-only install disk": ({"readonly": True}, INSTALL, [], "it is read-only"),
    "removable": ({"removable": True, "transport": "usb"}, INSTALL, [], "it is removable (USB)"),
    "no link": ({"by_id": []}, OSD, [], "it has no link below /dev/disk/by-id"),
    "two paths, same wwid": (
        {"wwid": "naa.7"},
        {"osd_disks": [{"serial": "S-sda"}]},
        [disk("sdb", "S-sda", wwid="naa.7")],
        "the same disk is there a second time, as /dev/sdb",
    ),
    "two paths, one named by link": (
        {"wwid": "naa.7"},
        {"install_disk": {"by_id": "ata-SSD_870_S-sda"}},
        [disk("sdb", wwid="naa.7")],
        "one disk over two paths",
    ),
    "two paths without wwid": (
        {"wwid": ""},
        {"osd_disks": [{"by_id": "ata-SSD_870_S-sda"}]},
        [disk("sdb", "S-sda", wwid="", by_id=[])],
        "the same disk is there a second time",
    ),
    "in use": ({"used_by": ["md0"], "contents": "raid"}, OSD, [], "it is in use, as a part of md0"),
    "BlueStore": (BLUESTORE, OSD, [], "it is not empty: it holds an OSD of another Ceph cluster, or of one that is gone (BlueStore)"),
    "BlueStore below Talos": (BLUESTORE, INSTALL, [], "it holds an OSD of another Ceph cluster"),
    "LVM": ({"contents": "lvm", "detail": "LVM «u2»"}, OSD, [], "it is not empty: it holds LVM (LVM «u2»)"),
    "partitions": ({"contents": "partitions", "detail": "GPT with 1 partition: ntfs"}, INSTALL, [], "it holds a partition table (GPT with 1 partition: ntfs)"),
    "filesystem": ({"contents": "filesystem", "detail": "ext4 «home»"}, OSD, [], "it holds a filesystem (ext4 «home»)"),
    "RAID": ({"contents": "raid"}, OSD, [], "it holds a part of a software RAID"),
    "encrypted": ({"contents": "encrypted", "detail": "LUKS"}, OSD, [], "it holds an encrypted volume (LUKS)"),
    "another Talos": ({"contents": "talos"}, INSTALL, [], "it holds a Talos that is not this machine's"),
    "swap": ({"contents": "swap"}, OSD, [], "it holds swap space"),
    "unknown": ({"contents": "unknown", "detail": "udev found something"}, OSD, [], "it may hold something (udev found something)"),
    "metadata disk not empty": (
        {"contents": "lvm", "detail": "LVM"},
        {"osd_disks": [{"serial": "S-sdb", "metadata": {"serial": "S-sda"}}]},
        [disk("sdb")],
        "/dev/sda (serial S-sda",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    changes, settings, further, text = REFUSED[case]
    judgement = judged(machine(disk("sda", **changes), *further, **settings))
    assert any(text in str(finding) for finding in judgement.refusals), [str(finding) for finding in judgement.findings]
    assert all(str(finding).startswith("m1: machine_") for finding in judgement.refusals)
    assert not any(entry.wipe for entry in judgement.disks)


def test_a_refusal_names_disk_finding_and_the_setting_that_would_permit_a_wipe() -> None:
    (finding,) = judged(machine(disk("sda", wwid="", contents="swap", detail="swap"), **OSD)).refusals
    assert str(finding) == (
        "m1: machine_osd_disks: /dev/sda (serial S-sda, 107.4 GB): it is not empty: it holds swap space (swap). Use another one; or, if nothing on it is "
        "needed any more, permit to wipe it with machine_wipe_disks: [S-sda] for m1."
    )


def test_everything_is_told_at_once() -> None:
    settings = {"install_disk": {"serial": "X"}, "osd_disks": [{"serial": "S-sda"}, {"serial": "S-sdb"}]}
    judgement = judged(machine(disk("sda", readonly=True, **BLUESTORE), disk("sdb", size=GIB, contents="swap"), **settings))
    assert len(judgement.refusals) == 5


def test_another_machines_disk() -> None:
    machines = [machine(disk("sda", "A"), install_disk={"serial": "B"}), machine(disk("sda", "B"), name="m2", install_disk={"serial": "B"})]
    (finding,) = judged(*machines).refusals
    assert (finding.machine, finding.what) == ("m1", "no disk of the machine has serial B; it is a disk of m2 (/dev/sda)")


def test_the_same_serial_on_two_machines_may_be() -> None:
    settings = {"install_disk": {"serial": "disk1"}}
    assert not judged(*(machine(disk("vda", "disk1", wwid=""), name=name, **settings) for name in ("m1", "m2"))).findings


def test_one_disk_that_two_machines_see() -> None:
    settings = {"osd_disks": [{"serial": "SAN"}]}
    (finding,) = judged(*(machine(disk("sda", "SAN", wwid="naa.600"), name=name, **settings) for name in ("m1", "m2"))).refusals
    assert (finding.machine, "m1 claims the same disk, as /dev/sda" in finding.what) == ("m2", True)
    # A wwid of zeros is none.
    assert not judged(*(machine(disk("sda", "SAN", wwid="eui.0000000000000000"), name=name, **settings) for name in ("m1", "m2"))).findings


@pytest.mark.parametrize(
    ("disks", "settings", "uses"),
    [
        ([disk("sda"), disk("sdb")], {**INSTALL, "osd_disks": [{"serial": "S-sdb"}]}, ["install", "osd"]),
        # What nothing claims may hold what it wants.
        ([disk("sda"), disk("sdb", **BLUESTORE)], INSTALL, ["install", ""]),
        # Talos is there already: a machine that was reset.
        ([disk("sda", **SYSTEM)], INSTALL, ["install"]),
        # An expression looks at what nothing else claims, and not at the system disk.
        ([disk("sda"), disk("sdb"), disk("sdc")], {**INSTALL, "osd_disks": [{"match": "!rotational", "count": 2}]}, ["install", "osd", "osd"]),
        ([disk("sda", **SYSTEM), disk("sdb")], {"osd_disks": [{"match": "!rotational"}]}, ["", "osd"]),
        ([disk("sda"), disk("sdb"), disk("sdc")], {"osd_disks": [{"match": "!rotational", "count": 2}, {"serial": "S-sda"}]}, ["osd", "osd", "osd"]),
        # Namespaces of one NVMe share its serial.
        ([disk("nvme0n1", "N", wwid="eui.1"), disk("nvme0n2", "N", wwid="eui.2")], {"osd_disks": [{"wwid": "eui.1"}, {"wwid": "eui.2"}]}, ["osd", "osd"]),
        # One disk holds the metadata of two.
        (
            [disk("sda"), disk("sdb"), disk("sdc")],
            {"osd_disks": [{"serial": "S-sda", "metadata": {"serial": "S-sdc"}}, {"serial": "S-sdb", "metadata": {"match": "serial == 'S-sdc'"}}]},
            None,
        ),
    ],
)
def test_fine(disks: list[Disk], settings: dict[str, Any], uses: list[str] | None) -> None:
    judgement = judged(machine(*disks, **settings))
    if uses is not None:
        assert [str(finding) for finding in judgement.findings] == []
        assert [entry.use for entry in judgement.disks] == uses


def test_metadata_and_options_are_told() -> None:
    settings = {
        "osd_disks": [
            {"serial": "S-sda", "device_class": "hdd", "osds_per_device": 2, "metadata": {"serial": "S-nvme0n1"}},
            {"by_id": "/dev/disk/by-id/wwn-0x500sdb", "metadata": {"serial": "S-nvme0n1"}},
        ]
    }
    judgement = judged(machine(disk("nvme0n1"), disk("sda"), disk("sdb"), **settings))
    assert not judgement.findings
    metadata, first, second = (entry.as_values() for entry in judgement.disks)
    assert (metadata["use"], metadata["link"]) == ("metadata", "/dev/disk/by-id/ata-SSD_870_S-nvme0n1")
    assert (first["use"], first["device_class"], first["osds_per_device"], first["metadata"]) == ("osd", "hdd", 2, metadata["link"])
    assert (second["link"], second["metadata"]) == ("/dev/disk/by-id/wwn-0x500sdb", metadata["link"])
    assert "device_class" not in second
    assert "metadata" not in metadata


@pytest.mark.parametrize("settings", [INSTALL, OSD])
def test_a_permitted_disk_will_be_wiped(settings: dict[str, Any]) -> None:
    judgement = judged(machine(disk("sda", **BLUESTORE), wipe_disks=["S-sda"], **settings))
    assert not judgement.findings
    assert [entry.wipe for entry in judgement.disks] == [True]


@pytest.mark.parametrize(
    ("changes", "wipe_disks"),
    [
        (BLUESTORE, ["S-sdb"]),
        (BLUESTORE, ["S-sd*"]),
        ({**BLUESTORE, "readonly": True}, ["S-sda"]),
        ({**BLUESTORE, "used_by": ["dm-0"]}, ["S-sda"]),
        (SYSTEM, ["S-sda"]),
    ],
)
def test_a_permission_for_another_disk_or_against_another_finding_is_none(changes: dict[str, Any], wipe_disks: list[str]) -> None:
    judgement = judged(machine(disk("sda", **changes), disk("sdb"), wipe_disks=wipe_disks, **OSD))
    assert judgement.refusals
    assert not any(entry.wipe for entry in judgement.disks)


def test_a_permission_that_names_no_disk_of_the_machine() -> None:
    machines = [machine(disk("sda"), wipe_disks=["S-sdb", "GONE"]), machine(disk("sdb"), name="m2")]
    judgement = judged(*machines)
    assert [finding.what for finding in judgement.refusals] == ["no disk of the machine has the serial S-sdb; it is a disk of m2 (/dev/sdb)"]
    assert [finding.what for finding in judgement.warnings] == ["no disk of the machine has the serial GONE"]


OURS = [{"host": "node-m1", "serial": "S-sda", "osd": 3}]


@pytest.mark.parametrize("serial", ["S-sda", "ATA_SSD_870_S-sda"])
@pytest.mark.parametrize("form", [BLUESTORE, {"contents": "encrypted"}, {"contents": "lvm", "used_by": ["dm-0"]}])
@pytest.mark.parametrize("running", [True, False])
def test_ours(serial: str, form: dict[str, Any], running: bool) -> None:
    judgement = judged(machine(disk("sda", **form), running=running, **OSD), ours=[{**OURS[0], "serial": serial}])
    assert not judgement.findings
    assert [(entry.contents, entry.detail, entry.wipe) for entry in judgement.disks] == [("ours", "osd.3", False)]


def test_ours_is_not_wiped_whatever_is_permitted() -> None:
    judgement = judged(machine(disk("sda", **BLUESTORE), running=True, wipe_disks=["S-sda"], **OSD), ours=OURS)
    assert [entry.wipe for entry in judgement.disks] == [False]
    assert "is not wiped" in judgement.warnings[0].what
    assert not judgement.refusals


@pytest.mark.parametrize(
    ("ours", "running", "verdict"),
    [
        # Ceph was asked, and this disk is none of its own.
        ([], True, "refused"),
        ([{"host": "node-m1", "serial": "S-sdx", "osd": 1}], True, "refused"),
        # Ceph was not asked: it may be ours, and nothing writes to it.
        (None, True, "unknown"),
        # No cluster, so it cannot be ours.
        (None, False, "refused"),
        # An OSD has been made and has never started, so it has not told its disk.
        ([{"host": "", "serial": "", "osd": 0}], True, "unknown"),
        # It has wandered to another machine.
        ([{"host": "node-m2", "serial": "S-sda", "osd": 7}], True, "osd.7 of node-m2"),
    ],
)
def test_bluestore_of_a_running_machine(ours: list[dict[str, Any]] | None, running: bool, verdict: str) -> None:
    judgement = judged(machine(disk("sda", **BLUESTORE), running=running, **OSD), ours=ours)
    (entry,) = judgement.disks
    if verdict == "unknown":
        assert (entry.contents, judgement.refusals, len(judgement.warnings)) == ("unknown", [], 1)
    else:
        assert [verdict == "refused" or verdict in finding.what for finding in judgement.refusals] == [True]
    # Not even a permission to wipe decides that.
    permitted = judged(machine(disk("sda", **BLUESTORE), running=running, wipe_disks=["S-sda"], **OSD), ours=ours)
    assert [entry.wipe for entry in permitted.disks] == [verdict == "refused"]


def test_bluestore_of_a_bare_machine_that_comes_back_to_a_cluster_is_not_decided() -> None:
    machines = [machine(disk("sda", **BLUESTORE), **OSD), machine(disk("sda", "T"), name="m2", running=True)]
    judgement = judged(*machines)
    assert (len(judgement.refusals), len(judgement.warnings)) == (0, 1)


def test_a_running_machine_has_its_system_disk() -> None:
    """The install disk's setting may have become wrong since; nothing is installed, so nothing is refused."""
    disks = [disk("sda", **SYSTEM), disk("sdb", contents="swap")]
    assert not judged(machine(*disks, running=True, install_disk={"serial": "GONE"})).findings
    judgement = judged(machine(*disks, running=True, install_disk={"serial": "S-sdb"}))
    assert not judgement.refusals
    assert "Talos is installed on another disk" in judgement.warnings[0].what
