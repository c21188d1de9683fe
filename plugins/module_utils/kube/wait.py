# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until objects are ready, on list and watch: one per kind and namespace. Gives up early on what does not heal by waiting."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import pods, readiness
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource, Resources
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Follower, Seen
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

GRACE_SECONDS = 30.0
"""How long a container may be in a bad state before the wait is given up: registries hiccup, and programs crash until what they need is there."""

_DELETED = readiness.Readiness("failed", "it was deleted while it was waited for")
_POD = Resource("v1", "Pod", "pods", True)
_WITH_PODS = ("Deployment", "DaemonSet", "StatefulSet", "Job")
_EVENTS = 3


def until_ready(client: Client, objects: Iterable[Object], resources: Resources, deadline: Deadline, *, grace: float = GRACE_SECONDS) -> None:
    """Return when every object is ready. ``objects`` carry their namespace; kinds that are ready by existing are passed over.

    Raises PlatformError as soon as one has failed (a failed Job, a passed progress deadline, a container that cannot start), DeadlineExceeded otherwise; both
    name the object and what its pods and the newest events say.
    """
    wanted = [item for item in objects if waited_for(item) and (item["apiVersion"], item["kind"]) in resources]
    if not wanted:
        return
    collections = {key_of(item): resources[(item["apiVersion"], item["kind"])].path(item["metadata"].get("namespace", "")) for item in wanted}
    watch = _Watch({key: readiness.Readiness("progressing", "not seen yet") for key in collections}, collections, grace)
    paths = set(collections.values()) | {_POD.path(item["metadata"]["namespace"]) for item in wanted if item["kind"] in _WITH_PODS}
    news: queue.SimpleQueue[Seen] = queue.SimpleQueue()
    followers = [Follower(client, path, deadline, news).start() for path in sorted(paths)]
    try:
        _drain(client, watch, news, deadline)
    finally:
        for follower in followers:
            follower.stop()
        for follower in followers:
            follower.join()


def waited_for(item: Mapping[str, Any]) -> bool:
    """Kinds with a rule of their own, and custom resources (a group that is not one of Kubernetes')."""
    group = item["apiVersion"].rpartition("/")[0]
    return item["kind"] in readiness.WAITED_FOR or ("." in group and not group.endswith(".k8s.io"))


@dataclass
class _Watch:
    """What is known so far. ``pending`` holds what is not ready yet, with the reason; ``paths`` the collection of each object that is waited for."""

    pending: dict[Key, readiness.Readiness]
    paths: Mapping[Key, str]
    grace: float
    objects: dict[Key, Json] = field(default_factory=dict)
    pods: dict[tuple[str, str], Json] = field(default_factory=dict)
    trouble_since: dict[str, float] = field(default_factory=dict)

    def learn(self, seen: Seen) -> None:
        if seen.path.startswith("/api/v1/namespaces/") and seen.path.endswith("/pods"):
            self._learn_pods(seen)
        if seen.complete:
            there = {key_of(item) for item in seen.items}
            for key in [key for key, path in self.paths.items() if path == seen.path and key not in there]:
                self.pending[key] = _DELETED
        for item in seen.items:
            self._learn_object(item, seen)

    def _learn_object(self, item: Json, seen: Seen) -> None:
        key = key_of(item)
        if key not in self.paths:
            return
        self.objects[key] = item
        state = _DELETED if seen.gone else readiness.readiness(item)
        if state.ready:
            if self.pending.pop(key, None):
                progress(f"{key} is ready")
        elif self.pending.get(key) != state:
            self.pending[key] = state
            progress(f"waiting for {key}: {state.reason}")

    def _learn_pods(self, seen: Seen) -> None:
        namespace = seen.path.split("/")[4]
        if seen.complete:
            self.pods = {key: pod for key, pod in self.pods.items() if key[0] != namespace}
        for pod in seen.items:
            key = (namespace, pod["metadata"]["name"])
            if seen.gone:
                self.pods.pop(key, None)
            else:
                self.pods[key] = pod

    def failed(self, now: float) -> tuple[Key, str, list[str]] | None:
        """The first object that has failed, the reason, and the names whose events tell more; containers in trouble count once the grace has passed."""
        for key, state in self.pending.items():
            if state.state == "failed":
                return key, state.reason, [key.name, *(pod["metadata"]["name"] for pod in self.pods_of(key))]
        current = {trouble.container: (key, trouble) for key in self.pending for pod in self.pods_of(key) for trouble in pods.troubles(pod)}
        self.trouble_since = {name: self.trouble_since.get(name, now) for name in current}
        for name, (key, trouble) in current.items():
            if now - self.trouble_since[name] >= self.grace:
                return key, f"container {trouble.container}: {trouble.text}", [trouble.container.partition("/")[0]]
        return None

    def next_look(self, now: float) -> float:
        """Seconds until a container in trouble has used up its grace."""
        return max(0.05, min((since + self.grace - now for since in self.trouble_since.values()), default=3600.0))

    def pods_of(self, key: Key) -> list[Json]:
        selector = ((self.objects.get(key) or {}).get("spec") or {}).get("selector") or {}
        if not isinstance(selector, dict) or not selector:
            return []
        return [pod for (namespace, _name), pod in self.pods.items() if namespace == key.namespace and pods.selects(selector, pod)]


