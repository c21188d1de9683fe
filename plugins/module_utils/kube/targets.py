# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects as a user names them, and what can be waited for of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Goal, Known, Name
from ansible_collections.trinode.platform.plugins.module_utils.kube.query import Query
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import READY, Readiness

_SHOWN = 500

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "api_version": {"type": "str", "default": "v1"},
    "kind": {"type": "str", "default": ""},
    "namespace": {"type": "str", "default": ""},
    "name": {"type": "str", "default": ""},
    "label_selector": {"type": "str", "default": ""},
    "field_selector": {"type": "str", "default": ""},
}
"""The options of a module that names objects: those of Target."""

JudgeOne = Callable[[Known, Json], Readiness]


@dataclass(frozen=True)
class Target:
    """One object by its name, or all of a kind: in a namespace or in all ("" for namespaced kinds), narrowed by selectors."""

    api_version: str
    kind: str
    namespace: str = ""
    name: str = ""
    label_selector: str = ""
    field_selector: str = ""

    def __str__(self) -> str:
        place = f" in {self.namespace}" if self.namespace else ""
        selected = ", ".join(text for text in (self.label_selector, self.field_selector) if text)
        if not self.name:
            return f"every {self.kind}{place}" + (f" with {selected}" if selected else "")
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    def collection(self, resource: Resource) -> Collection:
        """What to watch for it. InputError where a namespaced object is named without its namespace."""
        if self.name and resource.namespaced and not self.namespace:
            raise InputError(f"{self.kind} {self.name} needs a namespace", hint="Name the namespace: the same name may be there in several.")
        namespace = self.namespace if resource.namespaced else ""
        if not self.name:
            return Collection(resource.path(namespace), self.label_selector, self.field_selector)
        return Collection(resource.path(namespace), field_selector=f"metadata.name={self.name}")

    @staticmethod
    def of(item: Mapping[str, Any]) -> Target:
        """From a module's options."""
        return Target(**{name: item[name] for name in OPTIONS})

    @property
    def key(self) -> Name | None:
        return (self.namespace, self.name) if self.name else None

    def placed(self, resource: Resource) -> Target:
        """The same, without a namespace that its kind does not have."""
        return self if resource.namespaced else replace(self, namespace="")

    def among(self, items: Mapping[Name, Json]) -> Mapping[Name, Json]:
        """The objects of its collection that it means: not every server narrows a list by a name."""
        if not self.name:
            return items
        return {name: item for name, item in items.items() if name == self.key}


def goal(target: Target, resource: Resource, judge: JudgeOne, *, also: tuple[Collection, ...] = (), observed: bool = False) -> Goal:
    """Every object of the target is judged ready by ``judge``, and there is at least one."""
    target = target.placed(resource)
    collection = target.collection(resource)

    def judge_all(known: Known) -> Readiness:
        items = target.among(known.items(collection))
        if not items:
            return Readiness("progressing", "does not exist" if target.name else "there is none")
        return combined(target, {name: judge(known, item) for name, item in items.items()})

    return Goal(str(target), collection, judge_all, target.key, also, observed)


def absence(target: Target, resource: Resource, *, of_those_there: bool = False) -> Goal:
    """No object of the target is there; or none of those that were there at first, whatever has come in their place."""
    target = target.placed(resource)
    collection = target.collection(resource)
    first: set[str] | None = None

    def judge_all(known: Known) -> Readiness:
        nonlocal first
        items = target.among(known.items(collection))
        if first is None:
            first = {str(item["metadata"].get("uid")) for item in items.values()}
        left = {name: item for name, item in items.items() if not of_those_there or str(item["metadata"].get("uid")) in first}
        return combined(target, {name: Readiness("progressing", remains(item)) for name, item in left.items()})

    return Goal(str(target), collection, judge_all, target.key)


def remains(item: Json) -> str:
    """Why an object is still there, in words."""
    metadata = item.get("metadata") or {}
    if not metadata.get("deletionTimestamp"):
        return "it is there, and nobody has deleted it"
    if finalizers := metadata.get("finalizers"):
        return f"it is being deleted, and kept by {', '.join(finalizers)}"
    return "it is being deleted"


def there(_known: Known, _item: Json) -> Readiness:
    """Judges an object that only has to exist."""
    return READY


def combined(target: Target, states: Mapping[Name, Readiness]) -> Readiness:
    """One state for all objects: what failed first, then what is missing."""
    for wanted in ("failed", "progressing"):
        lacking = {name: state for name, state in states.items() if state.state == wanted}
        if lacking:
            name, state = min(lacking.items())
            more = f" (and {len(lacking) - 1} more of {len(states)})" if len(lacking) > 1 else ""
            return state if target.name else Readiness(state.state, f"{'/'.join(part for part in name if part)}: {state.reason}{more}")
    return READY


def holds(condition: Query) -> JudgeOne:
    """Judges an object by a condition over it."""

    def judge(_known: Known, item: Json) -> Readiness:
        return READY if condition.holds(item) else Readiness("progressing", f"it is not true that {condition.text}{_state(item)}")

    return judge


def _state(item: Mapping[str, Any]) -> str:
    """An object's status, for a person. Nothing else of it is shown: it may be secret."""
    status = item.get("status")
    if not status:
        return ", and it has no status"
    text = json.dumps(status, ensure_ascii=False, sort_keys=True)
    return f"; its status: {text[:_SHOWN]}{'…' if len(text) > _SHOWN else ''}"
