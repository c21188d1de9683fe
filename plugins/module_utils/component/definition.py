# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component as its role describes it: read, and all its mistakes found at once. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component import fields
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.helm.cache import exact_version
from ansible_collections.trinode.platform.plugins.module_utils.kube import manifests

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class ChartUse:
    """A chart, or a file of manifests, that the component consists of. ``pin`` names where it comes from; ``values`` are empty for a file."""

    pin: str
    release: str
    version: str
    namespace: str
    values: Mapping[str, Any] = field(default_factory=dict)
    api_versions: tuple[str, ...] = ()


@dataclass(frozen=True)
class GeneratedSecret:
    """A Secret that is made in the cluster once. ``values`` are given, ``generate`` are made up: key to number of characters."""

    name: str
    namespace: str
    values: Mapping[str, str]
    generate: Mapping[str, int]


@dataclass(frozen=True)
class RuntimeFields:
    """Fields of an object that a controller writes: taken out of what is rendered. ``fields`` are paths, see ``fields.remove``."""

    kind: str
    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Leftovers:
    """Objects that the component's programs make at run time, removed with it. ``namespace`` is empty for cluster-scoped kinds."""

    api_version: str
    kind: str
    names: tuple[str, ...]
    namespace: str = ""


@dataclass(frozen=True)
class Route:
    """A user interface behind the gateway. ``password`` is a command that shows the first password."""

    name: str
    title: str
    service: str
    port: int
    namespace: str
    password: str = ""


@dataclass(frozen=True)
class Definition:
    """See docs/components/README.md for what a role writes."""

    name: str
    title: str
    namespace: str
    namespaces: tuple[manifests.Object, ...]
    needs: tuple[str, ...]
    uses: tuple[str, ...]
    charts: tuple[ChartUse, ...]
    resources: tuple[manifests.Object, ...]
    generated_secrets: tuple[GeneratedSecret, ...]
    runtime_fields: tuple[RuntimeFields, ...]
    leftovers: tuple[Leftovers, ...]
    routes: tuple[Route, ...]
    data: bool
    timeout: int
    sealed: bool = False
    """Its generated Secrets are among the files, sealed."""

    @property
    def versions(self) -> dict[str, str]:
        """The version of each pin that it uses."""
        return {chart.pin: chart.version for chart in self.charts}


def read(value: Mapping[str, Any]) -> Definition:
    """The definition in a role's dictionary. Raises InputError with every mistake in it."""
    definition, problems = examine(value)
    if definition is None or problems:
        raise mistakes(str(value.get("name") or "component"), problems)
    return definition


def mistakes(name: str, problems: Sequence[str]) -> InputError:
    """One error for all that is wrong with a component's definition."""
    some = f"{len(problems)} mistakes: " if len(problems) > 1 else ""
    return InputError(some + "; ".join(problems), where=f"definition of {name}", hint="docs/components/README.md describes what a definition holds.")


def examine(value: Mapping[str, Any]) -> tuple[Definition | None, list[str]]:
    """The definition, and what is wrong with it. Without a definition there is at least one mistake."""
    reader = _Reader()
    top = reader.mapping(value, "", _DEFINITION)
    namespace = top["namespace"] or ""
    reader.check_label(namespace, "namespace")
    if top["name"] and not _NAME.fullmatch(top["name"]):
        reader.problems.append(f"name: {top['name']!r} is no name of a role")
    charts = tuple(reader.charts(top["charts"], namespace))
    parsed = Definition(
        name=top["name"] or "component",
        title=top["title"] or "",
        namespace=namespace,
        namespaces=tuple(reader.namespaces(top["namespaces"])),
        needs=reader.texts(top["needs"], "needs"),
        uses=reader.texts(top["uses"], "uses"),
        charts=charts,
        resources=tuple(reader.resources(top["resources"])),
        generated_secrets=tuple(reader.secrets(top["generated_secrets"], namespace)),
        runtime_fields=tuple(reader.runtime_fields(top["runtime_fields"])),
        leftovers=tuple(reader.leftovers(top["leftovers"])),
        routes=tuple(reader.routes(top["routes"], namespace)),
        data=top["data"],
        timeout=top["timeout"],
        sealed=top["sealed"],
    )
    if not charts and not parsed.resources and not reader.problems:
        reader.problems.append("charts, resources: there is nothing to install")
    return (None if reader.problems else parsed), reader.problems


