# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's judgement of disruption budgets. Which of them block is tested in tests/unit/kube/test_budgets.py."""

from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import budgets as check
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks.budgets import Budgets
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Policy
from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import Blocker

NEVER = Blocker("shop/web", "m1", ("shop/web-0",), "never", "minAvailable: 1 with 1 pods lets none of them go, ever", "Run 2 replicas.")
NOW = Blocker("shop/api", "m1", ("shop/api-0", "shop/api-1"), "now", "it needs 2 healthy pods and has 2 of 3", "Repair those pods first.")
LATER = Blocker("shop/db", "m1", ("shop/db-1",), "later", "it guards the primary of the database db", "CloudNativePG moves it.")


@pytest.mark.parametrize(
    ("view", "expected", "seen"),
    [
        pytest.param(Budgets(), [], "no machine is about to go", id="nobody goes"),
        pytest.param(Budgets("m1", 12), [], "12 pods would leave m1", id="well"),
        pytest.param(Budgets("m1", 12, (LATER,)), [], "12 pods would leave m1, those of 1 budgets one by one", id="pod by pod"),
        pytest.param(
            Budgets("m1", 12, (NEVER, NOW)),
            [
                ("error", "shop/web", "it never lets shop/web-0 leave m1: minAvailable: 1 with 1 pods lets none of them go, ever"),
                ("error", "shop/api", "it does not let shop/api-0, shop/api-1 leave m1: it needs 2 healthy pods and has 2 of 3"),
            ],
            "12 pods would leave m1",
            id="blocked",
        ),
        pytest.param(
            Budgets("m1", 1, (), (("shop/debug", "has no controller, so nobody would bring it back"),)),
            [("warning", "shop/debug", "the pod has no controller, so nobody would bring it back")],
            "1 pods would leave m1",
            id="a pod of nobody's",
        ),
    ],
)
def test_budgets(view: Budgets, expected: list[tuple[str, str, str]], seen: str) -> None:
    findings = check.judge(view, Policy())
    assert [(finding.severity, finding.where, finding.problem) for finding in findings] == expected
    assert all(finding.advice for finding in findings)
    assert check.seen(view) == seen
