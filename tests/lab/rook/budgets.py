"""The disruption budgets of OSDs, as Rook keeps them: one pod at a time while all is well; once OSDs of a host are down, that host alone, until all placement
groups are active+clean again; and no OSD of a drained host is marked out meanwhile (noout on that host, for osdMaintenanceTimeout).
"""

from __future__ import annotations

import time

import pods
from context import Context, record
from kube import Object
from monitors import CephError
from storage import clean

_STATE = "rook-ceph-pdbstatemap"
_SETTLED = 60.0  # seconds after a drain began in which clean placement groups are not believed


class Budgets:
    def __init__(self, context: Context) -> None:
        self.context = context

    def reconcile(self, nodes: list[Object], deployments: list[Object]) -> None:
        if not deployments or not self.context.spec.get("disruptionManagement", {}).get("managePodBudgets"):
            return
        hosts = sorted({deployment["metadata"]["labels"]["topology-location-host"] for deployment in deployments})
        down = [deployment for deployment in deployments if not deployment.get("status", {}).get("readyReplicas")]
        down_hosts = sorted({deployment["metadata"]["labels"]["topology-location-host"] for deployment in down})
        cordoned = {node["metadata"]["labels"]["kubernetes.io/hostname"] for node in nodes if node["spec"].get("unschedulable")}
        found = self.context.kube.get("ConfigMap", _STATE) or {}
        state = decide(dict(found.get("data", {})), down_hosts, cordoned, clean=clean(self.context.monitors()), now=time.time())
        draining = state.get("draining-failure-domain", "")
        if draining:
            self._only(draining, hosts)
        else:
            # What is down and clean nevertheless is gone for good, and must not count.
            self._any(hosts, 1 + len(down))
        self._keep_noout(state, hosts)
        if found.get("data") != state:
            self.context.kube.delete("ConfigMap", _STATE)  # a merge would keep what is to go
            self.context.kube.apply(pods.config_map(_STATE, state))

    def _only(self, draining: str, hosts: list[str]) -> None:
        for host in hosts:
            name = f"rook-ceph-osd-host-{host}"
            if host == draining:
                self.context.forget("PodDisruptionBudget", name)
            else:
                self.context.apply(pods.budget(name, {"topology-location-host": host}, 0))
        self.context.forget("PodDisruptionBudget", "rook-ceph-osd")

    def _any(self, hosts: list[str], unavailable: int) -> None:
        self.context.apply(pods.budget("rook-ceph-osd", {"app": "rook-ceph-osd"}, unavailable))
        for host in hosts:
            self.context.forget("PodDisruptionBudget", f"rook-ceph-osd-host-{host}")

    def _keep_noout(self, state: dict[str, str], hosts: list[str]) -> None:
        minutes = float(self.context.spec.get("disruptionManagement", {}).get("osdMaintenanceTimeout") or 30)
        ceph = self.context.monitors()
        flags = ceph("osd dump").get("crush_node_flags", {})
        for host in hosts:
            key = f"{host}-noout-last-set-at"
            wanted = state.get("set-no-out") == "true" and state.get("draining-failure-domain") == host
            if wanted:
                state.setdefault(key, str(int(time.time())))
                wanted = time.time() - int(state[key]) < minutes * 60
            else:
                state.pop(key, None)
            if wanted == ("noout" in flags.get(host, [])):
                continue
            try:
                ceph("osd set-group" if wanted else "osd unset-group", flags="noout", who=[host])
            except CephError as error:
                if not error.absent:  # a host whose OSDs have not started yet
                    raise
            record("noout-set" if wanted else "noout-unset", machine=host)


def decide(state: dict[str, str], down: list[str], cordoned: set[str], *, clean: bool, now: float) -> dict[str, str]:
    """The state after a look. ``down`` are the hosts with an OSD whose pod is not ready, ``now`` seconds since 1970.

    State: ``draining-failure-domain`` the host that may go down (or ""), ``set-no-out`` "true" or "", ``draining-failure-domain-duration`` when that began.
    """
    state = {"draining-failure-domain": "", "set-no-out": "", **state}
    drained = [host for host in down if host in cordoned]
    began = "draining-failure-domain-duration"
    if clean and drained and now - float(state.setdefault(began, str(int(now)))) < _SETTLED:
        return state
    if clean:
        state.pop(began, None)
        return {**state, "draining-failure-domain": "", "set-no-out": ""}
    if down and not state["draining-failure-domain"]:
        state |= {"draining-failure-domain": (drained or down)[0], "set-no-out": "true" if drained else "", began: str(int(now))}
    return state
