# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: open only when every check passed, and went on passing for a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.gate.look import Result, findings_of, table
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.table import aligned
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView

LOOK_SECONDS = 1.0
"""Between two looks. There is no one thing to watch: machines, etcd, nodes and all others each answer for themselves."""

Look = Callable[[], list[Result]]


def wait_until_open(look: Look, *, stable_for: Callable[[Sequence[Result]], float], deadline: Deadline) -> list[Result]:
    """Look again and again until nothing is wrong, and stays so for as many seconds as ``stable_for`` says of the first such look; returns the last look.

    Raises DeadlineExceeded with every finding of the last look.
    """
    held: Deadline | None = None
    told: list[Finding] = []
    while True:
        results = look()
        findings, _warnings = findings_of(results)
        if findings:
            held = None
            if findings != told:
                progress(f"the gate waits for {_summary(findings)}")
                told = findings
            if deadline.expired:
                raise closed(results, deadline)
        else:
            held = held or Deadline(stable_for(results))
            if held.expired:
                return results
            if deadline.expired:
                raise DeadlineExceeded(
                    f"all checks pass, and did not for {held.seconds:.0f} s within {deadline.seconds:.0f} s", where="gate", hint="Raise the timeout."
                )
        deadline.pause(min(LOOK_SECONDS, held.remaining) if held else LOOK_SECONDS)


def closed(results: Sequence[Result], deadline: Deadline) -> DeadlineExceeded:
    """The failure that lists what is wrong, and shows all checks."""
    findings, _warnings = findings_of(results)
    lines = "\n".join(f"  {finding.line()}" for finding in findings)
    number = f"{len(findings)} finding{'s' if len(findings) != 1 else ''}"
    shown = "\n".join(f"  {line}" for line in table(results))
    return DeadlineExceeded(f"the gate stayed closed for {deadline.seconds:.0f} s, with {number}:\n{lines}\n\n{shown}\n", details=values(results))


def values(results: Sequence[Result]) -> dict[str, object]:
    """A look as return values."""
    findings, warnings = findings_of(results)
    return {
        "passed": not findings,
        "findings": [finding.as_values() for finding in findings],
        "warned": [finding.as_values() for finding in warnings],
        "checks": [{"name": result.check, "result": result.state.lower(), "seconds": round(result.seconds, 2), "seen": result.seen} for result in results],
        "table": table(results),
        "machines": machine_table(results),
    }


def _summary(findings: Sequence[Finding]) -> str:
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{first.check}: {first.where}: {first.problem}{more}"


def machine_table(results: Sequence[Result]) -> list[str]:
    """A line for each machine, of what the checks of machines, etcd and nodes read; none where they were not asked."""
    views = {result.check: result.view for result in results}
    states = {machine.state.address: machine.state for machine in views.get("machines") or ()}
    etcd = {member.address: member for member in (views["etcd"].members if views.get("etcd") else ())}
    nodes = {node.address: node for node in (views["nodes"].nodes if views.get("nodes") else ())}
    rows = [("MACHINE", "ADDRESS", "TALOS", "STAGE", "ETCD", "NODE", "KUBERNETES")]
    for address in dict.fromkeys([*states, *etcd, *nodes]):
        state, node = states.get(address), nodes.get(address)
        rows.append(
            (
                (state.hostname if state else "") or (node.name if node else "") or "-",
                address,
                (state.version if state else "") or "-",
                (state.stage or state.trust) if state else "-",
                _role(etcd.get(address)),
                ("Ready" if node.ready else "NotReady") + (", cordoned" if node.unschedulable else "") if node else "-",
                node.version if node else "-",
            )
        )
    return aligned(rows) if len(rows) > 1 else []


def _role(member: EtcdView | None) -> str:
    if member is None:
        return "-"
    if member.status is None:
        return "unreadable"
    if member.status.leader == member.status.member_id:
        return "leader"
    return "learner" if member.status.learner else "voter"
