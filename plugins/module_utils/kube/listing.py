# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading objects: several kinds at once, in pages, without what nobody asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.diff import HIDDEN
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import name_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.targets import Target

_PAGE = 500
_PARALLEL = 8
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def read_all(client: Client, wanted: Sequence[tuple[Target, Resource]], deadline: Deadline) -> list[Json]:
    """The objects of all targets, in the order of the targets, and by namespace and name within one. An object that is not there is left out."""
    if not wanted:
        return []
    with ThreadPoolExecutor(max_workers=min(_PARALLEL, len(wanted))) as pool:
        pages = list(pool.map(lambda pair: read(client, pair[0], pair[1], deadline), wanted))
    return [item for page in pages for item in page]


def read(client: Client, target: Target, resource: Resource, deadline: Deadline) -> list[Json]:
    """The objects of one target."""
    target = target.placed(resource)
    collection = target.collection(resource)
    if target.name:
        try:
            path = resource.path(target.namespace, target.name)
            return [retried(partial(client.get, path, deadline=deadline), deadline, str(target))]
        except ApiError as error:
            if error.not_found:
                return []
            raise
    return sorted(_pages(client, collection.path, collection.params, resource, deadline), key=name_of)


def where_served(client: Client, path: str, deadline: Deadline, params: Mapping[str, str] | None = None) -> list[Json]:
    """The items of a collection; none where the cluster does not know the kind."""
    try:
        return retried(partial(client.list, path, params, deadline=deadline), deadline, path)[0]
    except ApiError as error:
        if error.not_found:
            return []
        raise


def _pages(client: Client, path: str, params: Mapping[str, str], resource: Resource, deadline: Deadline) -> list[Json]:
    found: list[Json] = []
    more = ""
    while True:
        query: dict[str, Any] = {**params, "limit": _PAGE, **({"continue": more} if more else {})}
        try:
            answer = retried(partial(client.get, path, query, deadline=deadline), deadline, path)
        except ApiError as error:
            if error.expired and more:
                # The pages took so long that the server has forgotten that version: all anew.
                found, more = [], ""
                continue
            raise
        found += [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in answer.get("items") or []]
        more = str((answer.get("metadata") or {}).get("continue") or "")
        if not more:
            return found


def shown(item: Json, *, secrets: bool) -> Json:
    """An object for a person: without managed fields, and with the values of a Secret hidden unless ``secrets``."""
    metadata = {name: value for name, value in (item.get("metadata") or {}).items() if name != "managedFields"}
    if item.get("kind") != "Secret" or secrets:
        return {**item, "metadata": metadata}
    annotations = metadata.get("annotations") or {}
    if _LAST_APPLIED in annotations:
        metadata["annotations"] = {**annotations, _LAST_APPLIED: HIDDEN}
    hidden = {field: dict.fromkeys(item[field], HIDDEN) for field in ("data", "stringData") if isinstance(item.get(field), dict)}
    return {**item, "metadata": metadata, **hidden}
