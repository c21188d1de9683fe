# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kube_apply against a real kube-apiserver and etcd."""

from __future__ import annotations

import glob
import json
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_objects import WIDGETS, actions, apply, config_map, deployment

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import discover
from ansible_collections.trinode.platform.tests.contract import api_server

pytestmark = pytest.mark.newest_only


def test_created_unchanged_changed(kubeconfig: Path, namespace: str) -> None:
    objects = [config_map("one", key="a"), config_map("two", key="b")]
    first = apply(kubeconfig, objects=objects, namespace=namespace)
    assert first.changed
    assert actions(first) == {"one": "created", "two": "created"}
    second = apply(kubeconfig, objects=objects, namespace=namespace)
    assert not second.changed
    assert second.message == "2 objects: 2 unchanged"
    assert second.diff == []
    third = apply(kubeconfig, objects=[config_map("one", key="z"), objects[1]], namespace=namespace)
    assert actions(third) == {"one": "changed", "two": "unchanged"}
    [difference] = third.diff  # type: ignore[misc]
    assert "key: a" in difference["before"]
    assert "key: z" in difference["after"]
    assert "managedFields" not in difference["after"]
    assert "resourceVersion" not in difference["after"]


def test_defaulted_fields_are_no_change(kubeconfig: Path, namespace: str) -> None:
    apply(kubeconfig, objects=[deployment("main")], namespace=namespace, wait=False)
    assert not apply(kubeconfig, objects=[deployment("main")], namespace=namespace, wait=False).changed


def test_status_writes_of_controllers_are_no_change(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    apply(kubeconfig, objects=[deployment("main")], namespace=namespace, wait=False)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/main"
    client.request("PATCH", f"{path}/status", {"status": {"replicas": 1}}, content_type="application/merge-patch+json")
    assert not apply(kubeconfig, objects=[deployment("main")], namespace=namespace, wait=False).changed


def test_check_mode_predicts_and_changes_nothing(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    apply(kubeconfig, objects=[config_map("there", key="a")], namespace=namespace)
    before = client.get(f"/api/v1/namespaces/{namespace}/configmaps/there")["metadata"]["resourceVersion"]
    wanted = [config_map("there", key="b"), config_map("new", key="c")]
    predicted = apply(kubeconfig, check=True, objects=wanted, namespace=namespace)
    assert actions(predicted) == {"there": "changed", "new": "created"}
    assert client.get(f"/api/v1/namespaces/{namespace}/configmaps/there")["metadata"]["resourceVersion"] == before
    with pytest.raises(ApiError, match="not found"):
        client.get(f"/api/v1/namespaces/{namespace}/configmaps/new")
    real = apply(kubeconfig, objects=wanted, namespace=namespace)
    assert actions(real) == actions(predicted)
    assert [(item["before"], item["after"]) for item in real.diff] == [(item["before"], item["after"]) for item in predicted.diff]  # type: ignore[union-attr]
    assert not apply(kubeconfig, check=True, objects=wanted, namespace=namespace).changed


def test_check_mode_with_a_namespace_and_a_kind_that_are_not_there_yet(kubeconfig: Path, client: kube_client.Client) -> None:
    definition = json.loads(json.dumps(WIDGETS).replace("widgets", "gears").replace("widget", "gear").replace("Widget", "Gear"))
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "not-yet"}},
        definition,
        {"apiVersion": "example.org/v1", "kind": "Gear", "metadata": {"name": "gear", "namespace": "not-yet"}},
        {**config_map("map"), "metadata": {"name": "map", "namespace": "not-yet"}},
    ]
    assert set(actions(apply(kubeconfig, check=True, objects=objects)).values()) == {"created"}
    with pytest.raises(ApiError):
        client.get("/api/v1/namespaces/not-yet")
    assert set(actions(apply(kubeconfig, objects=objects)).values()) == {"created"}
    assert set(actions(apply(kubeconfig, objects=objects)).values()) == {"unchanged"}


