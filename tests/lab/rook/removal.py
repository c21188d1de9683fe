"""The end of a cluster whose data is to be destroyed (cleanupPolicy): once that is confirmed, it is only waited for its deletion; and before the CephCluster
goes, its daemons are stopped and its disks wiped.
"""

from __future__ import annotations

import pods
from context import Context, log
from kube import Object

_CONFIRMATION = "yes-really-destroy-data"
_FINALIZER = "cephcluster.ceph.rook.io"


def confirmed(item: Object) -> bool:
    return bool((item["spec"].get("cleanupPolicy") or {}).get("confirmation") == _CONFIRMATION)


def hold(context: Context) -> None:
    """Keep the CephCluster from going before its disks are wiped."""
    finalizers = context.item["metadata"].get("finalizers", [])
    if _FINALIZER not in finalizers:
        log("its data is to be destroyed: waiting for its deletion")
        _set(context, [*finalizers, _FINALIZER])


def finish(context: Context, nodes: list[Object]) -> None:
    """One step towards the end of a CephCluster that is being deleted."""
    kube = context.kube
    finalizers = context.item["metadata"].get("finalizers", [])
    if _FINALIZER not in finalizers:
        return
    running = kube.list("Deployment", selector=f"rook_cluster={kube.namespace}")
    for deployment in running:
        kube.delete("Deployment", deployment["metadata"]["name"])
    if running or kube.list("Pod", selector=f"rook_cluster={kube.namespace},app!=rook-ceph-osd-prepare,app!=rook-ceph-cleanup"):
        return
    names = [node["metadata"]["labels"]["kubernetes.io/hostname"] for node in nodes]
    done = [_clean(context, name) for name in names]
    if all(done):
        for name in names:
            kube.delete("Job", f"cluster-cleanup-job-{name}")
        log("the disks are wiped")
        _set(context, [name for name in finalizers if name != _FINALIZER])


def _clean(context: Context, node: str) -> bool:
    """Whether the machine's part is done; begun where it is not."""
    name = f"cluster-cleanup-job-{node}"
    job = context.kube.get("Job", name)
    if job is not None:
        return bool(job.get("status", {}).get("succeeded"))
    labels = context.labels("rook-ceph-cleanup")
    data = context.spec.get("dataDirHostPath", "/var/lib/rook")
    command = ["python3", "-u", "/rook/cleanup.py", _fsid(context), "/data"]
    spec = pods.pod(
        "host-cleanup", context.image, command, keyring="rook-ceph-admin-keyring", node=node, machine=True, data=data, data_path="/data", restart="OnFailure"
    )
    template = {"metadata": {"labels": labels}, "spec": spec}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels}, "spec": {"backoffLimit": 3, "template": template}}
    context.kube.apply(job)
    return False


def _fsid(context: Context) -> str:
    return str(context.item.get("status", {}).get("ceph", {}).get("fsid") or "none")


def _set(context: Context, finalizers: list[str]) -> None:
    context.kube.merge("CephCluster", context.item["metadata"]["name"], {"metadata": {"finalizers": finalizers}})
