from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.apply_plan import check_etcd_before_reboot
from ansible_collections.trinode.platform.plugins.module_utils.talos.bootstrap_plan import Place, decide, joining, unfinished
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember, EtcdStatus
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import NO_LEADER, EtcdView
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import summarize


def member(number: int, *, learner: bool = False) -> EtcdMember:
    return EtcdMember(f"id{number}", f"m{number}", (f"https://192.0.2.1{number}:2380",), (f"https://192.0.2.1{number}:2379",), learner)


THREE = (member(1), member(2), member(3))


def view(number: int, members: tuple[EtcdMember, ...] = THREE, **changes: Any) -> EtcdView:
    status = {
        "member_id": f"id{number}",
        "leader": "id1",
        "db_size": "1 MB",
        "db_in_use": "1 MB",
        "raft_index": 9,
        "raft_term": 2,
        "learner": False,
        "errors": "",
    }
    alarms = changes.pop("alarms", ())
    return EtcdView(f"192.0.2.1{number}", f"id{number}", members, EtcdStatus(**{**status, **changes}), alarms)


def gone(number: int) -> EtcdView:
    return EtcdView(f"192.0.2.1{number}", problem="no answer")


def test_a_whole_etcd() -> None:
    views = [view(1), view(2), view(3)]
    found = summarize(views)
    assert found.as_values() == {
        "voters": ["m1", "m2", "m3"],
        "learners": [],
        "healthy_voters": ["m1", "m2", "m3"],
        "leader": "m1",
        "quorum": 2,
        "alarms": [],
        "disagreement": "",
    }
    assert unfinished(found, views) == ""


@pytest.mark.parametrize(
    ("views", "loss", "survives"),
    [
        ([view(1), view(2), view(3)], 1, True),
        ([view(1), view(2), view(3)], 2, False),
        ([view(1), view(2), gone(3)], 0, True),
        ([view(1), view(2), gone(3)], 1, False),
        ([view(1, (member(1),))], 1, False),
        ([gone(1)], 0, False),
    ],
)
def test_quorum_after_a_loss(views: list[EtcdView], loss: int, survives: bool) -> None:
    assert summarize(views).survives_loss_of(loss) is survives


def test_a_member_without_leader_is_not_healthy() -> None:
    views = [view(1), view(2, leader=NO_LEADER), view(3)]
    found = summarize(views)
    assert [healthy.hostname for healthy in found.healthy_voters] == ["m1", "m3"]
    assert "192.0.2.12" in unfinished(found, views)


def test_different_leaders_are_a_disagreement() -> None:
    found = summarize([view(1), view(2, leader="id2"), view(3)])
    assert "different leaders" in found.disagreement
    assert found.leader == ""


def test_two_clusters_are_a_disagreement() -> None:
    views = [view(1, (member(1),)), view(2, (member(2),), leader="id2")]
    assert summarize(views).disagreement


def test_alarms_are_named_once() -> None:
    alarm = (("id2", "NOSPACE"),)
    assert summarize([view(1, alarms=alarm), view(2, alarms=alarm), view(3)]).alarms == ("NOSPACE on m2",)


@pytest.mark.parametrize("answers", [True, False])
def test_a_learner_is_not_done(answers: bool) -> None:
    members = (member(1), member(2), member(3, learner=True))
    learner = view(3, members, learner=True)
    if not answers:
        # What a learner really does: it tells its status, and refuses the list of members.
        learner = EtcdView("192.0.2.13", "id3", status=learner.status, problem="etcdserver: rpc not supported for learner")
    views = [view(1, members), view(2, members), learner]
    assert summarize(views).disagreement == ""
    assert unfinished(summarize(views), views) == "192.0.2.13 is a learner and has no vote yet"


def test_reboot_of_a_voter_that_is_not_needed() -> None:
    check_etcd_before_reboot(summarize([view(1), view(2), view(3)]), "id2", address="m2")


def test_reboot_of_the_broken_member_takes_nothing_away() -> None:
    check_etcd_before_reboot(summarize([view(1), view(2), view(3, errors="corrupt")]), "id3", address="m3")


def test_reboot_of_a_machine_without_etcd() -> None:
    check_etcd_before_reboot(summarize([gone(1)]), "", address="w1")


def test_reboot_of_the_only_member() -> None:
    check_etcd_before_reboot(summarize([view(1, (member(1),))]), "id1", address="m1")


@pytest.mark.parametrize("views", [[view(1), view(2), gone(3)], [view(1), view(2, leader="id2"), view(3)], [view(1), gone(2), gone(3)]])
def test_reboot_that_would_cost_the_quorum_is_refused(views: list[EtcdView]) -> None:
    with pytest.raises(RefusedError, match="quorum"):
        check_etcd_before_reboot(summarize(views), "id1", address="m1")


EMPTY = [Place("a", "ours"), Place("b", "ours"), Place("c", "ours")]


@pytest.mark.parametrize(
    ("places", "bootstrapped", "ready", "refused", "text"),
    [
        (EMPTY, False, True, False, ""),
        ([Place("a", "ours"), Place("b", "maintenance"), Place("c", "maintenance")], False, True, False, ""),
        ([Place("a", "ours"), Place("b", "ours", has_data=True), Place("c", "unreachable", problem="no answer")], True, False, False, ""),
        ([Place("a", "maintenance"), Place("b", "ours", has_data=True)], True, False, False, ""),
        ([Place("a", "ours"), Place("b", "unreachable", problem="no answer")], False, False, True, "b (no answer)"),
        ([Place("a", "ours"), Place("b", "foreign", problem="not ours")], False, False, True, "b (not ours)"),
        ([Place("a", "ours"), Place("b", "ours", problem="its etcd service is waiting")], False, False, True, "etcd service is waiting"),
        ([Place("a", "maintenance"), Place("b", "ours")], False, False, False, "a: the machine is maintenance"),
        ([Place("a", "ours", problem="no answer"), Place("b", "ours")], False, False, False, "a: no answer"),
        ([Place("b", "ours")], False, False, True, "none of the control planes"),
    ],
)
def test_bootstrap_is_decided_once(places: list[Place], bootstrapped: bool, ready: bool, refused: bool, text: str) -> None:
    decision = decide("a", places)
    assert (decision.bootstrapped, decision.ready, decision.refused) == (bootstrapped, ready, refused)
    assert text in decision.obstacle


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ((), "no member runs yet"),
        ((member(1),), "1 of 3 control planes are voters (m1)"),
        ((member(1), member(2), member(3, learner=True)), "2 of 3 control planes are voters (m1, m2), m3 is a learner"),
        ((member(1), member(2, learner=True), member(3, learner=True)), "1 of 3 control planes are voters (m1), m2, m3 are learners"),
    ],
)
def test_how_far_etcd_has_come(members: tuple[EtcdMember, ...], text: str) -> None:
    assert joining(members, 3) == text
