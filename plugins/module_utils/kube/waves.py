# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order objects go, and what each has to wait for. Pure.

An object waits only for what it needs: its namespace, and for a custom resource its kind. Webhook configurations of the same call go when the built-in
kinds are through, so that they do not stand in the way of what brings their service up; custom resources that they guard go after them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource, Resources
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of

DEFINITION = "CustomResourceDefinition"
_WEBHOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
# What others refer to goes out first, so that controllers need not retry; what changes how the API server behaves goes last.
_EARLY = (
    "Namespace",
    DEFINITION,
    "PriorityClass",
    "StorageClass",
    "ServiceAccount",
    "Secret",
    "SealedSecret",
    "ConfigMap",
    "ClusterRole",
    "Role",
    "ClusterRoleBinding",
    "RoleBinding",
    "Service",
)
_LATE = ("ValidatingAdmissionPolicyBinding", "APIService", *_WEBHOOKS)

Kind = tuple[str, str]
"""apiVersion and kind."""
Token = tuple[str, ...]
"""Something to wait for: ("namespace", name), ("kind", apiVersion, kind), ("built-in",), ("webhook", name)."""
BUILT_IN: Token = ("built-in",)


@dataclass(frozen=True)
class Wanted:
    """One object as it is to be on the server. ``body`` is what is sent: JSON with sorted keys, made once."""

    key: Key
    item: Object
    body: bytes

    @property
    def kind(self) -> Kind:
        return self.key.api_version, self.key.kind


def wanted(item: Object) -> Wanted:
    """Of an object that is placed and otherwise as it is to be sent."""
    return Wanted(key_of(item), item, json.dumps(item, separators=(",", ":"), sort_keys=True).encode())


@dataclass(frozen=True)
class Step:
    """An object, and what has to be through before it goes: tokens that other steps give, and kinds that the server has to serve."""

    wanted: Wanted
    after: frozenset[Token]
    gives: frozenset[Token]


def defined_kinds(objects: Iterable[Object]) -> dict[Kind, bool]:
    """The kinds that the definitions among the objects bring, and whether they are namespaced."""
    found: dict[Kind, bool] = {}
    for item in objects:
        if item["kind"] == DEFINITION:
            spec = item.get("spec") or {}
            for version in spec.get("versions") or []:
                if version.get("served"):
                    found[f"{spec.get('group')}/{version.get('name')}", (spec.get("names") or {}).get("kind", "")] = spec.get("scope") == "Namespaced"
    return found


def placed(item: Object, resource: Resource | None, namespaced: bool | None, namespace: str) -> Object:
    """The object with the namespace it goes to: ``namespace`` where it is namespaced and names none, none where it is cluster-scoped.

    ``namespaced`` counts where there is no ``resource`` yet; where neither is known the namespace stays as written.
    """
    if resource is not None:
        namespaced = resource.namespaced
    if namespaced is None:
        namespaced = bool(item["metadata"].get("namespace"))
    metadata = {key: value for key, value in item["metadata"].items() if key != "namespace"}
    if namespaced:
        metadata["namespace"] = item["metadata"].get("namespace") or namespace
    return {**item, "metadata": metadata}


def plan(objects: Iterable[Wanted], resources: Resources, defined: Mapping[Kind, bool]) -> list[Step]:
    """The objects as steps, in the order in which those that wait for nothing go."""
    objects = list(objects)
    awaited = {item.kind for item in objects}
    # Servers take definitions one after the other: first those that an object waits for.
    ordered = sorted(objects, key=lambda item: (_order(item.key.kind), awaited.isdisjoint(defined_kinds([item.item]))))
    webhooks = [item.item for item in ordered if item.key.kind in _WEBHOOKS]
    namespaces = {item.key.name for item in ordered if item.key.kind == "Namespace"}
    return [_step(item, namespaces, webhooks, custom=_is_custom(item.kind, resources, defined)) for item in ordered]


def _is_custom(kind: Kind, resources: Resources, defined: Mapping[Kind, bool]) -> bool:
    """Whether it is a custom resource: defined here, not served, or of a group that is not one of Kubernetes' own."""
    return kind in defined or kind not in resources or (may_be_custom(kind) and not _group(kind).endswith(".k8s.io"))


def may_be_custom(kind: Kind) -> bool:
    """Whether somebody may have defined it. Groups below k8s.io are Kubernetes' own or, like those of snapshots and of the Gateway API, custom."""
    return "." in _group(kind) and kind[1] != DEFINITION


def _group(kind: Kind) -> str:
    return kind[0].rpartition("/")[0]


def _step(item: Wanted, namespaces: set[str], webhooks: Sequence[Object], *, custom: bool) -> Step:
    key = item.key
    after: set[Token] = set()
    gives: set[Token] = set()
    if key.namespace in namespaces:
        after.add(("namespace", key.namespace))
    if key.kind == "Namespace":
        gives.add(("namespace", key.name))
    if custom:
        after.add(("kind", key.api_version, key.kind))
        after |= {("webhook", hook["metadata"]["name"]) for hook in webhooks if _guards(hook, key)}
    elif key.kind in _WEBHOOKS:
        after.add(BUILT_IN)
        gives.add(("webhook", key.name))
    elif key.kind not in ("Namespace", DEFINITION):
        gives.add(BUILT_IN)
    return Step(item, frozenset(after), frozenset(gives))


def _guards(hook: Object, key: Key) -> bool:
    group = _group((key.api_version, key.kind))
    rules = [rule for webhook in hook.get("webhooks") or [] for rule in webhook.get("rules") or []]
    return any({"*", group} & set(rule.get("apiGroups") or []) for rule in rules)


def _order(kind: str) -> int:
    if kind in _EARLY:
        return _EARLY.index(kind)
    return len(_EARLY) + (1 + _LATE.index(kind) if kind in _LATE else 0)
