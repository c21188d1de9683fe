# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement of each check: from what was read to what is wrong. Pure, and what could not be read is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, MachineView, NodeView
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import NO_LEADER, EtcdView

_ETCD_ADVICE = "Look at `talosctl service etcd` and `talosctl logs etcd` there."


def judge_machines(machines: Sequence[MachineView]) -> list[Finding]:
    """Every machine is ours, running and ready, and its services are healthy."""
    return [finding for machine in machines for finding in _machine(machine)]


def _machine(machine: MachineView) -> list[Finding]:
    state = machine.state
    where = f"{state.hostname} ({state.address})" if state.hostname else state.address
    if state.trust != "ours":
        problems = {
            "unreachable": ("the machine does not answer", "Check its power, network and address."),
            "maintenance": ("the machine is in maintenance mode", "Run playbooks/cluster.yml to configure it."),
        }
        problem, advice = problems.get(
            state.trust, ("the machine belongs to another cluster, or is no Talos machine", "Check its address and the talosconfig.")
        )
        return [Finding("machines", where, state.problem or problem, advice)]
    findings = []
    if state.problem:
        findings.append(Finding("machines", where, state.problem, "Check that its Talos API answers."))
    elif state.stage != "running":
        findings.append(Finding("machines", where, f"the machine is {state.stage or 'in an unknown stage'}, not running", "Look at `talosctl dmesg` there."))
    elif not state.ready:
        findings.append(
            Finding("machines", where, f"the machine is not ready: {'; '.join(state.unmet) or 'no reason given'}", "Look at `talosctl services` there.")
        )
    if machine.services_problem:
        findings.append(Finding("machines", where, f"its services cannot be read: {machine.services_problem}", "Check that its Talos API answers."))
    findings += [
        Finding(
            "machines",
            where,
            f"service {service.id} is {service.state}, health {service.health}: {service.last_event}",
            f"Look at `talosctl logs {service.id}` there.",
        )
        for service in machine.services
        if service.health == "Fail" or service.state not in ("Running", "Finished", "Skipped")
    ]
    return findings


def judge_etcd(etcd: Sequence[EtcdView], *, voters: int, planned_loss: str = "") -> list[Finding]:
    """All ``voters`` are there, healthy, agree on a leader, without alarms; and enough of them stay when the machine ``planned_loss`` goes."""
    findings = [Finding("etcd", view.address, f"etcd cannot be read: {view.problem}", _ETCD_ADVICE) for view in etcd if view.problem]
    answering = [view for view in etcd if not view.problem and view.status is not None]
    for view in answering:
        if view.status and view.status.errors:
            # etcd names its alarms among its errors.
            advice = "Free space or defragment, then `talosctl etcd alarm disarm`." if "NOSPACE" in view.status.errors else _ETCD_ADVICE
            findings.append(Finding("etcd", view.address, f"the member reports {view.status.errors}", advice))
    leaders = {view.status.leader for view in answering if view.status}
    if answering and (len(leaders) != 1 or leaders == {NO_LEADER}):
        findings.append(Finding("etcd", "cluster", "the members do not agree on a leader", "Wait for the election, or check the network between the machines."))
    counts = {sum(not member.learner for member in view.members) for view in answering}
    if answering and counts != {voters}:
        found = " or ".join(str(count) for count in sorted(counts))
        findings.append(
            Finding(
                "etcd",
                "cluster",
                f"there are {found} voters, expected are {voters}",
                "A machine has not joined yet, or a member was lost: see docs/troubleshooting.md.",
            )
        )
    return findings + _quorum(answering, voters, planned_loss)


def _quorum(answering: Sequence[EtcdView], voters: int, planned_loss: str) -> list[Finding]:
    quorum = voters // 2 + 1
    staying = [view for view in answering if view.address != planned_loss and view.status and not view.status.learner]
    if len(staying) >= quorum:
        return []
    what = f"without {planned_loss}, {len(staying)} healthy voters would stay" if planned_loss else f"{len(staying)} of {voters} voters are healthy"
    return [Finding("etcd", "cluster", f"{what}, the quorum is {quorum}", "Bring the other members back first.")]


def judge_nodes(nodes: Sequence[NodeView], problem: str, *, expected: Sequence[str], allowed_cordoned: Sequence[str] = ()) -> list[Finding]:
    """Every expected node is there and Ready, and takes pods unless it may be cordoned."""
    if problem:
        return [Finding("nodes", "cluster", f"the nodes cannot be read: {problem}", "Check that the Kubernetes API answers.")]
    by_name = {node.name: node for node in nodes}
    findings = [Finding("nodes", name, "the node has not registered", "Look at `talosctl logs kubelet` there.") for name in expected if name not in by_name]
    findings += [
        Finding("nodes", node.name, f"the node is not Ready: {node.reason or 'no reason given'}", "Look at its kubelet and its CNI.")
        for node in nodes
        if not node.ready
    ]
    findings += [
        Finding("nodes", node.name, "the node is cordoned, so it takes no pods", f"`kubectl uncordon {node.name}`, if nobody works on it.")
        for node in nodes
        if node.unschedulable and node.name not in allowed_cordoned
    ]
    return findings
