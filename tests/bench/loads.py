# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is applied: (a) objects of built-in kinds; (b) the real charts' definitions, and objects of the kinds and numbers that they render."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import parse

Object = dict[str, Any]

# The charts whose definitions come with the chart, by the folder of their definitions.
CHARTS = (
    "alloy",
    "argo-cd",
    "cert-manager",
    "cloudnative-pg",
    "istio-base",
    "kiali-operator",
    "kube-prometheus-stack",
    "kyverno",
    "redis-operator",
    "rook-ceph",
    "sealed-secrets",
    "snapshot-controller",
)
NAMESPACES = 13


@dataclass(frozen=True)
class Load:
    """Definitions and namespaces, then everything else; also as two files, since not every contender can do with one."""

    first: list[Object]
    rest: list[Object]
    files: tuple[Path, Path]

    @property
    def count(self) -> int:
        return len(self.first) + len(self.rest)


def built_in(directory: Path, prefix: str) -> Load:
    """(a): 520 objects in five namespaces of their own."""
    namespaces = [_object("v1", "Namespace", f"{prefix}-{number}") for number in range(5)]
    rest: list[Object] = []
    for space in namespaces:
        name = space["metadata"]["name"]
        rest += _numbered(
            name, {"ServiceAccount": 15, "ConfigMap": 25, "Secret": 5, "Service": 20, "Role": 10, "RoleBinding": 10, "Deployment": 15, "PodDisruptionBudget": 3}
        )
    return _load(directory, prefix, namespaces, rest)


def platform(directory: Path) -> Load | None:
    """(b), or None where the definitions of the real charts are not there."""
    upstream = Path(os.environ.get("TRINODE_UPSTREAM") or Path(__file__).resolve().parents[3] / "shared" / "upstream") / "crds"
    if not upstream.is_dir():
        return None
    definitions: list[Object] = []
    for chart in CHARTS:
        for path in sorted((upstream / chart).iterdir()):
            definitions += parse(path.read_text(), source=path.name)
    namespaces = [_object("v1", "Namespace", f"platform-{number}") for number in range(NAMESPACES)]
    counts = {
        "ClusterRole": 95,
        "ServiceAccount": 63,
        "ConfigMap": 62,
        "ClusterRoleBinding": 59,
        "Service": 56,
        "RoleBinding": 43,
        "Role": 40,
        "PrometheusRule": 35,
        "Deployment": 33,
        "ServiceMonitor": 26,
        "DaemonSet": 7,
        "PodDisruptionBudget": 7,
        "Job": 7,
        "Secret": 7,
        "NetworkPolicy": 6,
        "ValidatingWebhookConfiguration": 5,
        "MutatingWebhookConfiguration": 5,
        "StatefulSet": 5,
        "Certificate": 3,
        "StorageClass": 3,
        "CephBlockPool": 1,
        "CephFilesystem": 1,
        "PersistentVolumeClaim": 1,
        "Alertmanager": 1,
        "Prometheus": 1,
        "Kiali": 1,
        "PodMonitor": 1,
        "Issuer": 1,
    }
    return _load(directory, "platform", [*namespaces, *definitions], list(_numbered("platform", counts, spread=NAMESPACES)))


def deployment(name: str) -> Object:
    """One Deployment with one replica, in namespace default."""
    return _object("apps/v1", "Deployment", name, "default", spec={"replicas": 1, **_pods(name)})


def _load(directory: Path, name: str, first: list[Object], rest: list[Object]) -> Load:
    paths = (directory / f"{name}-first.yaml", directory / f"{name}-rest.yaml")
    for path, objects in zip(paths, (first, rest), strict=True):
        with path.open("w", encoding="utf-8") as file:
            yaml.dump_all(objects, file, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False)
    return Load(first, rest, paths)


def _numbered(namespace: str, counts: dict[str, int], spread: int = 0) -> Iterator[Object]:
    for kind, count in counts.items():
        api_version, scope, content = KINDS[kind]
        for number in range(count):
            name = f"{namespace}-{kind.lower()}-{number}"
            space = f"{namespace}-{number % spread}" if spread else namespace
            yield _object(api_version, kind, name, space if scope else "", **content(name, space))


