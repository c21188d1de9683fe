# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kube_info against a real kube-apiserver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client
from ansible_collections.trinode.platform.plugins.module_utils.kube import listing
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import kube_info
from ansible_collections.trinode.platform.tests.contract import api_server

pytestmark = pytest.mark.newest_only

SECRET = {
    "metadata": {"name": "login", "labels": {"tier": "web"}, "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "hunter2"}},
    "stringData": {"password": "hunter2"},
}


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    hyper = api_server.find_hyper()
    if hyper is None:
        pytest.skip("no kube-apiserver: run `tests/lab/lab build`, or set TRINODE_HYPER")
    with api_server.running(hyper, tmp_path_factory.mktemp("api")) as path:
        client = kube_client.connect(str(path), deadline=Deadline(300))
        for name in ("shop", "bank"):
            client.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
            client.request("POST", f"/api/v1/namespaces/{name}/secrets", SECRET)
            for number in range(3):
                body = {"metadata": {"name": f"c{number}", "labels": {"number": str(number)}}, "data": {"number": str(number)}}
                client.request("POST", f"/api/v1/namespaces/{name}/configmaps", body)
        client.close()
        yield path


def info(kubeconfig: Path, *, check: bool = False, warnings: list[str] | None = None, **params: Any) -> Outcome:
    spec = kube_info.ARGUMENT_SPEC
    filled: dict[str, Any] = {name: option.get("default") for name, option in spec.items()}
    options = spec["resources"]["options"]
    resources = [{**{key: option.get("default") for key, option in options.items()}, **item} for item in params.pop("resources", [])]
    heard = warnings if warnings is not None else []
    filled.update({"kubeconfig": str(kubeconfig), "timeout": 300, **params, "resources": resources})
    outcome = kube_info.run(Task(filled, check_mode=check, diff_mode=False, warn=heard.append))
    assert not outcome.changed
    return outcome


def names(outcome: Outcome) -> list[str]:
    return [f"{item['kind']} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}" for item in outcome.values["objects"]]


def test_one_object(kubeconfig: Path) -> None:
    outcome = info(kubeconfig, kind="ConfigMap", namespace="shop", name="c1")
    [item] = outcome.values["objects"]
    assert item["data"] == {"number": "1"}
    assert item["apiVersion"] == "v1"
    assert "managedFields" not in item["metadata"]


def test_an_object_that_is_not_there_is_no_error(kubeconfig: Path) -> None:
    assert info(kubeconfig, kind="ConfigMap", namespace="shop", name="none").values == {"objects": [], "unserved": []}
    assert info(kubeconfig, kind="ConfigMap", namespace="nowhere").values["objects"] == []


def test_selectors(kubeconfig: Path) -> None:
    outcome = info(kubeconfig, kind="ConfigMap", label_selector="number in (1,2)")
    assert names(outcome) == ["ConfigMap bank/c1", "ConfigMap bank/c2", "ConfigMap shop/c1", "ConfigMap shop/c2"]
    outcome = info(kubeconfig, kind="ConfigMap", field_selector="metadata.name=c2", namespace="shop")
    assert names(outcome) == ["ConfigMap shop/c2"]


def test_several_kinds_in_the_order_asked_for(kubeconfig: Path) -> None:
    resources = [{"kind": "Secret"}, {"kind": "Namespace", "name": "bank"}, {"kind": "ConfigMap", "namespace": "bank", "name": "c0"}]
    assert names(info(kubeconfig, namespace="shop", resources=resources)) == ["Secret shop/login", "Namespace /bank", "ConfigMap bank/c0"]


def test_a_query(kubeconfig: Path) -> None:
    outcome = info(kubeconfig, kind="ConfigMap", namespace="shop", label_selector="number", query="items[?data.number > '0'].metadata.name")
    assert outcome.values["result"] == ["c1", "c2"]
    assert info(kubeconfig, kind="ConfigMap", namespace="shop", label_selector="none", query="length(items)").values["result"] == 0
    with pytest.raises(InputError, match="query: not a JMESPath expression"):
        info(kubeconfig, kind="ConfigMap", query="items[")
    with pytest.raises(InputError, match="the expression fails"):
        info(kubeconfig, kind="ConfigMap", query="length(none)")


def test_secrets_are_hidden_unless_asked_for(kubeconfig: Path) -> None:
    outcome = info(kubeconfig, kind="Secret", namespace="shop", query="items[].data")
    assert outcome.values["result"] == [{"password": "<hidden>"}]
    assert "hunter2" not in str(outcome)
    assert "aHVudGVyMg" not in str(outcome)
    revealed = info(kubeconfig, kind="Secret", namespace="shop", reveal_secrets=True)
    assert revealed.values["objects"][0]["data"] == {"password": "aHVudGVyMg=="}


def test_large_collections_are_read_in_pages(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_PAGE", 2)
    assert len(info(kubeconfig, kind="ConfigMap", label_selector="number").values["objects"]) == 6


def test_kinds_that_nobody_serves(kubeconfig: Path) -> None:
    with pytest.raises(InputError, match=r"does not serve CephCluster \(ceph.rook.io/v1\)"):
        info(kubeconfig, kind="CephCluster", api_version="ceph.rook.io/v1")
    with pytest.raises(InputError, match=r"does not serve Deploymint .*apps/v1 has .*Deployment"):
        info(kubeconfig, kind="Deploymint", api_version="apps/v1")
    outcome = info(kubeconfig, resources=[{"kind": "CephCluster", "api_version": "ceph.rook.io/v1"}, {"kind": "Node"}], ignore_unserved=True)
    assert outcome.values == {"objects": [], "unserved": ["CephCluster (ceph.rook.io/v1)"]}


def test_a_name_needs_its_namespace(kubeconfig: Path) -> None:
    with pytest.raises(InputError, match="ConfigMap c1 needs a namespace"):
        info(kubeconfig, kind="ConfigMap", name="c1")


def test_without_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="the kubeconfig does not exist"):
        info(tmp_path / "none", kind="Node")
    warnings: list[str] = []
    assert info(tmp_path / "none", kind="Node", check=True, warnings=warnings).values["objects"] == []
    assert "no objects, as on a cluster that does not exist yet" in warnings[0]