_REQUIRED = object()

# Of each mapping: key to type and default. None as a default means that another value takes its place.
_Table = Mapping[str, tuple[type | tuple[type, ...], Any]]  # pylint: disable=unsupported-binary-operation
_DEFINITION: _Table = {
    "name": (str, _REQUIRED),
    "title": (str, _REQUIRED),
    "namespace": (str, _REQUIRED),
    "namespaces": (list, []),
    "needs": (list, []),
    "uses": (list, []),
    "charts": (list, []),
    "resources": ((str, list), ""),
    "generated_secrets": (list, []),
    "runtime_fields": (list, []),
    "leftovers": (list, []),
    "routes": (list, []),
    "data": (bool, False),
    "timeout": (int, 600),
    # Set by component_render.
    "sealed": (bool, False),
}
_CHART: _Table = {
    "pin": (str, _REQUIRED),
    "release": (str, ""),
    "version": (str, _REQUIRED),
    "namespace": (str, ""),
    "values": (dict, {}),
    "api_versions": (list, []),
}
_NAMESPACE: _Table = {"name": (str, _REQUIRED), "labels": (dict, {}), "annotations": (dict, {})}
_SECRET: _Table = {"name": (str, _REQUIRED), "namespace": (str, ""), "values": (dict, {}), "generate": (dict, {})}
_RUNTIME: _Table = {"kind": (str, _REQUIRED), "name": (str, _REQUIRED), "fields": (list, _REQUIRED)}
_LEFTOVERS: _Table = {"api_version": (str, _REQUIRED), "kind": (str, _REQUIRED), "namespace": (str, ""), "names": (list, _REQUIRED)}
_ROUTE: _Table = {
    "name": (str, _REQUIRED),
    "title": (str, _REQUIRED),
    "service": (str, _REQUIRED),
    "port": (int, _REQUIRED),
    "namespace": (str, ""),
    "password": (str, ""),
}
_WORDS = {str: "a text", list: "a list", dict: "a dictionary", bool: "true or false", int: "a whole number"}


