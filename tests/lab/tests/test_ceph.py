# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of Ceph are added, replaced and removed while somebody writes, on real daemons: nothing is lost, and never are there fewer than min_size copies."""

from __future__ import annotations

from pathlib import Path

import ceph
import pytest
from ceph_disks import Storage, sound
from sparse import fingerprint, zero

pytestmark = [pytest.mark.lab, pytest.mark.chaos]


def test_the_gate_of_a_finished_cluster_is_open(storage: Storage) -> None:
    run = storage.play("verify")
    assert run.returncode == 0, run.output
    assert "3 of 3 monitors in quorum, 6 of 6 OSDs up and in" in run.output


def test_a_disk_is_added(storage: Storage) -> None:
    storage.lab.command("disk", "add", "m1", "OSD3")
    storage.disks["m1"].append("OSD3")
    with ceph.writing(storage.lab) as report:
        run = storage.play("osd_add")
        assert run.returncode == 0, run.output
        assert ceph.healthy(storage.lab, 7), "the play ends when the data has moved"
    sound(report)
    assert storage.osd_on("m1", "OSD3") is not None
    again = storage.play("osd_add")
    assert (again.returncode, again.total("changed")) == (0, 0), again.output


def test_a_disk_that_the_inventory_names_is_not_removed(storage: Storage) -> None:
    run = storage.play("osd_remove", ceph_osd_disks=[storage.serial("m1", "OSD3")])
    assert run.returncode != 0
    assert f"machine_osd_disks still names {storage.serial('m1', 'OSD3')}" in run.output
    assert ceph.healthy(storage.lab, 7)


def test_both_disks_of_a_machine_are_not_removed(storage: Storage) -> None:
    disks, storage.disks["m2"] = storage.disks["m2"], []
    try:
        run = storage.play("osd_remove", ceph_osd_disks=[storage.serial("m2", disk) for disk in disks])
    finally:
        storage.disks["m2"] = disks
    assert run.returncode != 0
    assert "2 hosts can take a copy" in run.output
    storage.wait(7)


def test_an_osd_is_removed_and_its_disk_wiped(storage: Storage) -> None:
    serial, number = storage.serial("m1", "OSD3"), storage.osd_on("m1", "OSD3")
    storage.disks["m1"].remove("OSD3")
    predicted = storage.play("osd_remove", "--check", ceph_osd_disks=[serial])
    assert predicted.returncode == 0, predicted.output
    assert f"take osd.{number} of m1 (disk {serial}) out" in predicted.output
    assert ceph.healthy(storage.lab, 7), "a look changes nothing"
    with ceph.writing(storage.lab) as report:
        run = storage.play("osd_remove", ceph_osd_disks=[serial], ceph_osd_wipe=[serial])
        assert run.returncode == 0, run.output
        assert ceph.healthy(storage.lab)
    sound(report)
    assert report["most_down"] <= 1
    assert serial not in storage.named()
    assert storage.osd_on("m1", "OSD3") is None
    assert any(event["event"] == "disk-wiped" and event.get("serial") == serial for event in storage.lab.timeline()), "the disk is released"
    again = storage.play("osd_remove", ceph_osd_disks=[serial])
    assert (again.returncode, again.total("changed")) == (0, 0), again.output


def test_a_disk_that_has_failed_is_replaced(storage: Storage) -> None:
    old, number = storage.serial("m2", "OSD2"), storage.osd_on("m2", "OSD2")
    with ceph.writing(storage.lab) as report:
        storage.lab.command("fault", "disk", "m2", "OSD2", "fail")
        ceph.wait(lambda: ceph.ask(storage.lab, "status")["osdmap"]["num_up_osds"] == 5, 120, "Ceph sees that the OSD is down")
        storage.lab.command("disk", "add", "m2", "OSD3")
        storage.disks["m2"] = ["OSD1", "OSD3"]
        run = storage.play("osd_replace", ceph_osd_disks=[old])
        assert run.returncode == 0, run.output
        assert ceph.healthy(storage.lab)
    sound(report)
    assert f"remove osd.{number} from Ceph for good" in run.output
    assert old not in storage.named()
    assert storage.osd_on("m2", "OSD3") is not None
    again = storage.play("osd_replace", ceph_osd_disks=[old])
    assert (again.returncode, again.total("changed")) == (0, 0), again.output


def test_a_disk_that_works_is_not_taken_for_failed(storage: Storage) -> None:
    disks, storage.disks["m3"] = storage.disks["m3"], ["OSD1"]
    try:
        run = storage.play("osd_replace", ceph_osd_disks=[storage.serial("m3", "OSD2")])
    finally:
        storage.disks["m3"] = disks
    assert run.returncode != 0
    assert "is up, so its disk has not failed" in run.output
    assert ceph.healthy(storage.lab)


def looks(storage: Storage) -> str:
    """What is left of the pods that look at disks."""
    return storage.lab.kubectl("-n", "rook-ceph", "get", "jobs,pods", "-l", "app.kubernetes.io/name=trinode-disk-look", "-o", "name")


def with_old_contents(storage: Storage, machine: str, disk: str, kind: str, zeroed: int) -> Path:
    """A new disk with somebody's data, of which the first bytes were zeroed since, so that Talos finds nothing on it."""
    storage.lab.command("disk", "add", machine, disk, "--size", "12")
    storage.lab.command("fault", "foreign", machine, disk, kind)
    path = storage.lab.state / "machines" / machine / "disks" / disk
    zero(path, 0, zeroed)
    storage.disks[machine].append(disk)
    return path


def test_a_disk_with_what_talos_does_not_see_is_refused_then_wiped_as_permitted_and_used(storage: Storage) -> None:
    """Labels of BlueStore at 1 GiB and 10 GiB, the first GiB zeroed; and a superblock of software RAID."""
    labels, raid = with_old_contents(storage, "m3", "OLD1", "bluestore", 1 << 30), with_old_contents(storage, "m1", "OLD2", "raid", 4096)
    before = [fingerprint(path) for path in (labels, raid)]
    for options in ("--check", ""):
        run = storage.play("osd_add", options)
        assert run.returncode != 0, run.output
        output = " ".join(run.output.split())
        assert f"serial {storage.serial('m3', 'OLD1')}" in output, output
        assert "it holds labels of BlueStore at 1 GiB, 10 GiB, of osd.3 of the Ceph cluster " in output, output
        assert "it holds a superblock 1.2 of a software RAID «other:home» at 4 KiB" in output, output
        assert f"permit to wipe it with machine_wipe_disks: [{storage.serial('m1', 'OLD2')}] for m1" in output, output
        assert [fingerprint(path) for path in (labels, raid)] == before, "not a byte was written"
        assert looks(storage) == ""
    storage.disks["m1"].remove("OLD2")
    permitted = {"machine_wipe_disks": f"{{{{ ['{storage.serial('m3', 'OLD1')}'] if inventory_hostname == 'm3' else [] }}}}"}
    with ceph.writing(storage.lab) as report:
        run = storage.play("osd_add", **permitted)
        assert run.returncode == 0, run.output
    sound(report)
    wiped = [event["serial"] for event in storage.lab.timeline() if event["event"] == "disk-wiped"]
    assert wiped[-1] == storage.serial("m3", "OLD1")
    assert storage.osd_on("m3", "OLD1") is not None
    assert fingerprint(raid) == before[1]
    again = storage.play("osd_add", **permitted)
    assert (again.returncode, again.total("changed")) == (0, 0), again.output
    assert looks(storage) == ""
