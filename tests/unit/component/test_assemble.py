# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.component import fields, hooks
from ansible_collections.trinode.platform.plugins.module_utils.component.assemble import Gateway, Source, assemble
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import read
from ansible_collections.trinode.platform.plugins.module_utils.component.scopes import Scopes
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object, key_of


def item(api_version: str, kind: str, name: str = "x", namespace: str = "", **content: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **({"namespace": namespace} if namespace else {})}, **content}


def hook(events: str, kind: str = "Job", name: str = "x", **annotations: str) -> Object:
    found = item("batch/v1", kind, name)
    found["metadata"]["annotations"] = {"helm.sh/hook": events, **{f"helm.sh/hook-{key.replace('_', '-')}": value for key, value in annotations.items()}}
    return found


DEFINITION = {"name": "probe", "title": "Probe", "namespace": "own", "charts": [{"pin": "p", "version": "1.0.0"}]}
CRD = item("apiextensions.k8s.io/v1", "CustomResourceDefinition", "things.x.org", spec={"group": "x.org", "scope": "Cluster", "names": {"kind": "Thing"}})


@pytest.mark.parametrize(
    ("wanted", "namespace"),
    [
        (item("v1", "ConfigMap"), "chart"),
        (item("v1", "ConfigMap", namespace="kept"), "kept"),
        (item("v1", "Namespace"), ""),
        (item("rbac.authorization.k8s.io/v1", "ClusterRole", namespace="wrong"), ""),
        (item("rbac.authorization.k8s.io/v1", "Role"), "chart"),
        (item("cert-manager.io/v1", "ClusterIssuer"), ""),
        (item("cert-manager.io/v1", "Certificate"), "chart"),
        (item("x.org/v1", "Thing"), ""),
        # Nobody knows: as written, and the cluster decides.
        (item("unknown.org/v1", "Thing"), ""),
        (item("unknown.org/v1", "Thing", namespace="kept"), "kept"),
    ],
)
def test_namespaces_of_objects(wanted: Object, namespace: str) -> None:
    objects = assemble(read(DEFINITION), [Source("chart p", "chart", [copy.deepcopy(wanted), CRD])], None)
    [placed] = [found for found in objects if found["kind"] == wanted["kind"] and found["metadata"]["name"] == "x"]
    assert placed["metadata"].get("namespace", "") == namespace


def test_the_tables_know_the_kinds_of_kubernetes() -> None:
    scopes = Scopes([])
    assert scopes.namespaced(item("networking.k8s.io/v1", "NetworkPolicy")) is True
    assert scopes.namespaced(item("storage.k8s.io/v1", "StorageClass")) is False
    assert scopes.namespaced(item("apiregistration.k8s.io/v1", "APIService")) is False
    assert scopes.namespaced(item("autoscaling/v2", "HorizontalPodAutoscaler")) is True


def test_a_namespace_of_the_chart_and_of_the_definition_are_one() -> None:
    definition = read({**DEFINITION, "namespaces": [{"name": "own", "labels": {"a": "ours"}}]})
    theirs = item("v1", "Namespace", "own")
    theirs["metadata"]["labels"] = {"a": "theirs", "b": "theirs"}
    [namespace] = assemble(definition, [Source("chart p", "own", [theirs])], None)
    assert namespace["metadata"] == {"name": "own", "labels": {"a": "ours", "b": "theirs"}}


def test_nulls_and_status_are_not_written() -> None:
    written = item("example.org/v1", "Cluster", "x", "n", spec={"a": None, "b": {"c": None}, "d": [None, {"e": None}]}, status={"x": 1})
    [found] = assemble(read(DEFINITION), [Source("chart p", "own", [written])], None)
    assert found == item("example.org/v1", "Cluster", "x", "n", spec={"b": {}, "d": [None, {}]})
    schema = {**CRD, "spec": {**CRD["spec"], "schema": {"default": None}}, "status": {}}
    [found] = assemble(read(DEFINITION), [Source("chart p", "own", [schema])], None)
    assert found["spec"]["schema"] == {"default": None}
    assert "status" not in found


def test_the_same_object_from_two_sources() -> None:
    sources = [Source("chart a", "own", [item("v1", "ConfigMap")]), Source("chart b", "own", [item("v1", "ConfigMap")])]
    with pytest.raises(InputError, match="component probe: ConfigMap own/x is in chart a and in chart b"):
        assemble(read(DEFINITION), sources, None)


def test_routes_need_a_gateway() -> None:
    definition = read({**DEFINITION, "routes": [{"name": "ui", "title": "UI", "service": "ui", "port": 8080}]})
    assert assemble(definition, [], None) == []
    [route] = assemble(definition, [], Gateway("platform", "istio-ingress", "example.org"))
    assert str(key_of(route)) == "HTTPRoute own/ui"
    assert route["spec"]["rules"][0]["backendRefs"][0]["port"] == 8080


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("a", {"webhooks": [{"b": 1, "c": {"d": 2}}, {"b": 3}]}),
        ("webhooks[*].b", {"a": 1, "webhooks": [{"c": {"d": 2}}, {}]}),
        ("webhooks[*].c.d", {"a": 1, "webhooks": [{"b": 1, "c": {}}, {"b": 3}]}),
        ("webhooks[*]", {"a": 1, "webhooks": []}),
        ("none.at.all", {"a": 1, "webhooks": [{"b": 1, "c": {"d": 2}}, {"b": 3}]}),
        ("a.b", {"a": 1, "webhooks": [{"b": 1, "c": {"d": 2}}, {"b": 3}]}),
    ],
)
def test_fields_are_taken_out(path: str, left: dict[str, Any]) -> None:
    content = {"a": 1, "webhooks": [{"b": 1, "c": {"d": 2}}, {"b": 3}]}
    fields.remove(content, path)
    assert content == left


def test_names_with_dots_in_paths() -> None:
    content = {"metadata": {"annotations": {"example.org/a": "1", "b": "2"}}}
    assert fields.remove(content, 'metadata.annotations["example.org/a"]') == 1
    assert content == {"metadata": {"annotations": {"b": "2"}}}


@pytest.mark.parametrize("path", ["", ".", "a..b", ".a", "a[0]", "a[", "a b"])
def test_what_is_no_path(path: str) -> None:
    assert not fields.valid(path)


@pytest.mark.parametrize(
    ("events", "is_hook", "is_test"),
    [
        ("", False, False),
        ("pre-install,pre-upgrade", True, False),
        ("test", True, True),
        ("test-success", True, True),
        ("crd-install", False, False),
        ("post-install, test", True, False),
    ],
)
def test_which_objects_are_hooks(events: str, is_hook: bool, is_test: bool) -> None:
    assert (hooks.is_hook(hook(events)), hooks.is_test(hook(events))) == (is_hook, is_test)


def test_order_of_hooks() -> None:
    objects = [
        hook("pre-install", name="b"),
        hook("pre-install", name="a"),
        hook("pre-install", kind="ServiceAccount", name="z"),
        hook("pre-install", name="first", weight="-10"),
        hook("pre-install", name="last", weight="10"),
        hook("post-install", name="other"),
    ]
    assert [found.key.name for found in hooks.at("pre-install", objects)] == ["first", "z", "a", "b", "last"]


def test_policies_of_hooks() -> None:
    assert hooks.hook_of(hook("pre-install")).delete == {"before-hook-creation"}
    assert hooks.hook_of(hook("pre-install", delete_policy="hook-succeeded, hook-failed")).delete == {"hook-succeeded", "hook-failed"}
    assert hooks.hook_of(hook("pre-install", weight="nonsense")).weight == 0
