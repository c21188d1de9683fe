# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ceph_disk_look against a real kube-apiserver. Nothing runs there: a thread does what Kubernetes does to Jobs, and says what their pods would print."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from trinode_lab import signatures as writers

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks import reader, signatures
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.probe import LABEL
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import ceph_disk_look

pytestmark = pytest.mark.newest_only

GIB = 1 << 30
MERGE = "application/merge-patch+json"


def disk(machine: str, serial: str) -> dict[str, Any]:
    link = f"/dev/disk/by-id/ata-{serial}"
    return {"machine": machine, "use": "osd", "contents": "empty", "serial": serial, "path": "/dev/sdb", "link": link, "size": 10 * GIB}


MACHINES = [{"name": name, "hostname": f"node-{name}", "address": "192.0.2.11", "wipe_disks": []} for name in ("m1", "m2")]
DISKS = [disk("m1", "S1"), disk("m1", "S2"), disk("m2", "S3")]


class Nodes:
    """What Kubernetes and the nodes do with the module's Jobs. ``contents``: what is on a disk, by its link's end and offset; ``seen``: the Jobs that came."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client, self.namespace = client, namespace
        self.contents: dict[str, dict[int, bytes]] = {}
        self.seen: list[dict[str, Any]] = []
        self.fails = False
        self._ended = threading.Event()

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def jobs(self) -> list[dict[str, Any]]:
        with contextlib.suppress(ApiError):
            return self.client.list(f"/apis/batch/v1/namespaces/{self.namespace}/jobs")[0]
        return []

    def printed(self, pod: str) -> str:
        """What the pod's program prints."""
        job = next(job for job in self.seen if _pod(job) == pod)
        operands = job["spec"]["template"]["spec"]["containers"][0]["command"][4:]
        lines = []
        for path, numbers in zip(operands[::2], operands[1::2], strict=True):
            there = self.contents.get(path.rpartition("-")[2], {})
            blocks = {number: base64.b64encode(there.get(int(number) * 4096, bytes(4096))).decode() for number in numbers.split()}
            lines.append(json.dumps({"path": path, "error": "", "blocks": blocks}))
        return "\n".join(lines)

    def _work(self) -> None:
        while not self._ended.wait(0.05):
            for job in self.jobs():
                if not any(job["metadata"]["uid"] == seen["metadata"]["uid"] for seen in self.seen) and "deletionTimestamp" not in job["metadata"]:
                    self._run(job)

    def _run(self, job: dict[str, Any]) -> None:
        self.seen.append(job)
        name, template = job["metadata"]["name"], job["spec"]["template"]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        status: dict[str, Any] = {"startTime": now}
        if self.fails:
            stamp = {"status": "True", "reason": "DeadlineExceeded", "message": "it took too long", "lastTransitionTime": now, "lastProbeTime": now}
            status["conditions"] = [{"type": kind, **stamp} for kind in ("FailureTarget", "Failed")]
        else:
            labels = {**template["metadata"]["labels"], "batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}
            pod = {"metadata": {"name": _pod(job), "labels": labels}, "spec": {**template["spec"], "serviceAccountName": "default"}}
            path = f"/api/v1/namespaces/{self.namespace}/pods"
            with contextlib.suppress(ApiError):
                self.client.request("POST", f"/api/v1/namespaces/{self.namespace}/serviceaccounts", {"metadata": {"name": "default"}})
            self.client.request("POST", path, pod)
            self.client.request("PATCH", f"{path}/{_pod(job)}/status", {"status": {"phase": "Succeeded"}}, content_type=MERGE)
            stamp = {"status": "True", "lastTransitionTime": now, "lastProbeTime": now}
            status |= {"completionTime": now, "succeeded": 1, "conditions": [{"type": kind, **stamp} for kind in ("SuccessCriteriaMet", "Complete")]}
        self.client.request("PATCH", f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{name}/status", {"status": status}, content_type=MERGE)


def _pod(job: dict[str, Any]) -> str:
    """No controller removes the pods of a Job that is gone, so none may have another's name."""
    return f"{job['metadata']['name']}-{job['metadata']['uid'][:8]}"


@pytest.fixture
def nodes(client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    found = Nodes(client, namespace)
    # There is no kubelet to ask for it.
    monkeypatch.setattr(reader, "_log", lambda _client, _namespace, pod, _deadline: found.printed(pod))
    with found.working():
        yield found


def look(kubeconfig: Path, namespace: str, *, check: bool = False, warnings: list[str] | None = None, **params: Any) -> Outcome:
    filled = {name: option.get("default") for name, option in ceph_disk_look.ARGUMENT_SPEC.items()}
    filled |= {"kubeconfig": str(kubeconfig), "namespace": namespace, "machines": MACHINES, "disks": DISKS, "ours": [], "image": "ceph", "timeout": 300}
    return ceph_disk_look.run(Task({**filled, **params}, check_mode=check, diff_mode=False, warn=(warnings if warnings is not None else []).append))


def label(tmp_path: Path) -> bytes:
    """A label of somebody's OSD, as it is on a disk."""
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(GIB // 1024)
    writers.write_bluestore(path)
    return path.read_bytes()[: signatures.BLOCK]


@pytest.fixture
def cluster(client: Client, namespace: str) -> Callable[..., None]:
    """Makes the CephCluster, whose status tells an fsid, or Rook's Secret does."""
    kind = {"group": "ceph.rook.io", "scope": "Namespaced", "names": {"plural": "cephclusters", "kind": "CephCluster", "singular": "cephcluster"}}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    with contextlib.suppress(ApiError):  # it is there from the test before
        client.request("POST", definitions, {"metadata": {"name": "cephclusters.ceph.rook.io"}, "spec": {**kind, "versions": [version]}})

    def make(*, status: str = "", secret: str = "") -> None:
        path = f"/apis/ceph.rook.io/v1/namespaces/{namespace}/cephclusters"
        item = {"apiVersion": "ceph.rook.io/v1", "kind": "CephCluster", "metadata": {"name": "rook-ceph"}, "status": {"ceph": {"fsid": status}}}
        retried(lambda: _made(client, path, item), Deadline(300), path)
        client.request("POST", f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": "rook-ceph-mon"}, "stringData": {"fsid": secret}})

    return make


def _made(client: Client, path: str, item: dict[str, Any]) -> None:
    try:
        client.request("POST", path, item)
    except ApiError as error:
        if not error.not_found:
            raise
        raise ApiError("not served yet", code=503) from error


@pytest.mark.parametrize("told", ["status", "secret"])
def test_our_own(kubeconfig: Path, nodes: Nodes, cluster: Callable[..., None], tmp_path: Path, told: str) -> None:
    """An OSD that was made while we looked is fine; a later label of one that Ceph has is told, of one that it does not have any more refused."""
    block = label(tmp_path)
    (found,) = signatures.found(GIB, {0: block})
    assert isinstance(found, signatures.Label)
    cluster(**{told: found.fsid})
    nodes.contents = {"S1": {0: block, GIB: block}}
    warnings: list[str] = []
    assert look(kubeconfig, nodes.namespace, disks=DISKS[:1], ours=[{"osd": 3}], warnings=warnings).values["wipes"] == []
    assert warnings == []
    nodes.contents = {"S1": {GIB: block}}
    assert look(kubeconfig, nodes.namespace, disks=DISKS[:1], ours=[{"osd": 3}], warnings=warnings).values["wipes"] == []
    assert len(warnings) == 1
    assert "its first label of BlueStore is gone" in warnings[0]
    with pytest.raises(RefusedError, match="which this cluster does not have any more"):
        look(kubeconfig, nodes.namespace, disks=DISKS[:1], ours=[{"osd": 4}])


@pytest.mark.parametrize("check", [False, True])
def test_every_machine_is_looked_at_once_and_nothing_stays(kubeconfig: Path, namespace: str, nodes: Nodes, check: bool) -> None:
    outcome = look(kubeconfig, namespace, check=check)
    assert not outcome.changed
    assert outcome.values["looked"]
    assert [(entry["machine"], entry["serial"], entry["found"]) for entry in outcome.values["disks"]] == [("m1", "S1", ""), ("m1", "S2", ""), ("m2", "S3", "")]
    assert {job["spec"]["template"]["spec"]["nodeName"] for job in nodes.seen} == {"node-m1", "node-m2"}
    assert all(job["metadata"]["labels"] == {LABEL: "true"} for job in nodes.seen)
    assert nodes.jobs() == []


def test_a_later_label_is_refused_and_the_jobs_are_removed(kubeconfig: Path, namespace: str, nodes: Nodes, tmp_path: Path) -> None:
    nodes.contents["S2"] = {GIB: label(tmp_path)}
    with pytest.raises(RefusedError, match=r"1 finding about disks; nothing was written to them\. \nm1: machine_osd_disks: .*serial S2") as caught:
        look(kubeconfig, namespace)
    assert "a label of BlueStore at 1 GiB, of osd.3 of the Ceph cluster" in str(caught.value)
    assert "machine_wipe_disks: [S2] for m1" in str(caught.value)
    assert caught.value.details == {"findings": 1}
    assert nodes.jobs() == []


def test_a_permitted_disk_is_returned_to_be_wiped(kubeconfig: Path, namespace: str, nodes: Nodes, tmp_path: Path) -> None:
    nodes.contents["S3"] = {GIB: label(tmp_path)}
    machines = [MACHINES[0], {**MACHINES[1], "wipe_disks": ["S3"]}]
    wipes = look(kubeconfig, namespace, machines=machines).values["wipes"]
    assert wipes == [{"machine": "m2", "hostname": "node-m2", "address": "192.0.2.11", "serial": "S3", "path": "/dev/sdb", "use": "osd"}]
    with pytest.raises(RefusedError, match="it was wiped, and it holds a label"):
        look(kubeconfig, namespace, machines=machines, wiped=["S3"])
    nodes.contents.clear()
    assert [entry["serial"] for entry in look(kubeconfig, namespace, machines=machines, wiped=["S3"]).values["disks"]] == ["S3"]


def test_a_job_that_a_killed_run_left_is_removed_first(kubeconfig: Path, client: Client, namespace: str, nodes: Nodes) -> None:
    left = reader.job("node-m1", {"disk/by-id/ata-S1": [0]}, image="ceph", directory="/dev", seconds=60)
    left["metadata"]["labels"] = {LABEL: "true"}
    left["spec"]["suspend"] = True
    made = client.request("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs", left)
    nodes.seen.append(made)
    assert look(kubeconfig, namespace, disks=DISKS[:2]).values["looked"]
    assert len(nodes.seen) == 2
    assert nodes.jobs() == []


def test_a_machine_that_gives_nothing_ends_the_run(kubeconfig: Path, namespace: str, nodes: Nodes) -> None:
    nodes.fails = True
    with pytest.raises(PlatformError, match=r"trinode-disk-look-node-m1.*it took too long"):
        look(kubeconfig, namespace, disks=DISKS[:1])
    assert nodes.jobs() == []


def test_the_namespace_is_made_privileged_where_it_is_missing_and_not_in_check_mode(kubeconfig: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = Nodes(client, "fresh")
    monkeypatch.setattr(reader, "_log", lambda _client, _namespace, pod, _deadline: nodes.printed(pod))
    with nodes.working():
        predicted = look(kubeconfig, "fresh", check=True)
        assert (predicted.changed, predicted.values["looked"]) == (True, False)
        assert "3 disks were not looked at: the namespace fresh does not exist yet" in predicted.message
        with pytest.raises(ApiError, match="not found"):
            client.get("/api/v1/namespaces/fresh")
        assert look(kubeconfig, "fresh").changed
        assert client.get("/api/v1/namespaces/fresh")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
        assert not look(kubeconfig, "fresh").changed


def test_no_disk_costs_no_connection(tmp_path: Path) -> None:
    ours = [{**item, "contents": "ours"} for item in DISKS]
    outcome = look(tmp_path / "none", "rook-ceph", disks=ours)
    assert (outcome.changed, outcome.values["looked"], outcome.message) == (False, False, "There is no disk to look at.")
    assert not look(tmp_path / "none", "rook-ceph", directory="").values["looked"]