def _drain(client: Client, watch: _Watch, news: queue.SimpleQueue[Seen], deadline: Deadline) -> None:
    while watch.pending:
        now = time.monotonic()
        if failure := watch.failed(now):
            key, reason, names = failure
            raise PlatformError(f"it will not become ready: {reason}", where=str(key), hint=_recent(client, key.namespace, names, reason))
        if deadline.expired:
            raise _late(client, watch, deadline)
        try:
            seen = news.get(timeout=max(0.01, min(deadline.remaining, watch.next_look(now))))
        except queue.Empty:
            continue
        if seen.error is not None:
            raise seen.error
        watch.learn(seen)


def _late(client: Client, watch: _Watch, deadline: Deadline) -> PlatformError:
    lines = [f"{key}: {state.reason}" + _said(watch.pods_of(key)) for key, state in sorted(watch.pending.items())]
    first = min(watch.pending)
    names = [first.name, *(pod["metadata"]["name"] for pod in watch.pods_of(first))]
    what = f"not ready within {deadline.seconds:.0f} s: {'; '.join(lines[:10])}"
    return DeadlineExceeded(what, where=client.server, hint=_recent(client, first.namespace, names))


def _said(workload_pods: Sequence[Mapping[str, Any]]) -> str:
    """The first thing that a workload's pods complain of, in brackets."""
    texts = [trouble.text for pod in workload_pods for trouble in pods.troubles(pod)]
    texts += [text for pod in workload_pods if (text := _unscheduled(pod))]
    return f" ({texts[0]})" if texts else ""


def _unscheduled(pod: Mapping[str, Any]) -> str:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return next((str(item.get("message", "")) for item in conditions if item.get("type") == "PodScheduled" and item.get("status") == "False"), "")


def _recent(client: Client, namespace: str, names: Sequence[str], said: str = "") -> str:
    """The newest warnings about these objects that ``said`` does not hold yet; empty when there are none or the server does not tell."""
    if not namespace:
        return ""
    try:
        events, _version = client.list(f"/api/v1/namespaces/{namespace}/events", {"fieldSelector": "type=Warning"}, deadline=Deadline(10))
    except PlatformError:
        return ""
    about = [event for event in events if (event.get("involvedObject") or {}).get("name") in names]
    about.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    # A kubelet's event is a word and the container's own message, which may have been told already: "Error: ImagePullBackOff".
    lines = {
        f"{event['involvedObject'].get('kind')} {event['involvedObject'].get('name')}: {message}": None
        for event in about
        if (message := str(event.get("message", ""))) and (message.partition(": ")[2] or message) not in said
    }
    return f"Newest events: {' | '.join(list(lines)[-_EVENTS:])}" if lines else ""
