# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleting objects, and waiting until they are gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import targets
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Pursuit
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried

_PARALLEL = 8


def delete(client: Client, objects: Sequence[tuple[Key, Resource]], deadline: Deadline) -> None:
    """Delete all at once, and return when they are gone. What is not there is as it should be. DeadlineExceeded tells what keeps the others."""
    if not objects:
        return
    with ThreadPoolExecutor(max_workers=min(_PARALLEL, len(objects))) as pool:
        there = list(pool.map(lambda pair: _delete(client, pair[0], pair[1], deadline), objects))
    await_gone(client, [pair for pair, found in zip(objects, there, strict=True) if found], deadline)


def await_gone(client: Client, objects: Iterable[tuple[Key, Resource]], deadline: Deadline) -> None:
    """Return when none of the objects is there any more."""
    goals = [targets.absence(targets.Target(key.api_version, key.kind, key.namespace, key.name), resource) for key, resource in objects]
    Pursuit(client, goals, deadline, aim="gone").run()


def _delete(client: Client, key: Key, resource: Resource, deadline: Deadline) -> bool:
    """Whether it was there, and may still be."""
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    try:
        answer = retried(
            partial(client.request, "DELETE", resource.path(key.namespace, key.name), options, deadline=deadline),
            deadline,
            str(key),
        )
    except ApiError as error:
        if error.not_found:
            return False
        raise
    # A Status says that it is gone; the object itself, that something still has to happen first.
    return answer.get("kind") != "Status"
