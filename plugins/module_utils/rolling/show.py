# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan as a table for the person who starts a roll, and the state of everything for the one whose roll has stopped. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.trinode.platform.plugins.module_utils.rolling.plan import Machine, Plan
from ansible_collections.trinode.platform.plugins.module_utils.rolling.target import short
from ansible_collections.trinode.platform.plugins.module_utils.table import aligned


def table(machines: Sequence[Machine], plan: Plan) -> list[str]:
    """One line a machine, in the order in which they are worked on, those that need nothing last."""
    rows = [("STEP", "MACHINE", "ADDRESS", "TALOS", "SCHEMATIC", "STATE", "ETCD", "NODE", "WHAT")]
    by_name = {machine.name: machine for machine in machines}
    steps = {name: str(number) for number, name in enumerate(plan.work, 1)}
    for name in [*plan.work, *(machine.name for machine in machines if machine.name not in steps)]:
        machine = by_name[name]
        what = plan.reasons.get(name, "")
        if name in plan.recover:
            what = f"is brought back, then {what}" if what else "is brought back"
        rows.append((steps.get(name, "-"), name, machine.address, *state(machine), what or "nothing to do"))
    return aligned(rows)


def state(machine: Machine) -> tuple[str, str, str, str, str]:
    """Version, schematic, stage, etcd and node of a machine, in a word each."""
    observed = machine.observed
    stage = observed.stage if observed.trust == "ours" else observed.trust
    node = "not there" if not observed.node_found else "Ready" if observed.node_ready else "NotReady"
    if observed.cordoned:
        node += f", cordoned by {observed.mark or 'somebody else'}"
    schematic = short(observed.schematic) if observed.version else "?"
    return observed.version or "?", schematic, stage or "?", "leader" if observed.leader else "", node


def lines(plan: Plan) -> list[str]:
    """Objections and warnings, a line each."""
    return [f"Refused: {finding}" for finding in plan.objections] + [f"Note: {finding}" for finding in plan.warnings]
