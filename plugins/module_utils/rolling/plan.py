# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a roll: which machines, in which order, what comes first, and what is in the way. Pure: from what is wanted and what was observed.

A machine that an earlier run has left half done bears our mark (kube/drain.py). It is brought back before any other machine is touched, and then, if it
still needs it, it is the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import Blocker
from ansible_collections.trinode.platform.plugins.module_utils.rolling import versions
from ansible_collections.trinode.platform.plugins.module_utils.rolling.target import Target


@dataclass(frozen=True)
class Observed:
    """A machine and its node as they are.

    ``trust``: ``ours`` or why it is not spoken with; ``problem``: what could not be read. ``node_found`` is false where Kubernetes knows no such node.
    ``mark``: why we have cordoned the node, empty where we have not.
    """

    trust: str = "ours"
    problem: str = ""
    stage: str = "running"
    version: str = ""
    schematic: str = ""
    leader: bool = False
    node_found: bool = True
    node_ready: bool = True
    kubelet: str = ""
    cordoned: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Drain:
    """What draining a node would meet: budgets, and pods that may not be taken away (with the reason)."""

    blockers: Sequence[Blocker] = ()
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Machine:
    """One machine. What it needs is told by ``target`` (an upgrade), or by ``reason`` (any other work, in words; empty: none)."""

    name: str
    address: str
    node: str
    target: Target = field(default_factory=Target)
    reason: str = ""
    observed: Observed = field(default_factory=Observed)
    drain: Drain = field(default_factory=Drain)

    @property
    def work(self) -> str:
        """What has to be done to it, in words; empty where nothing has."""
        # What cannot be read now is judged when the machine is back.
        unknown = not self.observed.version and self.observed.mark
        differs = "" if unknown else self.target.differs(self.observed.version, self.observed.schematic) if self.target.version else ""
        return ", ".join(text for text in (differs, self.reason) if text)

    @property
    def half_done(self) -> bool:
        return bool(self.observed.cordoned and self.observed.mark)

    @property
    def runs(self) -> bool:
        return self.observed.trust == "ours" and self.observed.stage == "running"


@dataclass(frozen=True)
class Finding:
    """What is in the way, or (as a warning) worth knowing; what to do about it."""

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.hint}".rstrip()


@dataclass(frozen=True)
class Plan:
    """By name: ``recover``, the machines to bring back first; ``work``, those to work on, in order; ``reasons``, why. With objections nothing is done."""

    recover: tuple[str, ...] = ()
    work: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    objections: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.recover and not self.work


def plan(machines: Sequence[Machine]) -> Plan:
    """The plan, with all objections at once."""
    half_done = [machine for machine in machines if machine.half_done]
    unknown = [machine for machine in half_done if not machine.observed.version and machine.target.version]
    needy = [machine for machine in machines if machine.work or machine in unknown]
    # The leader of etcd goes last, so that etcd elects a new one once, not up to three times. What is half done already cannot wait.
    needy.sort(key=lambda machine: (not machine.half_done, machine.observed.leader and not machine.half_done))
    reasons = {machine.name: machine.work or "it did not answer; judged when it is back" for machine in needy}
    objections = _objections(machines, needy) if needy else _states(half_done)
    return Plan(
        tuple(machine.name for machine in half_done), tuple(machine.name for machine in needy), reasons, tuple(objections), tuple(_warnings(machines, needy))
    )


def _objections(machines: Sequence[Machine], needy: Sequence[Machine]) -> list[Finding]:
    """Everything that keeps the roll from starting."""
    found = _states(machines)
    for machine in needy:
        if machine.target.version and machine.observed.version:
            objection = versions.step("Talos", machine.observed.version, machine.target.version)
            if objection is not None:
                found.append(Finding(machine.name, objection.what, objection.hint))
    targets = [machine.target for machine in needy]
    found += [Finding("cluster", objection.what, objection.hint) for objection in versions.goes_with(targets, _kubelets(machines))]
    for machine in needy:
        found += [_blocked(machine, blocker) for blocker in machine.drain.blockers if blocker.verdict == "never"]
        found += [
            Finding(machine.name, f"the pod {pod} {why}", "Save what is needed and delete it, or allow its loss.")
            for pod, why in sorted(machine.drain.refused.items())
        ]
    return found


def _states(machines: Sequence[Machine]) -> list[Finding]:
    """Machines and nodes that are not as they have to be before any is taken away. What is half done is brought back first, whatever its state."""
    found = []
    for machine in machines:
        observed = machine.observed
        if observed.trust in ("foreign", "maintenance"):
            what = "it is in maintenance mode" if observed.trust == "maintenance" else f"it is not this cluster's ({observed.problem})"
            found.append(Finding(machine.name, what, "Correct the inventory, or bring it into the cluster first (playbooks/cluster.yml)."))
            continue
        if not observed.node_found:
            found.append(Finding(machine.name, f"Kubernetes has no node {machine.node}", "Look at `talosctl logs kubelet` there."))
        if machine.half_done:
            continue
        if observed.problem or observed.trust != "ours":
            found.append(Finding(machine.name, observed.problem or "it does not answer", "No machine is taken away while another one is out."))
        elif observed.stage != "running":
            found.append(Finding(machine.name, f"it is {observed.stage or 'in an unknown stage'}, not running", "Wait until it runs."))
        if observed.node_found and observed.cordoned:
            found.append(
                Finding(
                    machine.name,
                    "somebody has cordoned the node, and not this collection",
                    f"Find out who and why. `kubectl uncordon {machine.node}` lets it take pods again; until then no other node is drained.",
                )
            )
        elif observed.node_found and not observed.node_ready:
            found.append(Finding(machine.name, "the node is not Ready", "No machine is taken away while another one is out."))
    return found


def _warnings(machines: Sequence[Machine], needy: Sequence[Machine]) -> list[Finding]:
    found = [_blocked(machine, blocker) for machine in needy for blocker in machine.drain.blockers if blocker.verdict == "now"]
    found += [
        Finding(machine.name, f"an earlier run has left it half done ({machine.observed.mark})", "It is brought back first.")
        for machine in machines
        if machine.half_done
    ]
    return found


def _blocked(machine: Machine, blocker: Blocker) -> Finding:
    return Finding(machine.name, f"the disruption budget {blocker.budget} keeps {', '.join(blocker.pods)}: {blocker.why}", blocker.fix)


def _kubelets(machines: Sequence[Machine]) -> list[str]:
    return sorted({machine.observed.kubelet for machine in machines if machine.observed.kubelet})
