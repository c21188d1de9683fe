# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back to bare: a machine forgets its configuration and its data, and comes up in maintenance mode."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos import machine_tls
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import NotReady, Unreachable
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_wait import Wait
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine, observe

# How long Talos is given to cordon, drain and leave etcd before it is asked whether it has begun.
ACCEPT_SECONDS = 60.0


@dataclass(frozen=True)
class ResetRequest:
    """``confirm`` must be the machine's host name. ``graceful``: drain the node and leave etcd first; ``wipe``: what talosctl's --wipe-mode takes."""

    machine: Machine
    confirm: str
    graceful: bool
    wipe: str
    check_mode: bool


def reset(request: ResetRequest, *, deadline: Deadline) -> bool:
    """Reset and wait for maintenance mode. Returns whether anything was (in check mode, would be) done: a machine in maintenance is left alone.

    Raises RefusedError when the confirmation is not the host name or the machine is not ours.
    """
    machine = request.machine
    found = observe(machine, subjects=("status", "version"), deadline=deadline)
    if found.trust == machine_tls.MAINTENANCE:
        return False
    if found.trust == machine_tls.FOREIGN:
        raise RefusedError(f"the machine is not this cluster's ({found.problem})", where=machine.address, hint="Check the address and the talosconfig.")
    if found.problem or not found.hostname:
        raise ConnectionFailed(found.problem or "the machine does not tell its host name", where=machine.address, hint="Check its power and network.")
    if request.confirm != found.hostname:
        raise RefusedError(
            f"the confirmation {request.confirm!r} is not the machine's host name {found.hostname!r}; nothing was done",
            where=machine.address,
            hint="Resetting destroys all data on the machine. To confirm, give its host name.",
        )
    if request.check_mode:
        return True
    wait = Wait(machine, found.hostname, "The return to maintenance mode", deadline)
    if found.stage != "resetting":
        progress(f"{found.hostname}: is reset{', gracefully' if request.graceful else ''}")
        _send(request, deadline)
    wait.for_trust(machine_tls.MAINTENANCE)
    return True


def _send(request: ResetRequest, deadline: Deadline) -> None:
    """Ask for the reset. talosctl's own wait is not used: it watches over a connection that the reset ends."""
    graceful = "true" if request.graceful else "false"
    arguments = ["reset", f"--graceful={graceful}", "--reboot", "--wait=false", "--wipe-mode", request.wipe]
    while True:
        try:
            request.machine.client().run(*arguments, action="reset", deadline=deadline, seconds=ACCEPT_SECONDS)
        except (NotReady, Unreachable) as error:
            if request.machine.probe(deadline=deadline).trust == machine_tls.MAINTENANCE:
                return
            if deadline.expired:
                raise
            progress(f"{request.machine.address}: {error.what}; trying again")
            deadline.pause(1.0)
        else:
            return
