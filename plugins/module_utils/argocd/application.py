# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Application of a component. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import COMPARE_OPTIONS, SYNC_WAVE, TRACKING, ApplicationOf, tracking_id
from ansible_collections.trinode.platform.plugins.module_utils.component.installed import COMPONENT_LABEL
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object

API_VERSION = "argoproj.io/v1alpha1"
NAMESPACE = "argocd"
PROJECT = "platform"
ROOT = "platform"
SERVER = "https://kubernetes.default.svc"

PATHS = "argocd.argoproj.io/manifest-generate-paths"
# What Argo CD is told to do in any case, whatever its own settings are.
COMPARE = "ServerSideDiff=true"
SYNC_OPTIONS = (
    "ServerSideApply=true",
    # What is ignored in comparisons is not written either.
    "RespectIgnoreDifferences=true",
    "ApplyOutOfSyncOnly=true",
    # The rest goes on when a kind is not served yet; what is of that kind is tried again.
    "SkipDryRunOnMissingResource=true",
)
# Five tries within two minutes and a half, of the newest commit each time, so that a correction is taken up.
RETRY: Mapping[str, Any] = {"limit": 5, "refresh": True, "backoff": {"duration": "5s", "factor": 2, "maxDuration": "1m"}}
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
# What charts write where an operator puts its authority's certificate: nothing, or a line break in base64.
_NO_AUTHORITY = ("", "Cg==")


@dataclass(frozen=True)
class Repository:
    """The user's repository as Argo CD reaches it. ``path`` is the directory in it that is the platform's, "" for all of it."""

    url: str
    branch: str
    path: str = ""

    def inside(self, *parts: str) -> str:
        """A path in the repository, from its root; "." is the root itself, as Argo CD wants it."""
        return "/".join(part.strip("/") for part in (self.path, *parts) if part.strip("/")) or "."


def application(of: ApplicationOf, repository: Repository, *, wave: int = 0, ignore: Sequence[Mapping[str, Any]] = (), namespace: str = NAMESPACE) -> Object:
    """The Application of a component, as it is in Git.

    It has no finalizer: when it is deleted, by whomever, what it delivered stays.
    """
    spec: Object = {
        "project": PROJECT,
        "source": source(repository, "components", of.component),
        "destination": {"server": SERVER, "namespace": of.namespace},
        "syncPolicy": sync_policy(),
    }
    if ignore:
        spec["ignoreDifferences"] = [copy.deepcopy(dict(item)) for item in ignore]
    item = {
        "apiVersion": API_VERSION,
        "kind": "Application",
        "metadata": {
            "name": of.name,
            "namespace": namespace,
            "labels": {COMPONENT_LABEL: of.component},
            "annotations": {COMPARE_OPTIONS: COMPARE, PATHS: ".", SYNC_WAVE: str(wave)},
        },
        "spec": spec,
    }
    return of_root(item)


def source(repository: Repository, *parts: str, include: str = "*.yaml", recurse: bool = False) -> Object:
    """The files of a directory, taken as they are: whatever else lies there does not make it a chart or a kustomization."""
    directory: Object = {"include": include, **({"recurse": True} if recurse else {})}
    return {"repoURL": repository.url, "targetRevision": repository.branch, "path": repository.inside(*parts), "directory": directory}


def sync_policy(*options: str) -> Object:
    """Everything that Git says is done, and done again."""
    return {
        "automated": {"prune": True, "selfHeal": True},
        "syncOptions": [*SYNC_OPTIONS, *options],
        "retry": copy.deepcopy(dict(RETRY)),
    }


def of_root(item: Object) -> Object:
    """With the mark of the root Application, which delivers it."""
    item["metadata"].setdefault("annotations", {})[TRACKING] = tracking_id(item, ROOT, NAMESPACE)
    return item


def without_automation(item: Object) -> Object:
    """The same Application, which compares and does nothing."""
    found = copy.deepcopy(item)
    found["spec"]["syncPolicy"].pop("automated", None)
    return found


def waves(needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """By component: how deep it stands on others. Needs that are not among the components are there already."""
    found: dict[str, int] = {}

    def depth(name: str, above: tuple[str, ...]) -> int:
        if name not in found:
            found[name] = 1 + max((depth(need, (*above, name)) for need in needs[name] if need in needs and need not in above and need != name), default=-1)
        return found[name]

    for name in needs:
        depth(name, ())
    return found


def ignored(objects: Iterable[Object]) -> list[Object]:
    """What an Application has to ignore: fields of its objects that somebody else writes as well.

    Replicas of what a HorizontalPodAutoscaler scales, and the authorities of webhooks that are filled in at run time.
    """
    items = list(objects)
    rules = [*_scaled(items), *_authorities(items)]
    return sorted(rules, key=lambda rule: (rule["group"], rule["kind"], rule.get("namespace", ""), rule["name"]))


def _scaled(items: Sequence[Object]) -> Iterator[Object]:
    targets = {
        (reference.get("kind"), item["metadata"].get("namespace", ""), reference.get("name"))
        for item in items
        if item["kind"] == "HorizontalPodAutoscaler"
        for reference in [(item.get("spec") or {}).get("scaleTargetRef") or {}]
    }
    for item in items:
        metadata = item["metadata"]
        if (item["kind"], metadata.get("namespace", ""), metadata["name"]) in targets and "replicas" in (item.get("spec") or {}):
            yield {**_named(item), "jsonPointers": ["/spec/replicas"]}


def _authorities(items: Sequence[Object]) -> Iterator[Object]:
    for item in items:
        if item["kind"] in _WEBHOOKS and any(_unfilled(webhook.get("clientConfig")) for webhook in item.get("webhooks") or []):
            yield {**_named(item), "jqPathExpressions": [".webhooks[]?.clientConfig.caBundle"]}
        if item["kind"] == "CustomResourceDefinition":
            conversion = ((item.get("spec") or {}).get("conversion") or {}).get("webhook") or {}
            if _unfilled(conversion.get("clientConfig")):
                yield {**_named(item), "jsonPointers": ["/spec/conversion/webhook/clientConfig/caBundle"]}


def _unfilled(client: Mapping[str, Any] | None) -> bool:
    return client is not None and client.get("caBundle") in _NO_AUTHORITY


def _named(item: Object) -> Object:
    metadata = item["metadata"]
    place = {"namespace": metadata["namespace"]} if metadata.get("namespace") else {}
    return {"group": str(item["apiVersion"]).rpartition("/")[0], "kind": item["kind"], "name": metadata["name"], **place}
