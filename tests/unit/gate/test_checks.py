"""The gate's judgements, as tables: what is seen, and the findings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import judge_etcd, judge_machines, judge_nodes
from ansible_collections.trinode.platform.plugins.module_utils.gate.gate import table, wait_until_open
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import node
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, MachineView, NodeView, View
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember, EtcdStatus, ServiceState
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import MachineState

ADDRESSES = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
RUNNING = MachineState("192.0.2.1", "ours", stage="running", ready=True, hostname="m1", version="v1.13.8")
KUBELET = ServiceState("kubelet", "Running", "OK", "Health check successful")
MEMBERS = tuple(EtcdMember(f"{number:016x}", f"m{number}", (), (), False) for number in (1, 2, 3))


def member(number: int, *, leader: int = 1, learner: bool = False, errors: str = "") -> EtcdView:
    status = EtcdStatus(f"{number:016x}", f"{leader:016x}", "20 MB", "9 MB", 10, 2, learner, errors)
    return EtcdView(ADDRESSES[number - 1], status=status, members=MEMBERS)


HEALTHY = (member(1), member(2), member(3))


@pytest.mark.parametrize(
    ("machine", "problem"),
    [
        (MachineView(RUNNING, (KUBELET,)), None),
        (MachineView(RUNNING, (replace(KUBELET, health="?"),)), None),
        (MachineView(MachineState("192.0.2.1", "unreachable")), "does not answer"),
        (MachineView(MachineState("192.0.2.1", "maintenance")), "maintenance mode"),
        (MachineView(MachineState("192.0.2.1", "foreign")), "another cluster"),
        (MachineView(MachineState("192.0.2.1", "ours", problem="no answer within 10 s")), "no answer within 10 s"),
        (MachineView(replace(RUNNING, stage="booting", ready=False)), "is booting, not running"),
        (MachineView(replace(RUNNING, ready=False, unmet=("nodeReady: node is not ready",))), "nodeReady: node is not ready"),
        (MachineView(RUNNING, services_problem="connection refused"), "connection refused"),
        (MachineView(RUNNING, (replace(KUBELET, health="Fail", last_event="refused"),)), "service kubelet is Running, health Fail: refused"),
        (MachineView(RUNNING, (replace(KUBELET, state="Preparing", health="?"),)), "service kubelet is Preparing"),
    ],
)
def test_machines(machine: MachineView, problem: str | None) -> None:
    findings = judge_machines([machine])
    if problem is None:
        assert findings == []
    else:
        assert len(findings) == 1
        assert problem in findings[0].problem


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
        ((member(1), member(2), member(3, errors="memberID:3 alarm:NOSPACE")), "", ["alarm:NOSPACE"]),
        (tuple(replace(view, members=MEMBERS[:2]) for view in HEALTHY), "", ["there are 2 voters, expected are 3"]),
        (tuple(replace(view, members=(*MEMBERS[:2], replace(MEMBERS[2], learner=True))) for view in HEALTHY), "", ["there are 2 voters, expected are 3"]),
        ((), "", ["0 of 3 voters are healthy"]),
    ],
)
def test_etcd(etcd: tuple[EtcdView, ...], planned_loss: str, problems: list[str]) -> None:
    findings = judge_etcd(etcd, voters=3, planned_loss=planned_loss)
    assert len(findings) == len(problems), findings
    for finding, problem in zip(findings, problems, strict=True):
        assert problem in finding.problem


def test_nodes() -> None:
    ready = NodeView("m1", True, "", False, "v1.36.3", ADDRESSES[0])
    assert judge_nodes([ready], "", expected=["m1"]) == []
    assert [finding.problem for finding in judge_nodes([], "refused", expected=["m1"])] == ["the nodes cannot be read: refused"]
    findings = judge_nodes([replace(ready, ready=False, reason="no CNI")], "", expected=["m1", "m2"])
    assert [(finding.where, finding.problem) for finding in findings] == [("m2", "the node has not registered"), ("m1", "the node is not Ready: no CNI")]


def test_a_cordoned_node_is_one_that_may_be() -> None:
    cordoned = NodeView("m1", True, "", True, "v1.36.3", ADDRESSES[0])
    assert [finding.problem for finding in judge_nodes([cordoned], "", expected=["m1"])] == ["the node is cordoned, so it takes no pods"]
    assert judge_nodes([cordoned], "", expected=["m1"], allowed_cordoned=["m1"]) == []


def test_a_node_object_is_read() -> None:
    item = {
        "metadata": {"name": "m1"},
        "spec": {"unschedulable": True},
        "status": {
            "nodeInfo": {"kubeletVersion": "v1.36.3"},
            "addresses": [{"type": "Hostname", "address": "m1"}, {"type": "InternalIP", "address": "192.0.2.1"}],
            "conditions": [{"type": "Ready", "status": "False", "message": "cni plugin not initialized"}],
        },
    }
    assert node(item) == NodeView("m1", False, "cni plugin not initialized", True, "v1.36.3", "192.0.2.1")
    assert node({"metadata": {"name": "m2"}}) == NodeView("m2", False, "", False, "", "")


FINDING = Finding("etcd", "cluster", "no leader", "Wait.")


def test_the_gate_opens_when_findings_go_and_stay_away() -> None:
    looks = iter([[FINDING], [], [FINDING], [], [], []])
    seen: list[int] = []

    def look() -> tuple[View, list[Finding]]:
        seen.append(1)
        return View(), next(looks, [])

    wait_until_open(look, stable_for=lambda _view: 0.05, deadline=Deadline(30))
    assert len(seen) >= 5, "a finding in between must start the time anew"


def test_a_gate_that_stays_closed_says_why() -> None:
    with pytest.raises(DeadlineExceeded, match="no leader") as caught:
        wait_until_open(lambda: (View(), [FINDING]), stable_for=lambda _view: 0.0, deadline=Deadline(0.05))
    assert caught.value.details["findings"] == [FINDING.as_values()]


def test_the_table_has_a_line_for_each_machine() -> None:
    view = View((MachineView(RUNNING),), HEALTHY, (NodeView("m2", False, "x", True, "v1.36.3", ADDRESSES[1]),))
    assert [line.split() for line in table(view)[1:]] == [
        ["m1", "192.0.2.1", "v1.13.8", "running", "leader", "-", "-"],
        ["m2", "192.0.2.2", "-", "-", "voter", "NotReady,", "cordoned", "v1.36.3"],
        ["-", "192.0.2.3", "-", "-", "voter", "-", "-"],
    ]
