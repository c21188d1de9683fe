"""A look is all checks at once; the gate opens when looks find nothing and go on finding nothing. What cannot be read fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import nodes
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks.etcd import Etcd
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks.nodes import Nodes
from ansible_collections.trinode.platform.plugins.module_utils.gate.gate import machine_table, values, wait_until_open
from ansible_collections.trinode.platform.plugins.module_utils.gate.look import Result, look, measured, table
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources
from ansible_collections.trinode.platform.plugins.module_utils.gate.registry import NAMES, _packed, find
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, MachineView, NodeView, Policy
from ansible_collections.trinode.platform.plugins.module_utils.preflight import constraints
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdStatus
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import MachineState

FINDING = Finding("etcd", "cluster", "no leader", "Wait.")
WARNING = Finding("budgets", "shop/web", "the pod has no controller", "Delete it.", "warning")
CHECKOUT = Path(__file__).parents[3]


def test_every_check_is_found_by_its_name() -> None:
    files = {path.stem for path in (CHECKOUT / "plugins" / "module_utils" / "gate" / "checks").glob("*.py")} - {"__init__"}
    assert files == set(NAMES)
    assert {id(check) for check in _packed()} == {id(find(name)) for name in NAMES}, "each is packed into an ordinary module"


def test_the_setting_knows_every_check() -> None:
    assert constraints.GATE_CHECKS == NAMES


@pytest.mark.parametrize("pattern", ["webhooks/my*", "*/cluster", "command mine/*"])
def test_patterns_of_findings(pattern: str) -> None:
    assert constraints.gate_pattern(pattern) is None
    problem = constraints.gate_pattern(pattern.replace("/", ":"))
    assert problem is not None
    assert "CHECK/WHERE" in problem.hint


@pytest.mark.parametrize(
    ("constraint", "value", "problem"),
    [
        (constraints.gate_command, {"name": "shop", "argv": ["true"], "timeout": 5}, ""),
        (constraints.gate_command, {"name": "shop"}, "the check shop has no argv"),
        (constraints.gate_command, {"name": "The shop", "argv": ["true"]}, "'The shop' is no name of a check"),
        (constraints.gate_command, {"name": "shop", "argv": ["true"], "shell": True}, "shell is no part of a check"),
        (constraints.gate_job, {"name": "smoke", "manifest": {"spec": {}}}, ""),
        (constraints.gate_job, {"name": "smoke", "manifest": "x"}, "the check smoke has no manifest"),
    ],
)
def test_checks_of_the_users_own(constraint: constraints.Constraint, value: dict[str, object], problem: str) -> None:
    found = constraint(value)
    assert (found.what if found else "") == problem


def test_the_gate_opens_when_findings_go_and_stay_away() -> None:
    looks = iter([[FINDING], [], [FINDING], [], [], []])
    seen: list[int] = []

    def one() -> list[Result]:
        seen.append(1)
        return [Result("etcd", "", tuple(next(looks, [])))]

    wait_until_open(one, stable_for=lambda _results: 0.05, deadline=Deadline(300))
    assert len(seen) >= 5, "a finding in between must start the time anew"


def test_a_warning_does_not_close_it() -> None:
    results = wait_until_open(lambda: [Result("budgets", "", (WARNING,))], stable_for=lambda _results: 0.0, deadline=Deadline(5))
    assert values(results)["passed"] is True
    assert values(results)["warned"] == [WARNING.as_values()]


def test_a_gate_that_stays_closed_says_why() -> None:
    with pytest.raises(DeadlineExceeded, match="no leader") as caught:
        wait_until_open(lambda: [Result("etcd", "3 members", (FINDING, WARNING))], stable_for=lambda _results: 0.0, deadline=Deadline(0.05))
    assert caught.value.details["findings"] == [FINDING.as_values()]
    assert caught.value.details["table"] == ["CHECK  RESULT             TOOK   SEEN", "etcd   FAILED, 1 warning  0.0 s  3 members"]
    assert "with 1 finding:\n  etcd: cluster: no leader. Wait.\n" in str(caught.value)
    assert "etcd   FAILED" in str(caught.value)


def test_one_that_is_open_too_short_says_so() -> None:
    with pytest.raises(DeadlineExceeded, match="all checks pass, and did not for 60 s"):
        wait_until_open(lambda: [Result("etcd", "")], stable_for=lambda _results: 60.0, deadline=Deadline(0.05))


def test_the_table_has_a_line_for_each_check() -> None:
    shown = [Result("etcd", "3 members", seconds=0.25), Result("gitops", "not installed", (WARNING, WARNING)), Result("job x", "later", asked=False)]
    assert table(shown) == [
        "CHECK   RESULT              TOOK   SEEN",
        "etcd    passed              0.2 s  3 members",
        "gitops  passed, 2 warnings  0.0 s  not installed",
        "job x   not run             0.0 s  later",
    ]
    assert table([]) == []


def test_what_cannot_be_read_fails() -> None:
    def read() -> Result:
        raise ConnectionFailed("no answer", where="192.0.2.10", hint="Check it.")

    result = measured("nodes", read, Policy())
    assert result.state == "FAILED"
    assert result.findings == (Finding("nodes", "192.0.2.10", "it cannot be read: no answer", "Check it."),)


@pytest.mark.parametrize(
    ("patterns", "severity"),
    [((), "error"), (("etcd/*",), "warning"), (("etcd/cluster",), "warning"), (("nodes/*",), "error"), (("etcd",), "error"), (("*/cluster",), "warning")],
)
def test_findings_that_are_allowed_only_warn(patterns: tuple[str, ...], severity: str) -> None:
    result = measured("etcd", lambda: Result("etcd", "", (FINDING,)), Policy(allowed=patterns))
    assert [finding.severity for finding in result.findings] == [severity]


def test_without_credentials_no_check_passes(tmp_path: Path) -> None:
    talosctl = tmp_path / "talosctl"
    talosctl.write_text("#!/bin/sh\necho 'failed to determine endpoints: no context is set' >&2\nexit 1\n")
    talosctl.chmod(0o755)
    policy = Policy(machines=["127.0.0.1"], endpoints=["127.0.0.1"], planned_loss="127.0.0.1")
    sources = Sources(policy, talosctl=str(talosctl), talosconfig=str(tmp_path / "talosconfig"), kubeconfig=str(tmp_path / "kubeconfig"))
    results = look(NAMES, sources, Deadline(5))
    sources.close()
    assert [result.check for result in results] == list(NAMES)
    assert {result.check: result.state for result in results} == dict.fromkeys(NAMES, "FAILED")
    reasons = {result.check: result.findings[0].problem for result in results}
    assert reasons["gitops"] == "it cannot be read: the kubeconfig does not exist"


def test_the_node_of_a_machine_that_is_dead_may_be_anyhow() -> None:
    view = Nodes((NodeView("m1", True, "", False, "v1.36.3", "192.0.2.1"), NodeView("m2", False, "no answer", True, "v1.36.3", "192.0.2.2")))
    assert nodes.judge(view, Policy(nodes=["m1"], gone=["m2"])) == []
    assert {finding.where for finding in nodes.judge(view, Policy(nodes=["m1"], gone=["m1"]))} == {"m2"}


def test_the_machine_table_has_a_line_for_each_machine() -> None:
    addresses = [f"192.0.2.{number}" for number in (1, 2, 3)]
    running = MachineState(addresses[0], "ours", stage="running", ready=True, hostname="m1", version="v1.13.8")
    members = tuple(EtcdView(address, status=EtcdStatus(str(number), "0", "20 MB", "9 MB", 10, 2, False, "")) for number, address in enumerate(addresses))
    results = [
        Result("machines", "", view=(MachineView(running),)),
        Result("etcd", "", view=Etcd(members)),
        Result("nodes", "", view=Nodes((NodeView("m2", False, "x", True, "v1.36.3", addresses[1]),))),
    ]
    assert [line.split() for line in machine_table(results)[1:]] == [
        ["m1", "192.0.2.1", "v1.13.8", "running", "leader", "-", "-"],
        ["m2", "192.0.2.2", "-", "-", "voter", "NotReady,", "cordoned", "v1.36.3"],
        ["-", "192.0.2.3", "-", "-", "voter", "-", "-"],
    ]
    assert machine_table([Result("gitops", "")]) == []
