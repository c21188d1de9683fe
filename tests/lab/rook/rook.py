"""A double of Rook's operator: turns CephCluster, pools, filesystems, object stores, users and bucket claims into real daemons and pools of Ceph, and keeps
their status and the disruption budgets as Rook does. It runs in the pod of the Deployment rook-ceph-operator.

It looks at everything every two seconds instead of watching; there is one CephCluster, in the operator's own namespace.
"""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import removal
from budgets import Budgets
from clients import Clients
from context import Context, fault, log
from kube import Kube, KubeError
from monitors import CephError
from objects import Objects
from pools import Pools
from probes import serve
from quorum import Quorum
from status import Status
from storage import Storage
from volumes import Volumes

_SECONDS = 2.0


class Operator:
    """The CephCluster and what belongs to it."""

    def __init__(self, kube: Kube, context: Context) -> None:
        self.kube = kube
        self.context = context
        self.quorum = Quorum(context)
        self.storage = Storage(context)
        self.status = Status(context)
        self.budgets = Budgets(context)
        self.volumes = Volumes(context)
        self.parts = (Pools(context), Clients(context), Objects(context), self.volumes)

    def reconcile(self) -> None:
        if fault(self.context.item) == "failed":
            self.context.status(self.context.item, {"phase": "Failed", "message": "made to fail by lab.trinode/fault"})
            return
        nodes = self.kube.list("Node")
        if "deletionTimestamp" in self.context.item["metadata"]:
            removal.finish(self.context, nodes)
            return
        if removal.confirmed(self.context.item):
            removal.hold(self.context)
            guarded(self.volumes.reconcile)  # the drivers' work, not Rook's
            return
        self.context.look()
        if not self.quorum.reconcile(nodes):
            self.status.waiting("Configuring Ceph Mons")
            return
        ready = self.storage.reconcile(nodes)
        deployments = self.context.deployments("rook-ceph-osd")
        steps = [partial(self.budgets.reconcile, nodes, deployments), *(part.reconcile for part in self.parts if ready)]
        for step in (*steps, partial(self.status.observe, ready, deployments)):
            guarded(step)


def guarded(step: Callable[[], None]) -> None:
    """What fails is tried again in the next round, and holds up nothing else."""
    try:
        step()
    except (KubeError, CephError, OSError, http.client.HTTPException, subprocess.SubprocessError) as error:
        log(f"{type(error).__name__}: {error}")


def silent(kube: Kube) -> bool:
    """The lab's fault "silent" (`lab fault program rook-ceph-operator silent`)."""
    found = kube.get("ConfigMap", "lab-faults", "kube-system")
    return bool(found) and found.get("data", {}).get("rook-ceph-operator") == "silent"


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve()
    kube = Kube()
    operators: dict[str, Operator] = {}
    while True:
        started = time.monotonic()
        guarded(partial(_round, kube, operators))
        time.sleep(max(0.2, _SECONDS - (time.monotonic() - started)))


def _round(kube: Kube, operators: dict[str, Operator]) -> None:
    """One look at the CephCluster, by the operator of the same one as before, or a new one. ``operators`` has one at most, by uid."""
    found = kube.list("CephCluster")
    if not found or silent(kube) or fault(found[0]) == "silent":
        return
    item, uid = found[0], found[0]["metadata"]["uid"]
    if uid not in operators:
        log(f"CephCluster {item['metadata']['name']}")
        operators.clear()
        operators[uid] = Operator(kube, Context(kube, item))
    operators[uid].context.item = item
    operators[uid].reconcile()


if __name__ == "__main__":
    main()
