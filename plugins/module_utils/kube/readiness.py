# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is an object ready? Pure, by the object alone, as kstatus (sigs.k8s.io/cli-utils) defines it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ready", "progressing", "failed"]


@dataclass(frozen=True)
class Readiness:
    """``reason`` says in a few words what is missing or what failed; empty when ready."""

    state: State
    reason: str = ""

    @property
    def ready(self) -> bool:
        return self.state == "ready"


READY = Readiness("ready")


def readiness(item: Mapping[str, Any]) -> Readiness:
    """The state of any object. Kinds without a rule of their own: their conditions, and ready where they have none."""
    metadata, status = item.get("metadata") or {}, item.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return Readiness("progressing", "is being deleted")
    observed, generation = status.get("observedGeneration"), metadata.get("generation")
    rule = _RULES.get(str(item.get("kind")), _generic)
    if generation is not None and (observed is not None or rule in _CONTROLLED) and (observed or 0) < generation:
        return Readiness("progressing", "its controller has not seen the newest version yet")
    return rule(item.get("spec") or {}, status)


Rule = Callable[[Mapping[str, Any], Mapping[str, Any]], Readiness]


def _deployment(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Readiness:
    progressing = _condition(status, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return Readiness("failed", str(progressing.get("message") or "its progress deadline has passed"))
    wanted = _number(spec, "replicas", 1)
    updated, total, available = _number(status, "updatedReplicas"), _number(status, "replicas"), _number(status, "availableReplicas")
    if updated < wanted:
        return Readiness("progressing", f"{updated} of {wanted} replicas updated")
    if total > updated:
        return Readiness("progressing", f"{total - updated} old replicas still there")
    return READY if available >= wanted else Readiness("progressing", f"{available} of {wanted} replicas available")


def _daemon_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Readiness:
    wanted, available = _number(status, "desiredNumberScheduled"), _number(status, "numberAvailable")
    if (spec.get("updateStrategy") or {}).get("type") != "OnDelete" and (updated := _number(status, "updatedNumberScheduled")) < wanted:
        return Readiness("progressing", f"{updated} of {wanted} pods updated")
    return READY if available >= wanted else Readiness("progressing", f"{available} of {wanted} pods available")


def _stateful_set(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Readiness:
    wanted, strategy = _number(spec, "replicas", 1), spec.get("updateStrategy") or {}
    ready = _number(status, "readyReplicas")
    if ready < wanted:
        return Readiness("progressing", f"{ready} of {wanted} replicas ready")
    if strategy.get("type", "RollingUpdate") == "RollingUpdate":
        updated = wanted - _number(strategy.get("rollingUpdate") or {}, "partition")
        if status.get("updateRevision") != status.get("currentRevision") and _number(status, "updatedReplicas") < updated:
            return Readiness("progressing", f"{_number(status, 'updatedReplicas')} of {updated} replicas updated")
    return READY


def _job(_spec: Mapping[str, Any], status: Mapping[str, Any]) -> Readiness:
    failed = _condition(status, "Failed")
    if failed.get("status") == "True":
        return Readiness("failed", f"{failed.get('reason', 'Failed')}: {failed.get('message', '')}".rstrip(": "))
    if _condition(status, "Complete").get("status") == "True":
        return READY
    return Readiness("progressing", f"not complete, {_number(status, 'active')} pods active, {_number(status, 'failed')} failed")


def _definition(_spec: Mapping[str, Any], status: Mapping[str, Any]) -> Readiness:
    names = _condition(status, "NamesAccepted")
    if names.get("status") == "False":
        return Readiness("failed", f"its names are not accepted: {names.get('message', '')}")
    return READY if _condition(status, "Established").get("status") == "True" else Readiness("progressing", "not established")


def _pod(_spec: Mapping[str, Any], status: Mapping[str, Any]) -> Readiness:
    if status.get("phase") == "Failed":
        return Readiness("failed", str(status.get("message") or status.get("reason") or "the pod failed"))
    if status.get("phase") == "Succeeded" or _condition(status, "Ready").get("status") == "True":
        return READY
    return Readiness("progressing", str(status.get("phase") or "Pending"))


def _service_api(_spec: Mapping[str, Any], status: Mapping[str, Any]) -> Readiness:
    available = _condition(status, "Available")
    return READY if available.get("status") == "True" else Readiness("progressing", str(available.get("message") or "not available"))


def _generic(_spec: Mapping[str, Any], status: Mapping[str, Any]) -> Readiness:
    stalled = _condition(status, "Stalled")
    if stalled.get("status") == "True":
        return Readiness("failed", str(stalled.get("message") or "stalled"))
    for name in ("Ready", "Available"):
        condition = _condition(status, name)
        if condition and condition.get("status") != "True":
            return Readiness("progressing", str(condition.get("message") or condition.get("reason") or f"not {name}"))
    return READY


_RULES: Mapping[str, Rule] = {
    "Deployment": _deployment,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
    "Job": _job,
    "CustomResourceDefinition": _definition,
    "Pod": _pod,
    "APIService": _service_api,
}
# Their controllers always write observedGeneration; until then the numbers in the status say nothing.
_CONTROLLED = (_deployment, _daemon_set, _stateful_set)

WAITED_FOR = frozenset(_RULES)
"""Kinds whose readiness is more than their existence. Others are waited for only when their group is not one of Kubernetes' own."""


def _condition(status: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((condition for condition in status.get("conditions") or [] if condition.get("type") == name), {})


def _number(values: Mapping[str, Any], name: str, default: int = 0) -> int:
    value = values.get(name)
    return default if value is None else int(value)
