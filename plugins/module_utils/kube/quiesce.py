# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing what runs in a cluster to rest before all machines are switched off, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.ceph import observe as ceph_observe
from ansible_collections.trinode.platform.plugins.module_utils.ceph.toolbox import Toolbox
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import drain
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import label
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.listing import where_served
from ansible_collections.trinode.platform.plugins.module_utils.kube.quiesce_plan import (
    HIBERNATION,
    MARK,
    REASON,
    Ceph,
    Database,
    Node,
    Observed,
    Step,
    cordoned_by_others,
    quiesce,
    resume,
    with_volumes,
)
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

Json = dict[str, Any]

_CLUSTERS = "/apis/postgresql.cnpg.io/v1"
_ROOK = "/apis/ceph.rook.io/v1"
_MERGE = "application/merge-patch+json"
# Pods of databases and others end within their own grace periods; there may be many of them, and what replaces them is to be seen, too.
_LOOK_SECONDS = 1.0
_SHOWN = 10


def look(client: Client, deadline: Deadline) -> Observed:
    """Everything the plans are about."""
    nodes, _version = retried(lambda: client.list("/api/v1/nodes", deadline=deadline), deadline, "nodes")
    return Observed(
        nodes=tuple(Node(item["metadata"]["name"], drain.is_cordoned(item), drain.mark_of(item)) for item in nodes),
        databases=tuple(_database(item) for item in where_served(client, f"{_CLUSTERS}/clusters", deadline)),
        pods=tuple(label(pod) for pod in with_volumes(where_served(client, "/api/v1/pods", deadline))),
        ceph=_ceph(client, deadline),
    )


def settle(client: Client, state: str, *, check_mode: bool, deadline: Deadline) -> tuple[list[Step], tuple[str, ...]]:
    """Do what it takes. Each step is repeated safely after a run that was killed.

    Returns the steps that were (in check mode, would be) taken, and the nodes that somebody else had cordoned before.
    """
    observed = look(client, deadline)
    steps = quiesce(observed) if state == "quiesced" else resume(observed)
    if check_mode:
        return steps, cordoned_by_others(observed)
    for step in steps:
        if step.action != "delete":
            progress(step.text)
        if step.action == "set":
            _await_no_volumes(client, deadline)
        _ACTIONS[step.action](client, step, deadline)
        if step.action == "hibernate":
            _await_asleep(client, step.what, deadline)
    if state == "quiesced":
        _await_no_volumes(client, deadline)
    return steps, cordoned_by_others(observed)


def _cordon(client: Client, step: Step, deadline: Deadline) -> None:
    drain.set_cordon(client, step.what, deadline, cordoned=True, reason=REASON)


def _uncordon(client: Client, step: Step, deadline: Deadline) -> None:
    drain.set_cordon(client, step.what, deadline, cordoned=False)


def _hibernate(client: Client, step: Step, deadline: Deadline) -> None:
    _annotate(client, f"{_CLUSTERS}/namespaces/{{}}/clusters/{{}}", step.what, {HIBERNATION: "on", MARK: "hibernated"}, deadline)


def _wake(client: Client, step: Step, deadline: Deadline) -> None:
    _annotate(client, f"{_CLUSTERS}/namespaces/{{}}/clusters/{{}}", step.what, {HIBERNATION: "off", MARK: None}, deadline)


def _delete(client: Client, step: Step, deadline: Deadline) -> None:
    namespace, _slash, name = step.what.partition("/")
    progress(step.text)
    try:
        retried(lambda: client.request("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", deadline=deadline), deadline, f"pod {step.what}")
    except ApiError as error:
        if not error.not_found:
            raise


def _set(client: Client, step: Step, deadline: Deadline) -> None:
    """Noted first: a flag that is noted and not set does no harm, one that is set and not noted would stay for ever."""
    before = _ceph(client, deadline)
    noted = {*(before.recorded if before else ()), *step.values}
    _annotate(client, f"{_ROOK}/namespaces/{{}}/cephclusters/{{}}", step.what, {MARK: ",".join(sorted(noted))}, deadline)
    for flag in step.values:
        Toolbox(client, step.what.partition("/")[0]).ceph(["osd", "set", flag], deadline)


def _unset(client: Client, step: Step, deadline: Deadline) -> None:
    for flag in step.values:
        _patiently(lambda flag=flag: Toolbox(client, step.what.partition("/")[0]).ceph(["osd", "unset", flag], deadline), deadline)  # type: ignore[misc]
    _annotate(client, f"{_ROOK}/namespaces/{{}}/cephclusters/{{}}", step.what, {MARK: None}, deadline)


