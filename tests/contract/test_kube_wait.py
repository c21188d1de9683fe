# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kube_wait against a real kube-apiserver. No controllers run there: the tests write statuses and events themselves."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import kube_wait

pytestmark = pytest.mark.newest_only

DEPLOYMENT = {"api_version": "apps/v1", "kind": "Deployment", "name": "web"}
LABELS = {"app": "web"}
CONTAINER = {"name": "main", "image": "registry.example/main:1"}


class Namespace:
    """A namespace of the test's own, and what controllers would do in it."""

    def __init__(self, client: kube_client.Client, name: str) -> None:
        self.client = client
        self.name = name
        client.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self.make("serviceaccounts", {"metadata": {"name": "default"}})

    def path(self, plural: str, name: str = "", group: str = "/api/v1") -> str:
        return f"{group}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    def make(self, plural: str, body: dict[str, Any], group: str = "/api/v1") -> dict[str, Any]:
        return self.client.request("POST", self.path(plural, group=group), body)

    def patch(self, plural: str, name: str, body: dict[str, Any], group: str = "/api/v1") -> None:
        self.client.request("PATCH", self.path(plural, name, group), body, content_type="application/merge-patch+json")

    def delete(self, plural: str, name: str) -> None:
        self.client.request("DELETE", self.path(plural, name))

    def deployment(self, name: str = "web") -> None:
        template = {"metadata": {"labels": LABELS}, "spec": {"containers": [CONTAINER]}}
        spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template}
        self.make("deployments", {"metadata": {"name": name, "labels": LABELS}, "spec": spec}, "/apis/apps/v1")

    def available(self, name: str = "web", number: int = 1) -> None:
        status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": number, "readyReplicas": number}
        self.patch("deployments", f"{name}/status", {"status": status}, "/apis/apps/v1")

    def pod(self, name: str, status: dict[str, Any], **spec: Any) -> None:
        self.make("pods", {"metadata": {"name": name, "labels": LABELS}, "spec": {"containers": [CONTAINER], **spec}})
        self.patch("pods", f"{name}/status", {"status": status})

    def warning(self, kind: str, name: str, message: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        subject = {"kind": kind, "name": name, "namespace": self.name}
        body = {"type": "Warning", "reason": "Failed", "message": message, "involvedObject": subject, "lastTimestamp": now}
        self.make("events", {"metadata": {"generateName": "e-"}, **body})


@pytest.fixture
def namespace(client: kube_client.Client, request: pytest.FixtureRequest) -> Namespace:
    return Namespace(client, re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:50].strip("-"))


def wait(kubeconfig: Path, namespace: Namespace | None = None, *, check: bool = False, **params: Any) -> Outcome:
    spec = kube_wait.ARGUMENT_SPEC
    options = spec["targets"]["options"]
    targets = [{**{key: option.get("default") for key, option in options.items()}, **item} for item in params.pop("targets", [])]
    filled: dict[str, Any] = {name: option.get("default") for name, option in spec.items()}
    filled.update({"kubeconfig": str(kubeconfig), "timeout": 10, "namespace": namespace.name if namespace else "", **params, "targets": targets})
    outcome = kube_wait.run(Task(filled, check_mode=check, diff_mode=False, warn=print))
    assert not outcome.changed
    return outcome


def soon(action: Callable[[], Any], seconds: float = 0.5) -> None:
    threading.Timer(seconds, action).start()


def test_ready(kubeconfig: Path, namespace: Namespace) -> None:
    namespace.deployment()
    with pytest.raises(DeadlineExceeded, match=r"not ready within 1 s: Deployment .*/web: its controller has not seen the newest version yet"):
        wait(kubeconfig, namespace, **DEPLOYMENT, timeout=1)
    soon(namespace.available)
    assert wait(kubeconfig, namespace, **DEPLOYMENT).values["waiting_for"] == []


def test_an_object_that_comes_later(kubeconfig: Path, namespace: Namespace) -> None:
    with pytest.raises(DeadlineExceeded, match=r"Deployment .*/web: does not exist"):
        wait(kubeconfig, namespace, **DEPLOYMENT, timeout=1)
    soon(namespace.deployment)
    wait(kubeconfig, namespace, **DEPLOYMENT, condition="exists")


def test_it_returns_at_once(kubeconfig: Path, namespace: Namespace) -> None:
    """From the write of the status to the return of the module."""
    namespace.deployment()
    written: list[float] = []

    def become_ready() -> None:
        namespace.available()
        written.append(time.monotonic())

    soon(become_ready)
    wait(kubeconfig, namespace, **DEPLOYMENT)
    late = time.monotonic() - written[0]
    assert late < 2, f"it returned {late:.2f} s after the status was written"


