# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps objects from becoming ready, beyond their own status: their pods, their volumes, and what the newest events say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import custom_resources, events, pods, storage
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Goal, Known
from ansible_collections.trinode.platform.plugins.module_utils.kube.pods import Trouble
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import Readiness

GRACE_SECONDS = 30.0
"""How long a container may be in a bad state before the wait is given up: registries hiccup, and programs crash until what they need is there."""

_NEVER = 3600.0
_ASK_SECONDS = 10.0
_ASK_AGAIN_SECONDS = 15.0
_POD = Resource("v1", "Pod", "pods", True)
_WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job")


def has_pods(item: Mapping[str, Any]) -> bool:
    """Whether an object's pods tell why it is not ready."""
    return item["kind"] in _WORKLOADS or item["kind"] == "Pod" or bool(custom_resources.stateful_sets(item))


class Health:
    """An Observer (see goals.py) that follows the pods of these namespaces ("": all)."""

    def __init__(self, client: Client, namespaces: Iterable[str], grace: float = GRACE_SECONDS) -> None:
        self.collections: Sequence[Collection] = tuple(Collection(_POD.path(namespace)) for namespace in sorted(set(namespaces)))
        self._client = client
        self._grace = grace
        self._since: dict[str, float] = {}
        self._due: dict[str, float] = {}
        self._ask_at: dict[str, float] = {}

    def hopeless(self, known: Known, pending: Mapping[Goal, Readiness], now: float) -> tuple[Goal, str] | None:
        observed = ((goal, state) for goal, state in pending.items() if goal.observed)
        current = {trouble.subject: (goal, trouble) for goal, state in observed for trouble in self._troubles(known, goal, state)}
        self._since = {subject: self._since.get(subject, now) for subject in current}
        self._due = {subject: self._since[subject] + self._grace * trouble.patience for subject, (_goal, trouble) in current.items()}
        for subject, (goal, trouble) in current.items():
            if now >= self._due[subject]:
                return goal, trouble.text if subject == goal.what else f"{subject}: {trouble.text}"
        return next(((goal, text) for goal in pending if goal.observed and (text := self._refused(known, goal, now))), None)

    def next_look(self, now: float) -> float:
        return max(0.05, min((due - now for due in (*self._due.values(), *self._ask_at.values())), default=_NEVER))

    def remark(self, known: Known, goal: Goal) -> str:
        if not goal.observed:
            return ""
        return next((trouble.text for pod in self._pods_of(known, goal) for trouble in pods.troubles(pod)), "")

    def explain(self, known: Known, goal: Goal, said: str) -> str:
        about = [*subjects(known, goal), *self._pods_of(known, goal)]
        names = {str(item["metadata"]["name"]) for item in about} | {claim for pod in about if pod["kind"] == "Pod" for claim in storage.claims_of(pod)}
        if goal.name is not None:
            names.add(goal.name[1])
        namespaces = {str(item["metadata"].get("namespace") or "") for item in about} or {goal.name[0] if goal.name else ""}
        told = events.newest(self._client, min(namespaces), names, said)
        return " ".join(text for text in (self._volumes(known, goal), told) if text)

    def _troubles(self, known: Known, goal: Goal, state: Readiness) -> Iterator[Trouble]:
        if state.patience < _NEVER:
            yield Trouble(goal.what, state.reason, state.patience)
        for pod in self._pods_of(known, goal):
            yield from pods.troubles(pod)

    def _refused(self, known: Known, goal: Goal, now: float) -> str:
        """Why a workload without any pods gets none. Only events tell, so they are read once it has been so for the grace, and then now and again."""
        item = next((item for item in subjects(known, goal) if _wants_pods(item)), None)
        if item is None or not all(known.listed(collection) for collection in self.collections) or self._pods_of(known, goal):
            self._ask_at.pop(goal.what, None)
            return ""
        if now < self._ask_at.setdefault(goal.what, now + self._grace):
            return ""
        self._ask_at[goal.what] = now + _ASK_AGAIN_SECONDS
        metadata = item["metadata"]
        told = events.refused_pods(self._client, metadata.get("namespace", ""), item["kind"], metadata["name"])
        return f"its pods are refused: {told}" if told else ""

    def _pods_of(self, known: Known, goal: Goal) -> list[Json]:
        found = []
        for item in subjects(known, goal):
            if item["kind"] == "Pod":
                found.append(item)
            elif item["kind"] in _WORKLOADS:
                selector = (item.get("spec") or {}).get("selector") or {}
                namespace = item["metadata"].get("namespace", "")
                found += [pod for pod in self._pods(known) if pod["metadata"].get("namespace") == namespace and pods.selects(selector, pod)]
        return found

    def _pods(self, known: Known) -> Iterable[Json]:
        return (pod for collection in self.collections for pod in known.items(collection).values())

    def _volumes(self, known: Known, goal: Goal) -> str:
        """Why the volumes of pods that no node can take are not there, if that is it."""
        waiting = [pod for pod in self._pods_of(known, goal) if "persistentvolumeclaim" in pods.unscheduled(pod).lower()]
        for pod in waiting:
            namespace = pod["metadata"].get("namespace", "")
            try:
                deadline = Deadline(_ASK_SECONDS)
                claims, _version = self._client.list(storage.CLAIMS.path(namespace), deadline=deadline)
                classes, _version = self._client.list(storage.CLASSES.path(), deadline=deadline)
            except PlatformError:
                return ""
            for claim in claims:
                state = storage.claim_state(claim, classes)
                if claim["metadata"]["name"] in storage.claims_of(pod) and not state.ready:
                    return f"PersistentVolumeClaim {namespace}/{claim['metadata']['name']}: {state.reason}."
        return ""


def _wants_pods(item: Json) -> bool:
    """Whether its controller makes pods by itself, and should have made some. A Deployment says in its status what is wrong."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    match item["kind"]:
        case "StatefulSet":
            return bool(spec.get("replicas", 1))
        case "DaemonSet":
            return bool(status.get("desiredNumberScheduled"))
        case "Job":
            return not spec.get("suspend") and not status.get("conditions")
        case _:
            return False


def subjects(known: Known, goal: Goal) -> list[Json]:
    """The objects that a goal is about, and the StatefulSets that they stand for."""
    items = known.items(goal.collection)
    found = list(items.values()) if goal.name is None else [items[goal.name]] if goal.name in items else []
    names = {name for item in found for name in custom_resources.stateful_sets(item)}
    return found + [other for collection in goal.also for other in known.items(collection).values() if other["metadata"]["name"] in names]
