# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disruption budgets would block the drain of a node, why, and what to do. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.trinode.platform.plugins.module_utils.kube.pods import selects
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import Json, condition, number, part

Verdict = Literal["never", "now", "later"]


@dataclass(frozen=True)
class Blocker:
    """A budget in the way of a drain.

    ``verdict``: "never": waiting does not help; "now": it blocks until something is repaired or finished; "later": the drain goes pod by pod, each when the
    one before has been replaced elsewhere. ``pods`` are those on the node ("namespace/name"). ``budget`` is "namespace/name"; several of one pod are joined.
    """

    budget: str
    node: str
    pods: tuple[str, ...]
    verdict: Verdict
    why: str
    fix: str

    def __str__(self) -> str:
        return f"PodDisruptionBudget {self.budget}: {self.why}. {self.fix}"


def blockers(node: str, evicted: Sequence[Json], pods: Sequence[Json], budgets: Iterable[Json]) -> list[Blocker]:
    """The budgets that would not let all pods ``evicted`` leave the node at once. ``pods`` are those of the whole cluster."""
    listed = list(budgets)
    found = []
    for budget in listed:
        namespace = part(budget, "metadata").get("namespace")
        covered = [pod for pod in pods if part(pod, "metadata").get("namespace") == namespace and _covers(budget, pod)]
        names = {label(pod) for pod in covered}
        here = [pod for pod in evicted if label(pod) in names and not _free(pod)]
        if here and (blocker := _judge(_Case(budget, node, here, covered), pods)):
            found.append(blocker)
    return found + _overlaps(node, evicted, listed)


@dataclass(frozen=True)
class _Case:
    """A budget, the pods that it covers in the cluster, and those of them that have to leave the node."""

    budget: Json
    node: str
    here: Sequence[Json]
    covered: Sequence[Json]

    @property
    def expected(self) -> int:
        return number(part(self.budget, "status"), "expectedPods") or len(self.covered)

    @property
    def desired(self) -> int:
        return desired(self.budget, self.expected)

    def blocker(self, verdict: Verdict, why: str, fix: str) -> Blocker:
        return Blocker(label(self.budget), self.node, tuple(sorted(label(pod) for pod in self.here)), verdict, why, fix)


def _judge(case: _Case, pods: Sequence[Json]) -> Blocker | None:
    return _unsatisfiable(case, pods) if case.desired >= case.expected else _at_present(case)


def _unsatisfiable(case: _Case, pods: Sequence[Json]) -> Blocker:
    """A budget that lets no pod go even when all are healthy."""
    owner = _owner(case.budget)
    if owner == ("CephCluster", "ceph.rook.io") and str(part(case.budget, "metadata").get("name")).startswith("rook-ceph-osd"):
        fix = "Wait until all placement groups are active+clean; Rook lifts it then."
        return case.blocker("now", "Ceph has no redundancy to spare while another host is out", fix)
    if owner == ("Cluster", "postgresql.cnpg.io"):
        return _postgres(case, pods)
    return case.blocker("never", f"{_rule(case.budget)} with {case.expected} pods lets none of them go, ever", _fix(case.budget, case.expected))


def _postgres(case: _Case, pods: Sequence[Json]) -> Blocker:
    cluster, namespace = _owner_reference(case.budget).get("name"), part(case.budget, "metadata").get("namespace")
    instances = [
        pod for pod in pods if part(pod, "metadata").get("namespace") == namespace and part(pod, "metadata", "labels").get("cnpg.io/cluster") == cluster
    ]
    if len(instances) > 1:
        fix = "CloudNativePG moves the primary to another node once this one is cordoned."
        return case.blocker("later", f"it guards the primary of the database {cluster}", fix)
    fix = f"Set spec.instances of the Cluster {namespace}/{cluster} to 2 or more, or spec.enablePDB to false and accept that the database is away meanwhile."
    return case.blocker("never", f"the database {cluster} has a single instance", fix)


