"""Block pools and filesystems."""

from __future__ import annotations

from typing import Any

import pods
from context import Context, fault, log
from kube import Object
from monitors import CephError

# Placement groups of a pool; with so few OSDs more would only cost time. The autoscaler is off, since groups that split are a disturbance.
_GROUPS = 16
_FEW = 8


class Pools:
    def __init__(self, context: Context) -> None:
        self.context = context
        self._made: dict[str, Object] = {}  # spec of what has been made, by kind and name

    def reconcile(self) -> None:
        for kind, make in (("CephBlockPool", self._block), ("CephFilesystem", self._filesystem)):
            for item in self.context.kube.list(kind):
                self._one(item, make)
        for kind in ("CephFilesystemSubVolumeGroup", "CephBlockPoolRadosNamespace"):
            for item in self.context.kube.list(kind):
                self.context.status(item, _ready(item))

    def _one(self, item: Object, make: Any) -> None:
        key = f"{item['kind']} {item['metadata']['name']}"
        if "deletionTimestamp" in item["metadata"] or fault(item) == "silent":
            return
        if fault(item) == "failed":
            self.context.status(item, {"phase": "Failed"})
            return
        try:
            if self._made.get(key) != item["spec"]:
                make(item)
                self._made[key] = item["spec"]
            self.run(item)
        except CephError as error:
            log(f"{key}: {error}")
            self.context.status(item, {"phase": "Failure"})
            return
        self.context.status(item, _ready(item))

    def run(self, item: Object) -> None:
        """The daemons of a filesystem, which must be there at every look."""
        if item["kind"] != "CephFilesystem":
            return
        context, name = self.context, item["metadata"]["name"]
        server = item["spec"].get("metadataServer", {})
        count = int(server.get("activeCount", 1)) * 2
        for letter in "abcdefgh"[:count]:
            daemon = f"{name}-{letter}"
            keyring = f"rook-ceph-mds-{daemon}-keyring"
            if context.kube.get("Secret", keyring) is None:
                made = context.monitors()("auth get-or-create", entity=f"mds.{daemon}", caps=["osd", "allow *", "mds", "allow", "mon", "allow profile mds"])
                context.apply(pods.secret(keyring, {"keyring": f"[mds.{daemon}]\n\tkey = {made[0]['key']}\n"}), item)
            labels = context.labels("rook-ceph-mds", rook_file_system=name, mds=daemon, ceph_daemon_id=daemon)
            command = ["sh", "-c", f"exec ceph-mds -f -i {daemon} --keyring /etc/ceph/keyring --public-addr $HOST_IP --mds-join-fs={name}"]
            spec = pods.pod("mds", context.image, command, keyring=keyring, apart={"app": "rook-ceph-mds", "rook_file_system": name})
            context.roll(pods.deployment(f"rook-ceph-mds-{daemon}", labels, spec), item)
        context.apply(pods.budget(f"rook-ceph-mds-{name}", {"rook_file_system": name}, 1), item)

    def _block(self, item: Object) -> None:
        create(self.context, item["spec"].get("name") or item["metadata"]["name"], item["spec"], "rbd", groups=_GROUPS)

    def _filesystem(self, item: Object) -> None:
        name, spec = item["metadata"]["name"], item["spec"]
        ceph = self.context.monitors()
        create(self.context, f"{name}-metadata", spec["metadataPool"], "cephfs", groups=_FEW)
        data = []
        for number, pool in enumerate(spec["dataPools"]):
            data.append(f"{name}-{pool.get('name') or f'data{number}'}")
            create(self.context, data[-1], pool, "cephfs", groups=_GROUPS)
        if name not in {entry["name"] for entry in ceph("fs ls")}:
            ceph("fs new", fs_name=name, metadata=f"{name}-metadata", data=data[0])
        for pool in data[1:]:
            ceph("fs add_data_pool", fs_name=name, pool=pool)
        standby = spec.get("metadataServer", {}).get("activeStandby", False)
        ceph("fs set", fs_name=name, var="allow_standby_replay", val=str(bool(standby)).lower())
        ceph("fs set", fs_name=name, var="max_mds", val=str(spec.get("metadataServer", {}).get("activeCount", 1)))


def create(context: Context, name: str, spec: Object, application: str, *, groups: int) -> None:
    """Make a pool, or bring one that is there to the spec's replicas, CRUSH rule and parameters."""
    ceph = context.monitors()
    domain, kind = spec.get("failureDomain") or "host", spec.get("deviceClass") or ""
    coded = spec.get("erasureCoded") or {}
    there = name in ceph.pool_ids()
    if coded.get("dataChunks"):
        if not there:
            _create_coded(ceph, name, coded, domain=domain, kind=kind, groups=groups)
    else:
        rule = "_".join(part for part in ("replicated", domain, kind) if part)
        if rule not in ceph("osd crush rule ls"):
            ceph("osd crush rule create-replicated", name=rule, root="default", type=domain, **({"class": kind} if kind else {}))
        if not there:
            ceph("osd pool create", pool=name, pg_num=groups, pgp_num=groups, pool_type="replicated", rule=rule)
        size = int((spec.get("replicated") or {}).get("size") or 3)
        if not there or ceph("osd pool get", pool=name, var="size")["size"] != size:
            sure = {"yes_i_really_mean_it": True} if size == 1 else {}
            if size == 1:
                ceph("config set", who="global", name="mon_allow_pool_size_one", value="true")
            ceph("osd pool set", pool=name, var="size", val=str(size), **sure)
        ceph("osd pool set", pool=name, var="crush_rule", val=rule)
    for key, value in (spec.get("parameters") or {}).items():
        if key not in ("bulk", "pg_num", "target_size_ratio"):  # advice to the autoscaler
            ceph("osd pool set", pool=name, var=key, val=str(value))
    if spec.get("compressionMode"):
        ceph("osd pool set", pool=name, var="compression_mode", val=spec["compressionMode"])
    ceph("osd pool application enable", pool=name, app=application, yes_i_really_mean_it=True)


def _create_coded(ceph: Any, name: str, coded: Object, *, domain: str, kind: str, groups: int) -> None:
    profile = [f"k={coded['dataChunks']}", f"m={coded['codingChunks']}", f"crush-failure-domain={domain}", *([f"crush-device-class={kind}"] if kind else [])]
    ceph("osd erasure-code-profile set", name=f"{name}_ecprofile", profile=profile, force=True)
    ceph("osd pool create", pool=name, pg_num=groups, pgp_num=groups, pool_type="erasure", erasure_code_profile=f"{name}_ecprofile")
    ceph("osd pool set", pool=name, var="allow_ec_overwrites", val="true")


def _ready(item: Object) -> Object:
    return {"phase": "Ready", "observedGeneration": item["metadata"]["generation"]}
