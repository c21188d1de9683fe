# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Primaries of CloudNativePG's databases: which are on a node, who takes over, and the switchover, as `kubectl cnpg promote` asks for it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import is_ready, label
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.drain import is_cordoned
from ansible_collections.trinode.platform.plugins.module_utils.kube.listing import where_served
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import Json, part
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_API = "/apis/postgresql.cnpg.io/v1"
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Switchover:
    """A database (namespace and name of its Cluster) whose primary is to move. ``target`` is empty where nobody can take over, and ``why`` says why."""

    namespace: str
    cluster: str
    primary: str
    target: str = ""
    why: str = ""

    @property
    def text(self) -> str:
        return f"{self.namespace}/{self.cluster}: {self.primary} → {self.target or 'nobody'}"


def plan(node: str, clusters: Iterable[Json], pods: Sequence[Json], cordoned: Collection[str]) -> list[Switchover]:
    """The databases whose primary is on the node. Those of one instance are left out: their primary has nowhere to go. Pure."""
    found = []
    by_label = {label(pod): pod for pod in pods}
    for cluster in clusters:
        namespace, name = str(part(cluster, "metadata").get("namespace")), str(part(cluster, "metadata").get("name"))
        status = part(cluster, "status")
        # A switchover that is under way already counts as done here: it is waited for.
        primary = str(status.get("targetPrimary") or status.get("currentPrimary") or "")
        here = by_label.get(f"{namespace}/{primary}")
        if here is None or part(here, "spec").get("nodeName") != node:
            continue
        instances = [
            pod
            for pod in pods
            if part(pod, "metadata").get("namespace") == namespace and part(pod, "metadata", "labels").get("cnpg.io/cluster") == name and _is_instance(pod)
        ]
        if len(instances) < 2:
            continue
        target, why = _successor([pod for pod in instances if pod is not here], node, cordoned, _fenced(cluster))
        found.append(Switchover(namespace, name, primary, target, why))
    return found


def _is_instance(pod: Json) -> bool:
    return bool(part(pod, "metadata", "labels").get("cnpg.io/podRole", "instance") == "instance")


def _fenced(cluster: Json) -> list[str]:
    try:
        listed = json.loads((part(cluster, "metadata").get("annotations") or {}).get("cnpg.io/fencedInstances") or "[]")
    except ValueError:
        return []
    return [str(item) for item in listed] if isinstance(listed, list) else []


def _successor(others: Sequence[Json], node: str, cordoned: Collection[str], fenced: Collection[str]) -> tuple[str, str]:
    """The replica that takes over, or why none can."""
    reasons = []
    for pod in sorted(others, key=label):
        name, place = str(part(pod, "metadata").get("name")), str(part(pod, "spec").get("nodeName") or "")
        if name in fenced or "*" in fenced:
            reasons.append(f"{name} is fenced")
        elif not is_ready(pod):
            reasons.append(f"{name} is not ready")
        elif place == node or place in cordoned:
            reasons.append(f"{name} is on {place}, which takes no pods")
        else:
            return name, ""
    return "", "; ".join(reasons)


def find(client: Client, node: str, deadline: Deadline) -> list[Switchover]:
    """What there is to move off the node; nothing where CloudNativePG is not installed."""
    clusters = where_served(client, f"{_API}/clusters", deadline)
    if not clusters:
        return []
    pods, _version = retried(lambda: client.list("/api/v1/pods", {"labelSelector": "cnpg.io/cluster"}, deadline=deadline), deadline, "the databases")
    nodes, _version = retried(lambda: client.list("/api/v1/nodes", deadline=deadline), deadline, "the nodes")
    return plan(node, clusters, pods, [str(item["metadata"]["name"]) for item in nodes if is_cordoned(item)])


def switch(client: Client, moves: Sequence[Switchover], deadline: Deadline) -> None:
    """Ask for all, then wait for all. Raises DeadlineExceeded with what the operator says."""
    for move in moves:
        progress(f"{move.text} takes over")
        _promote(client, move, deadline)
    for move in moves:
        _wait(client, move, deadline)


def _promote(client: Client, move: Switchover, deadline: Deadline) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    status = {
        "targetPrimary": move.target,
        "targetPrimaryTimestamp": now,
        "phase": "Switchover in progress",
        "phaseReason": f"Switching over to {move.target}",
    }
    path = f"{_API}/namespaces/{move.namespace}/clusters/{move.cluster}/status"
    retried(lambda: client.request("PATCH", path, {"status": status}, content_type="application/merge-patch+json", deadline=deadline), deadline, move.cluster)


def _wait(client: Client, move: Switchover, deadline: Deadline) -> None:
    path = f"{_API}/namespaces/{move.namespace}/clusters/{move.cluster}"
    while True:
        status = part(retried(lambda: client.get(path, deadline=deadline), deadline, move.cluster), "status")
        if status.get("currentPrimary") == move.target:
            return
        if status.get("targetPrimary") not in (move.target, "pending", None):
            raise PlatformError(
                f"the operator chose {status.get('targetPrimary')} in the place of {move.target}", where=f"database {move.namespace}/{move.cluster}"
            )
        if deadline.expired:
            raise DeadlineExceeded(
                f"{move.target} has not taken over from {move.primary} within {deadline.seconds:.0f} s: {status.get('phase')} ({status.get('phaseReason')})",
                where=f"database {move.namespace}/{move.cluster}",
                hint="Look at the operator's log and at the pods of the database.",
            )
        deadline.pause(_PAUSE_SECONDS)
