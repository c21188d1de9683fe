# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there before an apply: one list for many objects of a kind in a namespace, and nothing asked of namespaces that do not exist."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.applyset import METADATA_LIST
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import CONNECTIONS, Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource, Resources
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.waves import DEFINITION

_WORTH_A_LIST = 3
_MOST = 500

_Group = tuple[Resource, str]


class Existing:
    """The objects to be applied as they are now. Lists are read at once when it is made; ``read`` may be called from several threads."""

    def __init__(self, client: Client, keys: Iterable[Key], resources: Resources, deadline: Deadline) -> None:
        self._client = client
        self._deadline = deadline
        self._resources = resources
        self._full: dict[Key, Object] = {}
        self._named: dict[_Group, set[str]] = {}
        self._complete: set[_Group] = set()
        groups: dict[_Group, int] = {}
        for key in keys:
            if (resource := resources.get((key.api_version, key.kind))) is not None:
                groups[resource, key.namespace] = groups.get((resource, key.namespace), 0) + 1
        self.namespaces = self._namespaces() if any(namespace for _resource, namespace in groups) else set()
        many = [group for group, count in groups.items() if count >= _WORTH_A_LIST and (not group[1] or group[1] in self.namespaces)]
        if many:
            with ThreadPoolExecutor(max_workers=min(CONNECTIONS, len(many))) as pool:
                list(pool.map(self._list, many))

    def read(self, key: Key) -> Object | None:
        """The object as it was; None where it or its kind was not there."""
        resource = self._resources.get((key.api_version, key.kind))
        if resource is None or (resource.namespaced and key.namespace not in self.namespaces):
            return None
        group = (resource, key.namespace)
        if key in self._full:
            return self._full[key]
        if group in self._complete and key.name not in self._named[group]:
            return None
        try:
            path = resource.path(key.namespace, key.name)
            return retried(lambda: self._client.get(path, deadline=self._deadline), self._deadline, str(key))
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def _namespaces(self) -> set[str]:
        def ask() -> Object:
            return self._client.request("GET", "/api/v1/namespaces", accept=METADATA_LIST, deadline=self._deadline)

        return {item["metadata"]["name"] for item in retried(ask, self._deadline, self._client.server).get("items") or []}

    def _list(self, group: _Group) -> None:
        """All of a collection, if it is not too large. Of definitions only the names: the rest is large, and read where it is needed."""
        resource, namespace = group
        names_only = resource.kind == DEFINITION

        def ask() -> Object:
            accept = METADATA_LIST if names_only else "application/json"
            return self._client.request("GET", resource.path(namespace), params={"limit": _MOST}, accept=accept, deadline=self._deadline)

        try:
            answer = retried(ask, self._deadline, self._client.server)
        except ApiError as error:
            if error.not_found:
                return
            raise
        items = answer.get("items") or []
        self._named[group] = {item["metadata"]["name"] for item in items}
        if not (answer.get("metadata") or {}).get("continue"):
            self._complete.add(group)
        if not names_only:
            for item in items:
                key = Key(resource.api_version, resource.kind, namespace, item["metadata"]["name"])
                self._full[key] = {"apiVersion": resource.api_version, "kind": resource.kind, **item}
