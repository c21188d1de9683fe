# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kube_probe against a real kube-apiserver. What services answer is tested in tests/unit/kube/test_service_proxy.py: nothing runs behind them here."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client
from ansible_collections.trinode.platform.plugins.module_utils.kube.probe import LABEL
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import kube_probe

pytestmark = pytest.mark.newest_only


@pytest.fixture
def namespace(client: kube_client.Client, request: pytest.FixtureRequest) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:50].strip("-")
    client.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


def probe(kubeconfig: Path, *, check: bool = False, **params: Any) -> Outcome:
    spec = kube_probe.ARGUMENT_SPEC
    filled: dict[str, Any] = {name: option.get("default") for name, option in spec.items()}
    for name, value in {"kubeconfig": str(kubeconfig), "timeout": 5, **params}.items():
        filled[name] = complete(value, spec[name])
    return kube_probe.run(Task(filled, check_mode=check, diff_mode=False, warn=print))


def complete(value: Any, option: dict[str, Any]) -> Any:
    """As Ansible fills in the defaults of an option's suboptions."""
    options = option.get("options")
    if not options:
        return value
    return [{key: complete(item.get(key, below.get("default")), below) for key, below in options.items()} for item in value]


def config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}


def config_maps(client: kube_client.Client, namespace: str) -> set[str]:
    items, _version = client.list(f"/api/v1/namespaces/{namespace}/configmaps")
    return {item["metadata"]["name"] for item in items}


