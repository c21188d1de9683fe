# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an Application's status says."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.argocd import status
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import Readiness

OURS, LATER, EARLIER = "a" * 40, "b" * 40, "c" * 40
SOURCE = {"repoURL": "https://git.example.com/p.git", "targetRevision": "main", "path": "components/x"}
RESOURCES = [
    {"version": "v1", "kind": "ConfigMap", "namespace": "x", "name": "c", "status": "Synced"},
    {"group": "apps", "version": "v1", "kind": "Deployment", "namespace": "x", "name": "d", "status": "Synced", "health": {"status": "Healthy"}},
]
ITEM: dict[str, Any] = {
    "metadata": {"name": "x", "namespace": "argocd", "annotations": {}},
    "spec": {"source": SOURCE, "syncPolicy": {"automated": {"prune": True, "selfHeal": True}}},
    "status": {
        "sync": {"status": "Synced", "revision": OURS, "comparedTo": {"source": SOURCE}},
        "health": {"status": "Healthy"},
        "resources": RESOURCES,
    },
}
MESSAGE = 'one or more objects failed to apply, reason: Deployment.apps "d" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'


def _contains(revision: str) -> bool:
    return revision in (OURS, LATER)


def _item(**changes: Any) -> dict[str, Any]:
    """The good one with parts of its status replaced; annotations, spec and operation too."""
    item = copy.deepcopy(ITEM)
    for name, value in changes.items():
        if name == "annotations":
            item["metadata"]["annotations"] = value
        elif name in ("spec", "operation"):
            item[name] = value
        else:
            item["status"][name] = {**item["status"].get(name, {}), **value} if isinstance(value, dict) else value
    return item


def _operation(phase: str, revision: str = OURS, **more: Any) -> dict[str, Any]:
    return {"phase": phase, "startedAt": "2026-01-01T00:00:01Z", "operation": {"sync": {"revision": revision}}, **more}


OUT = {"status": "OutOfSync"}
ASKED = {"sync": {"revision": OURS}}


@pytest.mark.parametrize(
    ("item", "state", "reason"),
    [
        (_item(), "ready", ""),
        (_item(sync={"revision": LATER}), "ready", ""),
        (_item(operationState=_operation("Succeeded")), "ready", ""),
        (_item(sync={"revision": EARLIER}), "progressing", "it is at cccccccc still"),
        (_item(sync={"status": ""}), "progressing", "has not looked at it yet"),
        (_item(annotations={status.REFRESH: "normal"}), "progressing", "anew"),
        # Its source was changed, and the comparison is of the old one.
        (_item(sync={"comparedTo": {"source": {**SOURCE, "repoURL": "other"}}}), "progressing", "still"),
        (_item(operation={"sync": {}}), "progressing", "being synced"),
        (_item(operationState=_operation("Running", message="waiting for healthy state of apps/Deployment/d")), "progressing", "apps/Deployment/d"),
        (_item(sync=OUT), "progressing", "its state is OutOfSync"),
        (_item(sync=OUT, resources=[{**RESOURCES[1], "status": "OutOfSync"}]), "progressing", "out of sync: Deployment x/d"),
        (
            _item(sync=OUT, resources=[{**RESOURCES[0], "status": "OutOfSync", "requiresPruning": True}]),
            "progressing",
            "out of sync: ConfigMap x/c (Git has it no more)",
        ),
        (_item(sync=OUT, spec={"source": SOURCE, "syncPolicy": {}}), "failed", "automation is off"),
        (_item(sync=OUT, spec={"source": SOURCE, "syncPolicy": {"automated": {"enabled": False}}}), "failed", "automation is off"),
        (_item(sync=OUT, operationState=_operation("Failed", message=MESSAGE)), "failed", "must be greater than or equal to 0"),
        # The failure was one of an older commit: that of ours is still to come.
        (_item(sync=OUT, operationState=_operation("Failed", EARLIER, message=MESSAGE)), "progressing", "its state is OutOfSync"),
        # A failed try, and another is to follow.
        (
            _item(
                sync=OUT,
                operation=ASKED,
                operationState=_operation("Running", finishedAt="x", message="the server is starting. Retrying attempt #1 at 1:00PM."),
            ),
            "progressing",
            "Retrying attempt #1",
        ),
        (
            _item(sync=OUT, operation=ASKED, operationState=_operation("Running", finishedAt="x", message=f"{MESSAGE}. Retrying attempt #1 at 1:00PM.")),
            "failed",
            "is invalid",
        ),
        # Ended, and Argo CD has written an older phase over that.
        (_item(operationState=_operation("Running", finishedAt="x", message="successfully synced (all tasks run)")), "ready", ""),
        (
            _item(
                sync=OUT,
                operationState=_operation(
                    "Failed",
                    message="one or more synchronization tasks completed unsuccessfully",
                    syncResult={
                        "revision": OURS,
                        "resources": [
                            {"kind": "ConfigMap", "namespace": "x", "name": "c", "status": "Synced", "message": "configmap/c serverside-applied"},
                            {"kind": "Job", "namespace": "x", "name": "j", "hookPhase": "Failed", "message": "Job has reached the specified backoff limit"},
                        ],
                    },
                ),
            ),
            "failed",
            "completed unsuccessfully; Job x/j: Job has reached the specified backoff limit",
        ),
        (
            _item(conditions=[{"type": "ComparisonError", "message": "Failed to load target state: rpc error: code = Unknown desc = no such\n path"}]),
            "progressing",
            "ComparisonError: Failed to load target state: no such path",
        ),
        (_item(conditions=[{"type": "InvalidSpecError", "message": "no such project"}]), "progressing", "InvalidSpecError: no such project"),
        (_item(sync=OUT, conditions=[{"type": "SyncError", "message": "auto-sync will wipe out all resources"}]), "progressing", "SyncError"),
        (_item(conditions=[{"type": "OrphanedResourceWarning", "message": "x"}]), "ready", ""),
    ],
)
def test_synced(item: dict[str, Any], state: str, reason: str) -> None:
    found = status.synced(item, _contains)
    assert (found.state, reason in found.reason) == (state, True), found


