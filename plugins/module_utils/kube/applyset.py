# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ApplySets after KEP-3659: a parent that tells which kinds and namespaces its members have, and members that name it by a label."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube import record
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import CONNECTIONS, Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource, Resources
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import FIELD_MANAGER, ApplySet
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried

ID_LABEL = "applyset.kubernetes.io/id"
PART_OF_LABEL = "applyset.kubernetes.io/part-of"
TOOLING_ANNOTATION = "applyset.kubernetes.io/tooling"
KINDS_ANNOTATION = "applyset.kubernetes.io/contains-group-kinds"
NAMESPACES_ANNOTATION = "applyset.kubernetes.io/additional-namespaces"
TOOLING = "trinode/v1"
_RECORD = "record"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

GroupKind = tuple[str, str]
"""API group ("" for the core) and kind."""
Place = tuple[str, str, str, str]
"""An object whatever its version: API group, kind, namespace, name."""


@dataclass(frozen=True)
class Parent:
    """A set's parent as it is on the server. ``data`` is the caller's."""

    kinds: frozenset[GroupKind] = frozenset()
    namespaces: frozenset[str] = frozenset()
    record: record.Record = field(default_factory=record.Record)
    data: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def identity(applied: ApplySet) -> str:
    """The set's id, from the parent's name, namespace, kind and group as the KEP says."""
    name = f"{applied.name}.{applied.namespace}.ConfigMap."
    return f"applyset-{base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode().rstrip('=')}-v1"


def group_kind(api_version: str, kind: str) -> GroupKind:
    return api_version.rpartition("/")[0], kind


def place(key: Key) -> Place:
    return (*group_kind(key.api_version, key.kind), key.namespace, key.name)


def read(client: Client, applied: ApplySet, deadline: Deadline | None = None) -> Parent | None:
    """The parent, or None where it is not there. Raises RefusedError for a ConfigMap that belongs to something else."""
    limit = deadline or client.deadline
    try:
        found = retried(lambda: client.get(_path(applied), deadline=limit), limit, client.server)
    except ApiError as error:
        if error.not_found:
            return None
        raise
    metadata = found["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    tooling = str(annotations.get(TOOLING_ANNOTATION, ""))
    if labels.get(ID_LABEL) != identity(applied) or tooling.partition("/")[0] != TOOLING.partition("/")[0]:
        raise RefusedError(
            f"the ConfigMap is not the parent of an ApplySet of ours ({f'it is kept by {tooling}' if tooling else 'it lacks the label or the annotation'})",
            where=f"ConfigMap {applied.namespace}/{applied.name}",
            hint="Choose another name for the set, or remove the ConfigMap.",
        )
    return Parent(
        kinds=frozenset(_group_kind(item) for item in _items(annotations.get(KINDS_ANNOTATION))),
        namespaces=frozenset({applied.namespace, *_items(annotations.get(NAMESPACES_ANNOTATION))}),
        record=record.decode((found.get("binaryData") or {}).get(_RECORD, "")),
        data=found.get("data") or {},
        labels=labels,
    )


def announce(client: Client, applied: ApplySet, parent: Parent | None, deadline: Deadline, *, kinds: Iterable[GroupKind], namespaces: Iterable[str]) -> Parent:
    """Before members are touched: the parent names their kinds and namespaces besides those that it names already. Written only where it does not yet."""
    known = parent or Parent()
    wider = Parent(known.kinds | set(kinds), known.namespaces | set(namespaces), known.record, known.data, known.labels)
    if parent is None:
        body = {"metadata": {"name": applied.name, **_metadata(applied, wider)}}
        path = _path(ApplySet("", applied.namespace)).rstrip("/")
        try:
            retried(lambda: client.request("POST", path, body, params={"fieldManager": FIELD_MANAGER}, deadline=deadline), deadline, applied.name)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            # Made by somebody else in between, or by a request of ours whose answer was lost.
            return announce(client, applied, read(client, applied, deadline), deadline, kinds=kinds, namespaces=namespaces)
    elif wider != parent:
        _write(client, applied, {"metadata": _metadata(applied, wider)}, deadline)
    return wider


def finish(client: Client, applied: ApplySet, parent: Parent, final: Parent, deadline: Deadline) -> Parent:
    """Afterwards: exactly the kinds, namespaces, record and labels of ``final``, and its data besides what is there. Written only where it differs."""
    if final == parent:
        return parent
    body: dict[str, Any] = {"metadata": _metadata(applied, final), "binaryData": {_RECORD: record.encode(final.record)}}
    if final.data != parent.data:
        body["data"] = {**dict.fromkeys(parent.data), **final.data}
    _write(client, applied, body, deadline)
    return final


def remove(client: Client, applied: ApplySet, deadline: Deadline) -> None:
    """The parent goes; a missing one is fine."""
    try:
        retried(lambda: client.request("DELETE", _path(applied), deadline=deadline), deadline, applied.name)
    except ApiError as error:
        if not error.not_found:
            raise


def members(client: Client, applied: ApplySet, kinds: Iterable[GroupKind], resources: Resources, deadline: Deadline) -> dict[Place, Object]:
    """The metadata (with apiVersion and kind) of every object of these kinds that is labelled as part of the set. Kinds that are not served have none."""
    served: dict[GroupKind, Resource] = {}
    for resource in resources.values():
        served.setdefault(group_kind(resource.api_version, resource.kind), resource)
    wanted = [served[kind] for kind in sorted(set(kinds)) if kind in served]
    selector = {"labelSelector": f"{PART_OF_LABEL}={identity(applied)}"}

    def listed(resource: Resource) -> list[tuple[Resource, Object]]:
        def ask() -> Object:
            return client.request("GET", resource.path(), params=selector, accept=METADATA_LIST, deadline=deadline)

        try:
            answer = retried(ask, deadline, resource.plural)
        except ApiError as error:
            if error.not_found:
                return []
            raise
        return [(resource, item["metadata"]) for item in answer.get("items") or []]

    found: dict[Place, Object] = {}
    if wanted:
        with ThreadPoolExecutor(max_workers=min(CONNECTIONS, len(wanted))) as pool:
            for items in pool.map(listed, wanted):
                for resource, metadata in items:
                    key = Key(resource.api_version, resource.kind, metadata.get("namespace", ""), metadata["name"])
                    found[place(key)] = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
    return found


def _write(client: Client, applied: ApplySet, body: Mapping[str, Any], deadline: Deadline) -> None:
    def ask() -> Object:
        params = {"fieldManager": FIELD_MANAGER}
        return client.request("PATCH", _path(applied), body, content_type="application/merge-patch+json", params=params, deadline=deadline)

    retried(ask, deadline, applied.name)


def _metadata(applied: ApplySet, parent: Parent) -> dict[str, Any]:
    return {
        "labels": {**parent.labels, ID_LABEL: identity(applied)},
        "annotations": {
            TOOLING_ANNOTATION: TOOLING,
            KINDS_ANNOTATION: ",".join(sorted(f"{kind}.{group}" if group else kind for group, kind in parent.kinds)),
            NAMESPACES_ANNOTATION: ",".join(sorted(parent.namespaces - {applied.namespace})),
        },
    }


def _group_kind(text: str) -> GroupKind:
    kind, _dot, group = text.partition(".")
    return group, kind


def _items(text: object) -> list[str]:
    return [item for item in str(text or "").split(",") if item]


def _path(applied: ApplySet) -> str:
    return f"/api/v1/namespaces/{applied.namespace}/configmaps/{applied.name}"
