# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readiness of Kubernetes' own kinds. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.trinode.platform.plugins.module_utils.kube.states import (
    READY,
    Json,
    Readiness,
    Rule,
    condition,
    failed,
    number,
    part,
    progressing,
    said,
    stuck,
)

# Admission refuses the pods: a quota, Pod Security, a webhook that is only starting.
_PATIENCE_REFUSED = 2.0


def _deployment(item: Json) -> Readiness:
    spec, status = part(item, "spec"), part(item, "status")
    found = condition(status, "Progressing")
    if found.get("reason") == "ProgressDeadlineExceeded":
        return failed(str(found.get("message") or "its progress deadline has passed"))
    wanted = number(spec, "replicas", 1)
    updated, total, available = number(status, "updatedReplicas"), number(status, "replicas"), number(status, "availableReplicas")
    refused = condition(status, "ReplicaFailure")
    if refused.get("status") == "True" and (updated < wanted or total < wanted):
        return stuck(f"its pods are refused: {said(refused, 'no reason given')}", _PATIENCE_REFUSED)
    if updated < wanted:
        return progressing(f"{updated} of {wanted} replicas updated")
    if total > updated:
        return progressing(f"{total - updated} old replicas still there")
    return READY if available >= wanted else progressing(f"{available} of {wanted} replicas available")


def _replica_set(item: Json) -> Readiness:
    status = part(item, "status")
    wanted = number(part(item, "spec"), "replicas", 1)
    refused = condition(status, "ReplicaFailure")
    if refused.get("status") == "True":
        return stuck(f"its pods are refused: {said(refused, 'no reason given')}", _PATIENCE_REFUSED)
    if number(status, "replicas") > wanted:
        return progressing(f"{number(status, 'replicas') - wanted} replicas too many")
    available = number(status, "availableReplicas")
    return READY if available >= wanted else progressing(f"{available} of {wanted} replicas available")


def _daemon_set(item: Json) -> Readiness:
    status = part(item, "status")
    wanted, available = number(status, "desiredNumberScheduled"), number(status, "numberAvailable")
    updated = number(status, "updatedNumberScheduled")
    if part(item, "spec", "updateStrategy").get("type") != "OnDelete" and updated < wanted:
        return progressing(f"{updated} of {wanted} pods updated")
    return READY if available >= wanted else progressing(f"{available} of {wanted} pods available")


def _stateful_set(item: Json) -> Readiness:
    spec, status = part(item, "spec"), part(item, "status")
    wanted, strategy = number(spec, "replicas", 1), part(spec, "updateStrategy")
    ready = number(status, "readyReplicas")
    if ready < wanted:
        return progressing(f"{ready} of {wanted} replicas ready")
    if number(status, "replicas") > wanted:
        return progressing(f"{number(status, 'replicas') - wanted} replicas too many")
    if strategy.get("type", "RollingUpdate") == "RollingUpdate" and status.get("updateRevision") != status.get("currentRevision"):
        updated = wanted - number(part(strategy, "rollingUpdate"), "partition")
        if number(status, "updatedReplicas") < updated:
            return progressing(f"{number(status, 'updatedReplicas')} of {updated} replicas updated")
    return READY


def _job(item: Json) -> Readiness:
    spec, status = part(item, "spec"), part(item, "status")
    for name in ("Failed", "FailureTarget"):
        found = condition(status, name)
        if found.get("status") == "True":
            return failed(f"{found.get('reason', 'Failed')}: {found.get('message', '')}".rstrip(": "))
    if any(condition(status, name).get("status") == "True" for name in ("Complete", "SuccessCriteriaMet")) or spec.get("suspend"):
        return READY
    return progressing(f"not complete, {number(status, 'active')} pods active, {number(status, 'failed')} failed")


def _pod(item: Json) -> Readiness:
    status = part(item, "status")
    if status.get("phase") == "Failed":
        return failed(str(status.get("message") or status.get("reason") or "the pod failed"))
    if status.get("phase") == "Succeeded" or condition(status, "Ready").get("status") == "True":
        return READY
    return progressing(str(status.get("phase") or "Pending"))


def claim(item: Json) -> Readiness:
    """A PersistentVolumeClaim by itself; storage.py knows more."""
    status = part(item, "status")
    if status.get("phase") == "Lost":
        return failed("the volume that it was bound to is gone")
    return READY if status.get("phase") == "Bound" else progressing(f"not bound ({status.get('phase') or 'no phase'})")


def _service(item: Json) -> Readiness:
    spec = part(item, "spec")
    if spec.get("type") != "LoadBalancer" or part(item, "status", "loadBalancer").get("ingress"):
        return READY
    return progressing("it has no address yet: does a pool of load balancer addresses have a free one?")


def _disruption_budget(item: Json) -> Readiness:
    status = part(item, "status")
    healthy, wanted = number(status, "currentHealthy"), number(status, "desiredHealthy")
    return READY if healthy >= wanted else progressing(f"{healthy} of {wanted} pods healthy that it asks for")


def _namespace(item: Json) -> Readiness:
    phase = part(item, "status").get("phase") or "Active"
    return READY if phase == "Active" else progressing(f"it is {phase}")


def _node(item: Json) -> Readiness:
    found = condition(part(item, "status"), "Ready")
    return READY if found.get("status") == "True" else progressing(said(found, "not Ready"))


def _definition(item: Json) -> Readiness:
    status = part(item, "status")
    names = condition(status, "NamesAccepted")
    if names.get("status") == "False":
        return failed(f"its names are not accepted: {names.get('message', '')}")
    return READY if condition(status, "Established").get("status") == "True" else progressing("not established")


def _service_api(item: Json) -> Readiness:
    found = condition(part(item, "status"), "Available")
    return READY if found.get("status") == "True" else progressing(said(found, "not available"))


RULES: Mapping[tuple[str, str], Rule] = {
    ("", "Namespace"): _namespace,
    ("", "Node"): _node,
    ("", "PersistentVolumeClaim"): claim,
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apiregistration.k8s.io", "APIService"): _service_api,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "Deployment"): _deployment,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
    ("policy", "PodDisruptionBudget"): _disruption_budget,
}
"""By group and kind. Kinds that are not here are ready by existing: an admission policy, for one, is enforced whatever its status says."""
