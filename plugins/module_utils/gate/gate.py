# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: open only when every check passed, and went on passing for a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.gate.ceph import summary
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, View
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.table import aligned

LOOK_SECONDS = 1.0
"""Between two looks. There is no one thing to watch: machines, etcd and nodes each answer for themselves."""

Look = Callable[[], tuple[View, list[Finding]]]


def wait_until_open(look: Look, *, stable_for: Callable[[View], float], deadline: Deadline) -> View:
    """Look again and again until nothing is wrong, and stays so for as many seconds as ``stable_for`` says of the first such look; returns the last look.

    Raises DeadlineExceeded with every finding of the last look.
    """
    held: Deadline | None = None
    told: list[Finding] = []
    while True:
        view, findings = look()
        if findings:
            held = None
            if findings != told:
                progress(f"the gate waits for {_summary(findings)}")
                told = findings
            if deadline.expired:
                raise closed(findings, deadline)
        else:
            held = held or Deadline(stable_for(view))
            if held.expired:
                return view
            if deadline.expired:
                raise DeadlineExceeded(
                    f"all checks pass, and did not for {held.seconds:.0f} s within {deadline.seconds:.0f} s", where="gate", hint="Raise the timeout."
                )
        deadline.pause(min(LOOK_SECONDS, held.remaining) if held else LOOK_SECONDS)


def closed(findings: Sequence[Finding], deadline: Deadline) -> DeadlineExceeded:
    """The failure that lists ``findings``."""
    lines = "\n".join(f"  {finding.line()}" for finding in findings)
    number = f"{len(findings)} finding{'s' if len(findings) != 1 else ''}"
    return DeadlineExceeded(
        f"the gate stayed closed for {deadline.seconds:.0f} s, with {number}:\n{lines}",
        details={"passed": False, "findings": [finding.as_values() for finding in findings]},
    )


def _summary(findings: Sequence[Finding]) -> str:
    first = findings[0]
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{first.check}: {first.where}: {first.problem}{more}"


def table(view: View) -> list[str]:
    """What was seen, as lines of text: one per machine or node, and one for Ceph."""
    nodes = {node.address: node for node in view.nodes}
    etcd = {member.address: member for member in view.etcd}
    rows = [("MACHINE", "ADDRESS", "TALOS", "STAGE", "ETCD", "NODE", "KUBERNETES")]
    addresses = list(dict.fromkeys([machine.state.address for machine in view.machines] + list(etcd) + list(nodes)))
    states = {machine.state.address: machine.state for machine in view.machines}
    for address in addresses:
        state, node, member = states.get(address), nodes.get(address), etcd.get(address)
        role = "-"
        if member is not None:
            role = (
                "unreadable"
                if member.status is None
                else "leader"
                if member.status.leader == member.status.member_id
                else "learner"
                if member.status.learner
                else "voter"
            )
        rows.append(
            (
                (state.hostname if state else "") or (node.name if node else "") or "-",
                address,
                (state.version if state else "") or "-",
                (state.stage or state.trust) if state else "-",
                role,
                ("Ready" if node.ready else "NotReady") + (", cordoned" if node.unschedulable else "") if node else "-",
                node.version if node else "-",
            )
        )
    lines = aligned(rows) if len(rows) > 1 else []
    if view.ceph_asked:
        lines.append(f"Ceph cannot be read: {view.ceph_problem}" if view.ceph_problem else summary(view.ceph) if view.ceph else "Ceph does not run (yet)")
    return lines
