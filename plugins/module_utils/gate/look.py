# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at the cluster: all checks at once, and what each of them found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources
from ansible_collections.trinode.platform.plugins.module_utils.gate.registry import find
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, Policy
from ansible_collections.trinode.platform.plugins.module_utils.table import aligned

READ_SECONDS = 10.0
"""A check that takes longer than this to read has failed."""


@dataclass(frozen=True)
class Result:
    """What became of one check. ``view`` is what it read, None where it could not; ``asked`` is False for one that was left for later."""

    check: str
    seen: str
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    view: Any = None
    asked: bool = True

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def state(self) -> str:
        if not self.asked:
            return "not run"
        return "FAILED" if self.errors else "passed"


def look(names: Sequence[str], sources: Sources, deadline: Deadline) -> list[Result]:
    """Run the checks, each with its own part of the time. Never raises for what is wrong with the cluster."""
    limit = deadline.at_most(READ_SECONDS)
    with ThreadPoolExecutor(max_workers=max(1, len(names))) as pool:
        return list(pool.map(lambda name: _check(name, sources, limit), names))


def _check(name: str, sources: Sources, limit: Deadline) -> Result:
    check, policy = find(name), sources.policy

    def run() -> Result:
        view = check.read(sources, limit)
        return Result(name, check.seen(view), tuple(check.judge(view, policy)), view=view)

    return measured(name, run, policy)


def measured(name: str, run: Callable[[], Result], policy: Policy) -> Result:
    """The result with the time it took. What cannot be read fails; findings that are allowed only warn."""
    started = time.monotonic()
    try:
        result = run()
    except PlatformError as error:
        where = error.where or "cluster"
        advice = error.hint or "It has to answer: what cannot be read counts as wrong."
        result = Result(name, "cannot be read", (Finding(name, where, f"it cannot be read: {error.what}", advice),))
    findings = tuple(replace(finding, severity="warning") if finding.matches(policy.allowed) else finding for finding in result.findings)
    return replace(result, findings=findings, seconds=time.monotonic() - started)


def findings_of(results: Iterable[Result]) -> tuple[list[Finding], list[Finding]]:
    """What closes the gate, and what only warns."""
    found = [finding for result in results for finding in result.findings]
    return [finding for finding in found if finding.severity == "error"], [finding for finding in found if finding.severity == "warning"]


def table(results: Sequence[Result]) -> list[str]:
    """A line for each check: passed or not, how long it took, what was seen."""
    rows = [("CHECK", "RESULT", "TOOK", "SEEN")]
    for result in results:
        warned = len(result.findings) - len(result.errors)
        state = result.state + (f", {warned} warning{'s' if warned > 1 else ''}" if warned else "")
        rows.append((result.check, state, f"{result.seconds:.1f} s", result.seen))
    return aligned(rows) if results else []
