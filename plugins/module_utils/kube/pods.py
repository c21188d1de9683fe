# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a pod: the states of its containers that do not heal by waiting, in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
_CREATION = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_CRASHES = 3
# Volumes take a while to be made, and other pods to go.
_UNSCHEDULED_PATIENCE = 4.0
# A Secret or ConfigMap that an operator makes, such as that of a new bucket.
_MISSING_PATIENCE = 4.0
# Taints of nodes that are only starting: they go by themselves.
_STARTING = (
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/network-unavailable",
    "node.cloudprovider.kubernetes.io/uninitialized",
    "node.cilium.io/agent-not-ready",
)
# A kubelet that has only started, or cannot reach an API server for now, as on a machine that is busy.
_KUBELET_STARTING = "services have not yet been read at least once"


@dataclass(frozen=True)
class Trouble:
    """Something about a pod that is not as it should be. ``subject`` names it ("container web-0/main"), ``text`` says what, both for a person.

    ``patience`` is how many times the usual grace it may take to heal.
    """

    subject: str
    text: str
    patience: float = 1.0


def troubles(pod: Mapping[str, Any]) -> list[Trouble]:
    """Containers that cannot get their image, cannot be created, or crash again and again; a pod that no node can take."""
    name = (pod.get("metadata") or {}).get("name", "?")
    found = [Trouble(f"container {name}/{status.get('name', '?')}", text, _patience(text)) for status in _statuses(pod) if (text := _trouble(status))]
    if text := unscheduled(pod):
        healing = any(taint in text for taint in _STARTING)
        found.append(Trouble(f"pod {name}", f"no node can take it: {text}", math.inf if healing else _UNSCHEDULED_PATIENCE))
    return found


def _patience(text: str) -> float:
    if _KUBELET_STARTING in text:
        return math.inf
    return _MISSING_PATIENCE if text.startswith("CreateContainerConfigError") and "not found" in text else 1.0


def unscheduled(pod: Mapping[str, Any]) -> str:
    """Why no node can take the pod, as the scheduler says it; empty where that is not so."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    scheduled: Mapping[str, Any] = next((item for item in conditions if item.get("type") == "PodScheduled"), {})
    return str(scheduled.get("message") or "Unschedulable") if scheduled.get("reason") == "Unschedulable" else ""


def selects(selector: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """Whether a workload's label selector (matchLabels and matchExpressions) matches a pod."""
    labels = (pod.get("metadata") or {}).get("labels") or {}
    wanted = selector.get("matchLabels") or {}
    if not wanted and not selector.get("matchExpressions"):
        return False
    return all(labels.get(key) == value for key, value in wanted.items()) and all(_matches(rule, labels) for rule in selector.get("matchExpressions") or [])


def _matches(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(rule["key"]), rule.get("values") or []
    match rule["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None


def _statuses(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def _trouble(status: Mapping[str, Any]) -> str:
    waiting = (status.get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason", "")
    if reason in _IMAGE:
        return f"{reason}: image {status.get('image', '?')}: {waiting.get('message', 'no message')}"
    if reason in _CREATION:
        return f"{reason}: {waiting.get('message', 'no message')}"
    if status.get("ready") or "running" in (status.get("state") or {}) or int(status.get("restartCount") or 0) < _CRASHES:
        return ""
    ended = (status.get("lastState") or {}).get("terminated") or (status.get("state") or {}).get("terminated") or {}
    said = str(ended.get("message") or "").strip()
    text = f"crashed {status['restartCount']} times, last with exit code {ended.get('exitCode', '?')} ({ended.get('reason', '?')})"
    return f"{text}: {said}" if said else text
