# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's judgement of databases, as a table."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import databases as check
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks.databases import HEALTHY, Databases, Postgres
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Policy

STREAMING = {"applicationName": "orders-2", "state": "streaming", "replayLsn": "0/3000060"}
STATUS = {"currentLsn": "0/3000060", "node": "m1", "replicationInfo": [STREAMING, {**STREAMING, "applicationName": "orders-3"}]}


def cluster(instances: int = 3, *, ready: int = 3, phase: str = HEALTHY, primary: str = "orders-1", target: str = "orders-1", **more: Any) -> Postgres:
    status = {"phase": phase, "readyInstances": ready, "currentPrimary": primary, "targetPrimary": target}
    item = {"metadata": {"name": "orders", "namespace": "shop", "annotations": more.pop("annotations", {})}, "spec": {"instances": instances}, "status": status}
    nodes = tuple(f"m{number}" for number in range(1, instances + 1))
    return Postgres(item, nodes, **{"status": STATUS if instances > 1 else None, **more})


def replication(*entries: dict[str, Any], current: str = "0/3000060") -> dict[str, Any]:
    return {"status": {"currentLsn": current, "replicationInfo": list(entries)}}


@pytest.mark.parametrize(
    ("found", "lost", "problems"),
    [
        pytest.param(cluster(), "", [], id="well"),
        pytest.param(cluster(), "m1", [], id="well, and the primary's machine is about to go"),
        pytest.param(
            cluster(ready=2, phase="Waiting for the instances to become active"), "", ["2 of 3 instances are ready: Waiting for the instances"], id="not ready"
        ),
        pytest.param(cluster(phase="Switchover in progress"), "", ["it is not healthy: Switchover in progress"], id="phase"),
        pytest.param(cluster(phase=""), "", ["it is not healthy: no phase is known"], id="its operator has said nothing yet"),
        pytest.param(cluster(primary="", target=""), "", ["it has no primary"], id="no primary"),
        pytest.param(cluster(target="orders-2"), "", ["its primary moves from orders-1 to orders-2"], id="switchover"),
        pytest.param(
            cluster(status=None, problem="it answered 500"), "", ["the primary orders-1 does not say how far its replicas are: it answered 500"], id="no word"
        ),
        pytest.param(cluster(**replication(STREAMING)), "", ["1 of 2 replicas stream from the primary"], id="a replica is not there"),
        pytest.param(
            cluster(**replication(STREAMING, {**STREAMING, "applicationName": "orders-3", "state": "catchup"})),
            "",
            ["1 of 2 replicas stream from the primary (orders-3 is in state catchup)"],
            id="a replica catches up",
        ),
        pytest.param(
            cluster(**replication(STREAMING, {**STREAMING, "applicationName": "orders-3", "replayLsn": "0/1"}, current="1/10000000")),
            "",
            ["the replica orders-2 is 4304 MiB behind the primary", "the replica orders-3 is 4352 MiB behind the primary"],
            id="replicas are far behind",
        ),
        pytest.param(cluster(1, ready=1), "", [], id="a single instance"),
        pytest.param(cluster(1, ready=1), "m2", [], id="a single instance on another machine"),
        pytest.param(cluster(1, ready=1), "m1", ["its only instance is on m1, which is about to go"], id="a single instance on the machine that goes"),
        pytest.param(cluster(ready=0, primary="", annotations={"cnpg.io/hibernation": "on"}), "", [], id="hibernated"),
    ],
)
def test_postgres(found: Postgres, lost: str, problems: list[str]) -> None:
    findings = check.judge(Databases((found,), None, lost), Policy())
    assert len(findings) == len(problems), findings
    for finding, problem in zip(findings, problems, strict=True):
        assert finding.problem.startswith(problem)
        assert finding.where == "Cluster shop/orders"
        assert finding.advice


def stateful_set(ready: int) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "cache", "generation": 1},
        "spec": {"replicas": 3},
        "status": {"observedGeneration": 1, "readyReplicas": ready, "replicas": 3},
    }


@pytest.mark.parametrize(
    ("found", "problems"),
    [
        (stateful_set(3), []),
        (stateful_set(2), ["its StatefulSet cache is not ready: 2 of 3 replicas ready"]),
        (None, ["its StatefulSet cache is not ready: it is not there"]),
    ],
)
def test_redis(found: dict[str, Any] | None, problems: list[str]) -> None:
    item = {"apiVersion": "redis.redis.opstreelabs.in/v1beta2", "kind": "RedisReplication", "metadata": {"name": "cache", "namespace": "shop"}}
    findings = check.judge(Databases(None, ((item, {"cache": found}),)), Policy())
    assert [(finding.where, finding.problem) for finding in findings] == [("RedisReplication shop/cache", problem) for problem in problems]


@pytest.mark.parametrize(
    ("view", "seen"),
    [
        (Databases(None, None), "not installed"),
        (Databases((), None), "0 of CloudNativePG with 0 instances ready"),
        (Databases((cluster(), cluster(1, ready=1)), ()), "2 of CloudNativePG with 4 instances ready, 0 of Redis"),
        (Databases((cluster(),), None, "m1"), "1 of CloudNativePG with 3 instances ready, primaries on m1: shop/orders"),
    ],
)
def test_what_is_seen(view: Databases, seen: str) -> None:
    assert check.seen(view) == seen
