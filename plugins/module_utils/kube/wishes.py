# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user waits for: objects that are ready, there, gone, or as an expression has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import listing, targets, wait
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection, Seen
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Goal, Known, Pursuit
from ansible_collections.trinode.platform.plugins.module_utils.kube.health import Health, has_pods
from ansible_collections.trinode.platform.plugins.module_utils.kube.kinds import Kinds
from ansible_collections.trinode.platform.plugins.module_utils.kube.query import Query
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import READY, Readiness
from ansible_collections.trinode.platform.plugins.module_utils.kube.targets import Target

Condition = Literal["ready", "exists", "absent", "deleted", "until"]
_AIMS = {"ready": "ready", "exists": "there", "absent": "gone", "deleted": "gone", "until": "as expected"}
_GONE = ("absent", "deleted")


@dataclass(frozen=True)
class Wish:
    """A target, and what is to become of it. ``until`` is there for the condition of that name."""

    target: Target
    condition: Condition = "ready"
    until: Query | None = None


def fulfil(client: Client, wishes: Sequence[Wish], deadline: Deadline, *, grace: float) -> None:
    """Return when all wishes are fulfilled. A kind that nobody serves has no objects yet, which is what an absent one is to be.

    Raises as Pursuit does; ``grace`` is how long (seconds) a container may be in a bad state before what is to be ready is given up.
    """
    kinds = Kinds(client, deadline)
    goals, namespaces = [], set()
    for wish in wishes:
        target = wish.target
        if wish.condition in _GONE and kinds.find(target.api_version, target.kind) is None:
            continue
        resource = kinds.await_served(target.api_version, target.kind)
        goals.append(_goal(wish, resource))
        if wish.condition == "ready" and target.kind != "Pod" and has_pods({"apiVersion": target.api_version, "kind": target.kind}):
            namespaces.add(target.namespace)
    aims = {_AIMS[wish.condition] for wish in wishes}
    # Who watches all namespaces needs no watch of one.
    observer = Health(client, {""} if "" in namespaces else namespaces, grace)
    Pursuit(client, goals, deadline, aim=aims.pop() if len(aims) == 1 else "as wished", observer=observer).run()


def unfulfilled(client: Client, wishes: Sequence[Wish], deadline: Deadline) -> list[str]:
    """What would be waited for now, in words, one line for each wish that is not fulfilled. Reads once."""
    kinds = Kinds(client, deadline)
    lines = []
    for wish in wishes:
        resource = kinds.find(wish.target.api_version, wish.target.kind)
        state = _judge(client, wish, resource, deadline) if resource else _unserved(wish)
        if not state.ready:
            lines.append(f"{wish.target}: {state.reason}")
    return lines


def _unserved(wish: Wish) -> Readiness:
    return READY if wish.condition in _GONE else Readiness("progressing", f"its kind ({wish.target.api_version}) is not served")


def _judge(client: Client, wish: Wish, resource: Resource, deadline: Deadline) -> Readiness:
    goal = _goal(wish, resource)
    known = Known()
    known.learn(Seen(goal.collection, tuple(listing.read(client, wish.target, resource, deadline)), complete=True))
    for collection in goal.also:
        items, _version = client.list(collection.path, collection.params, deadline=deadline)
        known.learn(Seen(collection, tuple(items), complete=True))
    return goal.judge(known)


def _goal(wish: Wish, resource: Resource) -> Goal:
    target = wish.target.placed(resource)
    match wish.condition:
        case "absent":
            return targets.absence(target, resource)
        case "deleted":
            return targets.absence(target, resource, of_those_there=True)
        case "exists":
            return targets.goal(target, resource, targets.there)
        case "until" if wish.until is not None:
            return targets.goal(target, resource, targets.holds(wish.until))
        case _:
            beside = wait.also(target.api_version, target.kind, target.namespace)
            return targets.goal(target, resource, partial(_ready, beside), also=beside, observed=True)


def _ready(beside: tuple[Collection, ...], known: Known, item: Json) -> Readiness:
    return wait.judge(known, item, beside)
