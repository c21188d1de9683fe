# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects from YAML text: several documents, lists, and the corners of YAML 1.1 that real charts contain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.yaml_loader import Loader

Object = dict[str, Any]


@dataclass(frozen=True, order=True)
class Key:
    """What names an object: apiVersion, kind, namespace ("" for cluster-scoped ones) and name."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def key_of(item: Mapping[str, Any]) -> Key:
    metadata = item.get("metadata") or {}
    return Key(str(item.get("apiVersion", "")), str(item.get("kind", "")), str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))


def reference(key: Key) -> Object:
    """An object without its content: what names it, and no more."""
    metadata = {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
    return {"apiVersion": key.api_version, "kind": key.kind, "metadata": metadata}


def parse(text: str, *, source: str = "manifests", line: int = 0) -> list[Object]:
    """The objects in a YAML text of any number of documents; empty documents are skipped, kinds ending in List with items are taken apart.

    Raises InputError that names the document and line. ``line`` is the number of lines before the text in its source.
    """
    try:
        documents = list(yaml.load_all(text, Loader=Loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{source}, line {line + mark.line + 1}" if mark else source
        raise InputError(f"not valid YAML: {getattr(error, 'problem', None) or error}", where=where) from error
    return normalise(documents, source=f"{source}, line {line + 1}" if line else source)


def without_nulls(value: Any) -> Any:
    """The value without the keys of maps that hold nothing: real charts render them, and server-side apply refuses them. Items of lists stay."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def normalise(documents: Iterable[Any], *, source: str = "manifests") -> list[Object]:
    """Documents as objects: lists taken apart, each with apiVersion, kind and name; InputError where one is not an object of Kubernetes."""
    objects: list[Object] = []
    seen: set[Key] = set()
    for number, document in enumerate(documents, start=1):
        for item in _flatten(document):
            _require_object(item, f"{source}, document {number}")
            key = key_of(item)
            if key in seen:
                raise InputError(f"{key} is there twice", where=source, hint="Keep one of them: the last one would win silently.")
            seen.add(key)
            objects.append(item)
    return objects


def _flatten(document: Any) -> Iterable[Any]:
    if document is None or document == {}:
        return
    if isinstance(document, list):
        for item in document:
            yield from _flatten(item)
    elif isinstance(document, dict) and str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _flatten(item)
    else:
        yield document


def _require_object(item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise InputError(f"a document is {type(item).__name__}, not an object", where=where)
    missing = [field for field in ("apiVersion", "kind") if not isinstance(item.get(field), str) or not item[field]]
    metadata = item.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        missing.append("metadata.name (a string)")
    if missing:
        raise InputError(f"an object of kind {item.get('kind') or '?'} lacks {', '.join(missing)}", where=where)
