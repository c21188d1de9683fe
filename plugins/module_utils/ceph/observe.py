# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a running Ceph cluster: Ceph itself through its toolbox, and Rook's objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.ceph import parse
from ansible_collections.trinode.platform.plugins.module_utils.ceph.toolbox import Toolbox
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Ceph
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client

Json = dict[str, Any]

_ROOK = "/apis/ceph.rook.io/v1"


def find(client: Client, deadline: Deadline) -> Json | None:
    """The CephCluster, once Ceph has begun to run for it; None before that, or where there is none. Raises RefusedError where there are several."""
    try:
        clusters, _version = client.list(f"{_ROOK}/cephclusters", deadline=deadline)
    except ApiError as error:
        if error.not_found:
            return None
        raise
    # Before the monitors have met there is no data, and nobody to ask.
    clusters = [item for item in clusters if ((item.get("status") or {}).get("ceph") or {}).get("health")]
    if len(clusters) > 1:
        names = ", ".join(f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in clusters)
        raise RefusedError(f"there are {len(clusters)} CephClusters: {names}", hint="This platform has one.")
    return clusters[0] if clusters else None


def observe(client: Client, cluster: Mapping[str, Any], deadline: Deadline, *, host: str = "", osds: Sequence[int] = ()) -> Ceph:
    """A look at it. With ``host`` (a node's name) or ``osds``, Ceph is asked whether those may stop. Raises PlatformError where it cannot be read."""
    namespace = str(cluster["metadata"]["namespace"])
    paths = [
        "/api/v1/nodes",
        f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets",
        f"{_ROOK}/namespaces/{namespace}/cephfilesystems",
        f"{_ROOK}/namespaces/{namespace}/cephobjectstores",
        f"/apis/apps/v1/namespaces/{namespace}/deployments",
    ]
    toolbox = Toolbox(client, namespace)
    with ThreadPoolExecutor(max_workers=len(paths) + 1) as pool:
        # A name with dots has dashes in the CRUSH map.
        asked = pool.submit(toolbox.inquire, deadline, host=host.replace(".", "-"), osds=osds)
        listed = [pool.submit(client.list, path, deadline=deadline) for path in paths]
        objects = [item for future in listed for item in future.result()[0]]
        answers = asked.result()
    return parse.read(answers, [cluster, *objects], where=toolbox.where)
