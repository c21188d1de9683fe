# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draining a node: cordon it, evict its pods within their disruption budgets, and wait until they are gone."""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import budgets, drain_plan, targets
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import Blocker, label
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection, Follower, Seen
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Known
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_BUDGETS = Collection("/apis/policy/v1/poddisruptionbudgets")
_PODS = "/api/v1/pods"
_PARALLEL = 8
# A refused eviction is tried again when a budget changes, and after this long in any case.
_AGAIN_SECONDS = 5.0
_SHOWN = 10
MARK = "trinode.platform/rolling"
"""The annotation of a node that was cordoned for a reason of ours; its value says for which. Who finds it knows that the node is half done, and by whom."""


@dataclass
class Drained:
    """What was done, or would be. ``cordoned``: the node was schedulable before; ``evicted`` in the order in which they left; ``left`` with the reason."""

    cordoned: bool = False
    evicted: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    blockers: list[Blocker] = field(default_factory=list)


def read_node(client: Client, name: str, deadline: Deadline) -> Json:
    """The node; InputError where there is none of that name."""
    try:
        return retried(lambda: client.get(f"/api/v1/nodes/{name}", deadline=deadline), deadline, f"node {name}")
    except ApiError as error:
        if not error.not_found:
            raise
        nodes, _version = client.list("/api/v1/nodes", deadline=deadline)
        names = ", ".join(sorted(node["metadata"]["name"] for node in nodes)) or "none"
        raise InputError("there is no such node", where=f"node {name}", hint=f"The cluster has {names}.") from error


def is_cordoned(node: Json) -> bool:
    return bool((node.get("spec") or {}).get("unschedulable"))


def mark_of(node: Json) -> str:
    """Why we cordoned the node; empty where we did not."""
    return str(((node.get("metadata") or {}).get("annotations") or {}).get(MARK) or "")


def set_cordon(client: Client, name: str, deadline: Deadline, *, cordoned: bool, reason: str = "") -> None:
    """Take no new pods, and bear the reason as a mark where there is one; or take them again, without a mark. Both in one request."""
    body: Json = {"spec": {"unschedulable": True if cordoned else None}}
    if reason or not cordoned:
        body["metadata"] = {"annotations": {MARK: reason if cordoned else None}}
    progress(f"{'cordoning' if cordoned else 'uncordoning'} {name}")

    def patch() -> Json:
        return client.request("PATCH", f"/api/v1/nodes/{name}", body, content_type="application/merge-patch+json", deadline=deadline)

    retried(patch, deadline, f"node {name}")


def simulate(client: Client, names: Sequence[str], options: drain_plan.Options, deadline: Deadline) -> dict[str, tuple[drain_plan.Plan, list[Blocker]]]:
    """What draining each of the nodes would do, and which budgets would be in the way. Reads only."""
    pods, _version = client.list(_PODS, deadline=deadline)
    listed, _version = client.list(_BUDGETS.path, deadline=deadline)
    found = {}
    for name in names:
        plan = drain_plan.plan([pod for pod in pods if (pod.get("spec") or {}).get("nodeName") == name], options)
        refused = [pod for pod in pods if label(pod) in plan.refuse]
        found[name] = plan, budgets.blockers(name, [*plan.evict, *refused], pods, listed)
    return found


def drain(client: Client, name: str, options: drain_plan.Options, deadline: Deadline, reason: str = "") -> Drained:
    """Cordon the node, evict its pods, and return when they are gone. A drained node is left as it is, and so is the mark of one that was cordoned before.

    Raises RefusedError before anything is touched where a pod would lose what cannot be brought back; PlatformError or DeadlineExceeded where pods remain:
    the node stays cordoned then.
    """
    node = read_node(client, name, deadline)
    pods, _version = client.list(_PODS, {"fieldSelector": f"spec.nodeName={name}"}, deadline=deadline)
    drain_plan.plan(pods, options).check(name)
    result = Drained(cordoned=not is_cordoned(node))
    if result.cordoned:
        set_cordon(client, name, deadline, cordoned=True, reason=reason)
    _Eviction(client, name, options, deadline, result).run()
    return result


