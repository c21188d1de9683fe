# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleting members of a set: custom resources before the controllers that have to clean up after them, definitions and namespaces last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import applyset, prune
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resources, discover
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Applied, Request
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_PARALLEL = 16
_PAUSE = 0.5


def remove_set(client: Client, request: Request, deadline: Deadline) -> list[Applied]:
    """Delete every member of the request's set and wait until they are gone; then its parent, unless protected members stay.

    A set that is not there has no members. With ``request.dry_run`` nothing is deleted.
    """
    if request.apply_set is None:
        return []
    wanted = request.apply_set
    parent = applyset.read(client, wanted, deadline)
    if parent is None:
        return []
    resources = retried(lambda: discover(client), deadline, client.server)
    found = applyset.members(client, wanted, parent.kinds, resources, deadline)
    leaving = prune.leaving(found, (), (), request.prune_protected)
    results = delete(client, leaving, resources, deadline, dry_run=request.dry_run, gone=True)
    if request.dry_run:
        return results
    if leaving.kept:
        kinds = frozenset(applyset.group_kind(member["apiVersion"], member["kind"]) for member in leaving.kept)
        applyset.finish(client, wanted, parent, applyset.Parent(kinds, parent.namespaces, labels=parent.labels), deadline)
    else:
        applyset.remove(client, wanted, deadline)
    return results


def delete(client: Client, leaving: prune.Leaving, resources: Resources, deadline: Deadline, *, dry_run: bool, gone: bool) -> list[Applied]:
    """Delete ``leaving.go`` in groups that have an order; with ``gone`` wait after each until all have left, also those that

    were being deleted before; without it only where a later group depends on it.

    Returns what was pruned (with the object as it was) and what is kept.
    """
    results: list[Applied] = []
    rows = sorted(leaving.go, key=_rank)
    if rows:
        progress(f"{'comparing' if dry_run else 'deleting'} {len(rows)} objects that are not wanted any more")
    for rank, group in groupby(rows, key=_rank):
        members = list(group)
        with ThreadPoolExecutor(max_workers=min(_PARALLEL, len(members))) as pool:
            results += list(pool.map(lambda member: _delete_one(client, member, resources, deadline, dry_run=dry_run), members))
        if not dry_run and (gone or (rank == 0 and rank != _rank(rows[-1]))):
            _await_gone(client, members, resources, deadline)
    if not dry_run and gone and leaving.going:
        _await_gone(client, leaving.going, resources, deadline)
    return results + [Applied(key_of(member), "kept", member, member) for member in leaving.kept]


def _rank(member: Object) -> int:
    """Custom resources, while their controllers can still clean up; then everything built in; then definitions; then namespaces."""
    kind = member["kind"]
    group = str(member["apiVersion"]).rpartition("/")[0]
    if kind == "Namespace":
        return 3
    if kind == "CustomResourceDefinition":
        return 2
    return 0 if "." in group and not group.endswith(".k8s.io") else 1


def _delete_one(client: Client, member: Object, resources: Resources, deadline: Deadline, *, dry_run: bool) -> Applied:
    key = key_of(member)
    path = _path(key, resources)
    before = member
    try:
        before = retried(lambda: client.get(path, deadline=deadline), deadline, str(key))
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": {"uid": member["metadata"]["uid"]}}
        if dry_run:
            options["dryRun"] = ["All"]  # in the query it would not be heard: the body is what counts
        retried(lambda: client.request("DELETE", path, options, deadline=deadline), deadline, str(key))
    except ApiError as error:
        if not error.not_found and error.code != 409:
            raise PlatformError(f"it could not be deleted: {error.what}", where=str(key), hint=error.hint) from error
    return Applied(key, "pruned", before, None)


def _await_gone(client: Client, members: Sequence[Object], resources: Resources, deadline: Deadline) -> None:
    """Until no object of these uids is left. Raises DeadlineExceeded with the finalizers that hold them."""
    with ThreadPoolExecutor(max_workers=min(_PARALLEL, len(members))) as pool:
        left = [item for item in pool.map(lambda member: _gone(client, member, resources, deadline), members) if item]
    if left:
        raise DeadlineExceeded(f"not deleted within {deadline.seconds:.0f} s: {'; '.join(_held_by(left))}", where=client.server)


def _gone(client: Client, member: Object, resources: Resources, deadline: Deadline) -> Object | None:
    """None once it is gone; the object as it is when the deadline comes."""
    key, uid = key_of(member), member["metadata"]["uid"]
    path, selector = _path(key, resources).rpartition("/")[0], {"fieldSelector": f"metadata.name={key.name}"}
    shown = member
    while not deadline.expired:
        try:
            items, version = client.list(path, selector, deadline=deadline)
            shown = next((item for item in items if item["metadata"]["uid"] == uid), {})
            if not shown:
                return None
            for kind, item in client.watch(path, version, deadline, selector):
                if kind == "DELETED" and item["metadata"]["uid"] == uid:
                    return None
        except ApiError as error:
            if error.not_found:
                return None
            if not (error.expired or error.temporary):
                raise
            deadline.pause(_PAUSE)
        except ApiUnreachable:
            deadline.pause(_PAUSE)
        except DeadlineExceeded:
            break
    return shown


def _held_by(left: Iterable[Object]) -> Iterator[str]:
    for item in left:
        finalizers = ", ".join(item["metadata"].get("finalizers") or [])
        yield f"{key_of(item)}{f' (held by the finalizers {finalizers})' if finalizers else ''}"


def _path(key: Key, resources: Resources) -> str:
    return resources[key.api_version, key.kind].path(key.namespace, key.name)