def test_errors_that_may_pass_have_patience() -> None:
    assert status.synced(_item(conditions=[{"type": "ComparisonError", "message": "x"}]), _contains).patience < 10


def test_a_failure_before_the_wait_does_not_count() -> None:
    item = _item(sync=OUT, operationState=_operation("Failed", message="x"))
    assert status.synced(item, _contains, earlier="2026-01-01T00:00:01Z").state == "progressing"
    assert status.synced(item, _contains, earlier="2026-01-01T00:00:00Z").state == "failed"


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (_item(), Readiness("ready")),
        (_item(health={"status": ""}), Readiness("progressing", "Argo CD has not judged its health yet")),
        (_item(health={"status": "Progressing"}), Readiness("progressing", "it is Progressing")),
        (
            _item(health={"status": "Degraded"}, resources=[{**RESOURCES[1], "health": {"status": "Degraded", "message": "exceeded its progress deadline"}}]),
            Readiness("progressing", "it is Degraded: Deployment x/d is Degraded (exceeded its progress deadline)"),
        ),
    ],
)
def test_healthy(item: dict[str, Any], expected: Readiness) -> None:
    assert status.healthy(item) == expected


def test_many_resources_are_counted() -> None:
    resources = [{**RESOURCES[0], "name": f"c{number}", "status": "OutOfSync"} for number in range(5)]
    assert status.out_of_sync(_item(resources=resources)) == "out of sync: ConfigMap x/c0, ConfigMap x/c1, ConfigMap x/c2, and 2 more"


def test_warnings() -> None:
    item = _item(conditions=[{"type": "SharedResourceWarning", "message": "ConfigMap/c is part of applications a and b"}])
    assert status.warnings(item) == ["ConfigMap/c is part of applications a and b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ComparisonError: rpc error: code = Unavailable desc = connection error: dial tcp: lookup argocd-repo-server", True),
        ("ComparisonError: Failed to load target state: authentication required", False),
    ],
)
def test_whose_error_it_is(text: str, expected: bool) -> None:
    assert status.behind_the_scenes(text) is expected
