"""OSDs: a Job on each machine makes them of its disks, then each has a pod of its own."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pods
from context import Context, log
from kube import Object
from monitors import CephError, Monitors


class Storage:
    """The OSDs that are on the machines' disks, by UUID: ``{"osd", "node", "device"}``. One whose number Ceph has given to another, or to none, is not run."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.osds: dict[str, dict[str, str]] = {}
        self._prepared: dict[str, str] = {}  # by node: what was prepared since this program started

    def reconcile(self, nodes: list[Object]) -> bool:
        """Whether every machine's disks have been looked at and all OSDs have their pods."""
        # One that cannot run the Job has its turn later.
        hostnames = {node["metadata"]["labels"]["kubernetes.io/hostname"] for node in nodes if _usable(node)}
        done = True
        for node, wanted in self._wanted(hostnames).items():
            text = json.dumps(wanted, sort_keys=True)
            if self._prepared.get(node) == text:
                continue
            done = self._prepare(node, wanted, text) and done
        for known in self.context.monitors()("osd dump")["osds"]:
            osd = self.osds.get(known["uuid"])
            if osd is not None and osd["osd"] == str(known["osd"]):
                self._run(known["osd"], known["uuid"], osd)
        return done

    def _wanted(self, hostnames: set[str]) -> dict[str, Object]:
        storage = self.context.spec.get("storage", {})
        nodes = storage.get("nodes") or []
        if storage.get("useAllNodes"):
            nodes = [{"name": name} for name in sorted(hostnames)]
        return {node["name"]: _selection(self.context.fsid, storage, node) for node in nodes if node["name"] in hostnames}

    def _prepare(self, node: str, wanted: Object, text: str) -> bool:
        """Have the machine's disks prepared; whether that is done. Once for what is wanted, and once more for each start of this program, as Rook does."""
        kube = self.context.kube
        name, state = f"rook-ceph-osd-prepare-{node}", f"rook-ceph-osd-{node}-status"
        digest = hashlib.sha256(f"{text}{kube.started}".encode()).hexdigest()[:16]
        job = kube.get("Job", name)
        if job is not None and job["metadata"]["annotations"].get("lab.trinode/wanted") != digest:
            if "deletionTimestamp" not in job["metadata"]:
                kube.delete("ConfigMap", state)
                kube.delete("Job", name)
            return False
        if job is None:
            self._start(name, node, text, digest)
            return False
        if not job.get("status", {}).get("succeeded"):
            return False
        result = json.loads((kube.get("ConfigMap", state) or {"data": {"status": "{}"}})["data"]["status"])
        for entry in result.get("osds", []):
            if "refused" in entry:
                log(f"osd: {node}: {entry['device']}: {entry['refused']}")
            else:
                self.osds[entry["uuid"]] = {"osd": str(entry["osd"]), "node": node, "device": entry["device"]}
        self._prepared[node] = text
        return True

    def _start(self, name: str, node: str, text: str, digest: str) -> None:
        labels = self.context.labels("rook-ceph-osd-prepare")
        spec = pods.pod(
            "provision",
            self.context.image,
            ["python3", "-u", "/rook/prepare.py"],
            keyring="rook-ceph-admin-keyring",
            node=node,
            machine=True,
            environment={"PREPARE": text},
            restart="OnFailure",
        )
        metadata = {"name": name, "labels": labels, "annotations": {"lab.trinode/wanted": digest}}
        template = {"metadata": {"labels": labels}, "spec": spec}
        self.context.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"backoffLimit": 6, "template": template}})

    def _run(self, number: int, uuid: str, osd: dict[str, str]) -> None:
        context, node = self.context, osd["node"]
        labels = context.labels("rook-ceph-osd", **{"ceph-osd-id": str(number), "ceph_daemon_id": str(number), "osd": str(number)})
        labels |= {"failure-domain": node, "topology-location-host": node, "topology-location-root": "default"}
        probe = {"exec": {"command": ["test", "-S", f"/run/ceph/ceph-osd.{number}.asok"]}, "periodSeconds": 2, "failureThreshold": 60}
        spec = pods.pod(
            "osd",
            context.image,
            ["python3", "-u", "/rook/osd.py", str(number), uuid],
            keyring="rook-ceph-admin-keyring",
            node=node,
            machine=True,
            environment={"ROOK_OSD_ID": str(number), "ROOK_OSD_UUID": uuid, "ROOK_BLOCK_PATH": osd["device"], "ROOK_CV_MODE": "raw"},
            probes={"startupProbe": probe},
        )
        context.roll(pods.deployment(f"rook-ceph-osd-{number}", labels, spec), safe=lambda: self._may_stop(number))

    def _may_stop(self, number: int) -> bool:
        """Whether Ceph says that nothing becomes unavailable, and all copies are there."""
        ceph = self.context.monitors()
        try:
            ceph("osd ok-to-stop", ids=[str(number)])
        except CephError:
            return False
        return clean(ceph)


def _usable(node: Object) -> bool:
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in node["status"].get("conditions", ()))
    return ready and not node["spec"].get("unschedulable")


def clean(ceph: Monitors) -> bool:
    """Whether all placement groups are active+clean."""
    groups: Any = ceph("status")["pgmap"]
    good = sum(entry["count"] for entry in groups.get("pgs_by_state", []) if entry["state_name"].startswith("active+clean"))
    return bool(good == groups["num_pgs"])


def _selection(fsid: str, storage: Object, node: Object) -> Object:
    """What prepare.py is told: the node's own words before those of the whole section."""

    def setting(key: str) -> Any:
        return node.get(key, storage.get(key))

    common = {**storage.get("config", {}), **node.get("config", {})}
    devices = [{"name": device.get("fullpath") or device["name"], **_use({**common, **device.get("config", {})})} for device in setting("devices") or []]
    wanted = {"fsid": fsid, "devices": devices, "default": _use(common), "filter": setting("deviceFilter"), "path_filter": setting("devicePathFilter")}
    return {**wanted, "all": bool(setting("useAllDevices"))}


def _use(config: Object) -> Object:
    return {"class": config.get("deviceClass", ""), "count": int(config.get("osdsPerDevice", 1)), "metadata": config.get("metadataDevice", "")}
