"""Stands in for Ceph's CSI drivers, which need a kernel with RBD and CephFS: volumes are directories that all machines of the lab share, so that what is
written follows a pod to another machine; snapshots are copies of them. Nothing of it is in Ceph, and sizes are not enforced.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pods
from context import Context
from kube import Object

_SUFFIX = ".csi.ceph.com"
_PROVISIONER = "pv.kubernetes.io/provisioned-by"


class Volumes:
    def __init__(self, context: Context) -> None:
        self.context = context

    def reconcile(self) -> None:
        kube = self.context.kube
        classes = {item["metadata"]["name"]: item for item in kube.list("StorageClass") if item["provisioner"].endswith(_SUFFIX)}
        volumes = {item["metadata"]["name"]: item for item in kube.list("PersistentVolume")}
        for claim in kube.list("PersistentVolumeClaim", everywhere=True):
            found = classes.get(claim["spec"].get("storageClassName") or "")
            if found is None or "deletionTimestamp" in claim["metadata"]:
                continue
            if not claim["spec"].get("volumeName"):
                self._provision(claim, found)
            elif claim["spec"]["volumeName"] in volumes:
                self._grow(claim, volumes[claim["spec"]["volumeName"]])
        for volume in volumes.values():
            self._release(volume)
        self._snapshots()

    def _provision(self, claim: Object, storage_class: Object) -> None:
        name = f"pvc-{claim['metadata']['uid']}"
        directory = Path(pods.VOLUMES, name)
        if not directory.exists() and not self._fill(claim, directory):
            return  # what it is to be made of is not there yet
        where = {key: claim["metadata"][key] for key in ("namespace", "name", "uid")}
        spec = {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": claim["spec"]["accessModes"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "storageClassName": storage_class["metadata"]["name"],
            "hostPath": {"path": str(directory)},
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **where},
        }
        metadata = {"name": name, "annotations": {_PROVISIONER: storage_class["provisioner"]}}
        self.context.kube.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec})

    def _fill(self, claim: Object, directory: Path) -> bool:
        """Make the directory: empty, or as the claim's data source was."""
        source, kube = claim["spec"].get("dataSource"), self.context.kube
        namespace = claim["metadata"]["namespace"]
        if source and source["kind"] == "VolumeSnapshot":
            snapshot = kube.get("VolumeSnapshot", source["name"], namespace) or {}
            origin = Path(pods.VOLUMES, f"snapcontent-{snapshot.get('metadata', {}).get('uid')}")
        elif source:
            other = kube.get("PersistentVolumeClaim", source["name"], namespace) or {}
            origin = Path(pods.VOLUMES, other.get("spec", {}).get("volumeName") or "none")
        else:
            directory.mkdir()
            directory.chmod(0o777)  # the kubelet gives a directory of a machine to nobody
            return True
        if not origin.exists():
            return False
        _copy(origin, directory)
        return True

    def _grow(self, claim: Object, volume: Object) -> None:
        wanted = claim["spec"]["resources"]["requests"]["storage"]
        if claim.get("status", {}).get("phase") != "Bound" or claim["status"].get("capacity", {}).get("storage") == wanted:
            return
        capacity = {"capacity": {"storage": wanted}}
        self.context.kube.merge("PersistentVolume", volume["metadata"]["name"], {"spec": capacity})
        metadata = claim["metadata"]
        self.context.kube.merge("PersistentVolumeClaim", metadata["name"], {"status": capacity}, namespace=metadata["namespace"], part="/status")

    def _release(self, volume: Object) -> None:
        ours = volume["metadata"].get("annotations", {}).get(_PROVISIONER, "").endswith(_SUFFIX)
        if ours and volume["status"].get("phase") == "Released" and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            self.context.kube.delete("PersistentVolume", volume["metadata"]["name"])
            shutil.rmtree(volume["spec"]["hostPath"]["path"], ignore_errors=True)

    def _snapshots(self) -> None:
        kube = self.context.kube
        contents = {item["metadata"]["name"]: item for item in kube.list("VolumeSnapshotContent")}
        kept = set()
        for snapshot in kube.list("VolumeSnapshot", everywhere=True):
            name = f"snapcontent-{snapshot['metadata']['uid']}"
            if "deletionTimestamp" not in snapshot["metadata"]:
                kept.add(name)
                if not snapshot.get("status", {}).get("readyToUse"):
                    self._take(snapshot, name)
        for name, content in contents.items():
            ours = str(content["spec"].get("driver", "")).endswith(_SUFFIX)
            if ours and name.startswith("snapcontent-") and name not in kept and content["spec"]["deletionPolicy"] == "Delete":
                kube.delete("VolumeSnapshotContent", name)
                shutil.rmtree(Path(pods.VOLUMES, name), ignore_errors=True)

    def _take(self, snapshot: Object, name: str) -> None:
        kube, metadata = self.context.kube, snapshot["metadata"]
        found = kube.get("VolumeSnapshotClass", snapshot["spec"].get("volumeSnapshotClassName") or "none")
        claim = kube.get("PersistentVolumeClaim", snapshot["spec"]["source"].get("persistentVolumeClaimName") or "none", metadata["namespace"])
        volume = (claim or {}).get("spec", {}).get("volumeName")
        if found is None or not found["driver"].endswith(_SUFFIX) or not volume:
            return
        directory = Path(pods.VOLUMES, name)
        if not directory.exists():
            _copy(Path(pods.VOLUMES, volume), directory)
        reference = {"apiVersion": snapshot["apiVersion"], "kind": "VolumeSnapshot", **{key: metadata[key] for key in ("namespace", "name", "uid")}}
        spec = {"driver": found["driver"], "deletionPolicy": found["deletionPolicy"], "source": {"volumeHandle": volume}, "volumeSnapshotRef": reference}
        kube.apply({"apiVersion": snapshot["apiVersion"], "kind": "VolumeSnapshotContent", "metadata": {"name": name}, "spec": spec})
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        size = claim["spec"]["resources"]["requests"]["storage"] if claim else "0"
        status = {"readyToUse": True, "boundVolumeSnapshotContentName": name, "creationTime": now, "restoreSize": size}
        self.context.status(snapshot, status)


def _copy(source: Path, target: Path) -> None:
    """Whole or not at all, with owners and modes."""
    temporary = target.with_suffix(".new")
    shutil.rmtree(temporary, ignore_errors=True)
    subprocess.run(["cp", "--archive", str(source), str(temporary)], check=True)
    temporary.chmod(0o777)
    temporary.rename(target)