def _object(api_version: str, kind: str, name: str, namespace: str = "", **content: Any) -> Object:
    metadata = {"name": name, "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "Helm"}}
    return {"apiVersion": api_version, "kind": kind, "metadata": {**metadata, "namespace": namespace} if namespace else metadata, **content}


def _pods(name: str, **more: Any) -> Object:
    labels = {"app.kubernetes.io/name": name}
    container = {
        "name": "main",
        "image": "registry.example/main:1.0.0",
        "args": ["--log-level=info", "--leader-elect"],
        "env": [{"name": f"SETTING_{number}", "value": str(number)} for number in range(8)],
        "ports": [{"name": "http", "containerPort": 8080}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/main"}],
    }
    pod = {"containers": [container], "volumes": [{"name": "config", "configMap": {"name": name}}], **more}
    return {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}


def _rules() -> Object:
    rules = [{"apiGroups": ["", "apps"], "resources": [f"resource{number}"], "verbs": ["get", "list", "watch"]} for number in range(6)]
    return {"rules": rules}


def _binding(role: str, name: str, namespace: str) -> Object:
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": name}, "subjects": [subject]}


def _webhook(name: str, namespace: str) -> Object:
    return {
        "webhooks": [
            {
                "name": f"{name}.example.org",
                "clientConfig": {"service": {"name": name, "namespace": namespace}},
                "rules": [{"apiGroups": ["bench.example.org"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*"]}],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Ignore",
            }
        ]
    }


def _alerts(name: str) -> Object:
    rules = [{"alert": f"Alert{number}", "expr": f'up{{job="{name}"}} == 0', "for": "5m", "annotations": {"summary": "x" * 120}} for number in range(12)]
    return {"spec": {"groups": [{"name": name, "rules": rules}]}}


_RBAC = "rbac.authorization.k8s.io/v1"
_HOOKS = "admissionregistration.k8s.io/v1"
_MONITORING = "monitoring.coreos.com/v1"
# kind: apiVersion, whether it is namespaced, content by name and namespace
KINDS: dict[str, tuple[str, bool, Any]] = {
    "ServiceAccount": ("v1", True, lambda name, space: {}),
    "ConfigMap": ("v1", True, lambda name, space: {"data": {f"file-{number}.yaml": "setting: value\n" * 30 for number in range(3)}}),
    "Secret": ("v1", True, lambda name, space: {"stringData": {"password": name}}),
    "Service": ("v1", True, lambda name, space: {"spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}),
    "Role": (_RBAC, True, lambda name, space: _rules()),
    "ClusterRole": (_RBAC, False, lambda name, space: _rules()),
    "RoleBinding": (_RBAC, True, lambda name, space: _binding("Role", name, space)),
    "ClusterRoleBinding": (_RBAC, False, lambda name, space: _binding("ClusterRole", name, space)),
    "Deployment": ("apps/v1", True, lambda name, space: {"spec": {"replicas": 2, **_pods(name)}}),
    "DaemonSet": ("apps/v1", True, lambda name, space: {"spec": _pods(name)}),
    "StatefulSet": ("apps/v1", True, lambda name, space: {"spec": {"serviceName": name, "replicas": 2, **_pods(name)}}),
    "Job": ("batch/v1", True, lambda name, space: {"spec": {"template": {"spec": _pods(name, restartPolicy="Never")["template"]["spec"]}}}),
    "PodDisruptionBudget": ("policy/v1", True, lambda name, space: {"spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}}}),
    "NetworkPolicy": ("networking.k8s.io/v1", True, lambda name, space: {"spec": {"podSelector": {"matchLabels": {"app": name}}, "policyTypes": ["Ingress"]}}),
    "ValidatingWebhookConfiguration": (_HOOKS, False, _webhook),
    "MutatingWebhookConfiguration": (_HOOKS, False, _webhook),
    "StorageClass": ("storage.k8s.io/v1", False, lambda name, space: {"provisioner": "example.org/none"}),
    "PersistentVolumeClaim": (
        "v1",
        True,
        lambda name, space: {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "none"}},
    ),
    "PrometheusRule": (_MONITORING, True, lambda name, space: _alerts(name)),
    "ServiceMonitor": (_MONITORING, True, lambda name, space: {"spec": {"selector": {"matchLabels": {"app": name}}, "endpoints": [{"port": "http"}]}}),
    "PodMonitor": (_MONITORING, True, lambda name, space: {"spec": {"selector": {"matchLabels": {"app": name}}, "podMetricsEndpoints": [{"port": "http"}]}}),
    "Prometheus": (_MONITORING, True, lambda name, space: {"spec": {"replicas": 2, "retention": "10d"}}),
    "Alertmanager": (_MONITORING, True, lambda name, space: {"spec": {"replicas": 3}}),
    "Certificate": (
        "cert-manager.io/v1",
        True,
        lambda name, space: {"spec": {"secretName": name, "dnsNames": ["x.example.org"], "issuerRef": {"name": "ca", "kind": "ClusterIssuer"}}},
    ),
    "Issuer": ("cert-manager.io/v1", True, lambda name, space: {"spec": {"selfSigned": {}}}),
    "CephBlockPool": ("ceph.rook.io/v1", True, lambda name, space: {"spec": {"failureDomain": "host", "replicated": {"size": 3}}}),
    "CephFilesystem": (
        "ceph.rook.io/v1",
        True,
        lambda name, space: {
            "spec": {
                "metadataPool": {"replicated": {"size": 3}},
                "dataPools": [{"name": "data", "replicated": {"size": 3}}],
                "metadataServer": {"activeCount": 1, "activeStandby": True},
            }
        },
    ),
    "Kiali": ("kiali.io/v1alpha1", True, lambda name, space: {"spec": {"auth": {"strategy": "token"}}}),
}
