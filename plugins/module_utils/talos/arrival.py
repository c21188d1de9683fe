# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a machine that is booted: until it answers in maintenance mode or as one of ours, and tells what is asked of it."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.talos import machine_tls
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import MachineState
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_wait import PAUSE_SECONDS, Wait
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine, observe


def await_arrival(
    machine: Machine, label: str, *, subjects: Sequence[str], in_maintenance: Sequence[str] = (), hint: str = "", deadline: Deadline
) -> MachineState:
    """The machine as it is when it has come up. Raises DeadlineExceeded with ``hint``, CertificateMismatch for another machine than the one pinned."""
    wait = Wait(machine, label, "The boot into maintenance mode", deadline)
    try:
        while True:
            wait.for_trust(machine_tls.OURS, machine_tls.MAINTENANCE)
            state = observe(machine, subjects=subjects, in_maintenance=in_maintenance, deadline=deadline)
            if not state.problem:
                wait.say("answers in maintenance mode" if state.trust == machine_tls.MAINTENANCE else "answers as ours")
                return state
            wait.say(state.problem)
            deadline.check(f"The boot did not come to an end: {state.problem}", where=label)
            deadline.pause(PAUSE_SECONDS)
    except DeadlineExceeded as error:
        raise DeadlineExceeded(error.what, where=error.where or label, hint=hint or error.hint) from error
