# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every machine is ours, running and ready, and its services are healthy."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources, each
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, MachineView, Policy
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import MachineState
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine, observe

_UNTRUSTED = {
    "unreachable": ("the machine does not answer", "Check its power, network and address."),
    "maintenance": ("the machine is in maintenance mode", "Run playbooks/cluster.yml to configure it."),
}
_FOREIGN = ("the machine belongs to another cluster, or is no Talos machine", "Check its address and the talosconfig.")


def read(sources: Sources, deadline: Deadline) -> tuple[MachineView, ...]:
    return each(lambda address: _machine(sources, address, deadline), sources.policy.machines)


def _machine(sources: Sources, address: str, deadline: Deadline) -> MachineView:
    machine = Machine(address, talosctl=sources.talosctl, talosconfig=sources.talosconfig)
    state = observe(machine, subjects=["status", "version"], deadline=deadline)
    # A machine that Talos calls ready has healthy services; of another one they say more.
    if state.ready or state.trust != "ours" or state.problem:
        return MachineView(state)
    try:
        return MachineView(state, tuple(machine.client().services(deadline=deadline)))
    except PlatformError as error:
        return MachineView(state, services_problem=error.what)


def judge(view: Sequence[MachineView], _policy: Policy) -> list[Finding]:
    return [finding for machine in view for finding in _findings(machine)]


def seen(view: Sequence[MachineView]) -> str:
    well = sum(_is_well(machine.state) for machine in view)
    versions = sorted({machine.state.version for machine in view if machine.state.version})
    return f"{well} of {len(view)} running and ready" + (f", Talos {' and '.join(versions)}" if versions else "")


def _is_well(state: MachineState) -> bool:
    return state.trust == "ours" and state.stage == "running" and state.ready and not state.problem


def _findings(machine: MachineView) -> list[Finding]:
    state = machine.state
    where = f"{state.hostname} ({state.address})" if state.hostname else state.address
    if state.trust != "ours":
        problem, advice = _UNTRUSTED.get(state.trust, _FOREIGN)
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
