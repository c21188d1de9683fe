# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a pod: the states of its containers that do not heal by waiting, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})
_CREATION = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_CRASHES = 3


@dataclass(frozen=True)
class Trouble:
    """One container of a pod in a bad state. ``text`` is for a person; ``container`` names it ("pod/container")."""

    container: str
    text: str


def troubles(pod: Mapping[str, Any]) -> list[Trouble]:
    """Containers that cannot get their image, cannot be created, or have crashed three times and more."""
    name = (pod.get("metadata") or {}).get("name", "?")
    return [Trouble(f"{name}/{status.get('name', '?')}", text) for status in _statuses(pod) if (text := _trouble(status))]


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
    if status.get("ready") or int(status.get("restartCount") or 0) < _CRASHES:
        return ""
    ended = (status.get("lastState") or {}).get("terminated") or (status.get("state") or {}).get("terminated") or {}
    said = str(ended.get("message") or "").strip()
    text = f"crashed {status['restartCount']} times, last with exit code {ended.get('exitCode', '?')} ({ended.get('reason', '?')})"
    return f"{text}: {said}" if said else text