def test_objects_are_made_and_removed(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    outcome = probe(
        kubeconfig,
        namespace=namespace,
        objects=[config_map("one")],
        manifests=json.dumps(config_map("two")),
        until=[{"api_version": "v1", "kind": "ConfigMap", "name": "one", "condition": f"metadata.labels.\"{LABEL}\" == 'true' && data.a == 'b'"}],
    )
    assert not outcome.changed
    assert outcome.values == {"verified": True, "made": ["ConfigMap two", "ConfigMap one"]}
    assert config_maps(client, namespace) == set()


def test_objects_are_removed_after_a_failure(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    until = [{"api_version": "v1", "kind": "ConfigMap", "name": "one", "condition": "data.a == 'c'"}]
    with pytest.raises(DeadlineExceeded, match=r"ConfigMap .*/one: it is not true that data.a == 'c', and it has no status"):
        probe(kubeconfig, namespace=namespace, objects=[config_map("one")], until=until, timeout=1)
    assert config_maps(client, namespace) == set()


def test_objects_of_an_apply_that_fails_are_removed(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    with pytest.raises(PlatformError, match=r"ConfigMap .*/wrong"):
        probe(kubeconfig, namespace=namespace, objects=[config_map("one"), {**config_map("wrong"), "data": {"a": {"b": "c"}}}], timeout=3)
    assert config_maps(client, namespace) == set()


def test_leftovers_of_a_probe_are_made_anew(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    left = {**config_map("one"), "data": {"left": "over"}}
    left["metadata"] = {"name": "one", "labels": {LABEL: "true"}}
    client.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", left)
    until = [{"api_version": "v1", "kind": "ConfigMap", "name": "one", "condition": "data.left == null"}]
    probe(kubeconfig, namespace=namespace, objects=[config_map("one")], until=until)


def test_steps_are_made_one_after_the_other_and_removed_backwards(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    items, version = client.list(f"/api/v1/namespaces/{namespace}/configmaps")
    assert items == []
    is_there = [{"api_version": "v1", "kind": "ConfigMap", "name": "one", "condition": "data.a == 'b'"}]
    outcome = probe(
        kubeconfig,
        namespace=namespace,
        objects=[config_map("one")],
        then=[{"objects": [config_map("two")], "until": is_there}, {"objects": [config_map("three")], "until": is_there}],
    )
    assert outcome.values == {"verified": True, "made": ["ConfigMap one", "ConfigMap two", "ConfigMap three"]}
    assert config_maps(client, namespace) == set()
    seen: list[str] = []
    with client.open_watch(f"/api/v1/namespaces/{namespace}/configmaps", version, kube_client.Deadline(300)) as events:
        for event, item in events:
            seen.append(f"{event} {item['metadata']['name']}")
            if seen[-1] == "DELETED one":
                break
    assert [text for text in seen if not text.startswith("MODIFIED")] == [
        *(f"ADDED {name}" for name in ("one", "two", "three")),
        *(f"DELETED {name}" for name in ("three", "two", "one")),
    ]


def test_a_step_that_fails_ends_the_probe_and_leaves_nothing(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    never = [{"api_version": "v1", "kind": "ConfigMap", "name": "one", "condition": "data.a == 'c'"}]
    with pytest.raises(DeadlineExceeded, match=r"it is not true that data\.a == 'c'"):
        probe(
            kubeconfig,
            namespace=namespace,
            objects=[config_map("one")],
            then=[
                {"objects": [config_map("two")], "until": never},
                {"objects": [{"apiVersion": "example.org/v1", "kind": "Never", "metadata": {"name": "x"}}]},
            ],
            timeout=2,
        )
    assert config_maps(client, namespace) == set()


def test_a_bucket_whose_claim_has_no_keys(kubeconfig: Path, namespace: str) -> None:
    with pytest.raises(PlatformError, match='configmaps "mine" not found'):
        probe(kubeconfig, namespace=namespace, buckets=[{"claim": "mine"}], timeout=2)


def test_what_is_somebody_elses_is_left_alone(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    client.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", config_map("one"))
    with pytest.raises(RefusedError, match="no probe made it"):
        probe(kubeconfig, namespace=namespace, objects=[config_map("one")])
    assert config_maps(client, namespace) == {"one"}


def test_a_condition_that_comes_true_later(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    timer = threading.Timer(0.5, lambda: client.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", config_map("late")))
    timer.start()
    probe(kubeconfig, until=[{"api_version": "v1", "kind": "ConfigMap", "namespace": namespace, "name": "late", "condition": "data.a"}])


def test_a_condition_on_every_object_of_a_kind(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    until = [{"api_version": "v1", "kind": "ConfigMap", "namespace": namespace, "condition": "data.a == 'b'"}]
    with pytest.raises(DeadlineExceeded, match="there is none"):
        probe(kubeconfig, until=until, timeout=1)
    client.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", config_map("one"))
    probe(kubeconfig, until=until)
    client.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", {**config_map("two"), "data": {"a": "c"}})
    with pytest.raises(DeadlineExceeded, match=f"every ConfigMap in {namespace}: {namespace}/two: it is not true"):
        probe(kubeconfig, until=until, timeout=1)


def test_a_cluster_scoped_object_takes_no_namespace(kubeconfig: Path) -> None:
    probe(kubeconfig, until=[{"api_version": "v1", "kind": "Namespace", "name": "kube-system", "condition": "status.phase == 'Active'"}])


def test_a_kind_that_nobody_serves(kubeconfig: Path) -> None:
    until = [{"api_version": "example.org/v1", "kind": "Gadget", "name": "x", "condition": "status"}]
    with pytest.raises(DeadlineExceeded, match=r"Gadget \(example.org/v1\) was not served within 1 s"):
        probe(kubeconfig, until=until, timeout=1)


def test_a_service_that_is_not_there(kubeconfig: Path, namespace: str) -> None:
    with pytest.raises(DeadlineExceeded, match=f"http://none.{namespace}:80/x: asked for 1 s, and services .*none.* not found"):
        probe(kubeconfig, http=[{"service": "none", "namespace": namespace, "port": "80", "path": "/x"}], timeout=1)


def test_check_mode_makes_nothing(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    until = [{"api_version": "v1", "kind": "ConfigMap", "name": "one", "condition": "data.a"}]
    later = {"buckets": [{"claim": "mine"}], "then": [{"objects": [config_map("two")]}]}
    outcome = probe(kubeconfig, check=True, namespace=namespace, objects=[config_map("one")], until=until, http=[{"service": "x", "port": "80"}], **later)
    assert not outcome.changed
    assert outcome.values == {"verified": False, "made": []}
    assert config_maps(client, namespace) == set()


def test_check_mode_without_a_cluster(tmp_path: Path) -> None:
    until = [{"api_version": "v1", "kind": "Node", "name": "m1", "condition": "status"}]
    outcome = probe(tmp_path / "none", check=True, until=until)
    assert "nothing was proven, as on a cluster that does not exist yet" in outcome.message
    assert not outcome.values["verified"]


def test_a_wrong_expression(kubeconfig: Path) -> None:
    with pytest.raises(InputError, match=r"until\.condition: not a JMESPath expression"):
        probe(kubeconfig, until=[{"api_version": "v1", "kind": "Node", "name": "m1", "condition": "a ==== b"}])