_ACTIONS: dict[str, Callable[[Client, Step, Deadline], None]] = {
    "cordon": _cordon,
    "uncordon": _uncordon,
    "hibernate": _hibernate,
    "wake": _wake,
    "delete": _delete,
    "set": _set,
    "unset": _unset,
}


def _patiently(call: Callable[[], object], deadline: Deadline) -> None:
    """Until Ceph can be asked: after a start its monitors take a while."""
    said = ""
    while True:
        try:
            call()
        except PlatformError as error:
            if deadline.expired:
                raise
            if error.what != said:
                said = error.what
                progress(f"Ceph cannot be told yet: {said}")
            deadline.pause(_LOOK_SECONDS)
        else:
            return


def _await_asleep(client: Client, database: str, deadline: Deadline) -> None:
    namespace, _slash, name = database.partition("/")
    while left := where_served(client, f"/api/v1/namespaces/{namespace}/pods", deadline, {"labelSelector": f"cnpg.io/cluster={name},cnpg.io/podRole=instance"}):
        names = ", ".join(pod["metadata"]["name"] for pod in left)
        deadline.check(f"the database did not go to sleep ({names} still run)", where=database, hint="Look at the operator's log (cnpg-system).")
        deadline.pause(_LOOK_SECONDS)


def _await_no_volumes(client: Client, deadline: Deadline) -> None:
    """Until no pod has a volume and none of Ceph's is attached anywhere. What was bound to a node meanwhile goes too."""
    said = 0
    while True:
        pods = with_volumes(where_served(client, "/api/v1/pods", deadline))
        for pod in pods:
            if not pod["metadata"].get("deletionTimestamp"):
                _delete(client, Step("delete", label(pod)), deadline)
        attached = [
            item["spec"]["nodeName"]
            for item in where_served(client, "/apis/storage.k8s.io/v1/volumeattachments", deadline)
            if str(item["spec"].get("attacher", "")).endswith(".ceph.com")
        ]
        if not pods and not attached:
            return
        if len(pods) + len(attached) != said:
            said = len(pods) + len(attached)
            progress(f"waits for {len(pods)} pods with volumes and {len(attached)} attached volumes of Ceph")
        # With no time for another look: that one would say only that it was not answered.
        if deadline.remaining <= _LOOK_SECONDS:
            names = ", ".join([label(pod) for pod in pods][:_SHOWN]) or f"volumes on {', '.join(sorted(set(attached)))}"
            raise DeadlineExceeded(
                f"these still have volumes: {names}",
                where="cluster",
                hint="Look at why they do not end (kubectl describe pod); a machine that is switched off meanwhile may hang. The same command goes on.",
            )
        deadline.pause(_LOOK_SECONDS)


def _database(item: Json) -> Database:
    metadata = item["metadata"]
    annotations = metadata.get("annotations") or {}
    return Database(metadata["namespace"], metadata["name"], annotations.get(HIBERNATION) == "on", bool(annotations.get(MARK)))


def _ceph(client: Client, deadline: Deadline) -> Ceph | None:
    # After a start the API server answers before it has all it needs.
    found = retried(lambda: ceph_observe.find(client, deadline), deadline, "CephCluster")
    if found is None:
        return None
    metadata = found["metadata"]
    recorded = str((metadata.get("annotations") or {}).get(MARK) or "")
    flags: list[str] = []

    def ask() -> None:
        dump = json.loads(Toolbox(client, metadata["namespace"]).ceph(["osd", "dump", "--format", "json"], deadline))
        flags[:] = str(dump["flags"]).split(",")

    try:
        ask()
    except ConnectionFailed:
        # Without its flags nothing can be planned but what was noted.
        if not recorded:
            _patiently(ask, deadline)
    return Ceph(metadata["namespace"], metadata["name"], tuple(flags), tuple(flag for flag in recorded.split(",") if flag))


def _annotate(client: Client, path: str, what: str, annotations: dict[str, str | None], deadline: Deadline) -> None:
    namespace, _slash, name = what.partition("/")
    body = {"metadata": {"annotations": annotations}}
    retried(lambda: client.request("PATCH", path.format(namespace, name), body, content_type=_MERGE, deadline=deadline), deadline, what)
