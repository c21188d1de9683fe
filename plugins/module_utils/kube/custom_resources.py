# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readiness of the custom resources that we install: where their controllers write it, and which states do not heal. Pure.

A kind is not ready while the status that its controller always writes is empty. Kinds that have no status, or none that says something, are ready by
existing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.kube.states import (
    READY,
    UNSEEN_VERSION,
    Json,
    Readiness,
    Rule,
    condition,
    failed,
    number,
    outdated,
    part,
    progressing,
    said,
    stuck,
)

# Packages are pulled, unpacked and started meanwhile.
_PATIENCE_PACKAGE = 10.0
# Operators of storage fail and try again while daemons start.
_PATIENCE_STORAGE = 10.0


def conditions(*names: str, bad: Sequence[str] = (), patience: float = 4.0) -> Rule:
    """All of these conditions are True. One that is False for a reason in ``bad`` seldom heals."""

    def rule(item: Json) -> Readiness:
        status = part(item, "status")
        for name in names:
            found = condition(status, name)
            if outdated(item, found):
                return UNSEEN_VERSION
            if found.get("status") != "True":
                reason = f"not {name}: {said(found, 'no reason given')}" if found else f"its controller has not written whether it is {name} yet"
                return stuck(reason, patience) if found.get("reason") in bad else progressing(reason)
        return READY

    return rule


def phase(*good: str, bad: Sequence[str] = (), field: str = "phase", detail: str = "message", patience: float = 4.0, final: bool = False) -> Rule:
    """The status has one of these values in ``field``; those in ``bad`` seldom heal, and never where they are ``final``. ``detail`` says more."""

    def rule(item: Json) -> Readiness:
        status = part(item, "status")
        value = str(status.get(field) or "")
        if value in good:
            return READY
        reason = f"{field} {value}" if value else f"its controller has not written a {field} yet"
        if status.get(detail):
            reason += f": {status[detail]}"
        if value in bad:
            return failed(reason) if final else stuck(reason, patience)
        return progressing(reason)

    return rule


def without(*names: str) -> Rule:
    """None of these conditions, which name mistakes, is True. They may be absent."""

    def rule(item: Json) -> Readiness:
        for name in names:
            found = condition(part(item, "status"), name)
            if found.get("status") == "True" and not outdated(item, found):
                return stuck(f"{name}: {said(found, 'no reason given')}")
        return READY

    return rule


def _certificate(item: Json) -> Readiness:
    issuing = condition(part(item, "status"), "Issuing")
    judged = _IS_READY(item)
    # cert-manager tries again an hour later, and then less and less often.
    if not judged.ready and issuing.get("status") == "False" and issuing.get("reason") == "Failed" and not outdated(item, issuing):
        return failed(said(issuing, "issuing it failed"))
    return judged


def _certificate_request(item: Json) -> Readiness:
    status = part(item, "status")
    for name in ("Denied", "InvalidRequest"):
        found = condition(status, name)
        if found.get("status") == "True":
            return failed(f"{name}: {said(found, 'no reason given')}")
    found = condition(status, "Ready")
    return failed(said(found, "Failed")) if found.get("reason") == "Failed" else _IS_READY(item)


def _route(item: Json) -> Readiness:
    """What its gateways say. Where none has answered it is ready: the gateway may belong to a component that comes later, or to none."""
    for parent in part(item, "status").get("parents") or []:
        for name in ("Accepted", "ResolvedRefs"):
            found = condition(parent, name)
            if found and outdated(item, found):
                return UNSEEN_VERSION
            if found.get("status") == "False":
                return progressing(f"not {name} by the gateway {part(parent, 'parentRef').get('name', '?')}: {said(found, 'no reason given')}")
    return READY


def _network_policy(item: Json) -> Readiness:
    found = condition(part(item, "status"), "Valid")
    return failed(said(found, "it is not valid")) if found.get("status") == "False" and not outdated(item, found) else READY


def _ceph_cluster(item: Json) -> Readiness:
    status = part(item, "status")
    judged = phase("Ready", "Connected", bad=("Failure",), patience=_PATIENCE_STORAGE)(item)
    # Rook writes the phase before the daemons are up; what it has created it says in the state.
    return judged if not judged.ready or status.get("state") in (None, "Created", "Connected") else progressing(f"state {status.get('state')}")


