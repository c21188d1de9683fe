# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until objects are ready, on list and watch: one per kind and namespace. Gives up early on what does not heal by waiting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import custom_resources, readiness, storage
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource, Resources
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Goal, Known, Pursuit
from ansible_collections.trinode.platform.plugins.module_utils.kube.health import GRACE_SECONDS, Health, has_pods
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of

STATEFUL_SETS = Resource("apps/v1", "StatefulSet", "statefulsets", True)
_DELETED = readiness.Readiness("failed", "it was deleted while it was waited for")
# Ready once they are applied, or when the pods are that are waited for anyway.
_PASSED_OVER = frozenset({("v1", "Namespace"), ("v1", "Node"), ("policy/v1", "PodDisruptionBudget")})


def until_ready(client: Client, objects: Iterable[Object], resources: Resources, deadline: Deadline, *, grace: float = GRACE_SECONDS) -> None:
    """Return when every object is ready. ``objects`` carry their namespace; kinds that are ready by existing are passed over.

    Raises PlatformError as soon as one has failed (a failed Job, a passed progress deadline, a container that cannot start), DeadlineExceeded otherwise; both
    name the object and what its pods and the newest events say.
    """
    wanted = [item for item in objects if waited_for(item) and (item["apiVersion"], item["kind"]) in resources]
    goals = [_goal(key_of(item), resources) for item in wanted]
    namespaces = {item["metadata"].get("namespace", "") for item in wanted if has_pods(item)}
    Pursuit(client, goals, deadline, observer=Health(client, namespaces, grace)).run()


def waited_for(item: Mapping[str, Any]) -> bool:
    """Whether an object that was applied may not be ready yet."""
    if (item["apiVersion"], item["kind"]) in _PASSED_OVER:
        return False
    if item["kind"] == "Service" and (item.get("spec") or {}).get("type") != "LoadBalancer":
        return False
    return readiness.waited_for(item)


def also(api_version: str, kind: str, namespace: str) -> tuple[Collection, ...]:
    """What else the readiness of a kind depends on."""
    if kind == storage.CLAIMS.kind and api_version == storage.CLAIMS.api_version:
        return (Collection(storage.CLASSES.path()),)
    if custom_resources.stateful_sets({"apiVersion": api_version, "kind": kind}):
        return (Collection(STATEFUL_SETS.path(namespace)),)
    return ()


def judge(known: Known, item: Json, beside: tuple[Collection, ...]) -> readiness.Readiness:
    """Readiness by the object, and by what else it depends on (see ``also``)."""
    others = [other for collection in beside for other in known.items(collection).values()]
    if item["kind"] == storage.CLAIMS.kind:
        return storage.claim_state(item, others)
    state = readiness.readiness(item)
    for name in custom_resources.stateful_sets(item) if state.ready else ():
        found = next((one for one in others if one["metadata"]["name"] == name and one["metadata"]["namespace"] == item["metadata"]["namespace"]), None)
        theirs = readiness.readiness(found) if found else readiness.Readiness("progressing", "not there yet")
        if not theirs.ready:
            return readiness.Readiness(theirs.state, f"its StatefulSet {name}: {theirs.reason}", theirs.patience)
    return state


def _goal(key: Key, resources: Resources) -> Goal:
    resource = resources[key.api_version, key.kind]
    name = (key.namespace if resource.namespaced else "", key.name)
    collection = Collection(resource.path(key.namespace))
    beside = also(key.api_version, key.kind, key.namespace)

    def judged(known: Known) -> readiness.Readiness:
        item = known.items(collection).get(name)
        return _DELETED if item is None else judge(known, item, beside)

    return Goal(str(key), collection, judged, name, beside, observed=True)
