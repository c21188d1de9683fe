# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Argo CD itself is at work while it is waited for, and how long an error may last.

A sync of Argo CD goes on whenever something changes that it watches. What it has missed (kinds that were just defined), it sees at its next look, which may be
minutes away: so it is told to look.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd import status
from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import Applications
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Goal, Known
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import Readiness, condition

DIRECT = "Argo CD can be passed over: -e component_delivery=direct."
SILENCE_SECONDS = 60.0
_GRACE_SECONDS = 30.0
_STANDSTILL_SECONDS = 15.0
_ASK_SECONDS = 10.0
_NEVER = 3600.0
_IDLE = "Argo CD does not react"


class Attention:
    """An Observer (see kube/goals.py) of Applications: gives up when Argo CD does not look at one that it was told to, and on errors that do not pass."""

    collections: Sequence[Collection] = ()

    def __init__(self, access: Applications, *, silence: float = SILENCE_SECONDS, grace: float = _GRACE_SECONDS) -> None:
        self._access = access
        self._silence = silence
        self._grace = grace
        self._asked: dict[Goal, float] = {}
        self._seen: dict[Goal, tuple[str, float]] = {}
        self._since: dict[Goal, tuple[str, float]] = {}

    def hopeless(self, known: Known, pending: Mapping[Goal, Readiness], now: float) -> tuple[Goal, str] | None:
        for goal, state in pending.items():
            self._push(known, goal, now)
            if self._ignored(known, goal, now):
                return goal, f"{_IDLE}: it was told to look at the Application {self._silence:.0f} s ago, and has not"
            if state.patience >= _NEVER:
                self._since.pop(goal, None)
                continue
            # The words of an error may vary from try to try.
            _text, since = self._since.setdefault(goal, (state.reason, now))
            if now - since >= self._grace * state.patience:
                return goal, state.reason
        return None

    def next_look(self, now: float) -> float:
        del now
        return 1.0 if self._asked or self._since or self._seen else _NEVER

    def remark(self, known: Known, goal: Goal) -> str:
        del known, goal
        return ""

    def explain(self, known: Known, goal: Goal, said: str) -> str:
        del known, goal
        down = said.startswith(_IDLE) or status.behind_the_scenes(said)
        parts = unready(self._access.client, self._access.namespace)
        if parts is None:
            return f"{self._access.namespace} has no pods of Argo CD. {DIRECT}" if down else ""
        return " ".join([*([f"Not ready in {self._access.namespace}: {', '.join(parts)}."] if parts else []), *([DIRECT] if parts or down else [])])

    def _push(self, known: Known, goal: Goal, now: float) -> None:
        item = _item(known, goal)
        if goal.name is None or not status.in_progress(item):
            self._seen.pop(goal, None)
            return
        version = str(item["metadata"].get("resourceVersion"))
        seen, since = self._seen.setdefault(goal, (version, now))
        standing = seen == version and now - since >= _STANDSTILL_SECONDS
        if standing:
            # A help, not a need: who cannot be told now is told next time.
            with contextlib.suppress(PlatformError):
                self._access.refresh(goal.name[1])
        if standing or seen != version:
            self._seen[goal] = (version, now)

    def _ignored(self, known: Known, goal: Goal, now: float) -> bool:
        annotations = (_item(known, goal).get("metadata") or {}).get("annotations") or {}
        if status.REFRESH not in annotations:
            self._asked.pop(goal, None)
            return False
        return now - self._asked.setdefault(goal, now) >= self._silence


def _item(known: Known, goal: Goal) -> Mapping[str, Any]:
    return (known.items(goal.collection).get(goal.name) if goal.name else None) or {}


def unready(client: Client, namespace: str) -> list[str] | None:
    """The pods of Argo CD that are not ready; None where there are none at all. Empty also where it cannot be asked."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    try:
        items, _version = client.list(path, {"labelSelector": "app.kubernetes.io/part-of=argocd"}, deadline=Deadline(_ASK_SECONDS))
    except PlatformError:
        return []
    running = [item for item in items if (item.get("status") or {}).get("phase") != "Succeeded"]
    if not running:
        return None
    return sorted(item["metadata"]["name"] for item in running if condition(item.get("status") or {}, "Ready").get("status") != "True")
