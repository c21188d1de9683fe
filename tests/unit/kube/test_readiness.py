# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readiness of objects and troubles of pods, as tables."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.kube.pods import Trouble, selects, troubles
from ansible_collections.trinode.platform.plugins.module_utils.kube.readiness import readiness

VERSIONS = {
    "Deployment": "apps/v1",
    "DaemonSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "StatefulSet": "apps/v1",
    "Job": "batch/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "APIService": "apiregistration.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "Widget": "example.org/v1",
}


def thing(kind: str, status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, generation: int | None = 1) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "x"}
    if generation is not None:
        metadata["generation"] = generation
    return {"apiVersion": VERSIONS.get(kind, "v1"), "kind": kind, "metadata": metadata, "spec": spec or {}, "status": status or {}}


def condition(name: str, status: str = "True", **more: str) -> dict[str, Any]:
    return {"conditions": [{"type": name, "status": status, **more}]}


FULL = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
CASES = [
    (thing("Deployment", FULL, {"replicas": 2}), "ready", ""),
    (thing("Deployment", {}, {"replicas": 2}), "progressing", "its controller has not seen the newest version yet"),
    (thing("Deployment", FULL, {"replicas": 2}, generation=2), "progressing", "its controller has not seen the newest version yet"),
    (thing("Deployment", {**FULL, "availableReplicas": 1}, {"replicas": 2}), "progressing", "1 of 2 replicas available"),
    (thing("Deployment", {**FULL, "updatedReplicas": 1}, {"replicas": 2}), "progressing", "1 of 2 replicas updated"),
    (thing("Deployment", {**FULL, "replicas": 3}, {"replicas": 2}), "progressing", "1 old replicas still there"),
    (thing("Deployment", {"observedGeneration": 1}, {"replicas": 0}), "ready", ""),
    (
        thing("Deployment", {"observedGeneration": 1, **condition("Progressing", "False", reason="ProgressDeadlineExceeded", message="too slow")}, {}),
        "failed",
        "too slow",
    ),
    (thing("DaemonSet", {"observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}), "ready", ""),
    (thing("DaemonSet", {"observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3}), "progressing", "0 of 3 pods available"),
    (thing("DaemonSet", {"observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 1}), "progressing", "1 of 3 pods updated"),
    (
        thing(
            "DaemonSet",
            {"observedGeneration": 1, "desiredNumberScheduled": 1, "updatedNumberScheduled": 0, "numberAvailable": 1},
            {"updateStrategy": {"type": "OnDelete"}},
        ),
        "ready",
        "",
    ),
    (thing("StatefulSet", {"observedGeneration": 1, "readyReplicas": 1}, {"replicas": 3}), "progressing", "1 of 3 replicas ready"),
    (thing("StatefulSet", {"observedGeneration": 1, "readyReplicas": 3, "updateRevision": "a", "currentRevision": "a"}, {"replicas": 3}), "ready", ""),
    (
        thing(
            "StatefulSet",
            {"observedGeneration": 1, "readyReplicas": 3, "updatedReplicas": 1, "updateRevision": "b", "currentRevision": "a"},
            {"replicas": 3},
        ),
        "progressing",
        "1 of 3 replicas updated",
    ),
    (thing("Job", {"active": 1}), "progressing", "not complete, 1 pods active, 0 failed"),
    (thing("Job", condition("Complete")), "ready", ""),
    (thing("Job", condition("Failed", reason="BackoffLimitExceeded", message="too often")), "failed", "BackoffLimitExceeded: too often"),
    (thing("CustomResourceDefinition", condition("Established")), "ready", ""),
    (thing("CustomResourceDefinition", condition("NamesAccepted", "False", message="taken")), "failed", "its names are not accepted: taken"),
    (thing("CustomResourceDefinition"), "progressing", "not established"),
    (thing("Pod", {"phase": "Running", **condition("Ready")}, generation=None), "ready", ""),
    (thing("Pod", {"phase": "Failed", "reason": "Evicted"}, generation=None), "failed", "Evicted"),
    (thing("APIService", condition("Available", "False", message="no endpoints")), "progressing", "no endpoints"),
    (
        thing("Deployment", {"observedGeneration": 1, **condition("ReplicaFailure", message="forbidden: violates PodSecurity")}, {"replicas": 2}),
        "progressing",
        "its pods are refused: forbidden: violates PodSecurity",
    ),
    (thing("ReplicaSet", {"observedGeneration": 1, "replicas": 2, "availableReplicas": 1}, {"replicas": 2}), "progressing", "1 of 2 replicas available"),
    (thing("ReplicaSet", {"observedGeneration": 1, "replicas": 3, "availableReplicas": 3}, {"replicas": 2}), "progressing", "1 replicas too many"),
    (thing("Job", condition("FailureTarget", reason="PodFailurePolicy", message="exit code 3")), "failed", "PodFailurePolicy: exit code 3"),
    (thing("Job", {}, {"suspend": True}), "ready", ""),
    (thing("PersistentVolumeClaim", {"phase": "Pending"}, generation=None), "progressing", "not bound (Pending)"),
    (thing("PersistentVolumeClaim", {"phase": "Bound"}, generation=None), "ready", ""),
    (thing("PersistentVolumeClaim", {"phase": "Lost"}, generation=None), "failed", "the volume that it was bound to is gone"),
    (thing("Service", {}, {"type": "ClusterIP"}, generation=None), "ready", ""),
    (thing("Service", {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}, {"type": "LoadBalancer"}, generation=None), "ready", ""),
    (
        thing("Service", {"loadBalancer": {}}, {"type": "LoadBalancer"}, generation=None),
        "progressing",
        "it has no address yet: does a pool of load balancer addresses have a free one?",
    ),
    (thing("PodDisruptionBudget", {"observedGeneration": 1, "currentHealthy": 1, "desiredHealthy": 2}), "progressing", "1 of 2 pods healthy that it asks for"),
    (thing("Namespace", {"phase": "Terminating"}, generation=None), "progressing", "it is Terminating"),
    (thing("Namespace", {}, generation=None), "ready", ""),
    (thing("Node", condition("Ready", "False", message="cni not ready"), generation=None), "progressing", "cni not ready"),
    (thing("Widget", condition("Reconciling", message="half way")), "progressing", "half way"),
    (
        thing("Widget", {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]}, generation=2),
        "progressing",
        "its controller has not seen the newest version yet",
    ),
    (thing("Widget"), "ready", ""),
    (thing("Widget", condition("Ready", "False", message="soon")), "progressing", "soon"),
    (thing("Widget", {"observedGeneration": 1, **condition("Ready")}, generation=2), "progressing", "its controller has not seen the newest version yet"),
    (thing("Widget", condition("Stalled", message="for ever")), "failed", "for ever"),
]


@pytest.mark.parametrize(("item", "state", "reason"), CASES)
def test_readiness(item: dict[str, Any], state: str, reason: str) -> None:
    judged = readiness(item)
    assert (judged.state, judged.reason) == (state, reason)


def test_an_object_that_is_being_deleted_is_not_ready() -> None:
    item = thing("Widget")
    item["metadata"]["deletionTimestamp"] = "2026-11-24T00:00:00Z"
    assert not readiness(item).ready


def pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "labels": {"app": "a", "tier": "web"}}, "status": {"containerStatuses": [{"name": "c", "image": "i:1", **status}]}}


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"ready": True, "restartCount": 9, "state": {"running": {}}}, ""),
        ({"ready": False, "restartCount": 1, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}, ""),
        ({"ready": False, "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}, ""),
        ({"ready": False, "restartCount": 4, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}}}, ""),
        ({"state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}}}, "ErrImagePull: image i:1: not found"),
        (
            {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}}},
            'CreateContainerConfigError: secret "x" not found',
        ),
        (
            {"ready": False, "restartCount": 4, "state": {"waiting": {}}, "lastState": {"terminated": {"exitCode": 2, "reason": "Error", "message": "boom\n"}}},
            "crashed 4 times, last with exit code 2 (Error): boom",
        ),
    ],
)
def test_troubles(status: dict[str, Any], text: str) -> None:
    assert [trouble.text for trouble in troubles(pod(**status))] == ([text] if text else [])


def test_a_missing_secret_gets_more_time_since_an_operator_may_make_it() -> None:
    def patience(message: str) -> float:
        return troubles(pod(state={"waiting": {"reason": "CreateContainerConfigError", "message": message}}))[0].patience

    assert patience('secret "x" not found') == 4.0
    assert patience("couldn't find key y in Secret x") == 1.0
    assert math.isinf(patience("services have not yet been read at least once, cannot construct envvars")), "the kubelet is only starting"


def test_init_containers_count() -> None:
    waiting = {"name": "setup", "image": "i:2", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}
    item = {"metadata": {"name": "p"}, "status": {"initContainerStatuses": [waiting]}}
    assert troubles(item) == [Trouble("container p/setup", "ImagePullBackOff: image i:2: not found")]


@pytest.mark.parametrize(
    ("message", "patience"),
    [
        ("0/3 nodes are available: 3 Insufficient cpu.", 4.0),
        ("0/3 nodes are available: 3 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.", math.inf),
    ],
)
def test_a_pod_that_no_node_can_take(message: str, patience: float) -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    item = {"metadata": {"name": "p"}, "status": {"phase": "Pending", "conditions": [unscheduled]}}
    assert troubles(item) == [Trouble("pod p", f"no node can take it: {message}", patience)]


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        ({"matchLabels": {"app": "a"}}, True),
        ({"matchLabels": {"app": "b"}}, False),
        ({}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "other", "operator": "DoesNotExist"}]}, True),
        ({"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "other", "operator": "Exists"}]}, False),
    ],
)
def test_selects(selector: dict[str, Any], matches: bool) -> None:
    assert selects(selector, pod()) is matches
