# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications, projects, the user's applications, and credentials."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.argocd import credentials, platform
from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import SYNC_OPTIONS, SYNC_WAVE, TRACKING, application_of
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import Repository, application, ignored, waves, without_automation
from ansible_collections.trinode.platform.plugins.module_utils.component import yaml_text
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube import manifests

REPOSITORY = Repository("https://git.example.com/home/platform.git", "main")
BELOW = Repository("https://git.example.com/home/platform.git", "main", "/clusters/lab/")


@pytest.mark.parametrize(
    ("repository", "parts", "expected"),
    [
        (REPOSITORY, (), "."),
        (REPOSITORY, ("components", "rook_ceph"), "components/rook_ceph"),
        (BELOW, (), "clusters/lab"),
        (BELOW, ("apps",), "clusters/lab/apps"),
    ],
)
def test_paths_in_the_repository(repository: Repository, parts: tuple[str, ...], expected: str) -> None:
    assert repository.inside(*parts) == expected


def test_the_application_of_a_component() -> None:
    found = application(application_of("rook_ceph", "rook-ceph"), BELOW, wave=3)
    metadata, spec = found["metadata"], found["spec"]
    assert (metadata["name"], metadata["namespace"]) == ("rook-ceph", "argocd")
    assert metadata["annotations"][SYNC_WAVE] == "3"
    assert metadata["annotations"][TRACKING] == "platform:argoproj.io/Application:argocd/rook-ceph"
    assert "finalizers" not in metadata  # deleting it leaves what it delivered
    assert spec["source"]["path"] == "clusters/lab/components/rook_ceph"
    assert spec["destination"] == {"server": "https://kubernetes.default.svc", "namespace": "rook-ceph"}
    assert spec["syncPolicy"]["automated"] == {"prune": True, "selfHeal": True}
    assert {"ServerSideApply=true", "RespectIgnoreDifferences=true", "ApplyOutOfSyncOnly=true"} <= set(spec["syncPolicy"]["syncOptions"])
    assert "ignoreDifferences" not in spec


def test_without_automation_nothing_else_differs() -> None:
    wanted = application(application_of("cilium", "kube-system"), REPOSITORY)
    waiting = without_automation(wanted)
    assert "automated" not in waiting["spec"]["syncPolicy"]
    assert "automated" in wanted["spec"]["syncPolicy"]
    waiting["spec"]["syncPolicy"]["automated"] = wanted["spec"]["syncPolicy"]["automated"]
    assert waiting == wanted


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({}, {}),
        ({"a": []}, {"a": 0}),
        ({"a": [], "b": ["a"], "c": ["b", "a"], "d": ["a"]}, {"a": 0, "b": 1, "c": 2, "d": 1}),
        ({"b": ["elsewhere"]}, {"b": 0}),
    ],
)
def test_waves_are_depths(needs: dict[str, list[str]], expected: dict[str, int]) -> None:
    assert waves(needs) == expected


def test_a_circle_has_an_end() -> None:
    assert set(waves({"a": ["b"], "b": ["a"]})) == {"a", "b"}


def _deployment(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "n"}, "spec": spec}


_SCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "h", "namespace": "n"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "d"}},
}


def _webhook(authority: str | None) -> dict[str, Any]:
    client = {} if authority is None else {"caBundle": authority}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "w"},
        "webhooks": [{"name": "x", "clientConfig": client}],
    }


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([_deployment(replicas=2)], []),
        ([_deployment(replicas=2), _SCALER], ["Deployment"]),
        ([_deployment(), _SCALER], []),
        ([_webhook(None)], []),
        ([_webhook("LS0tLS1CRUdJTg==")], []),
        ([_webhook("Cg==")], ["ValidatingWebhookConfiguration"]),
        ([_webhook("")], ["ValidatingWebhookConfiguration"]),
    ],
)
def test_only_what_others_write_too_is_ignored(objects: list[dict[str, Any]], expected: list[str]) -> None:
    assert [rule["kind"] for rule in ignored(objects)] == expected


