# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which budgets block a drain, why, and the fix: tables over nodes, pods and budgets."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import blockers, desired
from ansible_collections.trinode.platform.plugins.module_utils.kube.drain_plan import Options, plan

SELECTOR = {"matchLabels": {"app": "web"}}
NARROW = {"maxUnavailable": 1}


def pod(name: str, node: str = "m1", *, ready: bool = True, labels: dict[str, str] | None = None, phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": name, "labels": labels or {"app": "web"}},
        "spec": {"nodeName": node},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def budget(name: str = "web", owner: dict[str, Any] | None = None, expected: int = 0, **spec: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"namespace": "shop", "name": name}
    if owner:
        metadata["ownerReferences"] = [{"controller": True, **owner}]
    return {"metadata": metadata, "spec": {"selector": SELECTOR, **spec}, "status": {"expectedPods": expected} if expected else {}}


THREE = [pod("web-0"), pod("web-1", "m2"), pod("web-2", "m3")]
POSTGRES = {"kind": "Cluster", "apiVersion": "postgresql.cnpg.io/v1", "name": "db"}
PRIMARY = {"cnpg.io/cluster": "db", "app": "web"}
CEPH = {"kind": "CephCluster", "apiVersion": "ceph.rook.io/v1", "name": "rook-ceph"}

# what it shows: (pods, budgets, [(verdict, part of why, part of fix)])
CASES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], list[tuple[str, str, str]]]] = {
    "one of three may go": (THREE, [budget(**NARROW)], []),
    "two of three have to stay": (THREE, [budget(minAvailable=2)], []),
    "none may go by number": (THREE, [budget(maxUnavailable=0)], [("never", "maxUnavailable: 0 with 3 pods lets none", "Set maxUnavailable to 1.")]),
    "none may go by percentage": (THREE, [budget(maxUnavailable="0%")], [("never", "maxUnavailable: 0%", "Set maxUnavailable to 1.")]),
    "as many have to stay as there are": (THREE, [budget(minAvailable=3)], [("never", "minAvailable: 3 with 3 pods", "Set maxUnavailable: 1")]),
    "all have to stay": (THREE, [budget(minAvailable="100%")], [("never", "minAvailable: 100%", "Set maxUnavailable: 1")]),
    "percentages are rounded up": (THREE, [budget(minAvailable="67%")], [("never", "minAvailable: 67% with 3 pods", "")]),
    "a single replica": ([pod("web-0")], [budget(minAvailable=1)], [("never", "with 1 pods", "Run 2 replicas or more, or remove the budget")]),
    "replicas that are not there yet count": (
        [pod("web-0")],
        [budget(expected=3, minAvailable=1)],
        [("now", "needs 1 healthy pods and has 1 of 3", "Wait until")],
    ),
    "another one is not ready": (
        [THREE[0], THREE[1], pod("web-2", "m3", ready=False)],
        [budget(**NARROW)],
        [("now", "it needs 2 healthy pods and has 2 of 3; not ready: shop/web-2", "Repair those pods first.")],
    ),
    "the one that goes is the one that is not ready": ([pod("web-0", ready=False), *THREE[1:]], [budget(**NARROW)], []),
    "one that is not ready is held while others are not": (
        [pod("web-0", ready=False), pod("web-1", "m2", ready=False), THREE[2]],
        [budget(**NARROW)],
        [("now", "it needs 2 healthy pods and has 1 of 3", "or set unhealthyPodEvictionPolicy: AlwaysAllow")],
    ),
    "unless it may always go": (
        [pod("web-0", ready=False), pod("web-1", "m2", ready=False), THREE[2]],
        [budget(**NARROW, unhealthyPodEvictionPolicy="AlwaysAllow")],
        [],
    ),
    "two on one node go one by one": (
        [pod("web-0"), pod("web-1"), pod("web-2", "m2")],
        [budget(**NARROW)],
        [("later", "2 of its 3 healthy pods are on m1, and only 1 may go at a time", "Spread the pods")],
    ),
    "none is on this node": ([pod("web-1", "m2")], [budget(minAvailable=1)], []),
    "of other pods": (THREE, [budget(minAvailable=3) | {"spec": {"selector": {"matchLabels": {"app": "other"}}, "minAvailable": 3}}], []),
    "of another namespace": (THREE, [{**budget(minAvailable=3), "metadata": {"namespace": "bank", "name": "web"}}], []),
    "an empty selector covers all": (THREE, [{**budget(), "spec": {"selector": {}, "minAvailable": 3}}], [("never", "minAvailable: 3", "")]),
    "no selector covers none": (THREE, [{**budget(), "spec": {"minAvailable": 3}}], []),
    "what has not started is not held": ([pod("web-0", phase="Pending", ready=False)], [budget(minAvailable=1)], []),
    "two budgets of one pod": (THREE, [budget("a", **NARROW), budget("b", **NARROW)], [("never", "they cover the same pods", "Narrow their selectors")]),
    "a database with one instance": (
        [pod("db-1", labels=PRIMARY)],
        [budget("db-primary", POSTGRES, minAvailable=1)],
        [("never", "the database db has a single instance", "Set spec.instances of the Cluster shop/db to 2 or more")],
    ),
    "a database with a replica": (
        [pod("db-1", labels=PRIMARY), pod("db-2", "m2", labels={"cnpg.io/cluster": "db"})],
        [budget("db-primary", POSTGRES, minAvailable=1)],
        [("later", "it guards the primary of the database db", "CloudNativePG moves the primary")],
    ),
    "Ceph while another host is out": (THREE, [budget("rook-ceph-osd-host-m1", CEPH, maxUnavailable=0)], [("now", "Ceph has no redundancy", "active+clean")]),
    "Ceph when all is well": (THREE, [budget("rook-ceph-osd", CEPH, maxUnavailable=1)], []),
}


