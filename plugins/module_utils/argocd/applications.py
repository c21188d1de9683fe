# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications and their like in a cluster: read, applied, told to look anew, and told to sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import API_VERSION, NAMESPACE
from ansible_collections.trinode.platform.plugins.module_utils.argocd.status import REFRESH
from ansible_collections.trinode.platform.plugins.module_utils.argocd.transfer import ARGO_CD
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import diff
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import FIELD_MANAGER
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried

APPLICATIONS = Resource(API_VERSION, "Application", "applications", True)
_KINDS = {
    "Application": APPLICATIONS,
    "AppProject": Resource(API_VERSION, "AppProject", "appprojects", True),
    "ApplicationSet": Resource(API_VERSION, "ApplicationSet", "applicationsets", True),
}
_MERGE = "application/merge-patch+json"
PAUSED = "argocd.argoproj.io/skip-reconcile"
"""While an Application has this annotation, Argo CD leaves it alone."""


def version(item: Mapping[str, Any]) -> int:
    """The object's resourceVersion; later ones are greater."""
    return int(item["metadata"].get("resourceVersion") or 0)


class Applications:
    """The objects of Argo CD in its namespace."""

    def __init__(self, client: Client, deadline: Deadline, namespace: str = NAMESPACE) -> None:
        self.client = client
        self.deadline = deadline
        self.namespace = namespace

    def collection(self, name: str = "") -> Collection:
        """What to watch for one Application, or for all."""
        return Collection(APPLICATIONS.path(self.namespace), field_selector=f"metadata.name={name}" if name else "")

    def read(self, name: str) -> Object | None:
        """The Application; None where it, or Argo CD, is not there."""
        return self._get(APPLICATIONS.path(self.namespace, name))

    def all(self) -> dict[str, Object]:
        """Every Application by name; none where Argo CD is not there."""
        try:
            items, _version = retried(lambda: self.client.list(APPLICATIONS.path(self.namespace), deadline=self.deadline), self.deadline, self.client.server)
        except ApiError as error:
            if error.not_found:
                return {}
            raise
        return {item["metadata"]["name"]: item for item in items}

    def apply(self, item: Object) -> Object:
        """Apply it as Argo CD itself will from Git, so that the fields are its own from the beginning."""
        return self._send(self._path(item), item, "application/apply-patch+yaml", {"fieldManager": ARGO_CD, "force": "true"})

    def differs(self, item: Object) -> bool:
        """Whether applying it would change anything."""
        path = self._path(item)
        before = self._get(path)
        if before is None:
            return True
        params = {"fieldManager": ARGO_CD, "force": "true", "dryRun": "All"}
        return diff.essence(before) != diff.essence(self._send(path, item, "application/apply-patch+yaml", params))

    def refresh(self, name: str) -> int:
        """Tell Argo CD to look at the newest commit now; it takes the annotation away when it has. Returns the Application's version with the annotation."""
        # Not by Argo CD's own field manager: the root Application would find an annotation that Git does not have.
        found = self._send(APPLICATIONS.path(self.namespace, name), {"metadata": {"annotations": {REFRESH: "normal"}}}, _MERGE, {"fieldManager": FIELD_MANAGER})
        return version(found)

    def pause(self, name: str, *, paused: bool) -> None:
        """Have Argo CD leave the Application alone, or look after it again."""
        mark = "true" if paused else None
        self._send(APPLICATIONS.path(self.namespace, name), {"metadata": {"annotations": {PAUSED: mark}}}, _MERGE, {"fieldManager": FIELD_MANAGER})

    def sync(self, item: Mapping[str, Any], revision: str) -> None:
        """Start a sync of this Application. Argo CD does so by itself, but not again to a revision that it has failed with."""
        policy = item["spec"].get("syncPolicy") or {}
        operation = {
            "initiatedBy": {"username": FIELD_MANAGER},
            "sync": {"revision": revision, "prune": True, "syncOptions": policy.get("syncOptions") or []},
            "retry": policy.get("retry") or {"limit": 2},
        }
        self._send(APPLICATIONS.path(self.namespace, item["metadata"]["name"]), {"operation": operation}, _MERGE, {"fieldManager": FIELD_MANAGER})

    def _path(self, item: Mapping[str, Any]) -> str:
        return _KINDS[str(item["kind"])].path(self.namespace, key_of(item).name)

    def _get(self, path: str) -> Object | None:
        try:
            return retried(lambda: self.client.get(path, deadline=self.deadline), self.deadline, self.client.server)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def _send(self, path: str, body: Mapping[str, Any], content_type: str, params: Mapping[str, str]) -> Object:
        return retried(
            lambda: self.client.request("PATCH", path, dict(body), content_type=content_type, params=params, deadline=self.deadline), self.deadline, path
        )
