# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a change of the cluster's machines is planned from: who answers at each address, etcd, the nodes and Ceph. Nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ansible_collections.trinode.platform.plugins.module_utils.ceph import observe as ceph_observe
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Ceph
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import condition, part
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.rolling.membership import Cluster, Machine, Observed
from ansible_collections.trinode.platform.plugins.module_utils.rolling.observe import MACHINE_SECONDS, Access
from ansible_collections.trinode.platform.plugins.module_utils.talos import machine_tls
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView, observe_etcd
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import summarize
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine as TalosMachine
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import observe

# One handshake may fail on a machine that is there; it counts as absent after as many as this.
LOOKS = 3
LOOK_SECONDS = 1.0


def read(machines: Sequence[Machine], endpoint: str, access: Access, deadline: Deadline) -> Cluster:
    """All of it, as it is now. Raises where Kubernetes, or Ceph where it runs, cannot be asked. A machine without an address is not asked."""
    client = connect(access.kubeconfig, access.context, deadline)
    asked = [machine for machine in machines if machine.address]
    try:
        with ThreadPoolExecutor(max_workers=len(machines) + 3) as pool:
            listing = pool.submit(retried, lambda: client.list("/api/v1/nodes", deadline=deadline), deadline, "the nodes")
            ceph = pool.submit(_ceph, client, deadline)
            looks = list(pool.map(lambda machine: _machine(machine, access, deadline), asked))
            nodes = {str(item["metadata"]["name"]): item for item in listing.result()[0]}
            storage = ceph.result()
    finally:
        client.close()
    seen = {machine.address: observed for machine, (observed, _view) in zip(asked, looks, strict=True)}
    etcd = summarize([view for _observed, view in looks if view is not None])
    members = {member.hostname: member.id for member in etcd.members}
    found = []
    for machine in machines:
        node = nodes.get(machine.node)
        ready = node is not None and condition(part(node, "status"), "Ready").get("status") == "True"
        observed = replace(
            seen.get(machine.address, Observed(trust=machine_tls.UNREACHABLE, stage="")),
            node_found=node is not None,
            node_ready=ready,
            member_id=members.get(machine.node, ""),
        )
        found.append(replace(machine, observed=observed))
    return Cluster(tuple(found), etcd, storage, endpoint)


def _machine(machine: Machine, access: Access, deadline: Deadline) -> tuple[Observed, EtcdView | None]:
    """The machine, and what it says of etcd if it is one of the cluster's control planes."""
    talos = TalosMachine(machine.address, talosctl=access.talosctl, talosconfig=access.talosconfig)
    for look in range(1, LOOKS + 1):
        state = observe(talos, subjects=("status", "identity", "disks"), deadline=deadline.at_most(MACHINE_SECONDS))
        if state.trust != machine_tls.UNREACHABLE or look == LOOKS:
            disks = tuple(disk.serial for disk in state.disks if disk.serial)
            observed = Observed(state.trust, state.problem, state.stage, state.uuid, state.serial_number, disks)
            return observed, _etcd(talos, deadline) if machine.control_plane and state.trust == machine_tls.OURS else None
        deadline.pause(LOOK_SECONDS)
    raise AssertionError("the last look returns")


def _etcd(talos: TalosMachine, deadline: Deadline) -> EtcdView:
    try:
        return observe_etcd(talos.client(), alarms=False, deadline=deadline.at_most(MACHINE_SECONDS))
    except DeadlineExceeded as error:
        return EtcdView(talos.address, problem=error.what)


def _ceph(client: Client, deadline: Deadline) -> Ceph | None:
    """Ceph, where it runs. Its toolbox may have been on the machine that is gone, and starts elsewhere."""
    while True:
        try:
            cluster = ceph_observe.find(client, deadline)
            return None if cluster is None else ceph_observe.observe(client, cluster, deadline)
        except (ConnectionFailed, ApiError) as error:
            if deadline.expired or (isinstance(error, ApiError) and not error.temporary):
                raise
            progress(f"Ceph cannot be asked yet: {error.what}")
            deadline.pause(LOOK_SECONDS)
