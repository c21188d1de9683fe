# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server-side apply of many objects at once: what exists is read, what is wanted is sent, and the server says what changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import diff, wait
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import CONNECTIONS, Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource, Resources, discover
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

FIELD_MANAGER = "trinode"
_APPLY = "application/apply-patch+yaml"
_PARALLEL = 16

Action = Literal["created", "changed", "unchanged"]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Applied:
    """What happened to one object, or in check mode would. ``before`` is None for an object that was not there."""

    key: Key
    action: Action
    before: Object | None
    after: Object


@dataclass(frozen=True)
class Request:
    """How to apply. ``namespace`` is for namespaced objects that name none; ``force`` takes over fields that other managers own; ``wait`` until ready."""

    namespace: str = "default"
    force: bool = False
    dry_run: bool = False
    wait: bool = True


def apply(client: Client, objects: Sequence[Object], request: Request, deadline: Deadline) -> list[Applied]:
    """Apply all objects: namespaces and custom resource definitions first, then everything else at once. Returns one entry per object, in the order given.

    Every object is tried even when others fail. Raises InputError for a kind that is neither served nor defined by one of the objects (before anything is
    sent), and PlatformError with all refusals in one message.
    """
    resources = _retried(lambda: discover(client), deadline, client.server)
    defined = _defined_kinds(objects)
    _require_kinds(objects, resources, defined, request.dry_run)
    first, rest = _waves([placed(item, resources, defined, request.namespace) for item in objects])
    results = _wave(client, first, resources, request, deadline)
    definitions = [item for item in first if item["kind"] == "CustomResourceDefinition"]
    if definitions and not request.dry_run:
        wait.until_ready(client, definitions, resources, deadline)
        resources = _await_served(client, defined, deadline)
    results |= _wave(client, rest, resources, request, deadline)
    if request.wait and not request.dry_run:
        wait.until_ready(client, [result.after for result in results.values()], resources, deadline)
    return [results[key_of(placed(item, resources, defined, request.namespace))] for item in objects]


def predict_all_created(objects: Sequence[Object]) -> list[Applied]:
    """What applying would do on a cluster that does not exist yet. Without a server the scope of a kind is not known: namespaces are as written."""
    return [Applied(key_of(item), "created", None, item) for item in objects]


def placed(item: Object, resources: Resources, defined: Mapping[tuple[str, str], bool], namespace: str) -> Object:
    """The object with the namespace it goes to: ``namespace`` where it is namespaced and names none, none where it is cluster-scoped."""
    identity = (item["apiVersion"], item["kind"])
    resource = resources.get(identity)
    namespaced = resource.namespaced if resource else defined.get(identity, bool(item["metadata"].get("namespace")))
    metadata = {key: value for key, value in item["metadata"].items() if key != "namespace"}
    if namespaced:
        metadata["namespace"] = item["metadata"].get("namespace") or namespace
    return {**item, "metadata": metadata}


def _defined_kinds(objects: Iterable[Object]) -> dict[tuple[str, str], bool]:
    """The kinds (apiVersion, kind) that the definitions among the objects bring, and whether they are namespaced."""
    found: dict[tuple[str, str], bool] = {}
    for item in objects:
        if item["kind"] == "CustomResourceDefinition":
            spec = item.get("spec") or {}
            for version in spec.get("versions") or []:
                if version.get("served"):
                    found[(f"{spec.get('group')}/{version.get('name')}", (spec.get("names") or {}).get("kind", ""))] = spec.get("scope") == "Namespaced"
    return found


def _require_kinds(objects: Iterable[Object], resources: Resources, defined: Mapping[tuple[str, str], bool], dry_run: bool) -> None:
    unknown = sorted({(item["apiVersion"], item["kind"]) for item in objects} - set(resources) - set(defined))
    if unknown and not dry_run:
        names = ", ".join(f"{kind} ({api_version})" for api_version, kind in unknown)
        raise InputError(
            f"the cluster does not serve {names}, and no CustomResourceDefinition among the objects defines it",
            hint="Install the component that brings the definition first, or correct apiVersion and kind.",
        )


# Within the second wave all objects are in flight together; what others refer to goes out first, so that controllers need not retry.
_EARLY = ("PriorityClass", "StorageClass", "ServiceAccount", "Secret", "ConfigMap", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "Service")
_LATE = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicyBinding", "APIService")


def _waves(objects: Iterable[Object]) -> tuple[list[Object], list[Object]]:
    first: list[Object] = []
    rest: list[Object] = []
    for item in objects:
        (first if item["kind"] in ("Namespace", "CustomResourceDefinition") else rest).append(item)
    return first, sorted(rest, key=_order)


def _order(item: Object) -> int:
    kind = item["kind"]
    if kind in _EARLY:
        return _EARLY.index(kind)
    return len(_EARLY) + (1 + _LATE.index(kind) if kind in _LATE else 0)


