# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""drift_report against a real kube-apiserver: components that were delivered and changed by hand, Applications as Argo CD leaves them, and its own words."""

from __future__ import annotations

import datetime as dt
import socket
import time
from pathlib import Path
from typing import Any

import argocd_processes
import pytest
import yaml
from component_cluster import eventually

from ansible_collections.trinode.platform.plugins.module_utils.argocd import platform
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import Repository
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import apply
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Request
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.module_utils.verify import look
from ansible_collections.trinode.platform.plugins.modules import component_deliver, drift_report

pytestmark = pytest.mark.newest_only

READABLE = {"edits": [], "head": ""}
_MERGE = "application/merge-patch+json"


def module(of: Any, params: dict[str, Any], *, check: bool = False) -> Outcome:
    filled = {name: option.get("default") for name, option in of.ARGUMENT_SPEC.items()}
    return of.run(Task({**filled, **params}, check_mode=check, diff_mode=False, warn=print))


def report(kubeconfig: Path, tree: Path, **params: Any) -> Outcome:
    given = {"kubeconfig": str(kubeconfig), "tree": str(tree), "git": READABLE, "timeout": 300, "argo_namespace": "no-argo", **params}
    outcome = module(drift_report, given)
    assert not outcome.changed
    return outcome


def problems(outcome: Outcome) -> list[tuple[str, str]]:
    return [(item["where"], item["problem"]) for item in outcome.values["findings"]]


def render(tree: Path, name: str, *objects: dict[str, Any]) -> None:
    directory = tree / name
    directory.mkdir(exist_ok=True)
    for item in objects:
        (directory / f"{item['kind'].lower()}-{item['metadata']['name']}.yaml").write_text(yaml.safe_dump(item))


def config_map(namespace: str, name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def deliver(kubeconfig: Path, tree: Path, name: str) -> None:
    resources = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}]
    definition = {"name": name, "title": name, "namespace": name, "resources": resources}
    module(component_deliver, {"kubeconfig": str(kubeconfig), "definition": definition, "path": str(tree / name), "timeout": 300})