def test_definitions_go_before_their_resources(kubeconfig: Path, namespace: str) -> None:
    widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "first"}, "spec": {"size": 3}}
    outcome = apply(kubeconfig, objects=[widget, WIDGETS], namespace=namespace)
    assert [item["kind"] for item in outcome.values["objects"]] == ["Widget", "CustomResourceDefinition"]
    assert outcome.values["objects"][0]["namespace"] == namespace
    assert outcome.values["objects"][1]["namespace"] == ""
    assert not apply(kubeconfig, objects=[widget, WIDGETS], namespace=namespace).changed


def test_unknown_kind_is_refused_before_anything_is_sent(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    ghost = {"apiVersion": "ghost.example.org/v1", "kind": "Ghost", "metadata": {"name": "boo"}}
    with pytest.raises(InputError, match=r"does not serve Ghost \(ghost.example.org/v1\)"):
        apply(kubeconfig, objects=[config_map("early"), ghost], namespace=namespace)
    assert client.list(f"/api/v1/namespaces/{namespace}/configmaps")[0] == []


def test_conflicts_name_field_and_owner(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/shared"
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shared"}, "data": {"key": "theirs"}}
    client.request("PATCH", path, other, content_type="application/apply-patch+yaml", params={"fieldManager": "other-tool"})
    with pytest.raises(PlatformError, match=r"ConfigMap .*/shared: \.data\.key is owned by other-tool\. .*force_conflicts"):
        apply(kubeconfig, objects=[config_map("shared", key="ours")], namespace=namespace)
    assert apply(kubeconfig, objects=[config_map("shared", key="ours")], namespace=namespace, force_conflicts=True).changed
    assert client.get(path)["data"] == {"key": "ours"}


def test_all_refusals_are_reported_at_once_and_the_rest_is_applied(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    bad = [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 0}]}} for name in ("bad-one", "bad-two")]
    with pytest.raises(PlatformError, match=r"2 of the objects could not be applied: .*bad-one.*bad-two") as caught:
        apply(kubeconfig, objects=[*bad, config_map("good")], namespace=namespace)
    assert [item["name"] for item in caught.value.details["errors"]] == ["bad-one", "bad-two"]
    assert client.get(f"/api/v1/namespaces/{namespace}/configmaps/good")


def test_unknown_fields_are_refused_and_not_dropped(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    """In an object of a built-in kind, in a definition and in a custom resource; when it is new, and when it is there."""
    definition, main = json.loads(json.dumps(WIDGETS)), deployment("main")
    custom: dict[str, Any] = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "one"}, "spec": {"size": 3}}
    apply(kubeconfig, objects=[definition, custom, main], namespace=namespace, wait=False)
    definition["spec"]["versions"][0]["shema"] = {}
    main["spec"]["replica"] = 2
    custom["spec"]["sise"] = 4
    new = [{**item, "metadata": {"name": "two"}} for item in (custom, main)]
    with pytest.raises(PlatformError) as caught:
        apply(kubeconfig, objects=[definition, custom, main, *new], namespace=namespace, wait=False)
    said = caught.value.what
    assert [said.count(f".{field}: field not declared in schema") for field in ("shema", "replica", "sise")] == [1, 2, 2]
    assert "sise" not in client.get(f"/apis/example.org/v1/namespaces/{namespace}/widgets/one")["spec"]


