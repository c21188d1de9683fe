"""Which primaries leave a node, and who takes over; then the switchover with an operator that plays a script."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import postgres
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError


def cluster(primary: str = "db-1", *, target: str = "", fenced: list[str] | None = None) -> dict[str, Any]:
    annotations = {"cnpg.io/fencedInstances": json.dumps(fenced)} if fenced else {}
    metadata = {"namespace": "shop", "name": "db", "annotations": annotations}
    return {"metadata": metadata, "status": {"currentPrimary": primary, "targetPrimary": target or primary}}


def pod(number: int, node: str, *, ready: bool = True, role: str = "instance") -> dict[str, Any]:
    labels = {"cnpg.io/cluster": "db", "cnpg.io/podRole": role}
    return {
        "metadata": {"namespace": "shop", "name": f"db-{number}", "labels": labels},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


THREE = [pod(1, "m1"), pod(2, "m2"), pod(3, "m3")]
CASES: dict[str, tuple[dict[str, Any], list[dict[str, Any]], list[str], list[tuple[str, str]]]] = {
    "the first ready replica elsewhere": (cluster(), THREE, ["m1"], [("db-2", "")]),
    "the primary is elsewhere": (cluster("db-2"), THREE, ["m1"], []),
    "the replica is not ready": (cluster(), [pod(1, "m1"), pod(2, "m2", ready=False), pod(3, "m3")], ["m1"], [("db-3", "")]),
    "the replica's node takes no pods": (cluster(), THREE, ["m1", "m2"], [("db-3", "")]),
    "the replica is fenced": (cluster(fenced=["db-2"]), THREE, ["m1"], [("db-3", "")]),
    "all are fenced": (cluster(fenced=["*"]), THREE, ["m1"], [("", "db-2 is fenced; db-3 is fenced")]),
    "the replica is on the same node": (cluster(), [pod(1, "m1"), pod(2, "m1")], ["m1"], [("", "db-2 is on m1, which takes no pods")]),
    "a single instance": (cluster(), [pod(1, "m1")], ["m1"], []),
    "a pooler is no instance": (cluster(), [pod(1, "m1"), pod(2, "m2", role="pooler")], ["m1"], []),
    "a switchover is under way already": (cluster("db-1", target="db-2"), THREE, ["m1"], []),
    "the primary's pod is gone": (cluster("db-9"), THREE, ["m1"], []),
}


@pytest.mark.parametrize("case", CASES)
def test_who_takes_over(case: str) -> None:
    found, pods, cordoned, expected = CASES[case]
    assert [(move.target, move.why) for move in postgres.plan("m1", [found], pods, cordoned)] == expected


class Operator:
    """The API with a database whose operator does what ``answers`` says at each look: the current and the target primary."""

    def __init__(self, answers: list[tuple[str, str]]) -> None:
        self.answers, self.patches = answers, list[tuple[str, Any]]()

    def request(self, method: str, path: str, body: Any, **_rest: Any) -> None:
        assert method == "PATCH"
        self.patches.append((path, body))

    def get(self, path: str, **_rest: Any) -> dict[str, Any]:
        current, target = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return {"status": {"currentPrimary": current, "targetPrimary": target, "phase": "Switchover in progress"}}


MOVE = postgres.Switchover("shop", "db", "db-1", "db-2")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_PAUSE_SECONDS", 0.01)


def test_switchover_is_asked_for_and_waited_for() -> None:
    operator = Operator([("db-1", "db-2"), ("db-1", "pending"), ("db-2", "db-2")])
    postgres.switch(operator, [MOVE], Deadline(5))  # type: ignore[arg-type]
    ((path, body),) = operator.patches
    assert path.endswith("/namespaces/shop/clusters/db/status")
    assert (body["status"]["targetPrimary"], body["status"]["phase"]) == ("db-2", "Switchover in progress")


def test_one_that_does_not_happen() -> None:
    with pytest.raises(DeadlineExceeded, match="db-2 has not taken over from db-1"):
        postgres.switch(Operator([("db-1", "db-2")]), [MOVE], Deadline(0.1))  # type: ignore[arg-type]


def test_the_operator_decides_otherwise() -> None:
    with pytest.raises(PlatformError, match="chose db-3"):
        postgres.switch(Operator([("db-1", "db-3")]), [MOVE], Deadline(5))  # type: ignore[arg-type]


def test_where_there_is_no_such_operator() -> None:
    class Nothing:
        def list(self, path: str, _params: Any = None, **_rest: Any) -> None:
            raise ApiError("the server could not find the requested resource", code=404, reason="NotFound")

    assert postgres.find(Nothing(), "m1", Deadline(5)) == []  # type: ignore[arg-type]
