# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where checks read: machines through talosctl, everything else through the Kubernetes API. What several checks need is read once a look."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import NodeView, Policy
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.servers import urls
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import condition, part

T = TypeVar("T")
R = TypeVar("R")


class Sources:
    """One look's way to the cluster, for all checks at once. Safe to use from several threads. Every method raises PlatformError."""

    def __init__(self, policy: Policy, *, talosctl: str = "talosctl", talosconfig: str = "", kubeconfig: str = "") -> None:
        self.policy = policy
        self.talosctl = talosctl
        self.talosconfig = talosconfig
        self.kubeconfig = kubeconfig
        self._lock = threading.Lock()
        self._connecting = threading.Lock()
        self._read: dict[str, Future[Any]] = {}

    def client(self, deadline: Deadline, server: str = "") -> Client:
        """The Kubernetes API by the kubeconfig's own address, which users have too; or one of its servers."""

        def open_client() -> Client:
            # The package kubernetes keeps its temporary files of all kubeconfigs in one place, so one after the other. Nothing is asked of a server here.
            with self._connecting:
                return connect(self.kubeconfig, deadline=deadline, servers=[server] if server else ())

        return self._once(f"client {server}", open_client)

    def servers(self) -> list[tuple[str, str]]:
        """Address and URL of the API server of each control plane."""
        return list(zip(self.policy.endpoints, urls(self.policy.endpoints), strict=True))

    def installed(self, path: str, deadline: Deadline) -> list[Json] | None:
        """The items of a collection; None where its kind is not installed."""

        def ask() -> list[Json] | None:
            try:
                return self.client(deadline).list(path, deadline=deadline)[0]
            except ApiError as error:
                if error.kind_missing:
                    return None
                raise

        return self._once(f"list {path}", ask)

    def require(self, path: str, deadline: Deadline) -> list[Json]:
        """The items of a collection that every cluster has."""
        items = self.installed(path, deadline)
        if items is None:
            raise InputError(f"the API server does not serve {path}", where="cluster")
        return items

    def nodes(self, deadline: Deadline) -> tuple[NodeView, ...]:
        """All nodes, by name."""
        return tuple(sorted((node(item) for item in self.require("/api/v1/nodes", deadline)), key=lambda view: view.name))

    def lost(self, deadline: Deadline) -> str:
        """The name of the node of the machine that is about to go; "" where none is."""
        address = self.policy.planned_loss
        if not address:
            return ""
        name = next((view.name for view in self.nodes(deadline) if view.address == address), "")
        if not name:
            raise InputError(f"no node has the address {address}, so that nothing can be said of its loss", where="cluster")
        return name

    def close(self) -> None:
        """End the connections."""
        for key, future in self._read.items():
            if key.startswith("client ") and future.exception() is None:
                future.result().close()

    def _once(self, key: str, read: Callable[[], T]) -> T:
        with self._lock:
            first = key not in self._read
            future: Future[T] = self._read.setdefault(key, Future())
        if first:
            try:
                future.set_result(read())
            except BaseException as error:  # noqa: BLE001  it is raised below, for whoever asks
                future.set_exception(error)
        return future.result()


def each(function: Callable[[T], R], items: Sequence[T]) -> tuple[R, ...]:
    """The function of all items at once, in their order."""
    if not items:
        return ()
    with ThreadPoolExecutor(max_workers=len(items)) as pool:
        return tuple(pool.map(function, items))


def node(item: Json) -> NodeView:
    """A Node object of the Kubernetes API as the gate sees it."""
    status = part(item, "status")
    ready = condition(status, "Ready")
    well = ready.get("status") == "True"
    return NodeView(
        name=str(part(item, "metadata").get("name", "")),
        ready=well,
        reason="" if well else str(ready.get("message") or ready.get("reason") or ""),
        unschedulable=bool(part(item, "spec").get("unschedulable")),
        version=str(part(status, "nodeInfo").get("kubeletVersion", "")),
        address=next((str(entry.get("address")) for entry in status.get("addresses") or [] if entry.get("type") == "InternalIP"), ""),
    )