def _prometheus(item: Json) -> Readiness:
    if part(item, "spec").get("paused"):
        return READY
    reconciled = condition(part(item, "status"), "Reconciled")
    if reconciled.get("status") == "False" and not outdated(item, reconciled):
        return stuck(f"not Reconciled: {said(reconciled, 'no reason given')}")
    return conditions("Reconciled", "Available")(item)


def _kiali(item: Json) -> Readiness:
    status = part(item, "status")
    failure = condition(status, "Failure")
    if failure.get("status") == "True":
        return stuck(said(failure, "its operator failed"))
    return conditions("Successful")(item)


def _operation(item: Json) -> Readiness:
    found = condition(part(item, "status"), "Succeeded")
    return failed(said(found, "it failed")) if found.get("status") == "False" else conditions("Succeeded")(item)


def _application(item: Json) -> Readiness:
    status = part(item, "status")
    sync, health = part(status, "sync").get("status"), part(status, "health")
    operation = part(status, "operationState")
    errors = [str(found.get("message")) for found in status.get("conditions") or [] if str(found.get("type")).endswith("Error")]
    if operation.get("phase") in ("Failed", "Error"):
        return stuck(f"its sync ended with {operation['phase']}: {operation.get('message') or 'no message'}")
    if errors:
        return stuck(errors[0])
    if health.get("status") == "Degraded":
        return stuck(f"Degraded: {health.get('message') or 'no message'}", _PATIENCE_PACKAGE)
    if sync != "Synced":
        return progressing(f"sync status {sync or 'not written yet'}")
    return READY if health.get("status") == "Healthy" else progressing(f"health {health.get('status') or 'not written yet'}")


def _application_set(item: Json) -> Readiness:
    found = condition(part(item, "status"), "ErrorOccurred")
    return stuck(said(found, "an error occurred")) if found.get("status") == "True" else conditions("ResourcesUpToDate")(item)


def _kyverno_policy(item: Json) -> Readiness:
    """The kinds of policies.kyverno.io."""
    found = part(item, "status", "conditionStatus")
    if found.get("ready") is True:
        return READY
    lacking = [said(one, str(one.get("type"))) for one in found.get("conditions") or [] if one.get("status") != "True"]
    reason = str(found.get("message") or "; ".join(lacking))
    return progressing(f"not ready: {reason}" if reason else "Kyverno has not written whether it is ready yet")


def _kyverno_job(item: Json) -> Readiness:
    """Policies that act by themselves: Kyverno writes their readiness only when there is something to say."""
    return READY if "ready" not in part(item, "status", "conditionStatus") else _kyverno_policy(item)


_UNRECOVERABLE = ("unrecoverable", "cannot proceed to reconciliation", "manual intervention")


def _postgres_cluster(item: Json) -> Readiness:
    status = part(item, "status")
    text = f"{status.get('phase') or ''}: {status.get('phaseReason') or ''}".strip(": ")
    if any(word in text for word in _UNRECOVERABLE):
        return stuck(text, 2.0)
    judged = _IS_READY(item)
    return judged if judged.ready or not text else progressing(text)


def _postgres_object(item: Json) -> Readiness:
    """What the operator makes inside of a database server."""
    status = part(item, "status")
    if status.get("applied") is False and status.get("message"):
        return stuck(str(status["message"]), 10.0)
    return READY if status.get("applied") is True else progressing("not applied yet")


def _pooler(item: Json) -> Readiness:
    status = part(item, "status")
    if status.get("phase") == "failed":
        return stuck(str(status.get("phaseReason") or status.get("error") or "failed"))
    wanted, running = number(part(item, "spec"), "instances", 1), number(status, "instances")
    return READY if running >= wanted else progressing(f"{running} of {wanted} instances")


def _redis_cluster(item: Json) -> Readiness:
    return phase("Ready", bad=("Failed",), field="state", detail="reason", patience=10.0)(item)


