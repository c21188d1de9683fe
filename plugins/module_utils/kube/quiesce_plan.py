# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to end before all machines are switched off, and what is taken back afterwards. Pure.

A node whose pods still have a volume of Ceph mounted hangs when it stops after Ceph has (talos#10174, #12599). So: no node takes pods any more; databases
that can be put to sleep are; then every pod with a volume goes, while Ceph still runs; last, Ceph is told not to repair what is about to be missing.
Each thing that was done bears a mark in the cluster, and only what bears it is taken back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]

REASON = "stop"
"""The value of a node's mark (drain.MARK) that a stop of the cluster has cordoned."""
MARK = "trinode.platform/stop"
HIBERNATION = "cnpg.io/hibernation"
# What the loss of OSDs would set in motion. Not nodown and pause: a stop that is broken off halfway has to leave a Ceph that works.
FLAGS = ("noout", "norebalance", "nobackfill", "norecover")

Action = Literal["cordon", "uncordon", "hibernate", "wake", "delete", "set", "unset"]


@dataclass(frozen=True)
class Node:
    name: str
    cordoned: bool
    mark: str


@dataclass(frozen=True)
class Database:
    """A Cluster of CloudNativePG. ``marked``: it was us who put it to sleep."""

    namespace: str
    name: str
    asleep: bool
    marked: bool


@dataclass(frozen=True)
class Ceph:
    """The flags that are set, and those that a stop has recorded as its own."""

    namespace: str
    name: str
    flags: tuple[str, ...]
    recorded: tuple[str, ...]


@dataclass(frozen=True)
class Observed:
    nodes: tuple[Node, ...]
    databases: tuple[Database, ...] = ()
    pods: tuple[str, ...] = ()
    ceph: Ceph | None = None


@dataclass(frozen=True)
class Step:
    action: Action
    what: str
    values: tuple[str, ...] = field(default=())

    @property
    def text(self) -> str:
        words = {
            "cordon": f"node {self.what} takes no new pods",
            "uncordon": f"node {self.what} takes pods again",
            "hibernate": f"database {self.what} goes to sleep",
            "wake": f"database {self.what} wakes up",
            "delete": f"pod {self.what}, which has a volume, goes",
            "set": f"Ceph gets the flags {', '.join(self.values)}",
            "unset": f"Ceph loses the flags {', '.join(self.values)}",
        }
        return words[self.action]


def quiesce(observed: Observed) -> list[Step]:
    """The steps to a cluster that can be switched off, none when it is one."""
    steps = [Step("cordon", node.name) for node in observed.nodes if not node.cordoned]
    steps += [Step("hibernate", f"{database.namespace}/{database.name}") for database in observed.databases if not database.asleep]
    steps += [Step("delete", pod) for pod in observed.pods]
    missing = tuple(flag for flag in FLAGS if observed.ceph is not None and flag not in observed.ceph.flags)
    if observed.ceph is not None and missing:
        steps.append(Step("set", f"{observed.ceph.namespace}/{observed.ceph.name}", missing))
    return steps


def resume(observed: Observed) -> list[Step]:
    """The steps back: what the stop has done, and nothing that was so before."""
    steps = [Step("uncordon", node.name) for node in observed.nodes if node.cordoned and node.mark == REASON]
    if observed.ceph is not None and observed.ceph.recorded:
        steps.append(Step("unset", f"{observed.ceph.namespace}/{observed.ceph.name}", observed.ceph.recorded))
    steps += [Step("wake", f"{database.namespace}/{database.name}") for database in observed.databases if database.marked]
    return steps


def cordoned_by_others(observed: Observed) -> tuple[str, ...]:
    """Nodes that the start will not uncordon. A machine that is switched off loses its pods, and none come back to a cordoned node, Ceph's neither."""
    return tuple(node.name for node in observed.nodes if node.cordoned and node.mark != REASON)


def with_volumes(pods: Iterable[Json]) -> list[Json]:
    """Pods that run and have a volume of a claim, those of DaemonSets and static ones left out, which would be back at once."""
    return [pod for pod in pods if _has_volume(pod) and not _stays(pod)]


def _has_volume(pod: Json) -> bool:
    spec: Mapping[str, Any] = pod.get("spec") or {}
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    volumes: Sequence[Mapping[str, Any]] = spec.get("volumes") or []
    return bool(spec.get("nodeName")) and not ended and any("persistentVolumeClaim" in volume or "ephemeral" in volume for volume in volumes)


def _stays(pod: Json) -> bool:
    metadata: Mapping[str, Any] = pod.get("metadata") or {}
    owners: Sequence[Mapping[str, Any]] = metadata.get("ownerReferences") or []
    return any(owner.get("kind") in ("DaemonSet", "Node") and owner.get("controller", True) for owner in owners)
