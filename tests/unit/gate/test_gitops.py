# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's judgement of Argo CD's Applications, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import gitops as check
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks.gitops import GitOps
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Policy

AUTOMATED = {"syncPolicy": {"automated": {"selfHeal": True}}}


def application(sync: str = "Synced", health: str = "Healthy", project: str = "platform", **status: Any) -> dict[str, Any]:
    found = {"sync": {"status": sync, "revision": "3f2a9c0e"}, "health": {"status": health}, **status}
    return {"metadata": {"name": "cilium"}, "spec": {"project": project, **AUTOMATED}, "status": found}


@pytest.mark.parametrize(
    ("item", "expected", "seen"),
    [
        pytest.param(application(), [], "1 of 1 Applications Synced and Healthy", id="well"),
        pytest.param(application("OutOfSync"), [("error", "its state is OutOfSync")], "0 of 1 Applications Synced and Healthy", id="out of sync"),
        pytest.param(application(health="Degraded"), [("error", "it is Degraded")], "0 of 1 Applications Synced and Healthy", id="degraded"),
        pytest.param(
            application(operationState={"phase": "Running", "message": "waiting for healthy state"}),
            [("error", "it is being synced: waiting for healthy state")],
            "0 of 1 Applications Synced and Healthy",
            id="in the middle of a sync",
        ),
        pytest.param(
            application(conditions=[{"type": "SharedResourceWarning", "message": "two want it"}]),
            [("warning", "two want it")],
            "1 of 1 Applications Synced and Healthy",
            id="a warning",
        ),
        pytest.param(application("OutOfSync", project="user"), [], "Argo CD delivers nothing of the platform", id="a user's"),
    ],
)
def test_gitops(item: dict[str, Any], expected: list[tuple[str, str]], seen: str) -> None:
    findings = check.judge(GitOps((item,)), Policy())
    assert [(finding.severity, finding.problem) for finding in findings] == expected
    assert all(finding.advice and finding.where == "Application cilium" for finding in findings)
    assert check.seen(GitOps((item,))) == seen


def test_where_there_is_no_argo_cd_there_is_nothing_wrong() -> None:
    assert check.judge(GitOps(None), Policy()) == []
    assert check.seen(GitOps(None)) == "not installed"
