"""What every part of the double works with: the API, the CephCluster, Ceph's monitors, and a memory of what has been applied."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kube import Kube, KubeError, Object
from monitors import Monitors

_AGAIN = 30.0
_MADE = "lab.trinode/made"
_TIMELINE = Path("/timeline")


class Context:
    """``item`` is the CephCluster as it was read last; ``ceph`` is there once its monitors have been made."""

    def __init__(self, kube: Kube, item: Object) -> None:
        self.kube = kube
        self.item = item
        self.ceph: Monitors | None = None
        self.fsid = ""
        self._applied: dict[tuple[str, str, str], tuple[str, float]] = {}
        self._deployments: dict[str, Object] = {}
        self._rolled = False

    @property
    def spec(self) -> Object:
        spec: Object = self.item["spec"]
        return spec

    @property
    def image(self) -> str:
        return str(self.spec["cephVersion"]["image"])

    def labels(self, app: str, **more: str) -> dict[str, str]:
        return {"app": app, "rook_cluster": self.kube.namespace, **more}

    def monitors(self) -> Monitors:
        assert self.ceph is not None  # no part is run before them
        return self.ceph

    def apply(self, item: Object, owner: Object | None = None) -> None:
        """Make an object as it is to be, owned by the CephCluster or another custom resource; again now and then, as it may have been removed."""
        parent = owner or self.item
        reference = {key: parent["metadata"][key] for key in ("name", "uid")}
        reference.update(apiVersion=parent["apiVersion"], kind=parent["kind"], controller=True)
        metadata = {**item["metadata"], "ownerReferences": [reference]}
        if metadata.get("namespace", self.kube.namespace) != parent["metadata"].get("namespace"):
            del metadata["ownerReferences"]
        key = (item["kind"], metadata.get("namespace", ""), metadata["name"])
        text = json.dumps(item, sort_keys=True)
        made, when = self._applied.get(key, ("", 0.0))
        if made == text and time.monotonic() - when < _AGAIN:
            return
        self.kube.apply({**item, "metadata": metadata})
        self._applied[key] = (text, time.monotonic())

    def roll(self, item: Object, owner: Object | None = None, *, safe: Callable[[], bool] = lambda: True) -> None:
        """Apply a daemon's Deployment. One that is there is only changed alone: when all others are up again, and it is ``safe`` to stop it."""
        digest = hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()[:16]
        found = self._deployments.get(item["metadata"]["name"])
        if found is not None and found["metadata"].get("annotations", {}).get(_MADE) != digest:
            if self._rolled or not all(map(_settled, self._deployments.values())) or not safe():
                return
            self._rolled = True
            log(f"{item['metadata']['name']} is started anew")
        self.apply({**item, "metadata": {**item["metadata"], "annotations": {_MADE: digest}}}, owner)

    def look(self) -> None:
        """Read what is there, at the begin of each round."""
        selector = f"rook_cluster={self.kube.namespace}"
        self._deployments = {item["metadata"]["name"]: item for item in self.kube.list("Deployment", selector=selector)}
        self._rolled = False

    def deployments(self, app: str) -> list[Object]:
        """The daemons' Deployments with the label app."""
        return [item for item in self._deployments.values() if item["metadata"]["labels"]["app"] == app]

    def forget(self, kind: str, name: str) -> None:
        """Delete an object that this double has made."""
        if self._applied.pop((kind, "", name), None) or self.kube.get(kind, name):
            self.kube.delete(kind, name)

    def status(self, item: Object, status: Object) -> None:
        """Write a custom resource's status where it is another than this."""
        now = item.get("status", {})
        if all(now.get(key) == value for key, value in status.items()):
            return
        try:
            self.kube.merge(item["kind"], item["metadata"]["name"], {"status": status}, namespace=item["metadata"].get("namespace", ""), part="/status")
        except KubeError as error:
            if error.status != 404:  # removed meanwhile
                raise


def _settled(deployment: Object) -> bool:
    status, replicas = deployment.get("status", {}), deployment["spec"]["replicas"]
    new = status.get("observedGeneration") == deployment["metadata"]["generation"] and status.get("updatedReplicas", 0) == replicas
    return new and status.get("readyReplicas", 0) >= replicas


def record(event: str, *, machine: str = "", **fields: Any) -> None:
    """A line in the lab's timeline."""
    line = json.dumps({"time": round(time.time(), 3), "machine": machine, "event": event, **fields}, separators=(",", ":")) + "\n"
    with _TIMELINE.open("ab", buffering=0) as file:
        file.write(line.encode())


def fault(item: Object) -> str:
    """What a custom resource's annotation has this double do wrong: "failed", "silent" or ""."""
    return str(item["metadata"].get("annotations", {}).get("lab.trinode/fault", ""))


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