def _sealed_secret(item: Json) -> Readiness:
    found = condition(part(item, "status"), "Synced")
    if found.get("status") == "False":
        return stuck(f"it cannot be unsealed: {said(found, 'no reason given')}", 1.0)
    return conditions("Synced")(item)


def _snapshot(item: Json) -> Readiness:
    status = part(item, "status")
    if status.get("readyToUse") is True:
        return READY
    error = part(status, "error").get("message")
    return stuck(str(error)) if error else progressing("not ready to use yet")


_IS_READY = conditions("Ready")
_PACKAGE = conditions("Installed", "Healthy", bad=("UnhealthyPackageRevision", "UnknownPackageRevisionHealth", "UnpackingPackage"), patience=_PATIENCE_PACKAGE)
_CEPH = phase("Ready", "Connected", bad=("Failure", "ReconcileFailed"), patience=_PATIENCE_STORAGE)


def _of(group: str, kinds: Iterable[str], rule: Rule) -> dict[tuple[str, str], Rule]:
    return {(group, kind): rule for kind in kinds}


_CEPH_KINDS = (
    "CephBlockPool",
    "CephBlockPoolRadosNamespace",
    "CephBucketTopic",
    "CephClient",
    "CephFilesystem",
    "CephFilesystemMirror",
    "CephFilesystemSubVolumeGroup",
    "CephNFS",
    "CephObjectRealm",
    "CephObjectStore",
    "CephObjectStoreAccount",
    "CephObjectStoreUser",
    "CephObjectZone",
    "CephObjectZoneGroup",
    "CephRBDMirror",
)
_POLICY_KINDS = ("ValidatingPolicy", "MutatingPolicy", "ImageValidatingPolicy")
_ACTING_KINDS = ("GeneratingPolicy", "DeletingPolicy")