def _wave(client: Client, objects: Sequence[Object], resources: Resources, request: Request, deadline: Deadline) -> dict[Key, Applied]:
    if not objects:
        return {}
    progress(f"{'comparing' if request.dry_run else 'applying'} {len(objects)} objects")
    with ThreadPoolExecutor(max_workers=min(_PARALLEL, CONNECTIONS, len(objects))) as pool:
        futures = [pool.submit(_apply_one, client, item, resources.get((item["apiVersion"], item["kind"])), request, deadline) for item in objects]
    done: dict[Key, Applied] = {}
    errors: list[tuple[Key, PlatformError]] = []
    for item, future in zip(objects, futures, strict=True):
        try:
            done[key_of(item)] = future.result()
        except PlatformError as error:
            errors.append((key_of(item), error))
    if errors:
        raise _summary(errors, client.server)
    return done


def _apply_one(client: Client, item: Object, resource: Resource | None, request: Request, deadline: Deadline) -> Applied:
    key = key_of(item)
    if resource is None:
        return Applied(key, "created", None, item)  # a dry run, and the kind comes with a definition that is not there yet
    path = resource.path(key.namespace, key.name)
    before = _retried(lambda: _existing(client, path, deadline), deadline, str(key))
    params = {"fieldManager": FIELD_MANAGER, "force": str(request.force).lower(), "fieldValidation": "Strict"}
    if request.dry_run:
        params["dryRun"] = "All"
    try:
        after = _retried(lambda: client.request("PATCH", path, item, content_type=_APPLY, params=params, deadline=deadline), deadline, str(key))
    except ApiError as error:
        if request.dry_run and before is None and error.not_found:
            return Applied(key, "created", None, item)  # its namespace does not exist yet
        raise
    if before is None:
        return Applied(key, "created", None, after)
    # By content, not by resourceVersion: a dry run keeps it, and a controller may write the status in between.
    return Applied(key, "unchanged" if diff.essence(before) == diff.essence(after) else "changed", before, after)


def _existing(client: Client, path: str, deadline: Deadline) -> Object | None:
    try:
        return client.get(path, deadline=deadline)
    except ApiError as error:
        if error.not_found:
            return None
        raise


def _retried(call: Callable[[], Answer], deadline: Deadline, where: str) -> Answer:
    """Call until it succeeds, is refused for good, or the deadline passes. Pauses grow from 0.2 s to 5 s, with jitter, or are what the server asks for."""
    pause = 0.2
    while True:
        try:
            return call()
        except (ApiError, ApiUnreachable) as error:
            if isinstance(error, ApiError) and not error.temporary:
                raise
            asked = error.retry_after if isinstance(error, ApiError) else 0.0
            if deadline.remaining <= max(pause, asked):
                raise DeadlineExceeded(f"{error.what} (tried until the time of {deadline.seconds:.0f} s was over)", where=where, hint=error.hint) from error
        deadline.pause(max(asked, pause * random.uniform(0.5, 1.0)))  # noqa: S311  jitter
        pause = min(5.0, pause * 2)


def _await_served(client: Client, defined: Iterable[tuple[str, str]], deadline: Deadline) -> Resources:
    """Discovery, once it lists the kinds of the definitions just established: the server's listing follows a moment later, and cannot be watched."""
    while True:
        resources = _retried(lambda: discover(client), deadline, client.server)
        missing = [kind for kind in defined if kind not in resources]
        if not missing:
            return resources
        deadline.check(f"{missing[0][1]} ({missing[0][0]}) was established but not served", where=client.server)
        deadline.pause(0.1)


def _summary(errors: Sequence[tuple[Key, PlatformError]], server: str) -> PlatformError:
    """One error for all refusals; conflicts by field and owner."""
    lines = []
    for key, error in errors:
        conflicts = error.field_conflicts if isinstance(error, ApiError) else []
        lines += [f"{key}: {conflict.field} is owned by {conflict.owner}" for conflict in conflicts] or [f"{key}: {error.what}"]
    conflicting = any(isinstance(error, ApiError) and error.field_conflicts for _key, error in errors)
    hint = "Take the field out of the object, or set force_conflicts to take it over." if conflicting else errors[0][1].hint
    shown = "; ".join(lines[:10]) + (f"; and {len(lines) - 10} more" if len(lines) > 10 else "")
    what = f"{len(errors)} of the objects could not be applied: {shown}" if len(errors) > 1 else shown
    details = {"errors": [{"kind": key.kind, "namespace": key.namespace, "name": key.name, "error": error.what} for key, error in errors]}
    late = all(isinstance(error, DeadlineExceeded) for _key, error in errors)
    return (DeadlineExceeded if late else PlatformError)(what, where=server, hint=hint, details=details)
