# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which components the cluster has, by the ConfigMaps that component_deliver keeps: what is installed is read from there and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried

NAMESPACE = "kube-system"
_PREFIX = "trinode-component-"
COMPONENT_LABEL = "trinode.dev/component"
DELIVERY = "delivery"
"""Who delivers the component, in its ConfigMap: ARGO_CD once it was handed over. It outlives a direct delivery."""
ARGO_CD = "argo_cd"
BEGUN = "begun"
"""The revision that an upgrade is going to, in its ConfigMap from the beginning of the upgrade to its end."""


@dataclass(frozen=True)
class Installed:
    """One component: the revision that was delivered last, the components that it needs, and ``argo_cd`` where Argo CD delivers it.

    ``versions`` has the version of each pin. ``begun`` is the revision of an upgrade that has not come to its end.
    """

    name: str
    revision: str
    needs: tuple[str, ...] = ()
    delivery: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    begun: str = ""


def parent_name(component: str) -> str:
    """The name of a component's ConfigMap, which is its ApplySet's parent."""
    return _PREFIX + component.replace("_", "-")


def read(client: Client, *, deadline: Deadline | None = None, tries: int | None = None) -> Mapping[str, Installed]:
    """Every component that has been delivered to its end, by name. One request, tried again while the API server restarts, or only so often.

    ``deadline`` instead of the client's own.
    """
    limit = deadline or client.deadline
    path, selector = f"/api/v1/namespaces/{NAMESPACE}/configmaps", {"labelSelector": COMPONENT_LABEL}
    items, _version = retried(lambda: client.list(path, selector, deadline=limit), limit, client.server, tries=tries)
    found = {}
    for item in items:
        data = item.get("data") or {}
        if data.get("revision"):
            name = item["metadata"]["labels"][COMPONENT_LABEL]
            needs, versions = ((data.get(key) or "").split() for key in ("needs", "versions"))
            by_pin = {pin: version for pin, _equals, version in (text.partition("=") for text in versions)}
            found[name] = Installed(name, data["revision"], tuple(needs), data.get(DELIVERY) or "", by_pin, data.get(BEGUN) or "")
    return found


def installed_components(kubeconfig: str, context: str, deadline: Deadline, *, lenient: bool) -> Mapping[str, Installed] | None:
    """As ``read``; with ``lenient``, None where there is no cluster yet."""
    try:
        client = connect(kubeconfig, context, deadline)
        try:
            return read(client, tries=1 if lenient else None)
        finally:
            client.close()
    except (MissingKubeconfigError, ApiUnreachable):
        if lenient:
            return None
        raise