def test_the_root_takes_the_applications_and_what_is_this_cluster_s() -> None:
    found = platform.root(BELOW, "lab")
    assert found["spec"]["source"]["path"] == "clusters/lab"
    assert found["spec"]["source"]["directory"] == {"recurse": True, "include": "{apps/*.yaml,clusters/lab/*.yaml}"}
    assert found["metadata"]["annotations"][SYNC_OPTIONS] == "Prune=false,Delete=false"
    # What comes and goes while Argo CD works is no difference: the root would sync itself again and again.
    (passing,) = found["spec"]["ignoreDifferences"]
    assert (passing["kind"], passing["jsonPointers"]) == ("Application", ["/operation", "/metadata/annotations/argocd.argoproj.io~1refresh"])


def test_the_user_s_project_keeps_away_from_the_platform() -> None:
    rights = platform.UserRights(["https://git.example.com/apps.git"], ["rook-ceph", "kube-system"], ["storage.k8s.io/StorageClass", "Node"])
    ours, user = platform.projects(REPOSITORY, rights)
    assert (ours["metadata"]["name"], user["metadata"]["name"]) == ("platform", "user")
    assert user["spec"]["sourceRepos"] == [REPOSITORY.url, "https://git.example.com/apps.git"]
    denied = [item["namespace"] for item in user["spec"]["destinations"] if item["namespace"].startswith("!")]
    assert denied == ["!argocd", "!kube-node-lease", "!kube-public", "!kube-system", "!rook-ceph"]
    assert user["spec"]["clusterResourceWhitelist"] == [
        {"group": "", "kind": "Namespace"},
        {"group": "storage.k8s.io", "kind": "StorageClass"},
        {"group": "", "kind": "Node"},
    ]
    assert ours["spec"]["destinations"] == [{"server": "https://kubernetes.default.svc", "namespace": "*"}]


def test_each_directory_of_the_user_s_is_an_application() -> None:
    found = platform.application_set(BELOW)
    spec = found["spec"]
    assert spec["generators"][0]["git"]["directories"] == [{"path": "clusters/lab/user/*"}]
    assert spec["template"]["spec"]["project"] == "user"
    assert "CreateNamespace=true" in spec["template"]["spec"]["syncPolicy"]["syncOptions"]


def test_all_objects_are_text_that_reads_back() -> None:
    objects = [*platform.cluster_objects(REPOSITORY, "lab", platform.UserRights()), application(application_of("a", "b"), REPOSITORY)]
    for item in objects:
        assert manifests.parse(yaml_text.text(item)) == [json.loads(json.dumps(item))]


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("https://x/y.git", {}, {"type": "git", "url": "https://x/y.git"}),
        ("https://x/y.git", {"token": "t", "username": "u"}, {"type": "git", "url": "https://x/y.git", "username": "u", "password": "t"}),
        ("git@x:y.git", {"ssh_key": "k"}, {"type": "git", "url": "git@x:y.git", "sshPrivateKey": "k\n"}),
        ("ssh://git@x/y.git", {"ssh_key": "k\n", "token": "t"}, {"type": "git", "url": "ssh://git@x/y.git", "sshPrivateKey": "k\n"}),
    ],
)
def test_credentials(url: str, options: dict[str, str], expected: dict[str, str]) -> None:
    found = credentials.repository_secret(url, **options)
    assert found["stringData"] == expected
    assert found["metadata"]["labels"] == {"argocd.argoproj.io/secret-type": "repository"}


def test_ssh_without_a_key() -> None:
    with pytest.raises(InputError, match="private key"):
        credentials.repository_secret("git@x:y.git")


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("https://x:8443/y.git", {"ca": "C"}, {"configs": {"tls": {"certificates": {"x": "C\n"}}}}),
        ("https://x/y.git", {"known_hosts": "x k"}, {}),
        ("git@x:y.git", {"known_hosts": "x k", "ca": "C"}, {"configs": {"ssh": {"extraHosts": "x k\n"}}}),
    ],
)
def test_whom_to_trust(url: str, options: dict[str, str], expected: dict[str, Any]) -> None:
    assert credentials.trust_values(url, **options) == expected
