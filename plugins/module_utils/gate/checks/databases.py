# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases: of CloudNativePG all instances are ready, the primary is known, replicas are close behind, and none has its only instance on the machine that
goes; the StatefulSets of the OT Redis operator are ready."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources, each
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, Policy
from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import label
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.custom_resources import stateful_sets
from ansible_collections.trinode.platform.plugins.module_utils.kube.readiness import readiness
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import number, part

HEALTHY = "Cluster in healthy state"
_CLUSTERS = "/apis/postgresql.cnpg.io/v1/clusters"
_REDIS = "/apis/redis.redis.opstreelabs.in/v1beta2"
_REDIS_KINDS = {"redis": "Redis", "redisreplications": "RedisReplication", "redisclusters": "RedisCluster", "redissentinels": "RedisSentinel"}
# What a busy primary writes in a moment; a segment of the log is 16 MiB.
_LAG_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class Postgres:
    """A Cluster of CloudNativePG. ``status`` is what the primary's instance manager says of replication; None with a ``problem`` where it says nothing."""

    item: Json
    nodes: tuple[str, ...] = ()
    status: Json | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        return label(self.item)

    @property
    def wanted(self) -> int:
        return number(part(self.item, "spec"), "instances", 1)

    @property
    def hibernated(self) -> bool:
        return part(self.item, "metadata", "annotations").get("cnpg.io/hibernation") == "on"


@dataclass(frozen=True)
class Databases:
    """Each is None where its kind is not installed. ``redis`` are objects with their StatefulSets by name (None: not there)."""

    postgres: tuple[Postgres, ...] | None
    redis: tuple[tuple[Json, dict[str, Json | None]], ...] | None
    lost: str = ""


def read(sources: Sources, deadline: Deadline) -> Databases:
    clusters, kinds = sources.installed(_CLUSTERS, deadline), each(lambda plural: sources.installed(f"{_REDIS}/{plural}", deadline), list(_REDIS_KINDS))
    redis = [item for items in kinds for item in items or []]
    if not clusters and not redis:
        return Databases(None if clusters is None else (), None if all(items is None for items in kinds) else ())
    pods = sources.require("/api/v1/pods", deadline) if clusters else []
    return Databases(
        None if clusters is None else each(lambda item: _postgres(sources, item, pods, deadline), clusters),
        tuple((item, _stateful_sets(sources, item, deadline)) for item in redis),
        sources.lost(deadline),
    )


def _postgres(sources: Sources, item: Json, pods: Sequence[Json], deadline: Deadline) -> Postgres:
    metadata = part(item, "metadata")
    instances = [
        pod
        for pod in pods
        if part(pod, "metadata").get("namespace") == metadata.get("namespace")
        and part(pod, "metadata", "labels").get("cnpg.io/cluster") == metadata.get("name")
        and part(pod, "metadata", "labels").get("cnpg.io/podRole", "instance") == "instance"
    ]
    nodes = tuple(str(part(pod, "spec").get("nodeName")) for pod in instances)
    found, primary = Postgres(item, nodes), part(item, "status").get("currentPrimary")
    if found.wanted < 2 or found.hibernated or not primary:
        return found
    path = f"/api/v1/namespaces/{metadata.get('namespace')}/pods/https:{primary}:8000/proxy/pg/status"
    try:
        code, body = sources.client(deadline).exchange(path, deadline=deadline)
        status = json.loads(body) if code == 200 else None
    except (PlatformError, ValueError) as error:
        return Postgres(item, nodes, problem=error.what if isinstance(error, PlatformError) else "its answer is not JSON")
    return Postgres(item, nodes, status) if isinstance(status, dict) else Postgres(item, nodes, problem=f"it answered {code}")


def _stateful_sets(sources: Sources, item: Json, deadline: Deadline) -> dict[str, Json | None]:
    namespace = part(item, "metadata").get("namespace")
    there = {part(found, "metadata").get("name"): found for found in sources.require(f"/apis/apps/v1/namespaces/{namespace}/statefulsets", deadline)}
    return {name: there.get(name) for name in stateful_sets(item)}


