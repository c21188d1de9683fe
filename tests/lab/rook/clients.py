"""CephClients, and the accounts of the CSI drivers, whose Secrets storage classes name."""

from __future__ import annotations

import pods
from context import Context
from monitors import CephError

_DRIVERS = {
    "rbd-node": ("profile rbd", "profile rbd", "allow rw"),
    "rbd-provisioner": ("profile rbd, allow command 'osd blocklist'", "profile rbd", "allow rw"),
    "cephfs-node": ("allow r", "allow rwx tag cephfs metadata=*, allow rw tag cephfs data=*", "allow rw"),
    "cephfs-provisioner": ("allow r, allow command 'osd blocklist'", "allow rw tag cephfs metadata=*", "allow *"),
}


class Clients:
    def __init__(self, context: Context) -> None:
        self.context = context
        self._drivers = False

    def reconcile(self) -> None:
        if not self._drivers:
            for name, (mon, osd, mgr) in _DRIVERS.items():
                caps = ["mon", mon, "osd", osd, "mgr", mgr, *(["mds", "allow *"] if name.startswith("cephfs") else [])]
                key = self._key(f"client.csi-{name}", caps)
                words = ("adminID", "adminKey") if name.startswith("cephfs") else ("userID", "userKey")
                self.context.apply(pods.secret(f"rook-csi-{name}", dict(zip(words, (f"csi-{name}", key), strict=True))))
            self._drivers = True
        for item in self.context.kube.list("CephClient"):
            name = item["spec"].get("name") or item["metadata"]["name"]
            if "deletionTimestamp" not in item["metadata"] and item.get("status", {}).get("phase") != "Ready":
                key = self._key(f"client.{name}", [part for pair in item["spec"]["caps"].items() for part in pair])
                self.context.apply(pods.secret(f"rook-ceph-client-{name}", {name: key, "userID": name, "userKey": key}), item)
                self.context.status(item, {"phase": "Ready", "info": {"secretName": f"rook-ceph-client-{name}"}})

    def _key(self, entity: str, caps: list[str]) -> str:
        ceph = self.context.monitors()
        try:
            found = ceph("auth get-or-create", entity=entity, caps=caps)
        except CephError as error:
            if error.number != 22:  # it is there with other rights
                raise
            ceph("auth caps", entity=entity, caps=caps)
            found = ceph("auth get", entity=entity)
        return str(found[0]["key"])