def versions(client: kube_client.Client) -> dict[str, str]:
    items, _version = client.list("/api/v1/configmaps")
    return {f"{item['metadata']['namespace']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in items}


@pytest.fixture
def delivered(kubeconfig: Path, client: kube_client.Client, tmp_path: Path) -> Path:
    """A tree with one component, which is in the cluster."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "probe"}}
    render(tmp_path, "probe", namespace, *(config_map("probe", name, value="as rendered", other="1") for name in ("one", "two", "three")))
    deliver(kubeconfig, tmp_path, "probe")
    return tmp_path


def test_nothing_has_drifted_and_nothing_is_written(kubeconfig: Path, client: kube_client.Client, delivered: Path) -> None:
    before = versions(client)
    outcome = report(kubeconfig, delivered, components={"probe": "probe"})
    assert outcome.values == {"drifted": False, "findings": [], "lines": ["No drift.", "Compared: 1 components by their files."]}
    assert versions(client) == before


def test_changes_by_hand_are_found_and_left(kubeconfig: Path, client: kube_client.Client, delivered: Path) -> None:
    path = "/api/v1/namespaces/probe/configmaps"
    client.request("PATCH", f"{path}/one", {"data": {"value": "by hand"}}, content_type=_MERGE, params={"fieldManager": "kubectl-edit"})
    client.request("DELETE", f"{path}/two")
    before = versions(client)
    outcome = report(kubeconfig, delivered, components={"probe": "probe", "loki": "loki"})
    assert problems(outcome) == [
        ("loki", "It is in the inventory, and not installed"),
        ("probe", "ConfigMap probe/one differs in data.value"),
        ("probe", "ConfigMap probe/two is gone"),
    ]
    assert "by hand" not in str(outcome.values)
    assert versions(client) == before
    deliver(kubeconfig, delivered, "probe")
    assert not report(kubeconfig, delivered, components={"probe": "probe"}).values["drifted"]


def test_what_was_rendered_and_not_delivered_is_one_finding(kubeconfig: Path, delivered: Path) -> None:
    render(delivered, "probe", config_map("probe", "one", value="new"))
    outcome = report(kubeconfig, delivered, components={"probe": "probe"})
    assert problems(outcome) == [("probe", "It was rendered anew and not delivered, which would change 1 object")]


def test_files_that_are_not_here_are_no_pass(kubeconfig: Path, delivered: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    ((where, problem),) = problems(report(kubeconfig, tmp_path_factory.mktemp("elsewhere"), components={"probe": "probe"}))
    assert where == "probe"
    assert problem.startswith("Its objects were not compared: ")
    assert "there are no rendered files" in problem


def test_a_cluster_that_does_not_answer_is_no_pass(tmp_path: Path) -> None:
    ((where, problem),) = problems(report(tmp_path / "kubeconfig", tmp_path, components={"probe": "probe"}))
    assert where == "API server"
    assert problem.startswith("It cannot be asked: ")


def test_a_cluster_that_keeps_silent_is_given_up_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "_ANSWER_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        cluster = {"server": f"https://127.0.0.1:{listening.getsockname()[1]}", "insecure-skip-tls-verify": True}
        named = {"clusters": [{"name": "a", "cluster": cluster}], "users": [{"name": "a", "user": {"token": "x"}}]}
        contexts = {"contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}], "current-context": "a"}
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump({**named, **contexts}))
        started = time.monotonic()
        ((where, problem),) = problems(report(tmp_path / "kubeconfig", tmp_path, components={"probe": "probe"}))
    assert (where, problem.startswith("It cannot be asked: ")) == ("API server", True)
    assert time.monotonic() - started < 20


def test_a_component_that_argo_cd_delivers_is_as_it_says(kubeconfig: Path, client: kube_client.Client, delivered: Path) -> None:
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "applications.argoproj.io"},
        "spec": {
            "group": "argoproj.io",
            "names": {"kind": "Application", "plural": "applications"},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                }
            ],
        },
    }
    parent = "/api/v1/namespaces/kube-system/configmaps/trinode-component-probe"
    apply.apply(client, [definition, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argo-1"}}], Request(force=True), Deadline(300))
    client.request("PATCH", parent, {"data": {"delivery": "argo_cd"}}, content_type=_MERGE)
    try:
        # What is changed by hand is Argo CD's to say; here nobody does.
        client.request("PATCH", "/api/v1/namespaces/probe/configmaps/one", {"data": {"value": "by hand"}}, content_type=_MERGE)
        found = problems(report(kubeconfig, delivered, components={"probe": "probe"}, argo_namespace="argo-1"))
        assert found == [
            ("Argo CD", "It is not installed, and has Applications to deliver"),
            ("Application probe", "It is gone; what it delivered is still there"),
            ("Application platform", "It is gone; what it delivered is still there"),
        ]
        deployment(client, "argo-1", "argocd-application-controller", ready=1)
        for name in ("probe", "platform"):
            apply.apply(client, [application(name, "argo-1")], Request(wait=False, force=True), Deadline(300))
        outcome = report(kubeconfig, delivered, components={"probe": "probe"}, argo_namespace="argo-1")
        assert outcome.values["lines"] == ["No drift.", "Compared: 1 components by Argo CD."]
    finally:
        client.request("PATCH", parent, {"data": {"delivery": None}}, content_type=_MERGE)


def application(name: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"project": "platform", "source": {"path": f"components/{name}"}, "syncPolicy": {"automated": {"selfHeal": True}}},
        "status": {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}, "reconciledAt": dt.datetime.now(dt.UTC).isoformat()},
    }


def deployment(client: kube_client.Client, namespace: str, name: str, *, ready: int) -> None:
    labels = {"app.kubernetes.io/part-of": "argocd", "app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    item = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec}
    apply.apply(client, [item], Request(wait=False, force=True), Deadline(300))
    status = {"status": {"replicas": 1, "readyReplicas": ready, "availableReplicas": ready}}
    client.request("PATCH", f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}/status", status, content_type=_MERGE)


@pytest.mark.slow
@pytest.mark.skipif(bool(argocd_processes.missing()), reason=argocd_processes.missing() or "there is one")
def test_the_users_broken_manifests_in_the_words_of_the_real_argo_cd(kubeconfig: Path, tmp_path: Path) -> None:
    client = kube_client.connect(str(kubeconfig), deadline=Deadline(600))
    origin = argocd_processes.Origin(tmp_path / "origin.git")
    good = yaml.safe_dump(config_map("shop", "good", a="b"))
    refused = yaml.safe_dump({**config_map("shop", "refused"), "data": {"a": {"b": "c"}}})
    files = {"user/shop/good.yaml": good, "user/shop/broken.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [\n"}
    head = origin.commit({**files, "user/store/deep/refused.yaml": refused})
    repository = Repository(origin.url, "main")
    with argocd_processes.running(tmp_path, kubeconfig, client):
        apply.apply(client, platform.projects(repository, platform.UserRights()), Request(wait=False, force=True), Deadline(300))
        for name in ("shop", "store"):
            apply.apply(client, [users(repository, name)], Request(wait=False, force=True), Deadline(300))
            path = f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/user-{name}"
            eventually(lambda path=path: wrong(client.get(path)), 180)
        deployment(client, "argocd", "argocd-application-controller", ready=1)
        git = {"edits": [], "head": head}
        outcome = report(kubeconfig, tmp_path, argo_namespace="argocd", git=git, repository=str(origin.directory))
    found = {item["where"]: item for item in outcome.values["findings"] if item["where"].startswith("user/")}
    # A file that does not look like a manifest (apiVersion, kind, metadata) Argo CD leaves out without a word.
    assert set(found) == {"user/shop/broken.yaml", "user/store/deep/refused.yaml"}, outcome.values["findings"]
    broken, refusal = found["user/shop/broken.yaml"]["problem"], found["user/store/deep/refused.yaml"]["problem"]
    assert broken.startswith("user/shop (user-shop) does not become what Argo CD can apply: ComparisonError: ")
    assert 'Failed to unmarshal "broken.yaml"' in broken
    assert "rpc error" not in broken
    assert "user/store (user-store)" in refusal
    assert "refused" in refusal


def users(repository: Repository, name: str) -> dict[str, Any]:
    """As the ApplicationSet makes it of a directory."""
    template = platform.application_set(repository)["spec"]["template"]
    spec = {
        **template["spec"],
        "source": {**template["spec"]["source"], "path": f"user/{name}", "directory": {"recurse": True}},
        "destination": {**template["spec"]["destination"], "namespace": name},
    }
    spec["syncPolicy"] = {**spec["syncPolicy"], "retry": {"limit": 0}}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": f"user-{name}", "namespace": "argocd"}, "spec": spec}


def wrong(item: dict[str, Any]) -> bool:
    """Whether Argo CD has come to its last word: a file that it cannot read, or a sync that failed."""
    status = item.get("status") or {}
    conditions = [condition for condition in status.get("conditions") or [] if "unmarshal" in condition["message"]]
    return bool(conditions) or (status.get("operationState") or {}).get("phase") in ("Failed", "Error")
