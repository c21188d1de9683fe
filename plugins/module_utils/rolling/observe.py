# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a roll is planned from: every machine and its member of etcd, the nodes, and what draining them would meet. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import drain, drain_plan
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import condition, part
from ansible_collections.trinode.platform.plugins.module_utils.rolling.plan import Drain, Machine, Observed
from ansible_collections.trinode.platform.plugins.module_utils.talos import machine_tls
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import observe_etcd
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine as TalosMachine
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import observe

# A machine that answers does so at once; one that an interrupted run has left rebooting need not be there at all.
MACHINE_SECONDS = 15.0


@dataclass(frozen=True)
class Access:
    """How machines and cluster are reached, and what a drain may take away (``options``)."""

    talosctl: str
    talosconfig: str
    kubeconfig: str
    context: str
    options: drain_plan.Options = field(default_factory=drain_plan.Options)


def read(machines: Sequence[Machine], access: Access, deadline: Deadline) -> list[Machine]:
    """These machines with what was observed of them. Raises when the Kubernetes API cannot be asked."""
    client = connect(access.kubeconfig, access.context, deadline)
    try:
        with ThreadPoolExecutor(max_workers=max(1, len(machines)) + 1) as pool:
            listing = pool.submit(retried, lambda: client.list("/api/v1/nodes", deadline=deadline), deadline, "the nodes")
            seen = list(pool.map(lambda machine: _machine(machine, access, deadline), machines))
            nodes = {str(item["metadata"]["name"]): item for item in listing.result()[0]}
        found = [replace(machine, observed=_with_node(observed, nodes.get(machine.node))) for machine, observed in zip(machines, seen, strict=True)]
        return _simulated(found, client, access, deadline)
    finally:
        client.close()


def _machine(machine: Machine, access: Access, deadline: Deadline) -> Observed:
    limit = deadline.at_most(MACHINE_SECONDS)
    talos = TalosMachine(machine.address, talosctl=access.talosctl, talosconfig=access.talosconfig)
    state = observe(talos, subjects=("status", "version", "image"), deadline=limit)
    leader = False
    if state.trust == machine_tls.OURS and not state.problem:
        view = observe_etcd(talos.client(), alarms=False, deadline=limit)
        leader = bool(view.status and view.member_id and view.status.leader == view.member_id)
    return Observed(state.trust, state.problem, state.stage, state.version, state.schematic, leader)


def _with_node(observed: Observed, item: Json | None) -> Observed:
    if item is None:
        return replace(observed, node_found=False, node_ready=False)
    ready = condition(part(item, "status"), "Ready").get("status") == "True"
    kubelet = str(part(item, "status", "nodeInfo").get("kubeletVersion") or "")
    return replace(observed, node_ready=ready, kubelet=kubelet, cordoned=drain.is_cordoned(item), mark=drain.mark_of(item))


def _simulated(machines: Sequence[Machine], client: Client, access: Access, deadline: Deadline) -> list[Machine]:
    """What draining would meet, for the machines that would be drained."""
    names = [machine.node for machine in machines if machine.observed.node_found and (machine.work or machine.half_done)]
    if not names:
        return list(machines)
    found = retried(lambda: drain.simulate(client, names, access.options, deadline), deadline, "the pods")
    drains: Mapping[str, Drain] = {name: Drain(tuple(blockers), dict(plan.refuse)) for name, (plan, blockers) in found.items()}
    return [replace(machine, drain=drains.get(machine.node, Drain())) for machine in machines]
