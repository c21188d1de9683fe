# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ends before all machines are switched off, and what is taken back."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import label
from ansible_collections.trinode.platform.plugins.module_utils.kube.quiesce_plan import (
    FLAGS,
    Ceph,
    Database,
    Node,
    Observed,
    cordoned_by_others,
    quiesce,
    resume,
    with_volumes,
)

AT_REST = Observed(
    nodes=(Node("m1", True, "stop"), Node("m2", True, "upgrade"), Node("m3", True, "")),
    databases=(Database("app", "db", True, True), Database("app", "old", True, False)),
    ceph=Ceph("rook-ceph", "rook-ceph", (*FLAGS, "sortbitwise"), FLAGS[1:]),
)
RUNNING = Observed(
    nodes=(Node("m1", False, ""), Node("m2", True, "upgrade"), Node("m3", False, "")),
    databases=(Database("app", "db", False, False), Database("app", "old", True, False)),
    pods=("app/db-1", "grafana/grafana-0"),
    ceph=Ceph("rook-ceph", "rook-ceph", ("noout", "sortbitwise"), ()),
)


def steps(planned: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(step.action, step.what, step.values) for step in planned]


def test_everything_comes_to_rest_volumes_before_ceph() -> None:
    assert steps(quiesce(RUNNING)) == [
        ("cordon", "m1", ()),
        ("cordon", "m3", ()),
        ("hibernate", "app/db", ()),
        ("delete", "app/db-1", ()),
        ("delete", "grafana/grafana-0", ()),
        ("set", "rook-ceph/rook-ceph", ("norebalance", "nobackfill", "norecover")),
    ]


def test_what_is_at_rest_is_left_alone() -> None:
    assert quiesce(AT_REST) == []
    assert resume(RUNNING) == []


def test_only_what_the_stop_has_done_is_taken_back() -> None:
    assert steps(resume(AT_REST)) == [
        ("uncordon", "m1", ()),
        ("unset", "rook-ceph/rook-ceph", ("norebalance", "nobackfill", "norecover")),
        ("wake", "app/db", ()),
    ]


def test_nodes_that_the_start_will_leave_cordoned() -> None:
    assert cordoned_by_others(AT_REST) == ("m2", "m3")
    assert cordoned_by_others(RUNNING) == ("m2",)


def test_without_ceph_and_databases() -> None:
    assert steps(quiesce(Observed((Node("m1", False, ""),)))) == [("cordon", "m1", ())]
    assert steps(resume(Observed((Node("m1", True, "stop"),)))) == [("uncordon", "m1", ())]


def test_each_step_is_said() -> None:
    assert [step.text for step in [*quiesce(RUNNING), *resume(AT_REST)]] == [
        "node m1 takes no new pods",
        "node m3 takes no new pods",
        "database app/db goes to sleep",
        "pod app/db-1, which has a volume, goes",
        "pod grafana/grafana-0, which has a volume, goes",
        "Ceph gets the flags norebalance, nobackfill, norecover",
        "node m1 takes pods again",
        "Ceph loses the flags norebalance, nobackfill, norecover",
        "database app/db wakes up",
    ]


def pod(**changes: Any) -> dict[str, Any]:
    spec = {"nodeName": "m1", "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}
    return {
        "metadata": {"namespace": "app", "name": "x", **changes.pop("metadata", {})},
        "spec": {**spec, **changes.pop("spec", {})},
        "status": {"phase": "Running", **changes},
    }


@pytest.mark.parametrize(
    ("item", "goes"),
    [
        (pod(), True),
        (pod(spec={"volumes": [{"name": "data", "ephemeral": {}}]}), True),
        (pod(metadata={"ownerReferences": [{"kind": "StatefulSet", "controller": True}]}), True),
        (pod(spec={"volumes": [{"name": "data", "emptyDir": {}}]}), False),
        (pod(spec={"volumes": None}), False),
        (pod(spec={"nodeName": None}), False),
        (pod(phase="Succeeded"), False),
        (pod(metadata={"ownerReferences": [{"kind": "DaemonSet", "controller": True}]}), False),
        (pod(metadata={"ownerReferences": [{"kind": "Node", "controller": True}]}), False),
    ],
)
def test_which_pods_go(item: dict[str, Any], goes: bool) -> None:
    assert [label(found) for found in with_volumes([item])] == (["app/x"] if goes else [])
