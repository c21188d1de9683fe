# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a machine: a watch on MachineStatus while its API answers, a handshake twice a second while it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos import machine_problems, machine_tls
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Status, read_status
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine

PAUSE_SECONDS = 0.5
# How long a service may prepare before we look why: pulling its image takes this long on a good line.
PATIENCE_SECONDS = 20.0
_TRUST_IN_WORDS = {
    machine_tls.UNREACHABLE: "does not answer",
    machine_tls.MAINTENANCE: "answers in maintenance mode",
    machine_tls.FOREIGN: "answers with a certificate that is not ours",
    machine_tls.OURS: "answers as ours",
}


@dataclass
class Wait:
    """One wait for one machine. ``what`` says what is waited for, ``label`` names the machine in progress lines (host name or address)."""

    machine: Machine
    label: str
    what: str
    deadline: Deadline

    def __post_init__(self) -> None:
        self._said = ""
        self._last_status = Status()
        self._last_trust = ""
        self._final_pulls = 0

    def for_trust(self, *accepted: str, problems: bool = False) -> machine_tls.Handshake:
        """Until the machine answers as one of these, unless there is a problem with it and ``problems`` are not accepted. Raises DeadlineExceeded."""
        while True:
            shown = self.machine.probe(deadline=self.deadline)
            if shown.trust in accepted and (problems or not shown.problem):
                return shown
            self._last_trust = shown.trust
            self.say(f"{_TRUST_IN_WORDS[shown.trust]}{f' ({shown.problem})' if shown.problem else ''}")
            if self.deadline.expired:
                raise self._too_late(shown.problem)
            self.deadline.pause(PAUSE_SECONDS)

    def for_status(self, accept: Callable[[Status], bool]) -> Status:
        """Until the machine answers as ours with a status that is accepted. Raises DeadlineExceeded with the reason as far as it can be found."""
        while True:
            self.for_trust(machine_tls.OURS)
            try:
                found = self._watch(accept)
            except (ConnectionFailed, CommandError) as error:
                self.say(error.what)
                found = None
            if found is not None:
                return found
            if self.deadline.expired:
                raise self._too_late("")
            self.deadline.pause(PAUSE_SECONDS)

    def say(self, text: str) -> None:
        """A progress line, unless it was the last one too."""
        if text != self._said:
            self._said = text
            progress(f"{self.label}: {text}")

    def _watch(self, accept: Callable[[Status], bool]) -> Status | None:
        """The accepted status, or None when the machine went away or the deadline passed."""
        look_at = self.deadline.elapsed + PATIENCE_SECONDS
        for event in self.machine.client().watch("machinestatus", deadline=self.deadline):
            if event is not None and event.spec:
                self._last_status = read_status([event])
                self.say(describe_status(self._last_status))
            # Asked at every tick too: what is accepted may hang on more than the status.
            if self._last_status.stage and accept(self._last_status):
                return self._last_status
            if event is None and self.machine.probe(deadline=self.deadline).trust != machine_tls.OURS:
                return None
            if event is None and self.deadline.elapsed >= look_at and self._last_status.stage == "booting":
                self._look_for_pulls()
                look_at = self.deadline.elapsed + PATIENCE_SECONDS / 2
        return None

    def _look_for_pulls(self) -> None:
        try:
            failure = machine_problems.find_pull_failure(self.machine.client(), deadline=self.deadline)
        except (ConnectionFailed, CommandError):
            return
        if failure is None:
            self._final_pulls = 0
            return
        self.say(failure.text)
        # Twice the same answer of a registry is no passing trouble.
        self._final_pulls = self._final_pulls + 1 if failure.final else 0
        if self._final_pulls >= 2:
            raise PullFailed(failure.text, where=self.label, hint=failure.hint)

    def _too_late(self, problem: str) -> DeadlineExceeded:
        if self._last_trust == machine_tls.UNREACHABLE:
            return DeadlineExceeded(
                f"the machine does not answer on the Talos API ({problem or 'no answer'}), {self.deadline.seconds:.0f} s long",
                where=self.label,
                hint=f"Check that the machine has power and network, and that its address {self.machine.address} is right.",
            )
        what, hint = problem, ""
        if self._last_status.stage and not problem:
            what, hint = machine_problems.diagnose(self.machine.client(), deadline=self.deadline)
            what = what or describe_status(self._last_status)
        return DeadlineExceeded(f"{self.what} did not happen within {self.deadline.seconds:.0f} s{f': {what}' if what else ''}", where=self.label, hint=hint)


class PullFailed(PlatformError):
    """A machine cannot get an image that it needs."""


def describe_status(status: Status) -> str:
    """``booting (services: etcd not running)``, ``running``."""
    return f"{status.stage} ({'; '.join(status.unmet)})" if status.unmet else status.stage
