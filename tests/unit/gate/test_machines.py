"""The gate's judgement of machines and nodes, as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import machines, nodes
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks.nodes import Nodes
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import node
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import MachineView, NodeView, Policy
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import ServiceState
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import MachineState

RUNNING = MachineState("192.0.2.1", "ours", stage="running", ready=True, hostname="m1", version="v1.13.8")
KUBELET = ServiceState("kubelet", "Running", "OK", "Health check successful")
READY = NodeView("m1", True, "", False, "v1.36.3", "192.0.2.1")


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
    findings = machines.judge([machine], Policy())
    if problem is None:
        assert findings == []
    else:
        assert len(findings) == 1
        assert problem in findings[0].problem


def test_what_is_seen_of_machines() -> None:
    found = (MachineView(RUNNING), MachineView(replace(RUNNING, ready=False)), MachineView(MachineState("192.0.2.3", "unreachable")))
    assert machines.seen(found) == "1 of 3 running and ready, Talos v1.13.8"


@pytest.mark.parametrize(
    ("found", "policy", "problems"),
    [
        pytest.param([READY], Policy(nodes=["m1"]), [], id="well"),
        pytest.param([], Policy(nodes=["m1"]), ["m1: the node has not registered"], id="not there"),
        pytest.param([replace(READY, ready=False, reason="no CNI")], Policy(), ["m1: the node is not Ready: no CNI"], id="not ready"),
        pytest.param([replace(READY, ready=False)], Policy(), ["m1: the node is not Ready: no reason given"], id="not ready, and nobody says why"),
        pytest.param([replace(READY, unschedulable=True)], Policy(), ["m1: the node is cordoned, so it takes no pods"], id="cordoned"),
        pytest.param([replace(READY, unschedulable=True)], Policy(allowed_cordoned=["m1"]), [], id="cordoned, and it may be"),
        pytest.param([replace(READY, unschedulable=True)], Policy(planned_loss="192.0.2.1"), [], id="cordoned, and about to go"),
        pytest.param([replace(READY, unschedulable=True)], Policy(planned_loss="192.0.2.2"), ["m1: the node is cordoned"], id="another one is about to go"),
        pytest.param([replace(READY, unschedulable=True, address="")], Policy(), ["m1: the node is cordoned"], id="a node without an address"),
    ],
)
def test_nodes(found: list[NodeView], policy: Policy, problems: list[str]) -> None:
    findings = nodes.judge(Nodes(tuple(found)), policy)
    assert len(findings) == len(problems), findings
    for finding, problem in zip(findings, problems, strict=True):
        assert f"{finding.where}: {finding.problem}".startswith(problem)


def test_what_is_seen_of_nodes() -> None:
    found = Nodes((READY, replace(READY, name="m2", ready=False, unschedulable=True)))
    assert nodes.seen(found) == "1 of 2 Ready, Kubernetes v1.36.3, cordoned: m2"


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
