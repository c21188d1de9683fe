"""Switching machines off, restarting them, waiting for them; with stand-ins for the machine."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos import power
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import Unreachable
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import Resource
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import MachineState
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_tls import Handshake
from ansible_collections.trinode.platform.plugins.module_utils.talos.power import Request, settle

RUNNING = MachineState("192.0.2.11", "ours", stage="running", ready=True, hostname="m1")
GONE = MachineState("192.0.2.11", "unreachable", problem="no answer")


class Stand:
    """A machine that shows these handshakes, the last one for ever, and keeps what it is told."""

    address = "192.0.2.11"

    def __init__(self, *trusts: str, fail: bool = False) -> None:
        self.trusts = list(trusts)
        self.calls: list[tuple[str, ...]] = []
        self.fail = fail

    def probe(self, *, deadline: Deadline) -> Handshake:
        return Handshake(self.trusts.pop(0) if len(self.trusts) > 1 else self.trusts[0])

    def client(self) -> Stand:
        return self

    def get(self, _kind: str, *, deadline: Deadline) -> list[Resource]:
        return [Resource("machine", {"stage": "running"}, "", "boot 1")]

    def run(self, *arguments: str, **_keywords: Any) -> None:
        self.calls.append(arguments)
        if self.fail:
            raise Unreachable("the machine broke off the connection")

    def watch(self, _kind: str, *, deadline: Deadline, tick: float = 1.0) -> Any:
        yield Resource("machine", {"stage": "running", "status": {"ready": True}}, "", "boot 2")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deadline, "pause", lambda _self, _seconds: None)


def settled(monkeypatch: pytest.MonkeyPatch, machine: Stand, state: str, *found: MachineState, confirm: str = "m1", **options: Any) -> tuple[bool, str]:
    answers = list(found)
    monkeypatch.setattr(power, "observe", lambda *_arguments, **_keywords: answers.pop(0) if len(answers) > 1 else answers[0])
    seconds = options.pop("seconds", 30)
    request = Request(machine, state, confirm, options.pop("drain", False), options.pop("check_mode", False))  # type: ignore[arg-type]
    return settle(request, deadline=Deadline(seconds))


def test_off(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Stand("ours", "ours", "unreachable")
    assert settled(monkeypatch, machine, "off", RUNNING) == (True, "off")
    assert machine.calls == [("shutdown", "--wait=false", "--force")]
    machine = Stand("unreachable")
    assert settled(monkeypatch, machine, "off", RUNNING, drain=True) == (True, "off")
    assert machine.calls == [("shutdown", "--wait=false")]


def test_what_does_not_answer_is_off_and_one_lost_answer_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Stand("unreachable")
    assert settled(monkeypatch, machine, "off", GONE) == (False, "off")
    assert machine.calls == []
    assert settled(monkeypatch, machine, "off", GONE, RUNNING) == (True, "off")
    assert len(machine.calls) == 1


def test_an_answer_that_was_lost_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Stand("unreachable", fail=True)
    assert settled(monkeypatch, machine, "off", RUNNING) == (True, "off")
    assert len(machine.calls) == 1


def test_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Stand("ours")
    assert settled(monkeypatch, machine, "rebooted", RUNNING) == (True, "running")
    assert machine.calls == [("reboot", "--wait=false")]


def test_check_mode_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Stand("ours")
    assert settled(monkeypatch, machine, "off", RUNNING, check_mode=True) == (True, "running")
    assert settled(monkeypatch, machine, "rebooted", RUNNING, check_mode=True) == (True, "running")
    assert settled(monkeypatch, machine, "on", GONE, check_mode=True) == (False, "unreachable")
    assert machine.calls == []


def test_on_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settled(monkeypatch, Stand("unreachable", "unreachable", "ours"), "on", GONE) == (False, "running")
    with pytest.raises(DeadlineExceeded, match="does not answer"):
        settled(monkeypatch, Stand("unreachable"), "on", GONE, seconds=0)


@pytest.mark.parametrize(
    ("state", "found", "confirm", "error", "reason"),
    [
        ("off", RUNNING, "m2", RefusedError, "'m2' is not the machine's host name 'm1'; nothing was done"),
        ("off", RUNNING, "", RefusedError, "nothing was done"),
        ("off", MachineState("192.0.2.11", "foreign", problem="another authority"), "m1", RefusedError, "not this cluster's"),
        ("off", MachineState("192.0.2.11", "maintenance"), "m1", RefusedError, "maintenance mode"),
        ("off", MachineState("192.0.2.11", "ours", problem="slow"), "m1", ConnectionFailed, "slow"),
        ("rebooted", GONE, "m1", ConnectionFailed, "no answer"),
    ],
)
def test_what_is_refused(monkeypatch: pytest.MonkeyPatch, *, state: str, found: MachineState, confirm: str, error: type[Exception], reason: str) -> None:
    machine = Stand("ours")
    with pytest.raises(error, match=reason):
        settled(monkeypatch, machine, state, found, confirm=confirm)
    assert machine.calls == []
