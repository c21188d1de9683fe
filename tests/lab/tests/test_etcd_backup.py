"""etcd is backed up, its data is broken on all machines, and it is restored: what was there before the backup is there again, and nothing
else. Somebody writes into Ceph throughout, and loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import ceph
import pytest
from ceph_disks import Storage
from driver import Lab

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

# The lab's registry has its busybox under every name.
IMAGE = "docker.io/library/busybox:1.37"
MACHINES = ("m1", "m2", "m3")


def backups(lab: Lab) -> list[str]:
    return sorted(os.listdir(lab.state / "cluster" / "etcd-backups"))


def data(lab: Lab, machine: str) -> Path:
    return lab.state / "machines" / machine / "var" / "lib" / "etcd" / "member" / "snap" / "db"


def break_etcd(lab: Lab) -> None:
    """Bytes that a dying disk has lost, in the database of every member."""
    for machine in MACHINES:
        lab.command("power", "cut", machine)
    end = time.monotonic() + 60
    while any(entry["power"] == "on" for entry in json.loads(lab.command("status", "--json"))["machines"]):
        assert time.monotonic() < end, "the machines still have power"
        time.sleep(0.5)
    for machine in MACHINES:
        file = data(lab, machine)
        with file.open("r+b") as database:
            database.write(os.urandom(16 * 4096))
        lab.command("power", "on", machine)


def test_a_backup_is_made_and_the_oldest_goes(storage: Storage) -> None:
    lab = storage.lab
    told = storage.play("etcd_backup", "--check")
    assert told.returncode == 0, told.output
    assert not (lab.state / "cluster" / "etcd-backups").exists()
    for _number in range(3):
        made = storage.play("etcd_backup", trinode_etcd_backup_keep=2)
        assert made.returncode == 0, made.output
        assert made.total("changed") == 1
    kept = backups(lab)
    assert len(kept) == 2, kept
    assert all(name.startswith(f"etcd-{lab.name}-") for name in kept)
    content = (lab.state / "cluster" / "etcd-backups" / kept[-1]).read_bytes()
    assert content.startswith(b"TRINODE-ETCD-SNAPSHOT 1\n")
    assert b"/registry/" not in content


def test_etcd_that_works_is_not_restored(storage: Storage) -> None:
    refused = storage.play("etcd_restore", etcd_restore_confirm=storage.lab.name, etcd_restore_image=IMAGE)
    assert refused.returncode != 0
    assert "everything since the backup would be lost" in " ".join(refused.output.split())
    unconfirmed = storage.play("etcd_restore", etcd_restore_confirm="another")
    assert "is not the cluster's name" in " ".join(unconfirmed.output.split())


def test_a_broken_etcd_is_restored(storage: Storage) -> None:
    lab = storage.lab
    lab.kubectl("create", "configmap", "before", "--from-literal=a=1")
    made = storage.play("etcd_backup")
    assert made.returncode == 0, made.output
    lab.kubectl("create", "configmap", "after", "--from-literal=a=1")
    # What is not confirmed while the machines have no power is no loss.
    with ceph.writing(lab) as report:
        break_etcd(lab)
        # What has to be removed is not removed unasked.
        refused = storage.play("etcd_restore", etcd_restore_confirm=lab.name)
        assert refused.returncode != 0
        assert "which has to go" in " ".join(refused.output.split())
        restored = storage.play("etcd_restore", etcd_restore_confirm=lab.name, etcd_restore_image=IMAGE)
        assert restored.returncode == 0, restored.output
        storage.wait()
    assert (report["lost"], report["unread"]) == ([], 0)
    assert report["writes"] > 20
    assert lab.kubectl("get", "configmap", "before", "-o", "jsonpath={.data.a}") == "1"
    with pytest.raises(subprocess.CalledProcessError):
        lab.kubectl("get", "configmap", "after")
    left = [name for name in os.listdir(lab.state / "cluster" / "etcd-backups") if not name.endswith(".backup")]
    assert left == []
    again = storage.play("site")
    assert again.returncode == 0, again.output
