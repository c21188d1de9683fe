"""The wait, with a machine that plays a script."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils import progress
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.talos import machine_problems, machine_wait
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import Unreachable
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import Resource
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_problems import PullFailure
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_tls import Handshake


class Client:
    """Plays watches: each is a list of stages (None: a tick), or an exception at its end."""

    def __init__(self, watches: list[list[Any]]) -> None:
        self.watches = watches

    def watch(self, kind: str, *, deadline: Deadline) -> Iterator[Resource | None]:
        assert kind == "machinestatus"
        events = self.watches.pop(0) if self.watches else [None]
        for event in events:
            if isinstance(event, Exception):
                raise event
            yield None if event is None else Resource("machine", {"stage": event}, created="boot-1")


class Scripted:
    """A machine whose handshakes follow a script; the last one goes on for ever."""

    address = "192.0.2.11"

    def __init__(self, trusts: list[str], watches: list[list[Any]] | None = None) -> None:
        self.trusts, self._client = trusts, Client(watches or [])

    def probe(self, *, deadline: Deadline) -> Handshake:
        trust = self.trusts.pop(0) if len(self.trusts) > 1 else self.trusts[0]
        return Handshake(trust, problem="no answer" if trust == "unreachable" else "")

    def client(self) -> Client:
        return self._client


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_wait, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(machine_wait, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(machine_problems, "find_pull_failure", lambda client, *, deadline: None)
    monkeypatch.setattr(machine_problems, "diagnose", lambda client, *, deadline: ("etcd is Preparing", "Look there."))


def wait(machine: Scripted, seconds: float = 10) -> machine_wait.Wait:
    return machine_wait.Wait(machine, "m1", "The start", Deadline(seconds))  # type: ignore[arg-type]


def test_through_a_boot() -> None:
    machine = Scripted(["maintenance", "unreachable", "unreachable", "ours"], [["booting", None, "running"]])
    assert wait(machine).for_status(lambda status: status.stage == "running").boot == "boot-1"


def test_through_a_reboot_that_breaks_the_watch() -> None:
    machine = Scripted(["ours"], [["running", "rebooting", Unreachable("gone")], ["booting", "running"]])
    seen: list[str] = []

    def accept(status: machine_wait.Status) -> bool:
        seen.append(status.stage)
        return seen.count("running") == 2

    assert wait(machine).for_status(accept).stage == "running"
    assert "rebooting" in seen


def test_a_machine_that_falls_silent_is_noticed() -> None:
    machine = Scripted(["ours", "unreachable", "unreachable", "ours"], [["booting", None, None], ["running"]])
    assert wait(machine).for_status(lambda status: status.stage == "running").stage == "running"


def test_what_is_accepted_may_become_true_without_news() -> None:
    answers = iter([False, False, True])
    machine = Scripted(["ours"], [["booting", None, None, None]])
    assert wait(machine).for_status(lambda _status: next(answers)).stage == "booting"


def test_a_machine_that_is_off() -> None:
    with pytest.raises(DeadlineExceeded) as error:
        wait(Scripted(["unreachable"]), 0.05).for_trust("ours")
    for text in ("m1", "does not answer", "no answer", "power", "192.0.2.11"):
        assert text in str(error.value)


def test_too_late_says_why() -> None:
    with pytest.raises(DeadlineExceeded, match="etcd is Preparing"):
        wait(Scripted(["ours"], [["booting"]] * 1000), 0.2).for_status(lambda _status: False)


def test_an_image_that_the_registry_does_not_have_ends_the_wait_early(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = PullFailure("etcd", "registry.k8s.io/etcd:v0", "the registry does not have it", True)
    monkeypatch.setattr(machine_problems, "find_pull_failure", lambda client, *, deadline: failure)
    with pytest.raises(PlatformError, match=r"registry\.k8s\.io/etcd:v0"):
        wait(Scripted(["ours"], [["booting", *[None] * 10]])).for_status(lambda _status: False)


def test_progress_is_said_once_for_each_change() -> None:
    lines: list[str] = []
    progress.listen(lines.append)
    try:
        machine = Scripted(["unreachable"] * 5 + ["ours"], [["booting", "booting", None, "running"]])
        wait(machine).for_status(lambda status: status.stage == "running")
    finally:
        progress.listen(None)
    assert lines == ["m1: does not answer (no answer)", "m1: booting", "m1: running"]
