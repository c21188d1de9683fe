# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until objects are ready, on list and watch: one per kind and namespace. Gives up early on what does not heal by waiting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import readiness
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resources
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Goal, Known, Pursuit
from ansible_collections.trinode.platform.plugins.module_utils.kube.health import GRACE_SECONDS, Health, with_pods
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of

_DELETED = readiness.Readiness("failed", "it was deleted while it was waited for")


def until_ready(client: Client, objects: Iterable[Object], resources: Resources, deadline: Deadline, *, grace: float = GRACE_SECONDS) -> None:
    """Return when every object is ready. ``objects`` carry their namespace; kinds that are ready by existing are passed over.

    Raises PlatformError as soon as one has failed (a failed Job, a passed progress deadline, a container that cannot start), DeadlineExceeded otherwise; both
    name the object and what its pods and the newest events say.
    """
    wanted = [item for item in objects if waited_for(item) and (item["apiVersion"], item["kind"]) in resources]
    goals = [_goal(key_of(item), resources) for item in wanted]
    namespaces = {item["metadata"].get("namespace", "") for item in wanted if with_pods(item["kind"])}
    Pursuit(client, goals, deadline, observer=Health(client, namespaces, grace)).run()


def waited_for(item: Mapping[str, Any]) -> bool:
    """Kinds with a rule of their own, and custom resources (a group that is not one of Kubernetes')."""
    group = item["apiVersion"].rpartition("/")[0]
    return item["kind"] in readiness.WAITED_FOR or ("." in group and not group.endswith(".k8s.io"))


def _goal(key: Key, resources: Resources) -> Goal:
    resource = resources[key.api_version, key.kind]
    name = (key.namespace if resource.namespaced else "", key.name)
    collection = Collection(resource.path(key.namespace))

    def judge(known: Known) -> readiness.Readiness:
        item = known.items(collection).get(name)
        return _DELETED if item is None else readiness.readiness(item)

    return Goal(str(key), collection, judge, name)