class _Reader:
    """Collects what is wrong while it reads. A wrong value is replaced by its type's empty one, so that reading goes on."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def mapping(self, value: Any, place: str, table: _Table) -> dict[str, Any]:
        """The table's keys, each with a value of its type."""
        prefix = f"{place}." if place else ""
        if not isinstance(value, Mapping):
            self.problems.append(f"{place}: not a dictionary")
            value = {}
        for key in value:
            if key not in table:
                alike = difflib.get_close_matches(str(key), table, n=1)
                self.problems.append(f"{prefix}{key}: there is no such key" + (f", did you mean {alike[0]}?" if alike else ""))
        return {key: self._value(value, key, kind, default, prefix) for key, (kind, default) in table.items()}

    def _value(self, value: Mapping[str, Any], key: str, kind: type | tuple[type, ...], default: Any, prefix: str) -> Any:
        kinds = kind if isinstance(kind, tuple) else (kind,)
        found = value.get(key)
        if found is None or (found == "" and default is _REQUIRED):
            if default is _REQUIRED:
                self.problems.append(f"{prefix}{key}: is missing")
                return kinds[0]()
            return default
        if kinds == (int,) and isinstance(found, str) and found.isdecimal():
            return int(found)  # given as -e name=40
        if not isinstance(found, kinds) or (isinstance(found, bool) and bool not in kinds):
            self.problems.append(f"{prefix}{key}: {found!r} is not {' or '.join(_WORDS[item] for item in kinds)}")
            return kinds[0]()
        return found

    def check_label(self, value: str, place: str) -> None:
        if value and not _LABEL.fullmatch(value):
            self.problems.append(f"{place}: {value!r} is no name that Kubernetes takes (lower-case letters, digits, dashes; at most 63)")

    def texts(self, values: Any, place: str) -> tuple[str, ...]:
        wrong = [item for item in values if not isinstance(item, str) or not item]
        if wrong:
            self.problems.append(f"{place}: {wrong[0]!r} is not a name")
        return tuple(item for item in values if item not in wrong)

    def charts(self, values: Sequence[Any], namespace: str) -> Iterator[ChartUse]:
        seen: set[tuple[str, str]] = set()
        for number, item in enumerate(values):
            place = f"charts[{number}]"
            found = self.mapping(item, place, _CHART)
            use = ChartUse(
                pin=found["pin"],
                release=found["release"] or found["pin"],
                version=found["version"],
                namespace=found["namespace"] or namespace,
                values=found["values"],
                api_versions=self.texts(found["api_versions"], f"{place}.api_versions"),
            )
            self.check_label(use.namespace, f"{place}.namespace")
            self.check_label(use.release, f"{place}.release")
            if use.version and not exact_version(use.version):
                self.problems.append(f"{place}.version: {use.version!r} is not an exact version")
            if (use.release, use.namespace) in seen:
                self.problems.append(f"{place}.release: {use.release!r} is there twice")
            seen.add((use.release, use.namespace))
            yield use

    def namespaces(self, values: Sequence[Any]) -> Iterator[manifests.Object]:
        seen: set[str] = set()
        for number, item in enumerate(values):
            place = f"namespaces[{number}]"
            found = self.mapping(item, place, _NAMESPACE)
            self.check_label(found["name"], f"{place}.name")
            if found["name"] in seen:
                self.problems.append(f"{place}.name: {found['name']!r} is there twice")
            seen.add(found["name"])
            metadata = {"name": found["name"], **{key: found[key] for key in ("labels", "annotations") if found[key]}}
            yield {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}

    def resources(self, value: str | list[Any]) -> list[manifests.Object]:
        try:
            return manifests.parse(value, source="resources") if isinstance(value, str) else manifests.normalise(value, source="resources")
        except InputError as error:
            self.problems.append(f"{error.where}: {error.what}")
            return []

    def secrets(self, values: Sequence[Any], namespace: str) -> Iterator[GeneratedSecret]:
        for number, item in enumerate(values):
            place = f"generated_secrets[{number}]"
            found = self.mapping(item, place, _SECRET)
            for key, length in found["generate"].items():
                if not isinstance(length, int) or isinstance(length, bool) or not 8 <= length <= 1024:
                    self.problems.append(f"{place}.generate.{key}: {length!r} is not a number of characters from 8 to 1024")
            if not found["values"] and not found["generate"]:
                self.problems.append(f"{place}: it has neither values nor generate")
            given = {str(key): str(text) for key, text in found["values"].items()}
            yield GeneratedSecret(found["name"], found["namespace"] or namespace, given, found["generate"])

    def runtime_fields(self, values: Sequence[Any]) -> Iterator[RuntimeFields]:
        for number, item in enumerate(values):
            place = f"runtime_fields[{number}]"
            found = self.mapping(item, place, _RUNTIME)
            paths = self.texts(found["fields"], f"{place}.fields")
            self.problems += [f"{place}.fields: {path!r} is no path such as webhooks[*].clientConfig.caBundle" for path in paths if not fields.valid(path)]
            yield RuntimeFields(found["kind"], found["name"], paths)

    def leftovers(self, values: Sequence[Any]) -> Iterator[Leftovers]:
        for number, item in enumerate(values):
            found = self.mapping(item, f"leftovers[{number}]", _LEFTOVERS)
            yield Leftovers(found["api_version"], found["kind"], self.texts(found["names"], f"leftovers[{number}].names"), found["namespace"])

    def routes(self, values: Sequence[Any], namespace: str) -> Iterator[Route]:
        for number, item in enumerate(values):
            found = self.mapping(item, f"routes[{number}]", _ROUTE)
            self.check_label(found["name"], f"routes[{number}].name")
            yield Route(found["name"], found["title"], found["service"], found["port"], found["namespace"] or namespace, found["password"])
