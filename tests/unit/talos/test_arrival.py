# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a machine that is booted: what counts as there, what is told when it does not come."""

from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.talos import arrival, machine_tls
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import CertificateMismatch
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import MachineState
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine

NOBODY = machine_tls.Handshake("unreachable", problem="no answer")
BARE = machine_tls.Handshake("maintenance", "F" * 43 + "=")


def await_it(
    monkeypatch: pytest.MonkeyPatch, shown: list[machine_tls.Handshake], states: list[MachineState], seconds: float = 10, pin: str = ""
) -> MachineState:
    """The machine shows these, one after another, and the last one from then on; and tells these states."""
    monkeypatch.setattr(arrival, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("ansible_collections.trinode.platform.plugins.module_utils.talos.machine_wait.PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(machine_tls, "probe", lambda *_arguments, **_options: shown.pop(0) if len(shown) > 1 else shown[0])
    monkeypatch.setattr(arrival, "observe", lambda *_arguments, **_options: states.pop(0) if len(states) > 1 else states[0])
    machine = Machine("192.0.2.11", talosctl="talosctl", talosconfig=None, fingerprint=pin)
    return arrival.await_arrival(machine, "m1", subjects=["status"], hint="Boot it.", deadline=Deadline(seconds))


def test_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    there = MachineState("192.0.2.11", "maintenance", stage="maintenance")
    starting = MachineState("192.0.2.11", "maintenance", problem="it breaks off")
    assert await_it(monkeypatch, [NOBODY, NOBODY, BARE], [starting, there]) == there


def test_it_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeadlineExceeded, match=r"^m1: the machine does not answer on the Talos API \(no answer\).*Boot it\.$"):
        await_it(monkeypatch, [NOBODY], [], seconds=0.05)


def test_it_answers_and_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeadlineExceeded, match=r"The boot did not come to an end: it breaks off.*Boot it\.$"):
        await_it(monkeypatch, [BARE], [MachineState("192.0.2.11", "maintenance", problem="it breaks off")], seconds=0.05)


def test_another_machine_than_the_one_that_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CertificateMismatch, match="expected was A"):
        await_it(monkeypatch, [NOBODY, BARE], [], pin="A" * 43 + "=")
