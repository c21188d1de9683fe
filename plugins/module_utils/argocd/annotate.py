# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Argo CD reads from an object: whose it is, whether it may be deleted, and when it is made. Pure.

The objects that are applied and those in Git carry the same, so that Argo CD finds nothing to change when it takes over.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component import hooks, installed, tree
from ansible_collections.trinode.platform.plugins.module_utils.kube import applyset, prune
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import ApplySet

TRACKING = "argocd.argoproj.io/tracking-id"
SYNC_OPTIONS = "argocd.argoproj.io/sync-options"
COMPARE_OPTIONS = "argocd.argoproj.io/compare-options"
HOOK = "argocd.argoproj.io/hook"
HOOK_DELETE = "argocd.argoproj.io/hook-delete-policy"
SYNC_WAVE = "argocd.argoproj.io/sync-wave"

_DATA = {"Prune": "false", "Delete": "false"}
# Without it an object that is kept although Git has it no more would leave its Application out of sync for ever.
_DATA_COMPARE = "IgnoreExtraneous"
_MOMENTS = {"pre-upgrade": "PreSync", "post-upgrade": "PostSync"}
_DEFINITION = ("apiextensions.k8s.io", "CustomResourceDefinition")


@dataclass(frozen=True)
class ApplicationOf:
    """Where objects belong: the Application of a component, the namespace that it delivers to, and the id of the component's ApplySet."""

    component: str
    name: str
    namespace: str
    apply_set: str


def application_name(component: str) -> str:
    return component.replace("_", "-")


def application_of(component: str, namespace: str) -> ApplicationOf:
    """The Application of a component that lives in ``namespace``."""
    parent = ApplySet(installed.parent_name(component), installed.NAMESPACE)
    return ApplicationOf(component, application_name(component), namespace, applyset.identity(parent))


def annotate(objects: Iterable[Object], application: ApplicationOf) -> list[Object]:
    """Copies of the objects with what Argo CD reads from them, and with the label of their ApplySet.

    A Secret that holds something stays as it is: it is not in Git (a SealedSecret is), so an owner would delete it.
    """
    return [_annotated(copy.deepcopy(item), application) for item in objects]


def tracking_id(item: Mapping[str, Any], application: str, namespace: str) -> str:
    """As Argo CD's resource_tracking.go makes it: an object without a namespace is noted under that of its Application's destination."""
    metadata = item["metadata"]
    group = str(item["apiVersion"]).rpartition("/")[0]
    return f"{application}:{group}/{item['kind']}:{metadata.get('namespace') or namespace}/{metadata['name']}"


def tracked(item: Mapping[str, Any]) -> bool:
    """Whether Argo CD notes on the object whose it is: it does so on all but definitions."""
    return applyset.group_kind(item["apiVersion"], item["kind"]) != _DEFINITION


def with_options(existing: str, wanted: Mapping[str, str]) -> str:
    """A list of options with those added that are not in it yet, whatever their value there."""
    options = [option.strip() for option in existing.split(",") if option.strip()]
    named = {option.partition("=")[0].lower() for option in options}
    return ",".join([*options, *(f"{name}={value}" if value else name for name, value in wanted.items() if name.lower() not in named)])


def _annotated(item: Object, application: ApplicationOf) -> Object:
    if tree.is_secret(item):
        return item
    annotations: dict[str, str] = dict(item["metadata"].get("annotations") or {})
    helm_hook = hooks.is_hook(item)
    if helm_hook:
        annotations.setdefault(HOOK, _hook(item))
    elif _runs_at_each_sync(item):
        annotations.setdefault(HOOK, "Sync")
        annotations.setdefault(HOOK_DELETE, "BeforeHookCreation")
    if HOOK not in annotations and tracked(item):
        annotations[TRACKING] = tracking_id(item, application.name, application.namespace)
    if not helm_hook and prune.protected(item):
        annotations[SYNC_OPTIONS] = with_options(annotations.get(SYNC_OPTIONS, ""), _DATA)
        annotations[COMPARE_OPTIONS] = with_options(annotations.get(COMPARE_OPTIONS, ""), {_DATA_COMPARE: ""})
    if annotations:
        item["metadata"]["annotations"] = annotations
    if not helm_hook:
        item["metadata"]["labels"] = {**(item["metadata"].get("labels") or {}), applyset.PART_OF_LABEL: application.apply_set}
    return item


def _hook(item: Object) -> str:
    """Helm's moments of an upgrade as Argo CD's. What only belongs to an installation, a removal or a test is passed over: we run it, or nobody does.

    Weights and delete policies need no translation: Argo CD reads helm's.
    """
    events = hooks.hook_of(item).events
    return ",".join(moment for event, moment in _MOMENTS.items() if event in events) or "Skip"


def _runs_at_each_sync(item: Mapping[str, Any]) -> bool:
    """A Job that is part of what is installed: its template cannot be changed, and when it has ended it may be gone; so it is made anew each time."""
    return bool(item["kind"] == "Job" and item["apiVersion"].startswith("batch/"))