RULES: Mapping[tuple[str, str], Rule] = {
    ("acme.cert-manager.io", "Challenge"): phase("valid", bad=("invalid", "errored", "expired"), field="state", detail="reason", final=True),
    ("acme.cert-manager.io", "Order"): phase("valid", bad=("invalid", "errored", "expired"), field="state", detail="reason", final=True),
    ("cert-manager.io", "Certificate"): _certificate,
    ("cert-manager.io", "CertificateRequest"): _certificate_request,
    **_of("cert-manager.io", ("Issuer", "ClusterIssuer"), _IS_READY),
    ("gateway.networking.k8s.io", "GatewayClass"): conditions("Accepted"),
    **_of("gateway.networking.k8s.io", ("Gateway", "ListenerSet"), conditions("Accepted", "Programmed")),
    **_of("gateway.networking.k8s.io", ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute"), _route),
    **_of("cilium.io", ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"), _network_policy),
    ("cilium.io", "CiliumLoadBalancerIPPool"): without("cilium.io/PoolConflict"),
    ("cilium.io", "CiliumL2AnnouncementPolicy"): without("io.cilium/bad-node-selector", "io.cilium/bad-interface-regex", "io.cilium/bad-service-selector"),
    ("cilium.io", "CiliumBGPClusterConfig"): without("cilium.io/NoMatchingNode", "cilium.io/MissingPeerConfigs", "cilium.io/ConflictingClusterConfig"),
    ("ceph.rook.io", "CephCluster"): _ceph_cluster,
    **_of("ceph.rook.io", _CEPH_KINDS, _CEPH),
    ("objectbucket.io", "ObjectBucketClaim"): phase("Bound", bad=("Failed",), patience=_PATIENCE_STORAGE),
    **_of("monitoring.coreos.com", ("Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler"), _prometheus),
    ("kiali.io", "Kiali"): _kiali,
    **_of("pkg.crossplane.io", ("Provider", "Function", "Configuration"), _PACKAGE),
    **_of("pkg.crossplane.io", ("ProviderRevision", "FunctionRevision"), conditions("RevisionHealthy", "RuntimeHealthy")),
    ("pkg.crossplane.io", "ConfigurationRevision"): conditions("RevisionHealthy"),
    ("apiextensions.crossplane.io", "CompositeResourceDefinition"): conditions("Established"),
    ("apiextensions.crossplane.io", "ManagedResourceActivationPolicy"): conditions("Healthy"),
    ("ops.crossplane.io", "Operation"): _operation,
    ("argoproj.io", "Application"): _application,
    ("argoproj.io", "ApplicationSet"): _application_set,
    **_of("kyverno.io", ("ClusterPolicy", "Policy", "GlobalContextEntry"), _IS_READY),
    **_of("policies.kyverno.io", (*_POLICY_KINDS, *(f"Namespaced{kind}" for kind in _POLICY_KINDS)), _kyverno_policy),
    **_of("policies.kyverno.io", (*_ACTING_KINDS, *(f"Namespaced{kind}" for kind in _ACTING_KINDS)), _kyverno_job),
    ("postgresql.cnpg.io", "Cluster"): _postgres_cluster,
    ("postgresql.cnpg.io", "Backup"): phase("completed", bad=("failed", "walArchivingFailing"), detail="error", final=True),
    ("postgresql.cnpg.io", "Pooler"): _pooler,
    **_of("postgresql.cnpg.io", ("Database", "DatabaseRole", "Publication", "Subscription"), _postgres_object),
    ("redis.redis.opstreelabs.in", "RedisCluster"): _redis_cluster,
    ("bitnami.com", "SealedSecret"): _sealed_secret,
    **_of("snapshot.storage.k8s.io", ("VolumeSnapshot", "VolumeSnapshotContent"), _snapshot),
    **_of("groupsnapshot.storage.k8s.io", ("VolumeGroupSnapshot", "VolumeGroupSnapshotContent"), _snapshot),
}
"""By group and kind."""

_EXIST_ONLY_GROUPS = frozenset(
    {
        "networking.istio.io",
        "security.istio.io",
        "telemetry.istio.io",
        "extensions.istio.io",
        "csi.ceph.io",
        "barmancloud.cnpg.io",
        "monitoring.grafana.com",
    }
)
_EXIST_ONLY: frozenset[tuple[str, str]] = frozenset(
    {
        *(("monitoring.coreos.com", kind) for kind in ("ServiceMonitor", "PodMonitor", "Probe", "PrometheusRule", "ScrapeConfig", "AlertmanagerConfig")),
        *(("apiextensions.crossplane.io", kind) for kind in ("Composition", "EnvironmentConfig")),
        *(("pkg.crossplane.io", kind) for kind in ("DeploymentRuntimeConfig", "ImageConfig")),
        *(("cilium.io", kind) for kind in ("CiliumCIDRGroup", "CiliumBGPAdvertisement", "CiliumBGPPeerConfig", "CiliumNodeConfig", "CiliumEnvoyConfig")),
        *(("cilium.io", kind) for kind in ("CiliumClusterwideEnvoyConfig", "CiliumEgressGatewayPolicy", "CiliumLocalRedirectPolicy", "CiliumPodIPPool")),
        *(("postgresql.cnpg.io", kind) for kind in ("ScheduledBackup", "ImageCatalog", "ClusterImageCatalog")),
        *(("kyverno.io", kind) for kind in ("PolicyException", "CleanupPolicy", "ClusterCleanupPolicy")),
        ("argoproj.io", "AppProject"),
        ("policies.kyverno.io", "PolicyException"),
    }
)


def exists_only(group: str, kind: str) -> bool:
    """Kinds whose existence is all that can be waited for."""
    return group in _EXIST_ONLY_GROUPS or (group, kind) in _EXIST_ONLY


_REDIS = "redis.redis.opstreelabs.in"
_STATEFUL_SETS: Mapping[str, Sequence[str]] = {
    "Redis": ("{name}",),
    "RedisReplication": ("{name}",),
    "RedisSentinel": ("{name}-sentinel",),
    "RedisCluster": ("{name}-leader", "{name}-follower"),
}


def stateful_sets(item: Mapping[str, Any]) -> list[str]:
    """The StatefulSets that a kind with little status of its own stands for: it is ready when they are."""
    if str(item.get("apiVersion") or "").rpartition("/")[0] != _REDIS:
        return []
    return [pattern.format(name=part(item, "metadata").get("name", "")) for pattern in _STATEFUL_SETS.get(str(item.get("kind")), ())]
