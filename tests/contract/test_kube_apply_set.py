# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ApplySets against a real kube-apiserver: what is not sent again, that no drift is missed for it, and what is pruned."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube_objects import WIDGETS, actions, apply, config_map, deployment

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube import applyset, removal
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import ApplySet, Request

pytestmark = pytest.mark.newest_only

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


@pytest.fixture
def patches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all PATCH requests that are sent."""
    sent: list[str] = []
    original = kube_client.Client.request

    def request(self: kube_client.Client, method: str, path: str, *args: Any, **options: Any) -> Any:
        if method == "PATCH":
            sent.append(path)
        return original(self, method, path, *args, **options)

    monkeypatch.setattr(kube_client.Client, "request", request)
    return sent


def in_set(namespace: str, **params: Any) -> dict[str, Any]:
    return {"namespace": namespace, "apply_set": {"name": "the-set", "namespace": namespace}, "wait": False, **params}


def service(name: str) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "targetPort": 80}, {"name": "https", "port": 443, "targetPort": 443}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": ports}}


def missing(client: kube_client.Client, path: str) -> bool:
    try:
        client.get(path)
    except ApiError as error:
        return error.not_found
    return False


def test_parent_and_members_are_as_the_enhancement_proposal_says(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    apply(
        kubeconfig,
        objects=[config_map("one", key="a"), deployment("main"), {**config_map("two"), "metadata": {"name": "two", "namespace": "default"}}],
        **in_set(namespace),
    )
    parent = client.get(f"/api/v1/namespaces/{namespace}/configmaps/the-set")["metadata"]
    identity = parent["labels"]["applyset.kubernetes.io/id"]
    assert identity == applyset.identity(ApplySet("the-set", namespace))
    assert parent["annotations"]["applyset.kubernetes.io/contains-group-kinds"] == "ConfigMap,Deployment.apps"
    assert parent["annotations"]["applyset.kubernetes.io/additional-namespaces"] == "default"
    assert parent["annotations"]["applyset.kubernetes.io/tooling"].startswith("trinode/v")
    assert client.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/main")["metadata"]["labels"] == {"applyset.kubernetes.io/part-of": identity}


@pytest.mark.parametrize("check", [False, True])
def test_what_is_as_it_was_left_is_neither_parsed_nor_sent(
    kubeconfig: Path, client: kube_client.Client, namespace: str, patches: list[str], check: bool
) -> None:
    text = yaml.safe_dump_all([config_map("one", key="a"), service("web"), deployment("main")])
    assert set(actions(apply(kubeconfig, manifests=text, **in_set(namespace))).values()) == {"created"}
    status = {"status": {"replicas": 1}}
    client.request("PATCH", f"/apis/apps/v1/namespaces/{namespace}/deployments/main/status", status, content_type=MERGE)
    patches.clear()
    outcome = apply(kubeconfig, manifests=text, check=check, **in_set(namespace))
    assert (outcome.changed, outcome.message) == (False, "3 objects: 3 unchanged")
    assert patches == []
    # Other text, same objects: parsed, but still not sent.
    assert not apply(kubeconfig, manifests="# a comment\n" + text, check=check, **in_set(namespace)).changed
    assert [path for path in patches if "the-set" not in path] == []


def test_another_content_is_sent_and_nothing_else(kubeconfig: Path, namespace: str, patches: list[str]) -> None:
    objects = [config_map("one", key="a"), config_map("two", key="b")]
    apply(kubeconfig, objects=objects, **in_set(namespace))
    patches.clear()
    outcome = apply(kubeconfig, objects=[config_map("one", key="a"), config_map("two", key="c")], **in_set(namespace))
    assert actions(outcome) == {"one": "unchanged", "two": "changed"}
    assert [path.rpartition("/")[2] for path in patches] == ["two", "the-set"]


def _by_another_apply(client: kube_client.Client, base: str) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": {"key": "theirs"}}
    client.request("PATCH", f"{base}/configmaps/map", other, content_type=APPLY, params={"fieldManager": "other", "force": "true"})


def _by_an_update(client: kube_client.Client, base: str) -> None:
    client.request("PATCH", f"{base}/configmaps/map", {"data": {"key": "edited"}}, content_type=MERGE)


def _there_and_back(client: kube_client.Client, base: str) -> None:
    for value in ("edited", "ours"):
        client.request("PATCH", f"{base}/configmaps/map", {"data": {"key": value}}, content_type=MERGE)


def _field_removed(client: kube_client.Client, base: str) -> None:
    client.request("PATCH", f"{base}/configmaps/map", {"data": {"key": None}}, content_type=MERGE)


def _label_removed(client: kube_client.Client, base: str) -> None:
    client.request("PATCH", f"{base}/configmaps/map", {"metadata": {"labels": {"ours": None}}}, content_type=MERGE)


def _membership_removed(client: kube_client.Client, base: str) -> None:
    client.request("PATCH", f"{base}/configmaps/map", {"metadata": {"labels": {applyset.PART_OF_LABEL: None}}}, content_type=MERGE)


def _managers_wiped(client: kube_client.Client, base: str) -> None:
    client.request("PATCH", f"{base}/configmaps/map", {"metadata": {"managedFields": [{}]}, "data": {"key": "edited"}}, content_type=MERGE)


def _under_our_own_name(client: kube_client.Client, base: str) -> None:
    item = client.get(f"{base}/configmaps/map")
    ours = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map", "labels": item["metadata"]["labels"]}, "data": {"key": "others"}}
    client.request("PATCH", f"{base}/configmaps/map", ours, content_type=APPLY, params={"fieldManager": "trinode"})


def _deleted(client: kube_client.Client, base: str) -> None:
    client.request("DELETE", f"{base}/configmaps/map")


def _made_anew(client: kube_client.Client, base: str) -> None:
    labels = client.get(f"{base}/configmaps/map")["metadata"]["labels"]
    client.request("DELETE", f"{base}/configmaps/map")
    client.request("POST", f"{base}/configmaps", {"metadata": {"name": "map", "labels": labels}, "data": {"key": "theirs"}})


def _replaced(client: kube_client.Client, base: str) -> None:
    item = client.get(f"{base}/configmaps/map")
    client.request("PUT", f"{base}/configmaps/map", {**item, "data": {"key": "put"}})


def _list_item_changed(client: kube_client.Client, base: str) -> None:
    patch = [{"op": "replace", "path": "/spec/ports/1/targetPort", "value": 8443}]
    client.request("PATCH", f"{base}/services/web", patch, content_type="application/json-patch+json")


def _list_item_removed(client: kube_client.Client, base: str) -> None:
    client.request("PATCH", f"{base}/services/web", [{"op": "remove", "path": "/spec/ports/0"}], content_type="application/json-patch+json")


def _scaled(client: kube_client.Client, base: str) -> None:
    path = base.replace("/api/v1", "/apis/apps/v1")
    client.request("PATCH", f"{path}/deployments/main/scale", {"spec": {"replicas": 5}}, content_type=MERGE)


def _image_set(client: kube_client.Client, base: str) -> None:
    path = base.replace("/api/v1", "/apis/apps/v1")
    containers = [{"name": "main", "image": "registry.example/other:2"}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    client.request("PATCH", f"{path}/deployments/main", patch, content_type="application/strategic-merge-patch+json")


def _argument_removed(client: kube_client.Client, base: str) -> None:
    path = base.replace("/api/v1", "/apis/apps/v1")
    patch = [{"op": "remove", "path": "/spec/template/spec/containers/0/args/1"}]
    client.request("PATCH", f"{path}/deployments/main", patch, content_type="application/json-patch+json")


def _labelled_through_status(client: kube_client.Client, base: str) -> None:
    path = base.replace("/api/v1", "/apis/apps/v1")
    client.request("PATCH", f"{path}/deployments/main/status", {"metadata": {"labels": {"ours": "edited"}}}, content_type=MERGE)


Drift = Callable[[kube_client.Client, str], None]
DRIFTS: list[Drift] = [
    _by_another_apply,
    _by_an_update,
    _there_and_back,
    _field_removed,
    _label_removed,
    _membership_removed,
    _managers_wiped,
    _under_our_own_name,
    _deleted,
    _made_anew,
    _replaced,
    _list_item_changed,
    _list_item_removed,
    _scaled,
    _image_set,
    _argument_removed,
]


@pytest.mark.parametrize("drift", DRIFTS, ids=lambda drift: drift.__name__.strip("_"))
def test_every_drift_is_found_and_put_right(
    kubeconfig: Path, client: kube_client.Client, namespace: str, drift: Callable[[kube_client.Client, str], None]
) -> None:
    main = deployment("main", replicas=2)
    main["metadata"]["labels"] = {"ours": "yes"}
    main["spec"]["template"]["spec"]["containers"][0]["args"] = ["--one", "--two"]
    objects = [{**config_map("map", key="ours"), "metadata": {"name": "map", "labels": {"ours": "yes"}}}, service("web"), main]
    base = f"/api/v1/namespaces/{namespace}"
    paths = [f"{base}/configmaps/map", f"{base}/services/web", f"/apis/apps/v1/namespaces/{namespace}/deployments/main"]

    def content() -> list[Any]:
        found = []
        for path in paths:
            item = client.get(path)
            labels = item["metadata"].get("labels")
            found.append((labels, item.get("data"), {key: value for key, value in item.get("spec", {}).items() if "clusterIP" not in key}))
        return found

    apply(kubeconfig, objects=objects, **in_set(namespace))
    wanted = copy.deepcopy(content())
    drift(client, base)
    drifted = drift is not _there_and_back
    predicted = apply(kubeconfig, objects=objects, check=True, **in_set(namespace, force_conflicts=True))
    assert predicted.changed is drifted
    outcome = apply(kubeconfig, objects=objects, **in_set(namespace, force_conflicts=True))
    assert outcome.changed is drifted
    assert actions(outcome) == actions(predicted)
    assert content() == wanted
    assert not apply(kubeconfig, objects=objects, **in_set(namespace, force_conflicts=True)).changed


def test_a_label_through_the_status_is_found(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    main = {**deployment("main"), "metadata": {"name": "main", "labels": {"ours": "yes"}}}
    apply(kubeconfig, objects=[main], **in_set(namespace))
    _labelled_through_status(client, f"/api/v1/namespaces/{namespace}")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/main"
    changed = client.get(path)["metadata"]["labels"]["ours"] != "yes"
    assert apply(kubeconfig, objects=[main], **in_set(namespace, force_conflicts=True)).changed is changed
    assert client.get(path)["metadata"]["labels"]["ours"] == "yes"


def test_fields_of_others_are_theirs(kubeconfig: Path, client: kube_client.Client, namespace: str, patches: list[str]) -> None:
    apply(kubeconfig, objects=[deployment("main")], **in_set(namespace))
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/main"
    client.request("PATCH", path, {"metadata": {"labels": {"theirs": "1"}}}, content_type=MERGE)
    patches.clear()
    assert not apply(kubeconfig, objects=[deployment("main")], **in_set(namespace)).changed
    assert patches == []
    # A Deployment's annotations count in its generation: it is sent once more, and then known.
    client.request("PATCH", path, {"metadata": {"annotations": {"theirs": "1"}}}, content_type=MERGE)
    assert not apply(kubeconfig, objects=[deployment("main")], **in_set(namespace)).changed
    patches.clear()
    assert not apply(kubeconfig, objects=[deployment("main")], **in_set(namespace)).changed
    assert patches == []
    metadata = client.get(path)["metadata"]
    assert (metadata["annotations"], metadata["labels"]["theirs"]) == ({"theirs": "1"}, "1")


def test_what_is_not_sent_again_is_waited_for_all_the_same(kubeconfig: Path, client: kube_client.Client, namespace: str, patches: list[str]) -> None:
    params = {**in_set(namespace), "timeout": 2}
    text = yaml.safe_dump(deployment("main"))
    apply(kubeconfig, manifests=text, **params)
    with pytest.raises(DeadlineExceeded, match=f"Deployment {namespace}/main"):
        apply(kubeconfig, manifests=text, **{**params, "wait": True})
    done = {"status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}}
    client.request("PATCH", f"/apis/apps/v1/namespaces/{namespace}/deployments/main/status", done, content_type=MERGE)
    patches.clear()
    assert not apply(kubeconfig, manifests=text, **{**params, "wait": True, "timeout": 300}).changed
    assert patches == []


def test_secrets_are_not_recorded(kubeconfig: Path, namespace: str, patches: list[str]) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "stringData": {"token": "hunter2"}}
    apply(kubeconfig, objects=[secret], **in_set(namespace))
    patches.clear()
    assert not apply(kubeconfig, objects=[secret], **in_set(namespace)).changed
    assert [path.rpartition("/")[2] for path in patches] == ["token"]


def test_prune_deletes_what_is_not_wanted_any_more(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    objects = [config_map("stays"), config_map("goes", key="value"), deployment("goes-too")]
    apply(kubeconfig, objects=objects, **in_set(namespace, prune=True))
    client.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", config_map("not-ours"))
    assert not apply(kubeconfig, objects=objects[:1], **in_set(namespace)).changed, "without prune nothing goes"
    predicted = apply(kubeconfig, objects=objects[:1], check=True, **in_set(namespace, prune=True))
    assert actions(predicted) == {"stays": "unchanged", "goes": "pruned", "goes-too": "pruned"}
    assert not missing(client, f"/api/v1/namespaces/{namespace}/configmaps/goes")
    outcome = apply(kubeconfig, objects=objects[:1], **in_set(namespace, prune=True))
    assert outcome.changed
    assert actions(outcome) == actions(predicted)
    [shown] = [entry for entry in outcome.diff if entry["before_header"].endswith("/goes")]  # type: ignore[union-attr]
    assert "key: value" in shown["before"]
    assert shown["after"] == ""
    assert missing(client, f"/api/v1/namespaces/{namespace}/configmaps/goes")
    assert missing(client, f"/apis/apps/v1/namespaces/{namespace}/deployments/goes-too")
    assert not missing(client, f"/api/v1/namespaces/{namespace}/configmaps/not-ours")
    parent = client.get(f"/api/v1/namespaces/{namespace}/configmaps/the-set")["metadata"]
    assert parent["annotations"]["applyset.kubernetes.io/contains-group-kinds"] == "ConfigMap"
    assert not apply(kubeconfig, objects=objects[:1], **in_set(namespace, prune=True)).changed


def annotated(name: str, **annotations: str) -> dict[str, Any]:
    return {**config_map(name), "metadata": {"name": name, "annotations": {key.replace("__", "/"): value for key, value in annotations.items()}}}


def test_protected_members_are_kept_unless_they_are_named(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    gears = yaml.safe_load(yaml.safe_dump(WIDGETS).replace("widget", "gear").replace("Widget", "Gear"))
    marked = [
        {**config_map("ours"), "metadata": {"name": "ours", "annotations": {"trinode.dev/prune": "disabled"}}},
        {**config_map("helm"), "metadata": {"name": "helm", "annotations": {"helm.sh/resource-policy": "keep"}}},
        {**config_map("argo"), "metadata": {"name": "argo", "annotations": {"argocd.argoproj.io/sync-options": "ServerSideApply=true, Prune=false"}}},
    ]
    apply(kubeconfig, objects=[config_map("stays"), claim, gears, *marked], **in_set(namespace, prune=True))
    warnings: list[str] = []
    outcome = apply(kubeconfig, objects=[config_map("stays")], warnings=warnings, **in_set(namespace, prune=True))
    assert not outcome.changed
    assert actions(outcome) == {"stays": "unchanged", "data": "kept", "gears.example.org": "kept", "ours": "kept", "helm": "kept", "argo": "kept"}
    assert f"PersistentVolumeClaim {namespace}/data" in warnings[0]
    named = [f"PersistentVolumeClaim/{namespace}/data", "CustomResourceDefinition"]
    outcome = apply(kubeconfig, objects=[config_map("stays")], warnings=warnings, **in_set(namespace, prune=True, prune_protected=named))
    assert {name for name, action in actions(outcome).items() if action == "pruned"} == {"data", "gears.example.org"}
    assert not missing(client, f"/api/v1/namespaces/{namespace}/configmaps/helm")


def test_another_version_of_a_kind_is_the_same_object(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    sprockets = yaml.safe_load(yaml.safe_dump(WIDGETS).replace("widget", "sprocket").replace("Widget", "Sprocket"))
    second = copy.deepcopy(sprockets["spec"]["versions"][0])
    sprockets["spec"]["versions"].append({**second, "name": "v2", "storage": False})
    objects = [sprockets, {"apiVersion": "example.org/v1", "kind": "Sprocket", "metadata": {"name": "first"}, "spec": {"size": 3}}]
    apply(kubeconfig, objects=objects, **in_set(namespace, prune=True))
    objects[1] = {**objects[1], "apiVersion": "example.org/v2"}
    outcome = apply(kubeconfig, objects=objects, **in_set(namespace, prune=True))
    assert "pruned" not in actions(outcome).values()
    assert client.get(f"/apis/example.org/v2/namespaces/{namespace}/sprockets/first")["spec"] == {"size": 3}
    assert not apply(kubeconfig, objects=objects, **in_set(namespace, prune=True)).changed


def test_an_object_served_under_two_groups_is_not_pruned_when_it_moves(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    event = {"metadata": {"name": "one"}, "reason": "Tested", "type": "Normal", "reportingInstance": "x", "action": "Test"}
    about, when = {"kind": "ConfigMap", "namespace": namespace, "name": "x"}, "2026-01-01T00:00:00.000000Z"
    old = {"apiVersion": "v1", "kind": "Event", **event, "involvedObject": about, "eventTime": when, "reportingComponent": "x"}
    apply(kubeconfig, objects=[old], **in_set(namespace, prune=True))
    new = {"apiVersion": "events.k8s.io/v1", "kind": "Event", **event, "regarding": about, "eventTime": when, "reportingController": "x"}
    outcome = apply(kubeconfig, objects=[new], **in_set(namespace, prune=True, force_conflicts=True))
    assert [item["action"] for item in outcome.values["objects"]] in (["unchanged"], ["changed"])
    assert not missing(client, f"/api/v1/namespaces/{namespace}/events/one")


def test_nothing_is_pruned_when_something_is_refused(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    apply(kubeconfig, objects=[config_map("one"), config_map("two")], **in_set(namespace, prune=True))
    bad = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bad"}, "spec": {"ports": [{"port": 0}]}}
    with pytest.raises(PlatformError, match=r"Service .*/bad"):
        apply(kubeconfig, objects=[config_map("one"), bad], **in_set(namespace, prune=True))
    assert not missing(client, f"/api/v1/namespaces/{namespace}/configmaps/two")
    assert actions(apply(kubeconfig, objects=[config_map("one")], **in_set(namespace, prune=True))) == {"one": "unchanged", "two": "pruned"}


def test_members_of_another_set_are_refused(kubeconfig: Path, namespace: str) -> None:
    apply(kubeconfig, objects=[config_map("one")], **in_set(namespace))
    other = {**in_set(namespace), "apply_set": {"name": "other", "namespace": namespace}}
    with pytest.raises(PlatformError, match=r"ConfigMap .*/one: it is part of another ApplySet"):
        apply(kubeconfig, objects=[config_map("one")], **other)
    assert apply(kubeconfig, objects=[config_map("one")], force_conflicts=True, **other).changed
    assert actions(apply(kubeconfig, objects=[config_map("two")], **in_set(namespace, prune=True))) == {"two": "created"}


def test_a_config_map_of_somebody_else_is_no_parent(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    client.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", config_map("the-set"))
    with pytest.raises(RefusedError, match=r"the-set: the ConfigMap is not the parent of an ApplySet of ours"):
        apply(kubeconfig, objects=[config_map("one")], **in_set(namespace))


def test_a_set_in_a_namespace_that_it_makes_itself(kubeconfig: Path) -> None:
    objects = [config_map("one"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "made-by-its-set"}}]
    params = in_set("made-by-its-set")
    assert set(actions(apply(kubeconfig, check=True, objects=objects, **params)).values()) == {"created"}
    assert set(actions(apply(kubeconfig, objects=objects, **params)).values()) == {"created"}
    assert not apply(kubeconfig, objects=objects, **params).changed


def test_the_end_of_a_set(kubeconfig: Path, client: kube_client.Client, namespace: str) -> None:
    wanted = ApplySet("the-set", namespace)
    held = {**config_map("held"), "metadata": {"name": "held", "finalizers": ["example.org/held"]}}
    widget = {"apiVersion": "example.org/v1", "kind": "Widget", "metadata": {"name": "last"}, "spec": {"size": 1}}
    apply(kubeconfig, objects=[config_map("one"), held, WIDGETS, widget], **in_set(namespace))
    assert {result.action for result in removal.remove_set(client, Request(apply_set=wanted, dry_run=True), Deadline(300))} == {"pruned", "kept"}
    with pytest.raises(PlatformError, match=r"ConfigMap .*/held \(held by the finalizers example.org/held\)"):
        removal.remove_set(client, Request(apply_set=wanted), Deadline(2))
    client.request("PATCH", f"/api/v1/namespaces/{namespace}/configmaps/held", {"metadata": {"finalizers": None}}, content_type=MERGE)
    results = removal.remove_set(client, Request(apply_set=wanted, prune_protected=("CustomResourceDefinition",)), Deadline(300))
    assert [(result.key.kind, result.action) for result in results] == [("CustomResourceDefinition", "pruned")]
    assert missing(client, f"/api/v1/namespaces/{namespace}/configmaps/the-set")
    assert removal.remove_set(client, Request(apply_set=wanted), Deadline(300)) == []
