# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single objects in a cluster: read, made, tried, deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import removal
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource, Resources, discover
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.prune import all_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import FIELD_MANAGER, Applied
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.waves import placed

# Looked at in every run, also when nothing changes: the listing of all kinds would be large.
_ALWAYS_SERVED = {
    (resource.api_version, resource.kind): resource
    for resource in (
        Resource("v1", "Namespace", "namespaces", False),
        Resource("v1", "ConfigMap", "configmaps", True),
        Resource("v1", "Secret", "secrets", True),
        Resource("batch/v1", "Job", "jobs", True),
    )
}
_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


class Access:
    """The objects of one component. ``namespace`` is for namespaced ones that name none. Kinds are looked up once, when first needed."""

    def __init__(self, client: Client, namespace: str, deadline: Deadline, *, check: bool = False) -> None:
        self.client = client
        self.deadline = deadline
        self._namespace = namespace
        self._check = check
        self._resources: Resources | None = None

    @property
    def resources(self) -> Resources:
        if self._resources is None:
            self._resources = retried(lambda: discover(self.client), self.deadline, self.client.server)
        return self._resources

    def place(self, item: Object) -> Object:
        """The object with the namespace that it has or gets."""
        return placed(item, self._resource(key_of(item)), None, self._namespace)

    def read(self, item: Mapping[str, Any]) -> Object | None:
        """The object of this one's kind and name as it is; None where it, its namespace or its kind is not there."""
        path = self._path(key_of(item))
        if path is None:
            return None
        try:
            return retried(lambda: self.client.get(path, deadline=self.deadline), self.deadline, str(key_of(item)))
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def create(self, item: Object) -> Object:
        """Make the object, which is not there. In check mode it is returned as it is."""
        path = self._path(key_of(item))
        if self._check or path is None:
            return item
        return self._send("POST", path.rpartition("/")[0], item, _JSON, {"fieldManager": FIELD_MANAGER})

    def apply(self, item: Object) -> None:
        """Server-side apply of one object. Nothing in check mode."""
        if not self._check:
            self._send("PATCH", self._path(key_of(item)) or "", item, _APPLY, {"fieldManager": FIELD_MANAGER, "force": "true"})

    def merge(self, item: Mapping[str, Any], change: Mapping[str, Any]) -> None:
        """Change fields of an object that is there (merge patch). Nothing in check mode."""
        key = key_of(item)
        path = self._path(key)
        if not self._check and path is not None:
            self._send("PATCH", path, dict(change), _MERGE, {"fieldManager": FIELD_MANAGER})

    def refusal(self, item: Object) -> ApiError | None:
        """Why the server would refuse to apply this object; None if it would not."""
        key = key_of(item)
        path = self._path(key)
        if path is None:
            return None
        try:
            self._send("PATCH", path, item, _APPLY, {"fieldManager": FIELD_MANAGER, "force": "true", "dryRun": "All"})
        except ApiError as error:
            return error
        return None

    def delete(self, items: Iterable[Mapping[str, Any]]) -> list[Applied]:
        """Delete those that are there, and wait until they are gone. Nothing is deleted in check mode."""
        there = [found for item in items if (found := self.read(item)) is not None]
        if not there:
            return []
        return removal.delete(self.client, all_of(there), self.resources, self.deadline, dry_run=self._check, gone=True)

    def _path(self, key: Key) -> str | None:
        resource = self._resource(key)
        return resource.path(key.namespace, key.name) if resource else None

    def _resource(self, key: Key) -> Resource | None:
        kind = (key.api_version, key.kind)
        return _ALWAYS_SERVED.get(kind) or self.resources.get(kind)

    def _send(self, method: str, path: str, body: Any, content_type: str, params: Mapping[str, str]) -> Object:
        return retried(lambda: self.client.request(method, path, body, content_type=content_type, params=params, deadline=self.deadline), self.deadline, path)
