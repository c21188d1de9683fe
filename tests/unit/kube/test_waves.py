# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each object of an apply has to wait for."""

from __future__ import annotations

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.waves import Step, defined_kinds, plan, wanted

_CRD, _HOOKS = "apiextensions.k8s.io/v1", "admissionregistration.k8s.io/v1"
RESOURCES = {("v1", kind): Resource("v1", kind, f"{kind.lower()}s", True) for kind in ("ConfigMap", "Secret", "ServiceAccount", "Service")}
RESOURCES |= {
    ("v1", "Namespace"): Resource("v1", "Namespace", "namespaces", False),
    ("apps/v1", "Deployment"): Resource("apps/v1", "Deployment", "deployments", True),
    (_CRD, "CustomResourceDefinition"): Resource(_CRD, "CustomResourceDefinition", "customresourcedefinitions", False),
    (_HOOKS, "ValidatingWebhookConfiguration"): Resource(_HOOKS, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", False),
    ("old.example.org/v1", "Old"): Resource("old.example.org/v1", "Old", "olds", True),
}


def thing(api_version: str, kind: str, name: str = "x", namespace: str = "", **content: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **({"namespace": namespace} if namespace else {})}, **content}


def definition(kind: str, *versions: str, unserved: str = "") -> dict[str, Any]:
    rows = [{"name": version, "served": version != unserved} for version in versions]
    spec = {"group": "new.example.org", "scope": "Namespaced", "names": {"kind": kind}, "versions": rows}
    return thing(_CRD, "CustomResourceDefinition", f"{kind.lower()}s.new.example.org", spec=spec)


def hook(name: str, *groups: str) -> dict[str, Any]:
    return thing(_HOOKS, "ValidatingWebhookConfiguration", name, webhooks=[{"rules": [{"apiGroups": list(groups)}]}])


def steps(*items: dict[str, Any]) -> dict[str, Step]:
    return {f"{step.wanted.key.kind}/{step.wanted.key.name}": step for step in plan([wanted(item) for item in items], RESOURCES, defined_kinds(items))}


def test_what_others_refer_to_goes_first_and_webhooks_last() -> None:
    kinds = ["Deployment", "ServiceAccount", "Service", "Secret", "Namespace"]
    items = [hook("h", ""), *(thing("apps/v1" if kind == "Deployment" else "v1", kind) for kind in kinds), definition("New", "v1")]
    expected = ["Namespace", "CustomResourceDefinition", "ServiceAccount", "Secret", "Service", "Deployment", "ValidatingWebhookConfiguration"]
    assert [name.partition("/")[0] for name in steps(*items)] == expected


def test_definitions_that_something_waits_for_go_before_others() -> None:
    planned = steps(definition("Idle", "v1"), definition("New", "v1"), thing("new.example.org/v1", "New"))
    assert list(planned)[:2] == ["CustomResourceDefinition/news.new.example.org", "CustomResourceDefinition/idles.new.example.org"]


def test_only_objects_of_a_namespace_in_the_call_wait_for_it() -> None:
    planned = steps(thing("v1", "Namespace", "ours"), thing("v1", "ConfigMap", "a", "ours"), thing("v1", "ConfigMap", "b", "theirs"))
    assert planned["ConfigMap/a"].after == {("namespace", "ours")}
    assert planned["ConfigMap/b"].after == set()
    assert ("namespace", "ours") in planned["Namespace/ours"].gives


def test_only_custom_resources_wait_for_their_kind() -> None:
    planned = steps(definition("New", "v1"), thing("new.example.org/v1", "New"), thing("old.example.org/v1", "Old"), thing("v1", "ConfigMap"))
    assert planned["New/x"].after == {("kind", "new.example.org/v1", "New")}
    assert planned["Old/x"].after == {("kind", "old.example.org/v1", "Old")}
    assert planned["ConfigMap/x"].after == set()
    assert planned["CustomResourceDefinition/news.new.example.org"].after == set()


def test_webhooks_go_after_what_is_built_in_and_before_what_they_guard() -> None:
    planned = steps(
        hook("h", "new.example.org"), definition("New", "v1"), thing("new.example.org/v1", "New"), thing("old.example.org/v1", "Old"), thing("v1", "ConfigMap")
    )
    assert planned["ValidatingWebhookConfiguration/h"].after == {("built-in",)}
    assert ("built-in",) in planned["ConfigMap/x"].gives
    assert ("webhook", "h") in planned["New/x"].after
    assert ("webhook", "h") not in planned["Old/x"].after


def test_kinds_that_a_definition_brings() -> None:
    items = [definition("New", "v1", "v2", "v3", unserved="v2")]
    assert defined_kinds(items) == {("new.example.org/v1", "New"): True, ("new.example.org/v3", "New"): True}
