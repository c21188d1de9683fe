# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps objects from becoming ready, beyond their own status: their pods, and what the newest events say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.trinode.platform.plugins.module_utils.kube import events, pods
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Goal, Known

GRACE_SECONDS = 30.0
"""How long a container may be in a bad state before the wait is given up: registries hiccup, and programs crash until what they need is there."""

_NEVER = 3600.0
_POD = Resource("v1", "Pod", "pods", True)
_WITH_PODS = ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job")


def with_pods(kind: str) -> bool:
    """Whether a kind is a workload whose pods tell why it is not ready."""
    return kind in _WITH_PODS or kind == "Pod"


class Health:
    """An Observer (see goals.py) of workloads in these namespaces ("": all)."""

    def __init__(self, client: Client, namespaces: Iterable[str], grace: float = GRACE_SECONDS) -> None:
        self.collections: Sequence[Collection] = tuple(Collection(_POD.path(namespace)) for namespace in sorted(set(namespaces)))
        self._client = client
        self._grace = grace
        self._since: dict[str, float] = {}
        self._due: dict[str, float] = {}

    def hopeless(self, known: Known, pending: Iterable[Goal], now: float) -> tuple[Goal, str] | None:
        current = {trouble.subject: (goal, trouble) for goal in pending for trouble in self._troubles(known, goal)}
        self._since = {subject: self._since.get(subject, now) for subject in current}
        self._due = {subject: self._since[subject] + self._grace * trouble.patience for subject, (_goal, trouble) in current.items()}
        for subject, (goal, trouble) in current.items():
            if now >= self._due[subject]:
                return goal, f"{subject}: {trouble.text}"
        return None

    def next_look(self, now: float) -> float:
        return max(0.05, min((due - now for due in self._due.values()), default=_NEVER))

    def remark(self, known: Known, goal: Goal) -> str:
        return next((trouble.text for trouble in self._troubles(known, goal)), "")

    def explain(self, known: Known, goal: Goal, said: str) -> str:
        names = {item["metadata"]["name"] for item in [*subjects(known, goal), *self._pods_of(known, goal)]}
        if goal.name is not None:
            names.add(goal.name[1])
        namespace = goal.name[0] if goal.name else ""
        return events.newest(self._client, namespace, names, said)

    def _troubles(self, known: Known, goal: Goal) -> list[pods.Trouble]:
        return [trouble for pod in self._pods_of(known, goal) for trouble in pods.troubles(pod)]

    def _pods_of(self, known: Known, goal: Goal) -> list[Json]:
        found = []
        for item in subjects(known, goal):
            if item["kind"] == "Pod":
                found.append(item)
            elif item["kind"] in _WITH_PODS:
                selector = (item.get("spec") or {}).get("selector") or {}
                namespace = item["metadata"].get("namespace", "")
                found += [pod for pod in self._pods(known) if pod["metadata"].get("namespace") == namespace and pods.selects(selector, pod)]
        return found

    def _pods(self, known: Known) -> Iterable[Json]:
        return (pod for collection in self.collections for pod in known.items(collection).values())


def subjects(known: Known, goal: Goal) -> list[Json]:
    """The objects that a goal is about."""
    items = known.items(goal.collection)
    if goal.name is None:
        return list(items.values())
    return [items[goal.name]] if goal.name in items else []
