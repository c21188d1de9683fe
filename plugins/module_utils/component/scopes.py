# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a kind is namespaced, as far as that is known without asking a cluster. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object

# Of groups whose kinds are known: those that are not namespaced.
_CLUSTER_SCOPED: Mapping[str, frozenset[str]] = {
    "": frozenset({"Namespace", "Node", "PersistentVolume"}),
    "admissionregistration.k8s.io": frozenset(
        {
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        }
    ),
    "apiextensions.k8s.io": frozenset({"CustomResourceDefinition"}),
    "apiregistration.k8s.io": frozenset({"APIService"}),
    "apps": frozenset(),
    "autoscaling": frozenset(),
    "batch": frozenset(),
    "certificates.k8s.io": frozenset({"CertificateSigningRequest", "ClusterTrustBundle"}),
    "cert-manager.io": frozenset({"ClusterIssuer"}),
    "coordination.k8s.io": frozenset(),
    "discovery.k8s.io": frozenset(),
    "flowcontrol.apiserver.k8s.io": frozenset({"FlowSchema", "PriorityLevelConfiguration"}),
    "gateway.networking.k8s.io": frozenset({"GatewayClass"}),
    "monitoring.coreos.com": frozenset(),
    "networking.istio.io": frozenset(),
    "networking.k8s.io": frozenset({"IngressClass", "IPAddress", "ServiceCIDR"}),
    "node.k8s.io": frozenset({"RuntimeClass"}),
    "policy": frozenset(),
    "rbac.authorization.k8s.io": frozenset({"ClusterRole", "ClusterRoleBinding"}),
    "resource.k8s.io": frozenset({"DeviceClass", "ResourceSlice"}),
    "scheduling.k8s.io": frozenset({"PriorityClass"}),
    "security.istio.io": frozenset(),
    "snapshot.storage.k8s.io": frozenset({"VolumeSnapshotClass", "VolumeSnapshotContent"}),
    "storage.k8s.io": frozenset({"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"}),
    "telemetry.istio.io": frozenset(),
}


class Scopes:
    """What is known of kinds: those of the table, and those that definitions among ``objects`` bring."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self._defined: dict[tuple[str, str], bool] = {}
        for item in objects:
            if item["kind"] == "CustomResourceDefinition":
                spec = item.get("spec") or {}
                self._defined[(str(spec.get("group")), str((spec.get("names") or {}).get("kind")))] = spec.get("scope") == "Namespaced"

    def namespaced(self, item: Mapping[str, Any]) -> bool | None:
        """Whether the object's kind is namespaced; None where it is not known."""
        group, _slash, _version = item["apiVersion"].rpartition("/")
        kind = item["kind"]
        if (group, kind) in self._defined:
            return self._defined[(group, kind)]
        return kind not in _CLUSTER_SCOPED[group] if group in _CLUSTER_SCOPED else None

    def place(self, item: Object, namespace: str) -> None:
        """Give the object the namespace where it lacks one and needs one, and take it away where it must not have one. In place."""
        metadata = item["metadata"]
        scope = self.namespaced(item)
        if scope is False:
            metadata.pop("namespace", None)
        elif scope and not metadata.get("namespace"):
            metadata["namespace"] = namespace