def judge(view: Databases, _policy: Policy) -> list[Finding]:
    findings = [finding for cluster in view.postgres or () if not cluster.hibernated for finding in _of_cluster(cluster, view.lost)]
    for item, sets in view.redis or ():
        for name, found in sets.items():
            state = readiness(found) if found else None
            if state is None or not state.ready:
                why = state.reason if state else "it is not there"
                findings.append(Finding("databases", f"{item['kind']} {label(item)}", f"its StatefulSet {name} is not ready: {why}", "Look at its pods."))
    return findings


def _of_cluster(cluster: Postgres, lost: str) -> Iterable[Finding]:
    status, where = part(cluster.item, "status"), f"Cluster {cluster.name}"
    ready, phase = number(status, "readyInstances"), str(status.get("phase") or "")
    primary, target = status.get("currentPrimary"), status.get("targetPrimary")
    if ready < cluster.wanted:
        yield Finding("databases", where, f"{ready} of {cluster.wanted} instances are ready{_because(phase)}", "Look at its pods and the operator's log.")
    elif phase != HEALTHY:
        yield Finding("databases", where, f"it is not healthy: {phase or 'no phase is known'}", "Wait for its operator, or look at the operator's log.")
    if not primary:
        yield Finding("databases", where, "it has no primary", "Look at its pods and the operator's log.")
    elif target and target != primary:
        yield Finding("databases", where, f"its primary moves from {primary} to {target}", "Wait until the switchover is done.")
    if cluster.problem:
        advice = "Look at that pod; the instance manager answers on port 8000."
        yield Finding("databases", where, f"the primary {primary} does not say how far its replicas are: {cluster.problem}", advice)
    yield from _replication(cluster, where)
    if cluster.wanted == 1 and lost and lost in cluster.nodes:
        advice = f"Set spec.instances of the Cluster {cluster.name} to 2 or more; or allow it (trinode_gate_allowed) and accept that the database is away."
        yield Finding("databases", where, f"its only instance is on {lost}, which is about to go", advice)


def _replication(cluster: Postgres, where: str) -> Iterable[Finding]:
    if cluster.status is None:
        return
    replicas = [entry for entry in cluster.status.get("replicationInfo") or [] if isinstance(entry, dict)]
    streaming = [entry for entry in replicas if entry.get("state") == "streaming"]
    names = ", ".join(f"{entry.get('applicationName')} is in state {entry.get('state')}" for entry in replicas if entry not in streaming)
    if len(streaming) < cluster.wanted - 1:
        what = f"{len(streaming)} of {cluster.wanted - 1} replicas stream from the primary{f' ({names})' if names else ''}"
        yield Finding("databases", where, what, "Look at the logs of the replicas.")
    current = _position(cluster.status.get("currentLsn"))
    for entry in streaming:
        lag = current - _position(entry.get("replayLsn"))
        if lag > _LAG_BYTES:
            what = f"the replica {entry.get('applicationName')} is {lag / 1024**2:.0f} MiB behind the primary"
            yield Finding("databases", where, what, "Wait until it has caught up; where it does not, its disk or network is too slow.")


def seen(view: Databases) -> str:
    if view.postgres is None and view.redis is None:
        return "not installed"
    parts = []
    if view.postgres is not None:
        ready = sum(number(part(cluster.item, "status"), "readyInstances") for cluster in view.postgres)
        moved = [cluster.name for cluster in view.postgres if view.lost and _primary_node(cluster) == view.lost]
        text = f"{len(view.postgres)} of CloudNativePG with {ready} instances ready"
        parts.append(text + (f", primaries on {view.lost}: {', '.join(moved)}" if moved else ""))
    if view.redis is not None:
        parts.append(f"{len(view.redis)} of Redis")
    return ", ".join(parts)


def _primary_node(cluster: Postgres) -> str:
    topology = part(cluster.item, "status", "topology", "instances").get(str(part(cluster.item, "status").get("currentPrimary")))
    return str((cluster.status or {}).get("node") or (topology or {}).get("kubernetes.io/hostname") or "")


def _because(phase: str) -> str:
    return f": {phase}" if phase and phase != HEALTHY else ""


def _position(text: object) -> int:
    """A position in the write-ahead log ("0/3000060") as a number of bytes."""
    high, slash, low = str(text or "").partition("/")
    try:
        return (int(high, 16) << 32) + int(low, 16) if slash else 0
    except ValueError:
        return 0