def test_check_mode_takes_a_field_for_granted_that_the_definition_gains(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    """An upgrade that brings both: a dry run does not change the definition. What is in neither stays refused."""
    definition = json.loads(json.dumps(WIDGETS).replace("widget", "gadget").replace("Widget", "Gadget"))
    custom: dict[str, Any] = {"apiVersion": "example.org/v1", "kind": "Gadget", "metadata": {"name": "one"}, "spec": {"size": 3}}
    apply(kubeconfig, objects=[definition, custom], namespace=namespace, wait=False)
    custom["spec"]["teeth"] = 9
    with pytest.raises(PlatformError, match=r"\.spec\.teeth: field not declared in schema"):
        apply(kubeconfig, check=True, objects=[definition, custom], namespace=namespace)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["properties"]["teeth"] = {"type": "integer"}
    predicted = apply(kubeconfig, check=True, objects=[definition, custom, {**custom, "metadata": {"name": "two"}}], namespace=namespace)
    assert [item["action"] for item in predicted.values["objects"]] == ["changed", "changed", "created"]
    shown = next(entry for entry in predicted.diff if "/one" in entry["before_header"])
    assert "teeth" not in shown["before"]
    assert "teeth: 9" in shown["after"]
    assert "size: 3" in shown["after"]
    assert "teeth" not in client.get(f"/apis/example.org/v1/namespaces/{namespace}/gadgets/one")["spec"]
    applied = apply(kubeconfig, objects=[definition, custom], namespace=namespace, wait=False)
    assert [item["action"] for item in applied.values["objects"]] == ["changed", "changed"]


def test_secret_values_never_show(kubeconfig: Path, namespace: str) -> None:
    def secret(value: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"token": value, "other": "same"}}

    texts = [str(apply(kubeconfig, objects=[secret(value)], namespace=namespace)) for value in ("hunter2", "hunter3")]
    texts.append(str(apply(kubeconfig, check=True, objects=[secret("hunter4")], namespace=namespace)))
    for text in texts:
        assert "hunter" not in text
        assert "aHVudGVy" not in text  # base64 of it
    assert "token: <hidden, changed>" in texts[1]
    assert "other: <hidden>" in texts[1]


