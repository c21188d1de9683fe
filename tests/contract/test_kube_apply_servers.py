# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kube_apply with several API servers over one etcd: requests go over all, unhealthy ones are left out, and one may die amid the work."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import api_server
import pytest
from kube_objects import WIDGETS, actions, apply, config_map

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client

pytestmark = pytest.mark.newest_only


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[api_server.Cluster]:
    hyper = api_server.find_hyper()
    if hyper is None:
        pytest.skip("no kube-apiserver: run `tests/lab/lab build`, or set TRINODE_HYPER")
    with api_server.cluster(hyper, tmp_path, 2) as started:
        yield started


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many requests each server was sent."""
    counted: Counter[str] = Counter()
    original = kube_client.Servers.pick

    def pick(self: Any, *args: Any) -> str:
        server = original(self, *args)
        counted[server] += 1
        return server

    monkeypatch.setattr(kube_client.Servers, "pick", pick)
    return counted


def test_requests_are_spread_and_one_that_dies_is_replaced(cluster: api_server.Cluster, asked: Counter[str]) -> None:
    nobody = "https://127.0.0.9:1"
    objects = [config_map(f"map-{number}") for number in range(60)]
    widgets = [{"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": f"w-{number}"}, "spec": {"size": 1}} for number in range(20)]
    outcome = apply(cluster.kubeconfig, objects=[*objects, WIDGETS, *widgets], servers=[*cluster.servers, nobody], wait=False)
    assert set(actions(outcome).values()) == {"created"}
    assert asked[nobody] == 0
    assert min(asked[server] for server in cluster.servers) > 20

    dying = threading.Timer(0.3, cluster.processes[0].kill)
    dying.start()
    many = [config_map(f"more-{number}") for number in range(400)]
    outcome = apply(cluster.kubeconfig, objects=many, servers=cluster.servers, wait=False)
    dying.join()
    # The one whose answer broke off had been carried out: sent again it is there.
    assert set(actions(outcome).values()) <= {"created", "unchanged"}
    assert len(outcome.values["objects"]) == 400

    # The kubeconfig names the dead one; told of both, the other serves.
    asked.clear()
    outcome = apply(cluster.kubeconfig, objects=many[:3], servers=cluster.servers, wait=False)
    assert not outcome.changed
    assert set(asked) == {cluster.servers[1]}
    with pytest.raises(kube_client.api_errors.ApiUnreachable):
        kube_client.connect(str(cluster.kubeconfig), deadline=Deadline(5)).get("/version")
