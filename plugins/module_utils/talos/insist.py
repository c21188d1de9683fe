# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A step of talosctl that may end the connection it is asked over: whether it has happened is judged by the machine, not by how talosctl ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import NotReady, Unreachable
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine

PAUSE_SECONDS = 1.0


def call(machine: Machine, label: str, arguments: Sequence[str], action: str, deadline: Deadline, *, seconds: float, done: Callable[[], bool]) -> None:
    """Call talosctl, again while the machine cannot do it yet or breaks off, until ``done`` sees that it has happened all the same.

    Raises NotReady or Unreachable when the time is over, and what else the call fails with.
    """
    while True:
        try:
            machine.client().run(*arguments, action=action, deadline=deadline, seconds=seconds)
        except (NotReady, Unreachable) as error:
            if done():
                return
            if deadline.expired:
                raise
            progress(f"{label}: {error.what}; trying again")
            deadline.pause(PAUSE_SECONDS)
        else:
            return
