# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields that we have applied become Argo CD's, so that it can take them out of an object again when Git has them no more.

A server removes a field when its last owner applies without it. Argo CD finds nothing to apply when it takes over, and so would never become an owner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import applyset
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.applyset import Place
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resources
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import FIELD_MANAGER, ApplySet
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried

ARGO_CD = "argocd-controller"
"""The field manager that Argo CD applies with."""

_AT_ONCE = 16
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_LOST_RACES = 10
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Transfer:
    """One object whose fields change hands. ``metadata`` is the object's as it was read."""

    key: Key
    metadata: Mapping[str, Any]


def moved(entries: Sequence[Entry]) -> list[Object] | None:
    """An object's managedFields with our fields among Argo CD's; None where there is nothing of ours. Other managers' entries stay as they are."""
    ours = [entry for entry in entries if _applied_by(entry, FIELD_MANAGER)]
    if not ours:
        return None
    theirs = next((entry for entry in entries if _applied_by(entry, ARGO_CD)), None)
    merged: Object = {**(theirs or ours[0]), "manager": ARGO_CD}
    merged["fieldsV1"] = union(*(entry.get("fieldsV1") or {} for entry in ours), merged.get("fieldsV1") or {})
    rest = [dict(entry) for entry in entries if not _applied_by(entry, FIELD_MANAGER) and entry is not theirs]
    return [merged, *rest]


def union(*trees: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of the trees (FieldsV1). A leaf owns what it names; a branch does so only where it says so by a dot."""
    found: dict[str, Any] = {}
    for tree in trees:
        for name, below in tree.items():
            if name not in found:
                found[name] = union(below)
                continue
            leaf = name != "." and (not found[name] or not below) and bool(found[name] or below)
            found[name] = union(found[name], below, {".": {}} if leaf else {})
    return found


def plan(members: Mapping[Place, Object], managed: Iterable[Place]) -> list[Transfer]:
    """The objects among ``members`` (as applyset.members lists them) that Argo CD manages and that have fields of ours."""
    wanted = set(managed)
    return [
        Transfer(key_of(item), item["metadata"])
        for where, item in sorted(members.items())
        if where in wanted and moved(item["metadata"].get("managedFields") or []) is not None
    ]


def find(client: Client, apply_set: ApplySet, managed: Iterable[Place], resources: Resources, deadline: Deadline) -> list[Transfer]:
    """What there is to transfer of a set of ours; only metadata is read."""
    parent = applyset.read(client, apply_set, deadline)
    if parent is None:
        return []
    return plan(applyset.members(client, apply_set, parent.kinds, resources, deadline), managed)


def execute(client: Client, transfers: Sequence[Transfer], resources: Resources, deadline: Deadline) -> None:
    """Change the owners, many objects at once. An object that somebody else changes meanwhile is read again. Raises PlatformError that names all failures."""
    if not transfers:
        return
    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(transfers))) as pool:
        errors = [error for error in pool.map(lambda item: _one(client, item, resources, deadline), transfers) if error]
    if errors:
        raise PlatformError(
            f"fields could not be handed over: {'; '.join(errors[:5])}" + (f"; and {len(errors) - 5} more" if len(errors) > 5 else ""),
            where=client.server,
            hint="Run it again: what is done is done.",
        )


def _one(client: Client, item: Transfer, resources: Resources, deadline: Deadline) -> str:
    """The reason why it failed; "" when it is done, or there is nothing to do any more."""
    path = resources[item.key.api_version, item.key.kind].path(item.key.namespace, item.key.name)
    metadata = item.metadata
    try:
        for _try in range(_LOST_RACES):
            entries = moved(metadata.get("managedFields") or [])
            if entries is None or _patched(client, path, str(metadata["resourceVersion"]), entries, deadline):
                return ""
            metadata = retried(lambda: client.request("GET", path, accept=_METADATA, deadline=deadline), deadline, str(item.key))["metadata"]
    except ApiError as error:
        # It was deleted meanwhile, and with it its fields.
        return "" if error.not_found else f"{item.key}: {error.what}"
    except PlatformError as error:
        return f"{item.key}: {error.what}"
    return f"{item.key}: somebody else changes it all the time"


def _patched(client: Client, path: str, version: str, entries: Sequence[Object], deadline: Deadline) -> bool:
    """Write the entries to the object, unless it is another one than was read."""
    # A version that is given is one that the server compares: it answers with a conflict instead of trying again by itself.
    patch = [{"op": "replace", "path": "/metadata/resourceVersion", "value": version}, {"op": "replace", "path": "/metadata/managedFields", "value": entries}]

    def ask() -> bool:
        try:
            client.request(
                "PATCH",
                path,
                patch,
                content_type="application/json-patch+json",
                params={"fieldManager": FIELD_MANAGER},
                deadline=deadline,
                accept=_METADATA,
            )
        except ApiError as error:
            if error.code == 409:
                return False
            raise
        return True

    return retried(ask, deadline, path)


def managed_by(resources: Iterable[Mapping[str, Any]]) -> list[Place]:
    """The objects in an Application's status.resources."""
    return [(str(item.get("group") or ""), str(item["kind"]), str(item.get("namespace") or ""), str(item["name"])) for item in resources]


def _applied_by(entry: Entry, manager: str) -> bool:
    return bool(entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"))
