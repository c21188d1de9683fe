"""The whole cluster is switched off in the right order while somebody writes, and comes back with everything that was written."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import ceph
import pytest
from ceph_disks import Storage, built
from driver import Lab, PlaybookRun

from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import parse_etcd_status

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

MACHINES = ("m1", "m2", "m3")


@pytest.fixture(scope="module")
def storage(lab: Lab) -> Storage:
    """From machines without power, so that their BMCs are known, too."""
    lab.down()
    lab.up("--powered-off")
    return built(lab)


def stop(storage: Storage, name: str, options: str = "") -> PlaybookRun:
    return storage.play("stop", options, cluster_power_confirm=name)


def power(lab: Lab) -> dict[str, str]:
    return {entry["name"]: entry["power"] for entry in json.loads(lab.command("status", "--json"))["machines"]}


def nodes(lab: Lab) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(lab.kubectl("get", "nodes", "-o", "json"))["items"]
    return items


def leader(lab: Lab) -> str:
    """The machine that leads etcd, as etcd says."""
    program = Path(lab.command("bin").strip()) / "talosctl"
    talosconfig = str(lab.state / "cluster" / "talosconfig")
    for number, machine in enumerate(MACHINES, 1):
        address = lab.address(number)
        argv = [str(program), "etcd", "status", "--talosconfig", talosconfig, "--nodes", address, "--endpoints", address]
        status = parse_etcd_status(subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout)
        if status is not None and status.member_id == status.leader:
            return machine
    raise AssertionError("etcd has no leader")


def with_a_volume(lab: Lab) -> None:
    """A Deployment whose pod has a volume, which is a directory of the machine."""
    meta = {"name": "store", "namespace": "default"}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}, "volumeName": "store", "storageClassName": ""}
    volume = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Mi"},
        "hostPath": {"path": "/var/store", "type": "DirectoryOrCreate"},
        "claimRef": meta,
    }
    container = {"name": "main", "image": "docker.io/library/busybox:1.37", "command": ["sleep", "86400"]}
    pod = {"containers": [container], "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "store"}}], "terminationGracePeriodSeconds": 1}
    labels = {"app": "store"}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    lab.apply(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "store"}, "spec": volume},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": claim},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
    )
    lab.kubectl("rollout", "status", "deployment/store", "--timeout=50s")


def test_stop_needs_the_clusters_name(storage: Storage) -> None:
    refused = stop(storage, "another")
    assert refused.returncode != 0
    assert "To confirm, give its name" in " ".join(refused.output.split())
    assert set(power(storage.lab).values()) == {"on"}


def test_check_mode_changes_nothing(storage: Storage) -> None:
    lab = storage.lab
    before = len(lab.changes())
    told = stop(storage, lab.name, "--check")
    assert told.returncode == 0, told.output
    assert "node m1 takes no new pods" in told.output
    assert len(lab.changes()) == before
    assert not any(node["spec"].get("unschedulable") for node in nodes(lab))


def test_somebody_elses_cordon_is_refused(storage: Storage) -> None:
    lab = storage.lab
    lab.kubectl("cordon", "m3")
    before = len(lab.changes())
    refused = stop(storage, lab.name)
    assert refused.returncode != 0
    assert "m3: somebody has cordoned this node" in " ".join(refused.output.split())
    assert len(lab.changes()) == before
    lab.kubectl("uncordon", "m3")


def test_stop_and_start(storage: Storage) -> None:
    lab = storage.lab
    lab.kubectl("create", "configmap", "kept", "--from-literal=a=1")
    with_a_volume(lab)
    leads = leader(lab)
    # What is not confirmed while there is no Ceph is no loss.
    with ceph.writing(lab) as report:
        stopped = stop(storage, lab.name)
        assert stopped.returncode == 0, stopped.output
        assert re.search(r"pod default/store-\S+, which has a volume, goes", stopped.output)
        assert set(power(lab).values()) == {"off"}
        requests = [event["machine"] for event in lab.changes() if event["event"] == "poweroff-request"]
        assert sorted(requests) == list(MACHINES)
        assert requests[-1] == leads
        again = stop(storage, lab.name)
        assert (again.returncode, again.total("changed")) == (0, 0), again.output
        started = storage.play("start")
        assert started.returncode == 0, started.output
        assert ceph.healthy(lab), "the play ends when all data can be written again"
    assert (report["lost"], report["unread"]) == ([], 0)
    assert report["writes"] > 20
    assert set(power(lab).values()) == {"on"}, "by their BMCs"
    assert lab.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "1"
    assert [node["metadata"]["name"] for node in nodes(lab) if node["spec"].get("unschedulable")] == []
    lab.kubectl("rollout", "status", "deployment/store", "--timeout=50s")
    repeated = storage.play("start")
    assert (repeated.returncode, repeated.total("changed")) == (0, 0), repeated.output
