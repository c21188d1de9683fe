# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kinds an API server serves, and under which paths: aggregated discovery, two requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Resource:
    """One served kind in one version. ``api_version`` as in an object ("apps/v1"), ``plural`` as in a path."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of the collection (of a namespace, or of all), or of one object."""
        base = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        if self.namespaced and namespace:
            base += f"/namespaces/{namespace}"
        return f"{base}/{self.plural}/{name}" if name else f"{base}/{self.plural}"


Resources = Mapping[tuple[str, str], Resource]
"""By apiVersion and kind."""


def discover(client: Client) -> Resources:
    """Every kind that the server serves now."""
    found: dict[tuple[str, str], Resource] = {}
    for root in ("/api", "/apis"):
        found.update(_resources(client.request("GET", root, accept=_AGGREGATED)))
    return found


def group_version(client: Client, api_version: str, deadline: Deadline) -> dict[str, Resource]:
    """The kinds of one version of a group; none where it is not served. Far smaller than the whole listing, and kept ready by the server."""
    path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    try:
        # The server that objects of the group are sent to while it is new.
        listing = retried(lambda: client.request("GET", path, deadline=deadline, affinity=api_version), deadline, client.server)
    except ApiError as error:
        if error.not_found:
            return {}
        raise
    return {
        item["kind"]: Resource(api_version, item["kind"], item["name"], bool(item.get("namespaced")))
        for item in listing.get("resources") or []
        if "/" not in item["name"]
    }


def _resources(listing: Mapping[str, Any]) -> dict[tuple[str, str], Resource]:
    """The kinds of an APIGroupDiscoveryList. A version whose server does not answer (``freshness: Stale``) is listed as last seen, and kept."""
    found: dict[tuple[str, str], Resource] = {}
    for group in listing.get("items") or []:
        name = (group.get("metadata") or {}).get("name", "")
        for version in group.get("versions") or []:
            api_version = f"{name}/{version['version']}" if name else version["version"]
            for resource in version.get("resources") or []:
                # The response kind's own group and version differ for a few kinds only (Scale, Eviction), which are subresources.
                kind = (resource.get("responseKind") or {}).get("kind", "")
                if kind:
                    found.setdefault((api_version, kind), Resource(api_version, kind, resource["resource"], resource.get("scope") == "Namespaced"))
    return found
