# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helm's hooks: objects of a chart that are not part of what is installed, but made at a moment of an installation. Pure.

https://helm.sh/docs/topics/charts_hooks describes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of

ANNOTATION = "helm.sh/hook"
_WEIGHT = "helm.sh/hook-weight"
_DELETE = "helm.sh/hook-delete-policy"
_TESTS = ("test", "test-success", "test-failure")

# The order in which helm makes objects of one weight; what is not among them comes last.
_KIND_ORDER = (
    "Namespace",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "ConfigMap",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Service",
    "Pod",
    "Deployment",
    "StatefulSet",
    "Job",
)


@dataclass(frozen=True)
class Hook:
    """``events`` such as pre-install; smaller weights first; ``delete`` is when it is deleted (before-hook-creation, hook-succeeded, hook-failed)."""

    item: Object
    events: frozenset[str]
    weight: int
    delete: frozenset[str]

    @property
    def key(self) -> Key:
        return key_of(self.item)

    @property
    def runs(self) -> bool:
        """Whether it is a program that must end well before anything goes on."""
        return self.item["kind"] in ("Job", "Pod")


def is_hook(item: Mapping[str, Any]) -> bool:
    """Whether an object is a hook. A definition that helm 2 wanted to be installed first (crd-install) is none: definitions always are."""
    events = _events(item)
    return bool(events) and events != {"crd-install"}


def is_test(item: Mapping[str, Any]) -> bool:
    """Whether an object is only made by `helm test`."""
    events = _events(item)
    return bool(events) and events.issubset(_TESTS)


def hook_of(item: Object) -> Hook:
    """The hook that an object is, by its annotations."""
    annotations = (item.get("metadata") or {}).get("annotations") or {}
    try:
        weight = int(str(annotations.get(_WEIGHT) or "0"))
    except ValueError:
        weight = 0
    # As helm does it: without a policy, what is left of the last time is deleted first.
    delete = frozenset(_words(annotations.get(_DELETE))) or frozenset({"before-hook-creation"})
    return Hook(item, frozenset(_events(item)), weight, delete)


def at(event: str, objects: Iterable[Object]) -> list[Hook]:
    """The hooks of an event (pre-install, post-upgrade, ...), in the order in which they run."""
    found = [hook for hook in map(hook_of, objects) if event in hook.events]
    return sorted(found, key=lambda hook: (hook.weight, _kind_order(hook.item["kind"]), hook.key.name))


def _kind_order(kind: str) -> int:
    return _KIND_ORDER.index(kind) if kind in _KIND_ORDER else len(_KIND_ORDER)


def _events(item: Mapping[str, Any]) -> set[str]:
    metadata = item.get("metadata") or {}
    return set(_words((metadata.get("annotations") or {}).get(ANNOTATION)))


def _words(value: Any) -> list[str]:
    return [word.strip() for word in str(value or "").split(",") if word.strip()]
