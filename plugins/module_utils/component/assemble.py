# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what charts render to, and what the definition adds, to the objects of a component. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component import fields, hooks
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import Definition, Route
from ansible_collections.trinode.platform.plugins.module_utils.component.scopes import Scopes
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of

_GATEWAY_API = "gateway.networking.k8s.io"


@dataclass(frozen=True)
class Gateway:
    """The gateway that user interfaces are reached through: a Gateway's name and namespace, and the domain that it has a certificate for."""

    name: str
    namespace: str
    domain: str


@dataclass(frozen=True)
class Source:
    """Objects from one place: a chart, a file of manifests, the role's own template. ``namespace`` is for those that name none."""

    name: str
    namespace: str
    objects: Sequence[Object]


def assemble(definition: Definition, rendered: Iterable[Source], gateway: Gateway | None) -> list[Object]:
    """All objects of a component, each once, each in its namespace as far as its kind is known; hooks among them, tests are not.

    Raises InputError when two sources have the same object.
    """
    sources = [Source(source.name, source.namespace, [_clean(item) for item in source.objects if not hooks.is_test(item)]) for source in rendered]
    sources.append(Source("resources", definition.namespace, [_clean(item) for item in definition.resources]))
    if gateway:
        sources.append(Source("routes", definition.namespace, [http_route(route, gateway) for route in definition.routes]))
    scopes = Scopes(item for source in sources for item in source.objects)
    found: dict[Key, tuple[str, Object]] = {}
    for source in sources:
        for item in source.objects:
            scopes.place(item, source.namespace)
            key = key_of(item)
            if key in found:
                raise InputError(
                    f"{key} is in {found[key][0]} and in {source.name}",
                    where=f"component {definition.name}",
                    hint="Switch it off in one, or name it differently.",
                )
            found[key] = (source.name, item)
    objects = _with_namespaces([item for _source, item in found.values()], definition.namespaces)
    for rule in definition.runtime_fields:
        for item in objects:
            if item["kind"] == rule.kind and item["metadata"]["name"] == rule.name:
                for path in rule.fields:
                    fields.remove(item, path)
    return objects


def http_route(route: Route, gateway: Gateway) -> Object:
    """The HTTPRoute from https://NAME.DOMAIN to a service. Complete, so that the server adds nothing to it."""
    return {
        "apiVersion": f"{_GATEWAY_API}/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": route.name, "namespace": route.namespace},
        "spec": {
            "hostnames": [f"{route.name}.{gateway.domain}"],
            "parentRefs": [{"group": _GATEWAY_API, "kind": "Gateway", "name": gateway.name, "namespace": gateway.namespace, "sectionName": "https"}],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [{"group": "", "kind": "Service", "name": route.service, "port": route.port, "weight": 1}],
                }
            ],
        },
    }


def reached(definition: Definition, gateway: Gateway | None) -> list[dict[str, str]]:
    """The user interfaces for the closing summary: title, url, password."""
    if gateway is None:
        return []
    return [{"title": route.title, "url": f"https://{route.name}.{gateway.domain}", "password": route.password} for route in definition.routes]


def _with_namespaces(objects: Sequence[Object], namespaces: Iterable[Object]) -> list[Object]:
    """The namespaces first; where a chart makes one of them too, labels and annotations of both."""
    wanted = {item["metadata"]["name"]: item for item in namespaces}
    rest = []
    for item in objects:
        ours = wanted.get(item["metadata"]["name"]) if item["kind"] == "Namespace" and item["apiVersion"] == "v1" else None
        if ours is None:
            rest.append(item)
        else:
            wanted[item["metadata"]["name"]] = _merged(item, ours)
    return [*wanted.values(), *rest]


def _merged(theirs: Object, ours: Object) -> Object:
    metadata = {**theirs["metadata"], **ours["metadata"]}
    for key in ("labels", "annotations"):
        both = {**(theirs["metadata"].get(key) or {}), **(ours["metadata"].get(key) or {})}
        if both:
            metadata[key] = both
    return {**theirs, "metadata": metadata}


def _clean(item: Object) -> Object:
    """Without status, which belongs to controllers, and without fields that are null: server-side apply refuses them where a schema has no null.

    In a definition's schema null is a value like others.
    """
    kept = {key: value for key, value in item.items() if key != "status"}
    if item["kind"] == "CustomResourceDefinition":
        return {**kept, "metadata": _without_nulls(kept["metadata"])}
    cleaned: Object = _without_nulls(kept)
    return cleaned


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list):
        return [_without_nulls(entry) for entry in value]
    return value
