# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readiness of the custom resources that we install, as a table."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.kube import custom_resources, sources
from ansible_collections.trinode.platform.plugins.module_utils.kube.readiness import readiness, waited_for

CERT, GATEWAY, CEPH, ARGO = "cert-manager.io/v1", "gateway.networking.k8s.io/v1", "ceph.rook.io/v1", "argoproj.io/v1alpha1"
MONITORING, PACKAGE, POSTGRES, KYVERNO = "monitoring.coreos.com/v1", "pkg.crossplane.io/v1", "postgresql.cnpg.io/v1", "policies.kyverno.io/v1"
UNSEEN = "its controller has not seen the newest version yet"


def condition(name: str, status: str = "True", **more: Any) -> dict[str, Any]:
    return {"type": name, "status": status, **more}


def conditions(*items: dict[str, Any]) -> dict[str, Any]:
    return {"conditions": list(items)}


READY = conditions(condition("Ready"))
FAILED_ISSUE = condition("Issuing", "False", reason="Failed", message="the CA said no", observedGeneration=2)
PARENT = {"parentRef": {"name": "platform"}}

# api_version, kind, status, state, part of the reason, whether it is given up after a while
CASES: list[tuple[str, str, dict[str, Any], str, str, bool]] = [
    (CERT, "Certificate", {}, "progressing", "has not written whether it is Ready yet", False),
    (CERT, "Certificate", READY, "ready", "", False),
    (CERT, "Certificate", conditions(condition("Ready", observedGeneration=1)), "progressing", UNSEEN, False),
    (CERT, "Certificate", conditions(condition("Ready", "False", message="Issuing certificate")), "progressing", "not Ready: Issuing certificate", False),
    (CERT, "Certificate", conditions(condition("Ready", "False"), FAILED_ISSUE), "failed", "the CA said no", False),
    (CERT, "Certificate", conditions(condition("Ready", "False"), {**FAILED_ISSUE, "observedGeneration": 1}), "progressing", "not Ready", False),
    (CERT, "Certificate", conditions(condition("Ready"), FAILED_ISSUE), "ready", "", False),
    (CERT, "CertificateRequest", conditions(condition("Denied", message="policy")), "failed", "Denied: policy", False),
    (CERT, "CertificateRequest", conditions(condition("Ready", "False", reason="Failed", message="no")), "failed", "no", False),
    (CERT, "ClusterIssuer", conditions(condition("Ready", "False", message="no secret")), "progressing", "no secret", False),
    ("acme.cert-manager.io/v1", "Order", {"state": "invalid", "reason": "no such name"}, "failed", "state invalid: no such name", False),
    (GATEWAY, "GatewayClass", {}, "progressing", "Accepted yet", False),
    (GATEWAY, "Gateway", conditions(condition("Accepted"), condition("Programmed", "False", message="no address")), "progressing", "no address", False),
    (GATEWAY, "Gateway", conditions(condition("Accepted"), condition("Programmed")), "ready", "", False),
    (GATEWAY, "Gateway", conditions(condition("Accepted", "Unknown", message="Waiting for controller")), "progressing", "Waiting for controller", False),
    (GATEWAY, "HTTPRoute", {}, "ready", "", False),
    (GATEWAY, "HTTPRoute", {"parents": [{**PARENT, **conditions(condition("Accepted"), condition("ResolvedRefs"))}]}, "ready", "", False),
    (
        GATEWAY,
        "HTTPRoute",
        {"parents": [{**PARENT, **conditions(condition("Accepted"), condition("ResolvedRefs", "False", message="no service"))}]},
        "progressing",
        "not ResolvedRefs by the gateway platform: no service",
        False,
    ),
    ("networking.istio.io/v1", "DestinationRule", {}, "ready", "", False),
    ("cilium.io/v2", "CiliumNetworkPolicy", conditions(condition("Valid", "False", message="bad rule")), "failed", "bad rule", False),
    ("cilium.io/v2", "CiliumNetworkPolicy", {}, "ready", "", False),
    ("cilium.io/v2", "CiliumLoadBalancerIPPool", conditions(condition("cilium.io/PoolConflict", "False")), "ready", "", False),
    ("cilium.io/v2", "CiliumLoadBalancerIPPool", conditions(condition("cilium.io/PoolConflict", message="with x")), "progressing", "with x", True),
    ("cilium.io/v2alpha1", "CiliumL2AnnouncementPolicy", conditions(condition("io.cilium/bad-interface-regex", message="x")), "progressing", "x", True),
    (CEPH, "CephCluster", {}, "progressing", "has not written a phase yet", False),
    (CEPH, "CephCluster", {"phase": "Progressing", "message": "Configuring mons"}, "progressing", "phase Progressing: Configuring mons", False),
    (CEPH, "CephCluster", {"phase": "Ready", "state": "Creating"}, "progressing", "state Creating", False),
    (CEPH, "CephCluster", {"phase": "Ready", "state": "Created"}, "ready", "", False),
    (CEPH, "CephCluster", {"phase": "Failure", "message": "no mon"}, "progressing", "phase Failure: no mon", True),
    (CEPH, "CephBlockPool", {"phase": "Ready"}, "ready", "", False),
    (CEPH, "CephFilesystem", {"phase": "Failure"}, "progressing", "phase Failure", True),
    (CEPH, "CephObjectStore", {}, "progressing", "phase yet", False),
    ("objectbucket.io/v1alpha1", "ObjectBucketClaim", {"phase": "Pending"}, "progressing", "phase Pending", False),
    ("objectbucket.io/v1alpha1", "ObjectBucketClaim", {"phase": "Bound"}, "ready", "", False),
    ("csi.ceph.io/v1", "Driver", {}, "ready", "", False),
    (MONITORING, "Prometheus", {}, "progressing", "Reconciled yet", False),
    (MONITORING, "Prometheus", conditions(condition("Reconciled"), condition("Available")), "ready", "", False),
    (MONITORING, "Prometheus", conditions(condition("Reconciled"), condition("Available", "Degraded", message="1 of 2")), "progressing", "1 of 2", False),
    (MONITORING, "Alertmanager", conditions(condition("Reconciled", "False", message="bad config")), "progressing", "bad config", True),
    (MONITORING, "ServiceMonitor", {}, "ready", "", False),
    ("kiali.io/v1alpha1", "Kiali", conditions(condition("Running")), "progressing", "Successful yet", False),
    ("kiali.io/v1alpha1", "Kiali", conditions(condition("Failure", message="task x")), "progressing", "task x", True),
    (PACKAGE, "Provider", conditions(condition("Installed")), "progressing", "Healthy yet", False),
    (PACKAGE, "Provider", conditions(condition("Installed"), condition("Healthy")), "ready", "", False),
    (
        PACKAGE,
        "Provider",
        conditions(condition("Installed"), condition("Healthy", "False", reason="UnhealthyPackageRevision", message="cannot pull")),
        "progressing",
        "not Healthy: cannot pull",
        True,
    ),
    ("apiextensions.crossplane.io/v2", "CompositeResourceDefinition", conditions(condition("Established")), "ready", "", False),
    ("apiextensions.crossplane.io/v1", "Composition", {}, "ready", "", False),
    (ARGO, "Application", {}, "progressing", "sync status not written yet", False),
    (ARGO, "Application", {"sync": {"status": "Synced"}, "health": {"status": "Progressing"}}, "progressing", "health Progressing", False),
    (ARGO, "Application", {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}}, "ready", "", False),
    (ARGO, "Application", {"sync": {"status": "OutOfSync"}, "health": {"status": "Healthy"}}, "progressing", "sync status OutOfSync", False),
    (ARGO, "Application", {"operationState": {"phase": "Failed", "message": "denied"}}, "progressing", "ended with Failed: denied", True),
    (ARGO, "Application", conditions({"type": "ComparisonError", "message": "no repository"}), "progressing", "no repository", True),
    (ARGO, "AppProject", {}, "ready", "", False),
    ("kyverno.io/v1", "ClusterPolicy", {}, "progressing", "Ready yet", False),
    (KYVERNO, "ValidatingPolicy", {}, "progressing", "Kyverno has not written", False),
    (KYVERNO, "ValidatingPolicy", {"conditionStatus": {"ready": True}}, "ready", "", False),
    (
        KYVERNO,
        "NamespacedMutatingPolicy",
        {"conditionStatus": {"ready": False, **conditions(condition("WebhookConfigured", "False", message="no webhook"))}},
        "progressing",
        "not ready: no webhook",
        False,
    ),
    (KYVERNO, "DeletingPolicy", {}, "ready", "", False),
    (POSTGRES, "Cluster", {}, "progressing", "Ready yet", False),
    (POSTGRES, "Cluster", {"phase": "Creating replica", **conditions(condition("Ready", "False"))}, "progressing", "Creating replica", False),
    (POSTGRES, "Cluster", {"phase": "Cluster is unrecoverable and needs manual intervention"}, "progressing", "unrecoverable", True),
    (POSTGRES, "Cluster", {"phase": "Cluster in healthy state", **READY}, "ready", "", False),
    (POSTGRES, "Backup", {"phase": "failed", "error": "no bucket"}, "failed", "phase failed: no bucket", False),
    (POSTGRES, "Backup", {"phase": "completed"}, "ready", "", False),
    (POSTGRES, "Pooler", {"instances": 1}, "progressing", "1 of 2 instances", False),
    (POSTGRES, "Database", {"applied": True, "observedGeneration": 2}, "ready", "", False),
    (POSTGRES, "Database", {"applied": True, "observedGeneration": 1}, "progressing", UNSEEN, False),
    (POSTGRES, "Database", {"applied": False, "message": "no owner", "observedGeneration": 2}, "progressing", "no owner", True),
    ("redis.redis.opstreelabs.in/v1beta2", "RedisCluster", {"state": "Bootstrap", "reason": "r"}, "progressing", "state Bootstrap: r", False),
    ("redis.redis.opstreelabs.in/v1beta2", "RedisSentinel", {}, "ready", "", False),
    ("bitnami.com/v1alpha1", "SealedSecret", conditions(condition("Synced", "False", message="no key")), "progressing", "no key", True),
    ("bitnami.com/v1alpha1", "SealedSecret", conditions(condition("Synced")), "ready", "", False),
    ("snapshot.storage.k8s.io/v1", "VolumeSnapshot", {"readyToUse": False}, "progressing", "not ready to use yet", False),
    ("snapshot.storage.k8s.io/v1", "VolumeSnapshot", {"error": {"message": "no driver"}}, "progressing", "no driver", True),
    ("snapshot.storage.k8s.io/v1", "VolumeSnapshotClass", {}, "ready", "", False),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", {}, "ready", "", False),
]


