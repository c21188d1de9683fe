"""Nested waits share one limit."""

from __future__ import annotations

import time

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands until a test moves it; sleeping moves it."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def test_time_runs_out(clock: list[float]) -> None:
    deadline = Deadline(10)
    clock[0] += 4
    assert (deadline.elapsed, deadline.remaining, deadline.expired) == (4, 6, False)
    clock[0] += 7
    assert (deadline.elapsed, deadline.remaining, deadline.expired) == (11, 0, True)


def test_a_step_never_outlasts_the_whole(clock: list[float]) -> None:
    deadline = Deadline(10)
    clock[0] += 8
    assert deadline.at_most(5).seconds == 2
    assert deadline.at_most(1).seconds == 1


def test_a_pause_never_outlasts_the_deadline(clock: list[float]) -> None:
    deadline = Deadline(10)
    deadline.pause(3)
    assert deadline.elapsed == 3
    deadline.pause(30)
    assert deadline.elapsed == 10


def test_the_message_says_what_did_not_happen(clock: list[float]) -> None:
    deadline = Deadline(10)
    deadline.check("etcd has no leader")
    clock[0] += 10
    with pytest.raises(DeadlineExceeded) as caught:
        deadline.check("etcd has no leader", where="m1", hint="Look at its log.")
    assert str(caught.value) == "m1: etcd has no leader within 10 s. Look at its log."
