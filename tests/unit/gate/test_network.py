# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's judgement of the network, as a table."""

from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import network as check
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks.network import Call, Network
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Policy

NODES = ("m1", "m2", "m3")
ALL = frozenset(NODES)
API, SERVICE = "v1beta1.metrics.k8s.io", "kube-system/metrics-server"


def calls(*problems: str) -> tuple[Call, ...]:
    return tuple(Call(f"192.0.2.1{number}", API, SERVICE, problem) for number, problem in enumerate(problems, 1))


REACHED = calls("", "", "")


@pytest.mark.parametrize(
    ("view", "problems", "seen"),
    [
        pytest.param(
            Network("Cilium", NODES, ALL, REACHED),
            [],
            "Cilium ready on 3 of 3 nodes; ClusterIPs reached by 3 of 3 API servers (kube-system/metrics-server)",
            id="well",
        ),
        pytest.param(
            Network("Cilium", NODES, frozenset({"m1", "m3"}), REACHED),
            ["m2: no agent of Cilium is ready there"],
            "Cilium ready on 2 of 3 nodes; ClusterIPs reached by 3 of 3 API servers (kube-system/metrics-server)",
            id="an agent is not ready",
        ),
        pytest.param(
            Network("Cilium", NODES, ALL, calls("", "dial tcp 10.96.7.1:443: connection refused", "")),
            ["192.0.2.12: its API server does not reach kube-system/metrics-server by the service's ClusterIP: dial tcp 10.96.7.1:443: connection refused"],
            "Cilium ready on 3 of 3 nodes; ClusterIPs reached by 2 of 3 API servers (kube-system/metrics-server)",
            id="one API server reaches no ClusterIP",
        ),
        pytest.param(
            Network("Cilium", NODES, ALL, (), ((API, "endpoints for service are missing"),)),
            [f"{API}: this API is not available: endpoints for service are missing"],
            "Cilium ready on 3 of 3 nodes; no API is served by a service, so no ClusterIP was tried",
            id="an API whose service has no pods",
        ),
        pytest.param(
            Network("Cilium", NODES, ALL, REACHED[:2], (), (("192.0.2.13", "no answer to GET /readyz: connection refused"),)),
            ["192.0.2.13: its API server is not ready: no answer to GET /readyz: connection refused"],
            "Cilium ready on 3 of 3 nodes; API servers that are not ready: 192.0.2.13; ClusterIPs reached by 2 of 2 API servers (kube-system/metrics-server)",
            id="an API server is down",
        ),
        pytest.param(
            Network("", NODES, frozenset()),
            [],
            "no network agent that is known here; no API is served by a service, so no ClusterIP was tried",
            id="another network",
        ),
    ],
)
def test_network(view: Network, problems: list[str], seen: str) -> None:
    findings = check.judge(view, Policy())
    assert [f"{finding.where}: {finding.problem}" for finding in findings] == problems
    assert all(finding.advice for finding in findings)
    assert check.seen(view) == seen


def test_the_advice_tells_a_broken_way_from_a_broken_service() -> None:
    (one,) = check.judge(Network("Cilium", NODES, ALL, calls("", "refused", "")), Policy())
    assert one.advice.startswith("Restart the network's agent on that machine")
    for finding in check.judge(Network("Cilium", NODES, ALL, calls("refused", "refused", "refused")), Policy()):
        assert finding.advice.startswith("Look at the pods of that service")
