"""What may be done to a member of etcd."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember, EtcdStatus
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import NO_LEADER, EtcdView
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_member_plan import State, Wish, hosts, plan


def member(number: int, *, learner: bool = False) -> EtcdMember:
    return EtcdMember(f"id{number}", f"m{number}", (f"https://192.0.2.1{number}:2380",), (f"https://192.0.2.1{number}:2379",), learner)


THREE = (member(1), member(2), member(3))
LEARNER = (member(1), member(2), member(3, learner=True))


def view(number: int, members: tuple[EtcdMember, ...] = THREE, **changes: Any) -> EtcdView:
    status = {"member_id": f"id{number}", "leader": "id1", "db_size": "", "db_in_use": "", "raft_index": 9, "raft_term": 2, "learner": False, "errors": ""}
    return EtcdView(f"192.0.2.1{number}", f"id{number}", members, EtcdStatus(**{**status, **changes}))


def gone(number: int) -> EtcdView:
    return EtcdView(f"192.0.2.1{number}", problem="no answer")


def commands(state: State, views: list[EtcdView], hostname: str = "m3", member_id: str = "") -> list[tuple[str, ...]]:
    return [(step.address, *step.command) for step in plan(Wish(hostname, member_id, state), views)]


@pytest.mark.parametrize(
    ("state", "views", "hostname", "member_id", "steps"),
    [
        ("absent", [view(1), view(2), gone(3)], "m3", "id3", [("192.0.2.11", "remove-member", "id3")]),
        ("absent", [gone(1), view(2, leader="id2"), view(3, leader="id2")], "m1", "id1", [("192.0.2.12", "remove-member", "id1")]),
        ("absent", [view(1, LEARNER), view(2, LEARNER), gone(3)], "m3", "id3", [("192.0.2.11", "remove-member", "id3")]),
        ("absent", [view(1, THREE[:2]), view(2, THREE[:2])], "m3", "id3", []),
        ("left", [view(1), view(2), view(3)], "m3", "", [("192.0.2.13", "leave")]),
        ("left", [view(1), view(2), view(3)], "m3", "id3", [("192.0.2.13", "leave")]),
        ("left", [view(1), view(2), view(3)], "m1", "", [("192.0.2.11", "forfeit-leadership"), ("192.0.2.11", "leave")]),
        ("left", [view(1, THREE[:2]), view(2, THREE[:2])], "m3", "", []),
        ("follower", [view(1), view(2), view(3)], "m1", "", [("192.0.2.11", "forfeit-leadership")]),
        ("follower", [view(1), view(2), view(3)], "m2", "", []),
        ("follower", [view(1), view(2), gone(3)], "m3", "", []),
    ],
)
def test_what_is_done(state: State, views: list[EtcdView], hostname: str, member_id: str, steps: list[tuple[str, ...]]) -> None:
    assert commands(state, views, hostname, member_id) == steps


@pytest.mark.parametrize(
    ("state", "views", "hostname", "member_id", "reason"),
    [
        ("absent", [view(1), view(2), view(3)], "m3", "id3", "the member is alive, its machine 192.0.2.13 answers"),
        ("absent", [view(1), view(2), view(3, leader=NO_LEADER)], "m3", "id3", "the member is alive"),
        ("absent", [view(1), view(2), gone(3)], "m3", "id2", "the member with the id id2 is m2, not m3"),
        ("absent", [view(1), view(2), gone(3)], "m3", "id9", "the member m3 has the id id3, not id9; nothing was done"),
        ("absent", [view(1, leader=NO_LEADER), gone(2), gone(3)], "m3", "id3", "etcd has no quorum: 0 healthy voters, 2 are needed"),
        ("absent", [view(1), view(2, THREE[:2]), gone(3)], "m3", "id3", "its members list different members"),
        ("left", [view(1), view(2), gone(3)], "m2", "", "etcd would lose its quorum: when the member leaves, 1 of 2 voters are healthy, 2 are needed"),
        ("left", [view(1), view(2), gone(3)], "m3", "", "the member does not answer"),
        ("left", [view(1, THREE[:1])], "m1", "", "0 of 0 voters"),
        ("left", [view(1), view(2), view(3)], "m3", "id1", "the member with the id id1 is m1, not m3"),
        ("left", [view(1, (*THREE[:2], member(2))), view(2, (*THREE[:2], member(2)))], "m2", "", "there are 2 members of the name m2"),
        ("follower", [view(1, THREE[:1])], "m1", "", "no other healthy voter"),
        ("follower", [view(1), view(2, leader="id2")], "m1", "", "no leader that its members agree on"),
    ],
)
def test_what_is_refused(state: State, views: list[EtcdView], hostname: str, member_id: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        commands(state, views, hostname, member_id)


def test_no_member_answers() -> None:
    with pytest.raises(ConnectionFailed, match=r"192\.0\.2\.11: no answer"):
        commands("absent", [gone(1), gone(2)], "m3", "id3")


def test_where_a_members_machine_is() -> None:
    assert hosts(EtcdMember("id", "m1", ("https://192.0.2.11:2380", "https://[2001:db8::1]:2380"), ("https://192.0.2.11:2379",), False)) == [
        "192.0.2.11",
        "2001:db8::1",
    ]