def resource(api_version: str, kind: str, status: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "generation": 2}, "spec": {"instances": 2}, "status": status or {}}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[1]} {case[3]} {case[4]}")
def test_readiness(case: tuple[str, str, dict[str, Any], str, str, bool]) -> None:
    api_version, kind, status, state, reason, given_up = case
    judged = readiness(resource(api_version, kind, status))
    assert judged.state == state, judged.reason
    assert reason in judged.reason
    assert (judged.patience < math.inf) is given_up


@pytest.mark.parametrize(
    ("api_version", "kind", "waits"),
    [
        (CERT, "Certificate", True),
        (GATEWAY, "Gateway", True),
        ("snapshot.storage.k8s.io/v1", "VolumeSnapshotClass", False),
        ("storage.k8s.io/v1", "StorageClass", False),
        ("v1", "ConfigMap", False),
        ("apps/v1", "Deployment", True),
        (MONITORING, "ServiceMonitor", False),
        ("security.istio.io/v1", "PeerAuthentication", False),
        ("example.org/v1", "Widget", True),
    ],
)
def test_waited_for(api_version: str, kind: str, waits: bool) -> None:
    assert waited_for(resource(api_version, kind)) is waits


def test_redis_stands_for_its_stateful_sets() -> None:
    version = "redis.redis.opstreelabs.in/v1beta2"
    assert custom_resources.stateful_sets(resource(version, "RedisCluster")) == ["x-leader", "x-follower"]
    assert custom_resources.stateful_sets(resource(version, "RedisSentinel")) == ["x-sentinel"]
    assert custom_resources.stateful_sets(resource("example.org/v1", "RedisCluster")) == []


def upstream() -> Path:
    return Path(os.environ.get("TRINODE_UPSTREAM") or Path(__file__).resolve().parents[4] / "shared" / "upstream")


@pytest.mark.skipif(not upstream().is_dir(), reason="the definitions of the real charts are not there")
def test_every_rule_is_of_a_kind_that_the_charts_have() -> None:
    definitions = [manifest.objects[0] for manifest in sources.read([str(upstream() / "crds")]) if "kind: CustomResourceDefinition" in manifest.text]
    kinds = {(item["spec"]["group"], item["spec"]["names"]["kind"]) for item in definitions}
    named = set(custom_resources.RULES) | custom_resources._EXIST_ONLY
    assert named - kinds == set()
