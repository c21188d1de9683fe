"""The status of the CephCluster, as Rook writes it, and the lab's record of what happens to OSDs and to Ceph's health."""

from __future__ import annotations

import re
import time
from typing import Any

from context import Context, record
from kube import Object

_EACH = 60.0


class Status:
    def __init__(self, context: Context) -> None:
        self.context = context
        self._up: dict[int, bool] = {}
        self._health = ""
        self._ceph: Object = {}
        self._written = 0.0

    def waiting(self, message: str) -> None:
        """What the cluster's first start waits for. A cluster that has been ready keeps its phase."""
        item = self.context.item
        if item.get("status", {}).get("phase") != "Ready":
            conditions = [_condition("Progressing", "ClusterProgressing", message, item)]
            self.context.status(item, {"phase": "Progressing", "state": "Creating", "message": message, "conditions": conditions})

    def observe(self, ready: bool, deployments: list[Object]) -> None:
        ceph = self.context.monitors()
        status: Any = ceph("status")
        dump: Any = ceph("osd dump")
        metadata: Any = ceph("osd metadata")
        self._note(dump, {entry["id"]: entry.get("hostname", "") for entry in metadata}, status["health"])
        if not ready:
            self.waiting("Configuring Ceph OSDs")
            return
        item = self.context.item
        message = "Cluster created successfully"
        wanted: Object = {
            "phase": "Ready",
            "state": "Created",
            "message": message,
            "observedGeneration": item["metadata"]["generation"],
            "conditions": [_condition("Ready", "ClusterCreated", message, item)],
            "ceph": self._described(status),
            "version": {"image": self.context.image, "version": f"{_version(ceph('versions'))}-0"},
            "storage": _storage(ceph("osd crush class ls"), deployments),
        }
        self.context.status(item, wanted)

    def _described(self, status: Any) -> Object:
        """``status.ceph``. Its times alone are no reason to write it, more than once a minute."""
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        health = status["health"]
        details = {name: {"severity": check["severity"], "message": check["summary"]["message"]} for name, check in health["checks"].items()}
        old = self._ceph or self.context.item.get("status", {}).get("ceph", {})
        usage = status["pgmap"]
        wanted: Object = {"fsid": status["fsid"], "health": health["status"], "details": details or None}
        if all(old.get(key) == value for key, value in wanted.items()) and time.monotonic() - self._written < _EACH:
            return old
        if old.get("health") != health["status"]:
            wanted |= {"lastChanged": now, "previousHealth": old.get("health", "")}
        else:
            wanted |= {key: old[key] for key in ("lastChanged", "previousHealth") if key in old}
        sizes = {"bytesAvailable": usage["bytes_avail"], "bytesTotal": usage["bytes_total"], "bytesUsed": usage["bytes_used"]}
        wanted |= {"lastChecked": now, "capacity": {**sizes, "lastUpdated": now}, "versions": self.context.monitors()("versions")}
        self._ceph, self._written = wanted, time.monotonic()
        return wanted

    def _note(self, dump: Any, hosts: dict[int, str], health: Any) -> None:
        up = {osd["osd"]: bool(osd["up"]) for osd in dump["osds"]}
        for number, now in up.items():
            if self._up.get(number) != now:
                record("osd-up" if now else "osd-down", machine=hosts.get(number, ""), osd=number)
        for number in self._up.keys() - up.keys():
            record("osd-removed", osd=number)
        self._up = up
        if health["status"] != self._health:
            record("ceph-health", health=health["status"], checks=sorted(health["checks"]))
            self._health = health["status"]


def _storage(classes: Any, deployments: list[Object]) -> Object:
    made = {"storeType": {"bluestore": len(deployments)}}
    return {"deviceClasses": [{"name": name} for name in classes], "osd": made}


def _version(versions: Any) -> str:
    """Of the oldest daemon: "16.2.15"."""
    found = [match[1] for text in versions["overall"] if (match := re.match(r"ceph version (\d+\.\d+\.\d+)", text))]
    return min(found, key=lambda text: [int(part) for part in text.split(".")])


def _condition(kind: str, reason: str, message: str, item: Object) -> Object:
    """A condition that is True; its times are those of the same one before."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    same = next((old for old in item.get("status", {}).get("conditions", []) if old["type"] == kind and old["message"] == message), {})
    times = {key: same.get(key, now) for key in ("lastHeartbeatTime", "lastTransitionTime")}
    return {"type": kind, "status": "True", "reason": reason, "message": message, **times}