def test_by_label(kubeconfig: Path, namespace: Namespace) -> None:
    selected = {"api_version": "apps/v1", "kind": "Deployment", "label_selector": "app=web"}
    with pytest.raises(DeadlineExceeded, match=r"every Deployment in .* with app=web: there is none"):
        wait(kubeconfig, namespace, **selected, timeout=1)
    for name in ("web", "other"):
        namespace.deployment(name)
    namespace.available("web")
    with pytest.raises(DeadlineExceeded, match=r"every Deployment in .* with app=web: .*/other: its controller"):
        wait(kubeconfig, namespace, **selected, timeout=1)
    namespace.available("other")
    wait(kubeconfig, namespace, **selected)


def test_until(kubeconfig: Path, namespace: Namespace) -> None:
    namespace.make("configmaps", {"metadata": {"name": "one"}, "data": {"step": "1"}})
    soon(lambda: namespace.patch("configmaps", "one", {"data": {"step": "2"}}))
    wait(kubeconfig, namespace, kind="ConfigMap", name="one", condition="until", until="data.step == '2'")
    with pytest.raises(InputError, match="needs an expression"):
        wait(kubeconfig, namespace, kind="ConfigMap", name="one", condition="until")


def test_absent(kubeconfig: Path, namespace: Namespace) -> None:
    wait(kubeconfig, namespace, api_version="example.org/v1", kind="Gadget", condition="absent")
    namespace.make("configmaps", {"metadata": {"name": "one", "finalizers": ["example.org/keep"]}})
    with pytest.raises(DeadlineExceeded, match=r"not gone within 1 s: ConfigMap .*/one: it is there, and nobody has deleted it"):
        wait(kubeconfig, namespace, kind="ConfigMap", name="one", condition="absent", timeout=1)
    namespace.delete("configmaps", "one")
    with pytest.raises(DeadlineExceeded, match=r"it is being deleted, and kept by example.org/keep"):
        wait(kubeconfig, namespace, kind="ConfigMap", name="one", condition="absent", timeout=1)
    soon(lambda: namespace.patch("configmaps", "one", {"metadata": {"finalizers": None}}))
    wait(kubeconfig, namespace, kind="ConfigMap", name="one", condition="absent")


def test_deleted_means_those_that_were_there(kubeconfig: Path, namespace: Namespace) -> None:
    body = {"metadata": {"name": "one", "labels": LABELS}}
    namespace.make("configmaps", body)

    def replace() -> None:
        namespace.delete("configmaps", "one")
        namespace.make("configmaps", body)

    soon(replace)
    wait(kubeconfig, namespace, kind="ConfigMap", label_selector="app=web", condition="deleted")
    with pytest.raises(DeadlineExceeded):
        wait(kubeconfig, namespace, kind="ConfigMap", label_selector="app=web", condition="absent", timeout=1)


def test_several_at_once(kubeconfig: Path, namespace: Namespace) -> None:
    namespace.deployment()
    namespace.make("configmaps", {"metadata": {"name": "one"}})
    targets = [
        DEPLOYMENT,
        {"kind": "ConfigMap", "name": "one", "condition": "absent"},
        {"kind": "Namespace", "name": "default", "condition": "until", "until": "status.phase == 'Active'"},
    ]
    with pytest.raises(DeadlineExceeded, match=r"not as wished within 1 s: ConfigMap .*/one: it is there.*; Deployment .*/web: its controller"):
        wait(kubeconfig, namespace, targets=targets, timeout=1)
    soon(namespace.available)
    soon(lambda: namespace.delete("configmaps", "one"), 0.2)
    wait(kubeconfig, namespace, targets=targets)


def test_a_failed_job_fails_at_once(kubeconfig: Path, namespace: Namespace) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [CONTAINER]}}
    namespace.make("jobs", {"metadata": {"name": "once"}, "spec": {"template": template}}, "/apis/batch/v1")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    failed = {"status": "True", "reason": "BackoffLimitExceeded", "message": "too often", "lastTransitionTime": now, "lastProbeTime": now}
    conditions = [{"type": "FailureTarget", **failed}, {"type": "Failed", **failed}]
    soon(lambda: namespace.patch("jobs", "once/status", {"status": {"startTime": now, "failed": 1, "conditions": conditions}}, "/apis/batch/v1"))
    namespace.warning("Job", "once", "the pod said why")
    started = time.monotonic()
    with pytest.raises(PlatformError, match=r"Job .*/once: it will not become ready: BackoffLimitExceeded: too often. Newest events: .*the pod said why"):
        wait(kubeconfig, namespace, api_version="batch/v1", kind="Job", name="once", timeout=300)
    assert time.monotonic() - started < 15