@pytest.mark.parametrize("case", CASES)
def test_blockers(case: str) -> None:
    pods, budgets, expected = CASES[case]
    found = blockers("m1", [item for item in pods if item["spec"]["nodeName"] == "m1"], pods, budgets)
    assert [blocker.verdict for blocker in found] == [verdict for verdict, _why, _fix in expected], found
    for blocker, (_verdict, why, fix) in zip(found, expected, strict=True):
        assert why in blocker.why
        assert fix in blocker.fix
        assert blocker.node == "m1"
        assert blocker.pods


@pytest.mark.parametrize(
    ("spec", "expected", "number"),
    [
        ({"minAvailable": 2}, 3, 2),
        ({"minAvailable": "50%"}, 3, 2),
        ({"maxUnavailable": "50%"}, 3, 1),
        ({"maxUnavailable": "34%"}, 3, 1),
        ({"maxUnavailable": 5}, 3, 0),
        ({}, 3, 3),
    ],
)
def test_desired(spec: dict[str, Any], expected: int, number: int) -> None:
    assert desired({"spec": spec}, expected) == number


def owned(name: str, kind: str = "ReplicaSet", **volume: Any) -> dict[str, Any]:
    item = pod(name)
    item["metadata"]["ownerReferences"] = [{"controller": True, "kind": kind, "name": "owner"}]
    item["spec"]["volumes"] = [{"name": "data", **volume}] if volume else []
    return item


STATIC = {**pod("etcd-m1"), "metadata": {"namespace": "shop", "name": "etcd-m1", "annotations": {"kubernetes.io/config.mirror": "x"}}}
LEAVING = pod("leaving")
LEAVING["metadata"]["deletionTimestamp"] = "2026-11-24T00:00:00Z"


@pytest.mark.parametrize(
    ("item", "options", "where", "why"),
    [
        (owned("web"), Options(), "evict", ""),
        (owned("agent", "DaemonSet"), Options(), "leave", "it belongs to the DaemonSet owner"),
        (STATIC, Options(unmanaged=True), "leave", "it is a static pod of the node"),
        (pod("shell"), Options(), "refuse", "has no controller, so nobody would bring it back"),
        (pod("shell"), Options(unmanaged=True), "evict", ""),
        (pod("done", phase="Succeeded"), Options(), "evict", ""),
        (LEAVING, Options(), "evict", ""),
        (owned("cache", emptyDir={}), Options(), "refuse", "would lose its emptyDir data"),
        (owned("cache", emptyDir={}), Options(empty_dir=True), "evict", ""),
        (owned("agent", "DaemonSet", emptyDir={}), Options(), "leave", "it belongs to the DaemonSet owner"),
        (owned("disk", persistentVolumeClaim={"claimName": "x"}), Options(), "evict", ""),
    ],
)
def test_plan(item: dict[str, Any], options: Options, where: str, why: str) -> None:
    made = plan([item], options)
    name = f"shop/{item['metadata']['name']}"
    found = {"evict": [pod["metadata"]["name"] for pod in made.evict], "leave": made.leave, "refuse": made.refuse}
    assert found[where] == ([item["metadata"]["name"]] if where == "evict" else {name: why})
    assert sum(len(value) for value in found.values()) == 1


def test_what_is_refused_names_the_options() -> None:
    with pytest.raises(RefusedError) as caught:
        plan([pod("shell"), owned("cache", emptyDir={})], Options()).check("m1")
    text = str(caught.value)
    assert text.startswith("node m1: pods would lose what cannot be brought back: shop/cache would lose its emptyDir data; shop/shell has no controller")
    assert "set delete_empty_dir_data and delete_unmanaged" in text