def test_waits_until_a_deployment_is_available(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/slow/status"
    done = {"status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}}

    def controller() -> None:
        time.sleep(1.5)
        client.request("PATCH", path, done, content_type="application/merge-patch+json")

    thread = threading.Thread(target=controller)
    thread.start()
    started = time.monotonic()
    apply(kubeconfig, objects=[deployment("slow")], namespace=namespace, timeout=300)
    took = time.monotonic() - started
    thread.join()
    assert 1.4 < took < 2.5


def test_deadline_says_what_is_missing(kubeconfig: Path, namespace: str) -> None:
    with pytest.raises(DeadlineExceeded, match=r"not ready within 2 s: Deployment .*/never: its controller has not seen"):
        apply(kubeconfig, objects=[deployment("never")], namespace=namespace, timeout=2)


def test_gives_up_early_on_an_image_that_cannot_be_pulled(
    kubeconfig: Path, client: kube_client.Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.trinode.platform.plugins.module_utils.kube import wait

    monkeypatch.setattr(wait.until_ready, "__kwdefaults__", {"grace": 1.0})
    client.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}})
    pod = {
        "metadata": {"name": "broken-1", "labels": {"app": "broken"}},
        "spec": {"automountServiceAccountToken": False, "containers": [{"name": "main", "image": "registry.example/main:1"}]},
    }
    client.request("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
    waiting = {"reason": "ImagePullBackOff", "message": "manifest unknown"}
    status = {
        "status": {
            "containerStatuses": [
                {"name": "main", "image": "registry.example/main:1", "imageID": "", "ready": False, "restartCount": 0, "state": {"waiting": waiting}}
            ]
        }
    }
    client.request("PATCH", f"/api/v1/namespaces/{namespace}/pods/broken-1/status", status, content_type="application/merge-patch+json")
    event = {
        "metadata": {"name": "broken-1.1"},
        "involvedObject": {"kind": "Pod", "name": "broken-1", "namespace": namespace},
        "type": "Warning",
        "reason": "Failed",
        "message": "Failed to pull image",
    }
    client.request("POST", f"/api/v1/namespaces/{namespace}/events", event)
    started = time.monotonic()
    with pytest.raises(
        PlatformError, match=r"Deployment .*/broken: .*broken-1/main: ImagePullBackOff: image registry.example/main:1: manifest unknown.*Failed to pull image"
    ):
        apply(kubeconfig, objects=[deployment("broken")], namespace=namespace, timeout=50)
    assert time.monotonic() - started < 10


def test_a_deleted_object_ends_the_wait(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    def remove() -> None:
        time.sleep(0.7)
        client.request("DELETE", f"/apis/apps/v1/namespaces/{namespace}/deployments/gone")

    thread = threading.Thread(target=remove)
    thread.start()
    with pytest.raises(PlatformError, match="it was deleted while it was waited for"):
        apply(kubeconfig, objects=[deployment("gone")], namespace=namespace, timeout=300)
    thread.join()


def test_check_mode_without_a_cluster(tmp_path: Path, kubeconfig: Path) -> None:
    missing = tmp_path / "kubeconfig"
    outcome = apply(missing, check=True, objects=[config_map("one")])
    assert outcome.changed
    assert actions(outcome) == {"one": "created"}
    with pytest.raises(InputError, match="the kubeconfig does not exist"):
        apply(missing, objects=[config_map("one")])
    nobody = tmp_path / "nobody"
    nobody.write_text("\n".join("    server: https://127.0.0.1:1" if "server:" in line else line for line in kubeconfig.read_text().splitlines()))
    warnings: list[str] = []
    assert actions(apply(nobody, check=True, warnings=warnings, objects=[config_map("one")])) == {"one": "created"}
    assert "predicted as created" in warnings[0]
    with pytest.raises(ApiUnreachable, match="no answer to GET /version"):
        kube_client.connect(str(nobody), deadline=Deadline(5)).get("/version")


def test_another_clusters_certificate_is_told(tmp_path: Path, kubeconfig: Path) -> None:
    hyper = api_server.find_hyper()
    assert hyper is not None
    foreign = tmp_path / "authority"
    foreign.mkdir()
    authority = api_server.Authority(foreign)
    text = kubeconfig.read_text()
    [line] = [line for line in text.splitlines() if "certificate-authority-data" in line]
    path = tmp_path / "kubeconfig"
    path.write_text(text.replace(line, f"    certificate-authority: {authority.certificate}"))
    with pytest.raises(PlatformError, match="the API server's certificate is not accepted"):
        kube_client.connect(str(path), deadline=Deadline(5)).get("/version")


def test_no_key_stays_in_a_temporary_file(kubeconfig: Path) -> None:
    before = set(glob.glob(f"{tempfile.gettempdir()}/*"))
    kube_client.connect(str(kubeconfig), deadline=Deadline(5)).get("/version")
    left = [path for path in set(glob.glob(f"{tempfile.gettempdir()}/*")) - before if Path(path).is_file() and b"PRIVATE KEY" in Path(path).read_bytes()]
    assert left == []


def test_discovery_takes_two_requests_and_knows_scopes(client: kube_client.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[str] = []
    original = client.request

    def counting(method: str, path: str, *args: Any, **options: Any) -> Any:
        paths.append(path)
        return original(method, path, *args, **options)

    monkeypatch.setattr(client, "request", counting)
    resources = discover(client)
    assert paths == ["/api", "/apis"]
    assert resources[("apps/v1", "DaemonSet")].path("kube-system", "cilium") == "/apis/apps/v1/namespaces/kube-system/daemonsets/cilium"
    assert resources[("v1", "Node")].path("", "m1") == "/api/v1/nodes/m1"
    assert not resources[("v1", "Namespace")].namespaced


def test_watch_goes_on_from_a_version(client: kube_client.Client, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    _items, version = client.list(path)
    client.request("POST", path, {"metadata": {"name": "seen"}})
    with client.open_watch(path, version, Deadline(300)) as stream:
        kind, item = next(iter(stream))
    assert (kind, item["metadata"]["name"]) == ("ADDED", "seen")


@pytest.mark.parametrize("how", ["token", "exec"])
def test_tokens_and_exec_plugins_authenticate(kubeconfig: Path, client: kube_client.Client, namespace: str, tmp_path: Path, how: str) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    client.request("POST", accounts, {"metadata": {"name": "robot"}})
    token = client.request("POST", f"{accounts}/robot/token", {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})["status"]["token"]
    user: dict[str, Any] = {"token": token}
    if how == "exec":
        program = tmp_path / "plugin"
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
        program.write_text(f"#!/bin/sh\necho '{json.dumps(credential)}'\n")
        program.chmod(0o755)
        user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program), "interactiveMode": "Never"}}
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"] = [{"name": "tester", "user": user}]
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(ApiError, match=f"system:serviceaccount:{namespace}:robot.* cannot list resource") as caught:
        kube_client.connect(str(path), deadline=Deadline(300)).list("/api/v1/nodes")
    assert caught.value.code == 403