@pytest.mark.parametrize("where", ["containerStatuses", "initContainerStatuses"])
def test_an_image_that_cannot_be_pulled_fails_early(kubeconfig: Path, namespace: Namespace, where: str) -> None:
    namespace.deployment()
    waiting = {"reason": "ImagePullBackOff", "message": "manifest unknown"}
    status = {"name": "main", "image": "registry.example/main:1", "imageID": "", "ready": False, "restartCount": 0, "state": {"waiting": waiting}}
    namespace.pod("web-0", {"phase": "Pending", where: [status]})
    namespace.warning("Pod", "web-0", "Failed to pull image: 403 Forbidden")
    with pytest.raises(PlatformError) as caught:
        wait(kubeconfig, namespace, **DEPLOYMENT, timeout=300, grace=1)
    text = str(caught.value)
    assert "it will not become ready: container web-0/main: ImagePullBackOff: image registry.example/main:1: manifest unknown" in text
    assert "Pod web-0: Failed to pull image: 403 Forbidden" in text


def test_an_image_that_is_pulled_within_the_grace_is_no_failure(kubeconfig: Path, namespace: Namespace) -> None:
    namespace.deployment()
    status = {"name": "main", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull"}}}
    namespace.pod("web-0", {"phase": "Pending", "containerStatuses": [status]})
    soon(namespace.available, 1.0)
    wait(kubeconfig, namespace, **DEPLOYMENT, grace=8)


def test_a_pod_that_no_node_can_take(kubeconfig: Path, namespace: Namespace, client: kube_client.Client) -> None:
    namespace.deployment()
    client.request(
        "POST",
        "/apis/storage.k8s.io/v1/storageclasses",
        {"metadata": {"name": "there"}, "provisioner": "example.org/disk", "volumeBindingMode": "Immediate"},
    )
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "none"}
    namespace.make("persistentvolumeclaims", {"metadata": {"name": "data"}, "spec": claim})
    message = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    namespace.pod("web-0", {"phase": "Pending", "conditions": [condition]}, volumes=[volume])
    with pytest.raises(PlatformError) as caught:
        wait(kubeconfig, namespace, **DEPLOYMENT, timeout=300, grace=1)
    text = str(caught.value)
    assert f"pod web-0: no node can take it: {message.rstrip('.')}" in text
    assert "/data: StorageClass none does not exist (there: there)" in text


def test_a_claim(kubeconfig: Path, namespace: Namespace, client: kube_client.Client) -> None:
    body = {"metadata": {"name": "late"}, "provisioner": "example.org/disk", "volumeBindingMode": "WaitForFirstConsumer"}
    client.request("POST", "/apis/storage.k8s.io/v1/storageclasses", body)
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "late"}
    named = {"kind": "PersistentVolumeClaim", "name": "data"}
    namespace.make("persistentvolumeclaims", {"metadata": {"name": "data"}, "spec": claim})
    namespace.patch("persistentvolumeclaims", "data/status", {"status": {"phase": "Pending"}})
    wait(kubeconfig, namespace, **named)
    namespace.make("persistentvolumeclaims", {"metadata": {"name": "lost"}, "spec": {**claim, "storageClassName": "nowhere"}})
    with pytest.raises(PlatformError, match="it will not become ready: StorageClass nowhere does not exist"):
        wait(kubeconfig, namespace, kind="PersistentVolumeClaim", name="lost", grace=1)


def test_check_mode_reads_only(kubeconfig: Path, namespace: Namespace, tmp_path: Path) -> None:
    namespace.deployment()
    started = time.monotonic()
    outcome = wait(kubeconfig, namespace, **DEPLOYMENT, timeout=300, check=True)
    assert outcome.values["waiting_for"] == [f"Deployment {namespace.name}/web: its controller has not seen the newest version yet"]
    assert "would wait for Deployment" in outcome.message
    namespace.available()
    assert wait(kubeconfig, namespace, **DEPLOYMENT, check=True).values["waiting_for"] == []
    unserved = {"api_version": "example.org/v1", "kind": "Gadget"}
    assert wait(kubeconfig, **unserved, check=True).values["waiting_for"] == ["every Gadget: its kind (example.org/v1) is not served"]
    assert "does not exist yet" in wait(tmp_path / "none", **unserved, check=True).message
    assert time.monotonic() - started < 30
