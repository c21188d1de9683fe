"""etcd is backed up, its data is broken on all machines, and it is restored: what was there before the backup is there again, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from driver import Lab

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

# The lab's registry has its busybox under every name.
IMAGE = "docker.io/library/busybox:1.37"
MACHINES = ("m1", "m2", "m3")


@pytest.fixture(scope="module", autouse=True)
def cluster(lab: Lab) -> None:
    first = lab.playbook("site.yml")
    assert first.returncode == 0, first.output


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


def test_a_backup_is_made_and_the_oldest_goes(lab: Lab) -> None:
    told = lab.playbook("playbooks/etcd_backup.yml", options="--check")
    assert told.returncode == 0, told.output
    assert not (lab.state / "cluster" / "etcd-backups").exists()
    for _number in range(3):
        made = lab.playbook("playbooks/etcd_backup.yml", variables={"trinode_etcd_backup_keep": 2})
        assert made.returncode == 0, made.output
        assert made.total("changed") == 1
    kept = backups(lab)
    assert len(kept) == 2, kept
    assert all(name.startswith(f"etcd-{lab.name}-") for name in kept)
    content = (lab.state / "cluster" / "etcd-backups" / kept[-1]).read_bytes()
    assert content.startswith(b"TRINODE-ETCD-SNAPSHOT 1\n")
    assert b"/registry/" not in content


def test_etcd_that_works_is_not_restored(lab: Lab) -> None:
    refused = lab.playbook("playbooks/etcd_restore.yml", variables={"etcd_restore_confirm": lab.name, "etcd_restore_image": IMAGE})
    assert refused.returncode != 0
    assert "everything since the backup would be lost" in " ".join(refused.output.split())
    unconfirmed = lab.playbook("playbooks/etcd_restore.yml", variables={"etcd_restore_confirm": "another"})
    assert "is not the cluster's name" in " ".join(unconfirmed.output.split())


def test_a_broken_etcd_is_restored(lab: Lab) -> None:
    lab.kubectl("create", "configmap", "before", "--from-literal=a=1")
    made = lab.playbook("playbooks/etcd_backup.yml")
    assert made.returncode == 0, made.output
    lab.kubectl("create", "configmap", "after", "--from-literal=a=1")
    break_etcd(lab)
    # What has to be removed is not removed unasked.
    refused = lab.playbook("playbooks/etcd_restore.yml", variables={"etcd_restore_confirm": lab.name})
    assert refused.returncode != 0
    assert "which has to go" in " ".join(refused.output.split())
    restored = lab.playbook("playbooks/etcd_restore.yml", variables={"etcd_restore_confirm": lab.name, "etcd_restore_image": IMAGE})
    assert restored.returncode == 0, restored.output
    assert lab.kubectl("get", "configmap", "before", "-o", "jsonpath={.data.a}") == "1"
    with pytest.raises(subprocess.CalledProcessError):
        lab.kubectl("get", "configmap", "after")
    left = [name for name in os.listdir(lab.state / "cluster" / "etcd-backups") if not name.endswith(".backup")]
    assert left == []
    again = lab.playbook("site.yml")
    assert again.returncode == 0, again.output
