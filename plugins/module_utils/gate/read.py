# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what the gate judges: machines and etcd through talosctl, nodes and Ceph through the Kubernetes API, everything at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from ansible_collections.trinode.platform.plugins.module_utils.ceph import observe as ceph_observe
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Ceph
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import MachineView, NodeView, View
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, connect
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView, observe_etcd
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine, observe

READ_SECONDS = 10.0
"""A look that takes longer than this counts as one that failed."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Sources:
    """Where to read: addresses of the machines and of the control planes, and the credentials for them. ``checks`` are the names of the checks.

    ``planned_loss`` is the address of the machine that is about to go: Ceph is asked whether its OSDs may stop.
    """

    checks: Sequence[str]
    machines: Sequence[str]
    endpoints: Sequence[str]
    talosctl: str
    talosconfig: str
    kubeconfig: str
    planned_loss: str = ""


def read(sources: Sources, deadline: Deadline) -> View:
    """One look at everything that the checks need."""
    limit = deadline.at_most(READ_SECONDS)
    with ThreadPoolExecutor(max_workers=3) as pool:
        machines = pool.submit(_each, lambda address: _machine(sources, address, limit), sources.machines if "machines" in sources.checks else ())
        etcd = pool.submit(_each, lambda address: _etcd(sources, address, limit), sources.endpoints if "etcd" in sources.checks else ())
        cluster = _Cluster()
        if {"nodes", "ceph"} & set(sources.checks):
            cluster = _cluster(sources, limit)
        return View(
            machines=machines.result(),
            etcd=etcd.result(),
            nodes=cluster.nodes if "nodes" in sources.checks else (),
            nodes_problem=cluster.nodes_problem if "nodes" in sources.checks else "",
            ceph=cluster.ceph,
            ceph_problem=cluster.ceph_problem,
            ceph_asked="ceph" in sources.checks,
            planned_loss=cluster.lost(sources.planned_loss),
        )


def _each(function: Callable[[T], R], items: Sequence[T]) -> tuple[R, ...]:
    if not items:
        return ()
    with ThreadPoolExecutor(max_workers=len(items)) as pool:
        return tuple(pool.map(function, items))


def _machine(sources: Sources, address: str, deadline: Deadline) -> MachineView:
    machine = Machine(address, talosctl=sources.talosctl, talosconfig=sources.talosconfig)
    state = observe(machine, subjects=["status", "version"], deadline=deadline)
    # A machine that Talos calls ready has healthy services; of another one they say more.
    if state.ready or state.trust != "ours" or state.problem:
        return MachineView(state)
    try:
        return MachineView(state, tuple(machine.client().services(deadline=deadline)))
    except PlatformError as error:
        return MachineView(state, services_problem=error.what)


def _etcd(sources: Sources, address: str, deadline: Deadline) -> EtcdView:
    client = Talosctl(address, program=sources.talosctl, talosconfig=sources.talosconfig)
    try:
        # etcd names its alarms among its errors, too.
        return observe_etcd(client, alarms=False, deadline=deadline)
    except PlatformError as error:
        return EtcdView(address, problem=error.what)


@dataclass(frozen=True)
class _Cluster:
    """What the Kubernetes API tells."""

    nodes: tuple[NodeView, ...] = ()
    nodes_problem: str = ""
    ceph: Ceph | None = None
    ceph_problem: str = ""

    def lost(self, address: str) -> str:
        """The name of the node with this address."""
        return next((view.name for view in self.nodes if address and view.address == address), "")


def _cluster(sources: Sources, deadline: Deadline) -> _Cluster:
    asks_ceph = "ceph" in sources.checks
    try:
        client: Client = connect(sources.kubeconfig, deadline=deadline)
    except PlatformError as error:
        return _Cluster(nodes_problem=error.what, ceph_problem=error.what if asks_ceph else "")
    try:
        try:
            items, _version = client.list("/api/v1/nodes")
        except PlatformError as error:
            return _Cluster(nodes_problem=error.what, ceph_problem=error.what if asks_ceph else "")
        nodes = tuple(sorted((node(item) for item in items), key=lambda view: view.name))
        if not asks_ceph:
            return _Cluster(nodes)
        try:
            return _Cluster(nodes, ceph=_ceph(client, sources, nodes, deadline))
        except PlatformError as error:
            return _Cluster(nodes, ceph_problem=str(error).rstrip("."))
    finally:
        client.close()


def _ceph(client: Client, sources: Sources, nodes: Sequence[NodeView], deadline: Deadline) -> Ceph | None:
    cluster = ceph_observe.find(client, deadline)
    if cluster is None:
        return None
    host = _Cluster(tuple(nodes)).lost(sources.planned_loss)
    if sources.planned_loss and not host:
        raise InputError(f"no node has the address {sources.planned_loss}, so that Ceph cannot be asked whether it may go")
    return ceph_observe.observe(client, cluster, deadline, host=host)


def node(item: dict[str, object]) -> NodeView:
    """A Node object of the Kubernetes API as the gate sees it."""
    metadata, spec, status = (_dictionary(item, part) for part in ("metadata", "spec", "status"))
    conditions = status.get("conditions")
    ready: dict[str, object] = next((entry for entry in conditions if entry.get("type") == "Ready"), {}) if isinstance(conditions, list) else {}
    addresses = status.get("addresses")
    internal = next((entry.get("address") for entry in addresses if entry.get("type") == "InternalIP"), "") if isinstance(addresses, list) else ""
    return NodeView(
        name=str(metadata.get("name", "")),
        ready=ready.get("status") == "True",
        reason="" if ready.get("status") == "True" else str(ready.get("message") or ready.get("reason") or ""),
        unschedulable=bool(spec.get("unschedulable")),
        version=str(_dictionary(status, "nodeInfo").get("kubeletVersion", "")),
        address=str(internal),
    )


def _dictionary(item: dict[str, object], key: str) -> dict[str, object]:
    value = item.get(key)
    return value if isinstance(value, dict) else {}