def _at_present(case: _Case) -> Blocker | None:
    """A budget that can be satisfied: does it let the pods go as things are?"""
    healthy, leaving = sum(is_ready(pod) for pod in case.covered), sum(is_ready(pod) for pod in case.here)
    spare = healthy - case.desired
    always = part(case.budget, "spec").get("unhealthyPodEvictionPolicy") == "AlwaysAllow"
    if spare >= leaving and (spare >= 0 or always):
        return None
    if spare > 0:
        why = f"{leaving} of its {healthy} healthy pods are on {case.node}, and only {spare} may go at a time"
        return case.blocker("later", why, "Each goes when the one before has been replaced on another node. Spread the pods over nodes to avoid the wait.")
    if not leaving and always:
        return None
    sick = ", ".join(sorted(label(pod) for pod in case.covered if not is_ready(pod)))
    why = f"it needs {case.desired} healthy pods and has {healthy} of {case.expected}" + (f"; not ready: {sick}" if sick else "")
    fix = "Repair those pods first" if sick else "Wait until its pods are there"
    return case.blocker("now", why, f"{fix}." if leaving else f"{fix}, or set unhealthyPodEvictionPolicy: AlwaysAllow.")


def _overlaps(node: str, evicted: Iterable[Json], budgets: Sequence[Json]) -> list[Blocker]:
    """The Eviction API refuses a pod that several budgets cover."""
    found: dict[str, list[str]] = {}
    for pod in evicted:
        namespace = part(pod, "metadata").get("namespace")
        covering = sorted(label(budget) for budget in budgets if part(budget, "metadata").get("namespace") == namespace and _covers(budget, pod))
        if len(covering) > 1 and not _free(pod):
            found.setdefault(", ".join(covering), []).append(label(pod))
    why, fix = "they cover the same pods, which can then not be evicted at all", "Narrow their selectors, so that each pod has one budget."
    return [Blocker(names, node, tuple(sorted(pods)), "never", why, fix) for names, pods in found.items()]


def desired(budget: Json, expected: int) -> int:
    """How many of ``expected`` pods have to stay healthy, as Kubernetes computes it: percentages are rounded up."""
    spec = part(budget, "spec")
    if spec.get("minAvailable") is not None:
        return _scaled(spec["minAvailable"], expected)
    if spec.get("maxUnavailable") is not None:
        return max(0, expected - _scaled(spec["maxUnavailable"], expected))
    return expected


def _scaled(value: Any, total: int) -> int:
    text = str(value)
    return math.ceil(float(text.removesuffix("%")) * total / 100) if text.endswith("%") else int(text)


def _rule(budget: Json) -> str:
    spec = part(budget, "spec")
    name = "minAvailable" if spec.get("minAvailable") is not None else "maxUnavailable"
    return f"{name}: {spec.get(name)}"


def _fix(budget: Json, expected: int) -> str:
    if part(budget, "spec").get("minAvailable") is None:
        return "Set maxUnavailable to 1." if expected > 1 else "Run 2 replicas or more and set maxUnavailable to 1, or remove the budget."
    if expected > 1:
        return "Set maxUnavailable: 1 in the place of minAvailable, or run more replicas."
    return "Run 2 replicas or more, or remove the budget: it cannot protect a single pod."


def _covers(budget: Json, pod: Json) -> bool:
    selector = part(budget, "spec").get("selector")
    # An empty selector of policy/v1 covers every pod of the namespace, a missing one none.
    return selector is not None and (selects(selector, pod) or not any(selector.values()))


def _owner_reference(item: Json) -> Json:
    return next((owner for owner in part(item, "metadata").get("ownerReferences") or [] if owner.get("controller") or owner.get("kind") != "Node"), {})


def _owner(item: Json) -> tuple[str, str]:
    owner = _owner_reference(item)
    return str(owner.get("kind") or ""), str(owner.get("apiVersion") or "").rpartition("/")[0]


def _free(pod: Json) -> bool:
    """Budgets do not hold what does not run (yet, or any more)."""
    return part(pod, "status").get("phase") in ("Succeeded", "Failed", "Pending") or bool(part(pod, "metadata").get("deletionTimestamp"))


def is_ready(pod: Json) -> bool:
    return condition(part(pod, "status"), "Ready").get("status") == "True" and not part(pod, "metadata").get("deletionTimestamp")


def label(item: Json) -> str:
    metadata = part(item, "metadata")
    return f"{metadata.get('namespace') or '?'}/{metadata.get('name') or '?'}"
