# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No disruption budget would hold up the drain of the machine that goes."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, Policy
from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import Blocker
from ansible_collections.trinode.platform.plugins.module_utils.kube.drain import simulate
from ansible_collections.trinode.platform.plugins.module_utils.kube.drain_plan import Options


@dataclass(frozen=True)
class Budgets:
    """A drain that was only thought through. ``node`` is "" where no machine is about to go; ``refused`` are pods that nobody would bring back."""

    node: str = ""
    pods: int = 0
    blockers: tuple[Blocker, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


def read(sources: Sources, deadline: Deadline) -> Budgets:
    node = sources.lost(deadline)
    if not node:
        return Budgets()
    plan, blockers = simulate(sources.client(deadline), [node], Options(empty_dir=True), deadline)[node]
    return Budgets(node, len(plan.evict), tuple(blockers), tuple(sorted(plan.refuse.items())))


def judge(view: Budgets, _policy: Policy) -> list[Finding]:
    # What goes pod by pod goes.
    blocking = [blocker for blocker in view.blockers if blocker.verdict != "later"]
    findings = [
        Finding(
            "budgets",
            blocker.budget,
            f"it {'never lets' if blocker.verdict == 'never' else 'does not let'} {', '.join(blocker.pods)} leave {view.node}: {blocker.why}",
            blocker.fix,
        )
        for blocker in blocking
    ]
    advice = "Save what is needed, and delete it or allow the drain to (delete_unmanaged)."
    return [*findings, *(Finding("budgets", pod, f"the pod {why}", advice, "warning") for pod, why in view.refused)]


def seen(view: Budgets) -> str:
    if not view.node:
        return "no machine is about to go"
    slow = sum(blocker.verdict == "later" for blocker in view.blockers)
    return f"{view.pods} pods would leave {view.node}" + (f", those of {slow} budgets one by one" if slow else "")