class _Eviction:
    """Evicts until no pod is left that has to go, whatever comes meanwhile."""

    def __init__(self, client: Client, name: str, options: drain_plan.Options, deadline: Deadline, result: Drained) -> None:
        self._client = client
        self._name = name
        self._options = options
        self._deadline = deadline
        self._result = result
        self._here = Collection(_PODS, field_selector=f"spec.nodeName={name}")
        self._known = Known()
        self._accepted: dict[str, str] = {}
        self._refusals: dict[str, str] = {}
        self._next_try = 0.0

    def run(self) -> None:
        news: queue.SimpleQueue[Seen] = queue.SimpleQueue()
        followers = [Follower(self._client, collection, self._deadline, news).start() for collection in (self._here, _BUDGETS)]
        try:
            while (left := self._remaining()) is None or left:
                if self._deadline.expired:
                    raise self._late(left or [])
                if left:
                    self._evict(left)
                self._hear(news)
        finally:
            for follower in followers:
                follower.stop()

    def _remaining(self) -> list[Json] | None:
        """The pods that have to go; None before the first list."""
        if not self._known.listed(self._here):
            return None
        plan = drain_plan.plan(self._known.items(self._here).values(), self._options)
        # What came since the start came in spite of the cordon: it is told, and left alone.
        self._result.left = {**plan.leave, **plan.refuse}
        return plan.evict

    def _hear(self, news: queue.SimpleQueue[Seen]) -> None:
        until = min(self._deadline.remaining, max(0.01, self._next_try - time.monotonic()) if self._refusals else _AGAIN_SECONDS)
        try:
            seen = news.get(timeout=until)
        except queue.Empty:
            return
        while True:
            if seen.error is not None:
                raise seen.error
            self._known.learn(seen)
            if seen.collection == _BUDGETS:
                self._next_try = 0.0
            elif seen.gone:
                self._gone(seen.items)
            if news.empty():
                return
            seen = news.get()

    def _gone(self, items: Sequence[Json]) -> None:
        for pod in items:
            uid = str(pod["metadata"].get("uid"))
            if uid in self._accepted:
                left = len(self._remaining() or [])
                progress(f"{self._accepted[uid]} is gone, {left} pods left on {self._name}")

    def _evict(self, pods: Sequence[Json]) -> None:
        """Ask for the eviction of what has not been asked for yet; what was refused, when it is time."""
        due = time.monotonic() >= self._next_try
        wanted = [
            pod
            for pod in pods
            if not pod["metadata"].get("deletionTimestamp")
            and str(pod["metadata"]["uid"]) not in self._accepted
            and (due or str(pod["metadata"]["uid"]) not in self._refusals)
        ]
        if not wanted:
            return
        with ThreadPoolExecutor(max_workers=min(_PARALLEL, len(wanted))) as pool:
            refusals = list(pool.map(self._ask, wanted))
        for pod, refusal in zip(wanted, refusals, strict=True):
            uid = str(pod["metadata"]["uid"])
            if refusal:
                if self._refusals.get(uid) != refusal:
                    progress(f"{label(pod)} cannot leave yet: {refusal}")
                self._refusals[uid] = refusal
            else:
                self._refusals.pop(uid, None)
                self._accepted[uid] = label(pod)
                self._result.evicted.append(label(pod))
                progress(f"{label(pod)} leaves {self._name}")
        self._next_try = time.monotonic() + _AGAIN_SECONDS

    def _ask(self, pod: Json) -> str:
        """Why the pod may not leave yet; nothing when it may."""
        metadata = pod["metadata"]
        options: Json = {"preconditions": {"uid": metadata["uid"]}}
        if self._options.grace_period is not None:
            options["gracePeriodSeconds"] = self._options.grace_period
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "deleteOptions": options,
        }
        try:
            self._client.request("POST", f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction", body, deadline=self._deadline)
        except ApiUnreachable as error:
            return error.what
        except ApiError as error:
            if error.not_found or error.code == 409:
                return ""  # it is gone, or another one of the same name has come
            if error.code == 429:
                return "; ".join(str(cause.get("message")) for cause in error.causes if cause.get("message")) or error.what
            if error.code == 500 and "more than one PodDisruptionBudget" in error.what:
                raise self._hopeless(pod, error) from error
            if error.temporary or "being terminated" in error.what:
                return error.what
            raise
        return ""

    def _hopeless(self, pod: Json, error: ApiError) -> PlatformError:
        blocking = [blocker for blocker in self._blockers([pod]) if blocker.verdict == "never"]
        hint = " ".join(str(blocker) for blocker in blocking) or "Narrow the selectors of its budgets, so that it has one."
        return PlatformError(f"{label(pod)} cannot be evicted: {error.what}", where=f"node {self._name}", hint=f"{hint} The node stays cordoned.")

    def _blockers(self, pods: Sequence[Json]) -> list[Blocker]:
        try:
            everywhere, _version = self._client.list(_PODS, deadline=Deadline(10))
            listed, _version = self._client.list(_BUDGETS.path, deadline=Deadline(10))
        except PlatformError:
            return []
        return budgets.blockers(self._name, pods, everywhere, listed)

    def _late(self, left: Sequence[Json]) -> PlatformError:
        lines = []
        for pod in left:
            refusal = self._refusals.get(str(pod["metadata"].get("uid")))
            lines.append(f"{label(pod)}: {refusal or targets.remains(pod)}")
        shown = "; ".join(lines[:_SHOWN]) + (f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else "")
        blocking = self._blockers([pod for pod in left if not pod["metadata"].get("deletionTimestamp")])
        hint = " ".join([*(str(blocker) for blocker in blocking), "The node stays cordoned."])
        details = {"evicted": list(self._result.evicted), "remaining": [label(pod) for pod in left]}
        what = (
            f"{len(left)} pods are still there after {self._deadline.seconds:.0f} s: {shown}"
            if left
            else f"its pods were not told within {self._deadline.seconds:.0f} s"
        )
        return DeadlineExceeded(what, where=f"node {self._name}", hint=hint, details=details)
