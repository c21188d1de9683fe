from __future__ import annotations

from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.filter.gitops import gitops
from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import SYNC_WAVE, application_of
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import Repository, application

REPOSITORY = Repository("https://git.example.org/me/platform.git", "main", "home")
ABOUT: dict[str, Any] = {"cluster": "home", "url": REPOSITORY.url, "branch": "main", "path": "home"}
INVENTORY = [{"name": "cilium", "needs": []}, {"name": "istio", "needs": ["cilium"]}, {"name": "kiali", "needs": ["istio", "prometheus"]}]


def rendered(name: str, namespace: str, needs: list[str]) -> dict[str, Any]:
    definition = {"name": name, "namespace": namespace, "needs": needs, "namespaces": [{"name": namespace}]}
    return {"definition": definition, "application": application(application_of(name, namespace), REPOSITORY)}


ALL = [rendered("cilium", "kube-system", []), rendered("istio", "istio-system", ["cilium"]), rendered("kiali", "kiali", ["istio"])]


def test_each_component_is_a_file_and_stands_behind_what_it_needs() -> None:
    found = gitops(ALL, ready=["cilium", "istio", "kiali"], inventory=INVENTORY, **ABOUT)
    waves = {item["metadata"]["name"]: item["metadata"]["annotations"][SYNC_WAVE] for item in found["applications"]}
    assert waves == {"cilium": "0", "istio": "1", "kiali": "2"}
    by_target = {item["target"]: yaml.safe_load(item["content"]) for item in found["contents"]}
    assert by_target["apps/istio.yaml"] == found["applications"][1]
    assert sorted(by_target) == [
        "apps/cilium.yaml",
        "apps/istio.yaml",
        "apps/kiali.yaml",
        "clusters/home/application-platform.yaml",
        "clusters/home/applicationset-user.yaml",
        "clusters/home/appproject-platform.yaml",
        "clusters/home/appproject-user.yaml",
    ]
    assert by_target["clusters/home/application-platform.yaml"] == found["root"]


def test_the_user_has_no_place_in_the_platforms_namespaces() -> None:
    found = gitops(ALL, ready=[], inventory=INVENTORY, **ABOUT)
    user = next(item for item in found["others"] if item["kind"] == "AppProject" and item["metadata"]["name"] == "user")
    refused = {item["namespace"] for item in user["spec"]["destinations"] if item["namespace"].startswith("!")}
    assert refused >= {"!kube-system", "!istio-system", "!kiali", "!argocd"}


def test_a_run_of_some_components_leaves_the_files_of_the_cluster_alone() -> None:
    found = gitops(ALL[1:], ready=["istio", "kiali"], inventory=INVENTORY, **ABOUT)
    assert [item["target"] for item in found["contents"]] == ["apps/istio.yaml", "apps/kiali.yaml"]
    waves = {item["metadata"]["name"]: item["metadata"]["annotations"][SYNC_WAVE] for item in found["applications"]}
    assert waves == {"istio": "1", "kiali": "2"}, "as deep as with all of them"


def test_what_failed_is_not_handed_over() -> None:
    found = gitops(ALL, ready=["cilium", "kiali"], inventory=INVENTORY, **ABOUT)
    assert [item["metadata"]["name"] for item in found["applications"]] == ["cilium", "kiali"]
    assert "apps/istio.yaml" not in [item["target"] for item in found["contents"]]
