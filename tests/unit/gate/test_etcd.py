"""The gate's judgement of etcd, as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import etcd as check
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks.etcd import Etcd
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Policy
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember, EtcdStatus
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView

ADDRESSES = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
MEMBERS = tuple(EtcdMember(f"{number:016x}", f"m{number}", (), (), False) for number in (1, 2, 3))


def member(
    number: int,
    *,
    leader: int = 1,
    learner: bool = False,
    errors: str = "",
    size: str = "20 MB",
    used: str = "9.0 MB (45.00%)",
    index: int = 10,
    applied: int = 10,
) -> EtcdView:
    status = EtcdStatus(f"{number:016x}", f"{leader:016x}", size, used, index, 2, learner, errors, applied)
    return EtcdView(ADDRESSES[number - 1], status=status, members=MEMBERS)


HEALTHY = (member(1), member(2), member(3))
NOSPACE = "memberID:3 alarm:NOSPACE "
FULL = "the database takes 1.8 GB of its quota of 2.0 GiB, and"


@pytest.mark.parametrize(
    ("etcd", "planned_loss", "problems"),
    [
        (HEALTHY, "", []),
        (HEALTHY, ADDRESSES[0], []),
        ((member(1), member(2), EtcdView(ADDRESSES[2], problem="refused")), "", ["cannot be read: refused"]),
        ((member(1), member(2), EtcdView(ADDRESSES[2], problem="refused")), ADDRESSES[2], ["cannot be read: refused"]),
        (
            (member(1), member(2), EtcdView(ADDRESSES[2], problem="refused")),
            ADDRESSES[1],
            ["cannot be read: refused", "1 healthy voters would stay, the quorum is 2"],
        ),
        (
            (member(1), *(EtcdView(address, problem="refused") for address in ADDRESSES[1:])),
            "",
            ["refused", "refused", "1 of 3 voters are healthy, the quorum is 2"],
        ),
        ((member(1), member(2, leader=2), member(3)), "", ["do not agree on a leader"]),
        ((member(1, leader=0), member(2, leader=0), member(3, leader=0)), "", ["do not agree on a leader"]),
        ((member(1), member(2), member(3, errors="corrupt")), "", ["the member reports corrupt"]),
        (
            tuple(member(number, errors=NOSPACE) for number in (1, 2, 3)),
            "",
            ["the database has reached its quota (alarm NOSPACE): etcd refuses every write"],
        ),
        (tuple(member(number, errors="memberID:2 alarm:CORRUPT ") for number in (1, 2, 3)), "", ["the members' data differ (alarm CORRUPT)"]),
        ((member(1), member(2), member(3, errors="memberID:3 alarm:OTHER ")), "", ["the alarm OTHER is raised"]),
        ((member(1), member(2), member(3, size="1.8 GB", used="1.7 GB (94.00%)")), "", [f"{FULL} 94% of that is in use"]),
        ((member(1), member(2), member(3, size="1.8 GB", used="18 MB (1.00%)")), "", [f"{FULL} 1% of that is in use"]),
        ((member(1), member(2), member(3, size="1.0 GB", used="900 MB (90.00%)")), "", []),
        ((member(1, index=9000, applied=9000), member(2, index=9000, applied=8995), member(3, index=3000, applied=3000)), "", ["6000 entries behind"]),
        ((member(1, index=9000, applied=9000), member(2, index=9000, applied=9000), member(3, index=9000, applied=1)), "", ["8999 entries behind"]),
        ((member(1, index=9000, applied=0), member(2, index=5000, applied=0), member(3, index=9000, applied=0)), "", []),
        (tuple(replace(view, members=MEMBERS[:2]) for view in HEALTHY), "", ["there are 2 voters, expected are 3"]),
        (tuple(replace(view, members=(*MEMBERS[:2], replace(MEMBERS[2], learner=True))) for view in HEALTHY), "", ["there are 2 voters, expected are 3"]),
        ((), "", ["0 of 3 voters are healthy"]),
    ],
)
def test_etcd(etcd: tuple[EtcdView, ...], planned_loss: str, problems: list[str]) -> None:
    findings = check.judge(Etcd(etcd), Policy(endpoints=ADDRESSES, planned_loss=planned_loss))
    assert len(findings) == len(problems), findings
    for finding, problem in zip(findings, problems, strict=True):
        assert problem in finding.problem
        assert finding.advice
        assert finding.severity == "error"


LEFT = tuple(replace(view, members=MEMBERS[:2]) for view in HEALTHY[:2])


@pytest.mark.parametrize(
    ("members", "problems"),
    [
        pytest.param(HEALTHY[:2], [], id="the member of the dead machine is still listed"),
        pytest.param(LEFT, [], id="it was removed"),
        pytest.param(HEALTHY[:1], ["1 of 3 voters are healthy, the quorum is 2"], id="another one is away, too"),
        pytest.param((HEALTHY[0], replace(HEALTHY[1], problem="refused")), ["cannot be read: refused", "1 of 3 voters"], id="another one does not answer"),
        pytest.param((replace(HEALTHY[0], members=MEMBERS[::2]), HEALTHY[1]), ["there are 1 or 2 voters"], id="another one is not listed"),
    ],
)
def test_a_machine_that_is_dead(members: tuple[EtcdView, ...], problems: list[str]) -> None:
    """The gate is not told of its address: it is not asked."""
    findings = check.judge(Etcd(members), Policy(endpoints=ADDRESSES[:2], gone=["m3"]))
    assert len(findings) == len(problems), findings
    for finding, problem in zip(findings, problems, strict=True):
        assert problem in finding.problem


def test_an_alarm_is_told_once_and_with_the_members_name() -> None:
    (finding,) = check.judge(Etcd(tuple(member(number, errors=NOSPACE) for number in (1, 2, 3))), Policy(endpoints=ADDRESSES))
    assert finding.where == "m3"
    assert "alarm disarm" in finding.advice


def test_much_that_is_not_in_use_is_a_warning() -> None:
    view = Etcd((*HEALTHY[:2], member(3, size="1.5 GB", used="150 MB (10.00%)")))
    (finding,) = check.judge(view, Policy(endpoints=ADDRESSES))
    assert (finding.severity, finding.where) == ("warning", ADDRESSES[2])
    assert "talosctl etcd defrag -n 192.0.2.3" in finding.advice


def test_a_quota_of_the_clusters_own_counts() -> None:
    view = Etcd((*HEALTHY[:2], member(3, size="1.8 GB", used="1.7 GB (94.00%)")), quota=8 * 1024**3)
    assert check.judge(view, Policy(endpoints=ADDRESSES)) == []


def test_what_is_seen() -> None:
    expected = "3 of 3 members answer, leader 192.0.2.1, database 20 MB of 2.0 GiB, 45% of it in use"
    assert check.seen(Etcd(HEALTHY)) == expected
    assert check.seen(Etcd((EtcdView(ADDRESSES[0], problem="refused"),))) == "no member answers"
    assert check.seen(Etcd((EtcdView(ADDRESSES[0], problem="refused"), member(2)))) == (
        "1 of 2 members answer, leader none that answers, database 20 MB of 2.0 GiB, 45% of it in use"
    )
