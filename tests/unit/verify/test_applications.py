# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Argo CD says of its Applications, as a person reads it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.verify.applications import Seen, broken_file, judge
from ansible_collections.trinode.platform.plugins.module_utils.verify.drift import Drift

NOW = dt.datetime(2026, 11, 30, 9, 0, tzinfo=dt.UTC)
BROKEN = (
    "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: code = FailedPrecondition desc = "
    'Failed to unmarshal "broken.yaml": failed to unmarshal manifest: error converting YAML to JSON: yaml: line 4: mapping values are not allowed'
)


def application(name: str, project: str = "platform", path: str = "", **status: Any) -> dict[str, Any]:
    healthy = {"sync": {"status": "Synced", "revision": "a" * 40}, "health": {"status": "Healthy"}, "reconciledAt": "2026-11-30T08:58:00Z"}
    return {
        "metadata": {"name": name},
        "spec": {"project": project, "source": {"path": path or f"components/{name}"}, "syncPolicy": {"automated": {"prune": True, "selfHeal": True}}},
        "status": {**healthy, **status},
    }


def workload(name: str, wanted: int, ready: int) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"replicas": wanted}, "status": {"readyReplicas": ready}}


PARTS = [workload("argocd-application-controller", 1, 1), workload("argocd-repo-server", 2, 2)]


def see(
    *applications: dict[str, Any],
    expected: dict[str, str] | None = None,
    parts: list[dict[str, Any]] | None = None,
    sets: tuple[dict[str, Any], ...] = (),
    **files: str,
) -> list[Drift]:
    there = {item["metadata"]["name"]: item for item in applications}
    wanted = {"loki": "loki"} if expected is None else expected
    return judge(Seen(there, wanted, sets, PARTS if parts is None else parts, files, NOW))


def test_synced_and_healthy_is_no_finding() -> None:
    assert see(application("loki"), application("user-shop", "user", "user/shop")) == []


def test_no_argo_cd_and_nothing_expected_is_no_finding() -> None:
    assert see(expected={}, parts=[]) == []


def test_the_users_broken_manifest_names_directory_file_and_argo_cds_own_words() -> None:
    broken = application(
        "user-shop",
        "user",
        "home/user/shop",
        sync={"status": "Unknown"},
        conditions=[{"type": "ComparisonError", "message": BROKEN}],
        health={"status": "Healthy"},
    )
    (found,) = see(application("loki"), broken)
    assert found.where == "home/user/shop/broken.yaml"
    assert found.problem.startswith("home/user/shop (user-shop) does not become what Argo CD can apply: ComparisonError: Failed to load target state")
    assert 'Failed to unmarshal "broken.yaml"' in found.problem
    assert "yaml: line 4: mapping values are not allowed" in found.problem
    assert found.advice.startswith("It is the user's: correct home/user/shop/broken.yaml and push.")


def test_the_users_refused_object_names_the_file_that_holds_it() -> None:
    resources = [
        {"kind": "Deployment", "namespace": "shop", "name": "web", "status": "SyncFailed", "message": 'Deployment.apps "web" is invalid: spec.selector'}
    ]
    operation = {"phase": "Failed", "message": "one or more objects failed to apply", "syncResult": {"revision": "a" * 40, "resources": resources}}
    refused = application("user-shop", "user", "user/shop", sync={"status": "OutOfSync", "revision": "a" * 40}, operationState=operation)
    texts = {
        "user/shop/service.yaml": "kind: Service\nmetadata:\n  name: web\n",
        "user/shop/deep/all.yaml": "kind: Deployment\nmetadata:\n  name: web-2\n---\nkind: Deployment\nmetadata: {name: web}\n",
        "user/other/web.yaml": "kind: Deployment\nmetadata:\n  name: web\n",
    }
    (found,) = see(application("loki"), refused, **texts)
    assert found.where == "user/shop/deep/all.yaml"
    assert found.problem.startswith("user/shop (user-shop) is not in the cluster as it is in Git: one or more objects failed to apply")
    assert 'Deployment.apps "web" is invalid: spec.selector' in found.problem


def test_a_file_that_an_error_names_is_found_where_it_lies() -> None:
    files = {"user/shop/a/broken.yaml": "", "user/other/broken.yaml": ""}
    assert broken_file('Failed to unmarshal "broken.yaml"', "user/shop", files) == "user/shop/a/broken.yaml"
    assert broken_file('Failed to unmarshal "broken.yaml"', "user/shop", {}) == "user/shop/broken.yaml"
    assert broken_file("no words about files", "user/shop", files) == ""


def test_ours_is_out_of_sync() -> None:
    resources = [{"kind": "ConfigMap", "namespace": "loki", "name": "loki", "status": "OutOfSync"}]
    (found,) = see(application("loki", sync={"status": "OutOfSync", "revision": "a" * 40}, resources=resources))
    assert (found.where, found.problem, found.advice) == (
        "Application loki",
        "out of sync: ConfigMap loki/loki",
        "Run playbooks/platform.yml --limit loki",
    )


def test_ours_is_not_healthy() -> None:
    resources = [{"kind": "Deployment", "namespace": "loki", "name": "loki", "status": "Synced", "health": {"status": "Degraded", "message": "no room"}}]
    (found,) = see(application("loki", health={"status": "Degraded"}, resources=resources))
    assert found.problem == "it is Degraded: Deployment loki/loki is Degraded (no room)"


def test_an_application_is_gone() -> None:
    (found,) = see()
    assert (found.where, found.problem) == ("Application loki", "It is gone; what it delivered is still there")


def test_automation_that_is_switched_off_is_drift_although_all_is_synced() -> None:
    item = application("loki")
    del item["spec"]["syncPolicy"]["automated"]
    (found,) = see(item)
    assert found.problem == "Its automation is switched off: nothing heals what is changed by hand"


def test_argo_cd_is_down_and_what_it_said_is_no_pass() -> None:
    parts = [workload("argocd-application-controller", 0, 0), workload("argocd-repo-server", 2, 1)]
    found = see(application("loki"), parts=parts)
    assert [item.problem for item in found] == ["argocd-application-controller does not run: it is scaled to 0", "1 of 2 argocd-repo-server are ready"]
    assert found[0].advice.endswith("Until then what it says of Applications is old")
    assert [item.problem for item in see(application("loki"), parts=[])] == ["It is not installed, and has Applications to deliver"]


def test_argo_cd_runs_and_looks_at_nothing() -> None:
    (found,) = see(application("loki", reconciledAt="2026-11-30T08:30:00Z"))
    assert found.problem == "It has not looked at loki for more than 15 minutes"


def test_a_set_that_makes_no_applications_any_more() -> None:
    def user(status: str) -> dict[str, Any]:
        message = "ApplicationSet user contains applications with duplicate name: user-shop"
        return {"metadata": {"name": "user"}, "status": {"conditions": [{"type": "ErrorOccurred", "status": status, "message": message}]}}

    assert see(application("loki"), sets=(user("False"),)) == []
    (found,) = see(application("loki"), sets=(user("True"),))
    assert (found.where, found.problem) == (
        "ApplicationSet user",
        "It cannot make its Applications: ApplicationSet user contains applications with duplicate name: user-shop",
    )
