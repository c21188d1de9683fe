# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching a machine off through Talos, restarting it, or waiting until it is there. Switching on is done by hand, or by its BMC."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos import insist, machine_tls
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import MachineState, read_status
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_wait import Wait
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine, observe

# How long Talos is given to say that it has begun.
ACCEPT_SECONDS = 60.0
# One handshake may fail on a machine that is there; a machine counts as off after as many as this.
LOOKS = 3
LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Request:
    """``confirm`` must be the host name of a machine that is switched off or restarted. ``drain``: Talos cordons and drains the node first."""

    machine: Machine
    state: str
    confirm: str
    drain: bool
    check_mode: bool


def settle(request: Request, *, deadline: Deadline) -> tuple[bool, str]:
    """Do it and wait until it is so. Returns whether anything was (in check mode, would be) done, and the machine's stage at the end.

    A machine to be switched off that does not answer counts as off. Raises RefusedError for a machine that is not ours, or another one than confirmed.
    """
    machine = request.machine
    if request.state == "on":
        return False, _await_on(request, deadline)
    found = _observe(request, deadline)
    if found.trust == machine_tls.UNREACHABLE:
        if request.state == "off":
            return False, "off"
        raise ConnectionFailed(found.problem or "the machine does not answer", where=machine.address, hint="Check its power and network.")
    if found.trust == machine_tls.FOREIGN:
        raise RefusedError(f"the machine is not this cluster's ({found.problem})", where=machine.address, hint="Check the address and the talosconfig.")
    if found.trust == machine_tls.MAINTENANCE:
        raise RefusedError("the machine is in maintenance mode, where it takes no such call", where=machine.address, hint="Switch it off by hand.")
    if found.problem or not found.hostname:
        raise ConnectionFailed(found.problem or "the machine does not tell its host name", where=machine.address, hint="Run it again.")
    if request.confirm != found.hostname:
        raise RefusedError(
            f"the confirmation {request.confirm!r} is not the machine's host name {found.hostname!r}; nothing was done",
            where=machine.address,
            hint="To confirm, give its host name.",
        )
    if request.check_mode:
        return True, found.stage
    before = read_status(machine.client().get("machinestatus", deadline=deadline)).boot
    wait = Wait(machine, found.hostname, "The shutdown" if request.state == "off" else "The restart", deadline)
    _send(request, found.hostname, deadline)
    if request.state == "off":
        wait.for_trust(machine_tls.UNREACHABLE, problems=True)
        return True, "off"
    return True, wait.for_status(lambda status: status.boot not in ("", before) and status.stage == "running").stage


def _observe(request: Request, deadline: Deadline) -> MachineState:
    """What the machine is; more than one look before it counts as off."""
    for look in range(1, LOOKS + 1):
        found = observe(request.machine, subjects=("status", "version"), deadline=deadline)
        if found.trust != machine_tls.UNREACHABLE or look == LOOKS:
            return found
        deadline.pause(LOOK_SECONDS)
    raise AssertionError("the last look returns")


def _await_on(request: Request, deadline: Deadline) -> str:
    """Until the machine answers as ours. In check mode, what it is now."""
    if request.check_mode:
        found = observe(request.machine, subjects=("status", "version"), deadline=deadline)
        return found.stage or found.trust
    wait = Wait(request.machine, request.machine.address, "The start", deadline)
    wait.for_trust(machine_tls.OURS)
    return wait.for_status(lambda status: status.stage in ("booting", "running")).stage


def _send(request: Request, hostname: str, deadline: Deadline) -> None:
    """Ask for it. talosctl's own wait is not used: it watches over a connection that ends with the machine."""
    if request.state == "off":
        progress(f"{hostname}: is switched off")
        arguments = ["shutdown", "--wait=false", *([] if request.drain else ["--force"])]
    else:
        progress(f"{hostname}: is restarted")
        arguments = ["reboot", "--wait=false"]
    machine = request.machine

    def away() -> bool:
        return machine.probe(deadline=deadline).trust == machine_tls.UNREACHABLE

    insist.call(machine, hostname, arguments, arguments[0], deadline, seconds=ACCEPT_SECONDS, done=away)
