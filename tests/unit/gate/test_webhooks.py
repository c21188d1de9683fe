# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's judgement of webhooks, as a table."""

from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import webhooks as check
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks.webhooks import Webhook, Webhooks
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Policy


def webhook(*nodes: str, guards: tuple[str, ...] = ("pods",)) -> Webhook:
    return Webhook("policies", "kyverno/kyverno-svc", guards, nodes)


@pytest.mark.parametrize(
    ("found", "lost", "problem"),
    [
        pytest.param(webhook("m1", "m2"), "", "", id="well"),
        pytest.param(webhook("m1", "m2"), "m1", "", id="one stays"),
        pytest.param(webhook("m1"), "", "", id="one pod, and nobody goes"),
        pytest.param(webhook("m1"), "m2", "", id="one pod, and another machine goes"),
        pytest.param(webhook(""), "m1", "", id="an endpoint outside of the nodes"),
        pytest.param(webhook(), "", "no pod is ready behind kyverno/kyverno-svc, so that changes of pods are refused", id="no pod"),
        pytest.param(
            webhook("m1", "m1"),
            "m1",
            "all ready pods behind kyverno/kyverno-svc are on m1, which is about to go, so that changes of pods are refused",
            id="all pods on the machine that goes",
        ),
        pytest.param(webhook(guards=("*",)), "", "no pod is ready behind kyverno/kyverno-svc, so that changes of everything are refused", id="everything"),
        pytest.param(
            webhook(guards=("a", "b", "c", "d", "e")),
            "",
            "no pod is ready behind kyverno/kyverno-svc, so that changes of a, b, c and 2 more are refused",
            id="many kinds",
        ),
    ],
)
def test_webhooks(found: Webhook, lost: str, problem: str) -> None:
    findings = check.judge(Webhooks((found,), lost), Policy())
    assert [(finding.where, finding.problem) for finding in findings] == ([("policies", problem)] if problem else [])
    assert all(finding.advice for finding in findings)


def test_what_is_seen() -> None:
    assert check.seen(Webhooks(())) == "none that is fail-closed"
    assert check.seen(Webhooks((webhook("m1"), webhook()))) == "1 of 2 that are fail-closed have ready pods"
