"""Monitors and managers: identity of the cluster, their places, their pods."""

from __future__ import annotations

import base64
import json
import string
import uuid
from typing import Any

import pods
from context import Context, log
from kube import Object
from monitors import CephError, Monitors, new_key

_PORTS = "[v2:{0}:3300,v1:{0}:6789]"
# Small caches and few threads, since all of a lab's machines share one computer; no warning about what is the computer's, not the cluster's.
_OPTIONS = """\
[global]
fsid = {fsid}
mon_host = {hosts}
mon_initial_members = {members}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
mon_data_avail_warn = 2
mon_data_avail_crit = 1
mon_warn_on_slow_ping_time = 60000
osd_crush_chooseleaf_type = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_max_pg_per_osd = 500
osd_op_complaint_time = 120
bluestore_cache_autotune = false
bluestore_cache_size = 33554432
osd_memory_target = 939524096
osd_op_num_shards = 1
osd_op_num_threads_per_shard = 2
ms_async_op_threads = 1
osd_max_backfills = 4
osd_recovery_max_active = 8
osd_recovery_sleep = 0
osd_scrub_load_threshold = 0.1
osd_class_update_on_start = false
log_to_stderr = true
log_file =
mon_cluster_log_to_file = false
mon_cluster_log_to_stderr = false
mgr_stats_period = 5
mds_cache_memory_limit = 67108864
rgw_thread_pool_size = 32
"""
_START_MONITOR = """
set -e
data=/var/lib/ceph/mon/ceph-$MON
if [ -e $data/fsid-of-the-lab ] && [ "$(cat $data/fsid-of-the-lab)" != $FSID ]; then
    echo "$data belongs to the cluster $(cat $data/fsid-of-the-lab), this is $FSID"; exit 1
fi
if [ ! -e $data/fsid-of-the-lab ]; then
    rm -rf $data/*
    monmaptool --create --clobber --fsid $FSID $MEMBERS /tmp/monmap
    ceph-mon --mkfs -i $MON --mon-data $data --monmap /tmp/monmap --keyring /etc/ceph/keyring
    echo $FSID > $data/fsid-of-the-lab
fi
exec ceph-mon -f -i $MON --mon-data $data --keyring /etc/ceph/keyring --public-addr $HOST_IP
"""


class Quorum:
    """``endpoints`` are the monitors' names and places: ``{"a": {"node": "m1", "address": "10.5.0.11"}}``."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.endpoints: dict[str, dict[str, str]] = {}
        self.formed = False
        self._configured = False

    def reconcile(self, nodes: list[Object]) -> bool:
        """Whether the monitors answer and the managers have been made."""
        context = self.context
        keys = self._identity()
        self._place(nodes)
        if not self.endpoints:
            log("no machine is there for a monitor")
            return False
        self._publish(keys)
        if context.ceph is None:
            context.ceph = Monitors(self._configuration(), keys["ceph-secret"])
        for name, place in sorted(self.endpoints.items()):
            self._monitor(name, place)
        context.apply(pods.budget("rook-ceph-mon-pdb", {"app": "rook-ceph-mon"}, 1))
        try:
            status: Any = context.ceph("quorum_status")
        except CephError as error:
            log(str(error))
            return False
        if not self.formed and len(status["quorum_names"]) * 2 <= len(self.endpoints):
            return False
        self.formed = True
        self._managers()
        return True

    def _identity(self) -> dict[str, str]:
        """fsid and keys, made once: the Secret rook-ceph-mon."""
        found = self.context.kube.get("Secret", "rook-ceph-mon")
        if found is None:
            keys = {"cluster-name": self.context.kube.namespace, "fsid": str(uuid.uuid4()), "mon-secret": new_key(), "ceph-username": "client.admin"}
            keys["ceph-secret"] = keys["admin-secret"] = new_key()
            self.context.apply(pods.secret("rook-ceph-mon", keys))
        else:
            keys = {key: base64.b64decode(value).decode() for key, value in found["data"].items()}
        self.context.fsid = keys["fsid"]
        return keys

    def _place(self, nodes: list[Object]) -> None:
        """Keep the monitors where they are, and give new ones machines that have none."""
        found = self.context.kube.get("ConfigMap", "rook-ceph-mon-endpoints")
        if found and not self.endpoints:
            mapping = json.loads(found["data"]["mapping"])["node"]
            self.endpoints = {name: {"node": place["Name"], "address": place["Address"]} for name, place in mapping.items()}
        count = int(self.context.spec.get("mon", {}).get("count", 3))
        for node in sorted(nodes, key=lambda node: str(node["metadata"]["name"])):
            name = next(letter for letter in string.ascii_lowercase if letter not in self.endpoints)
            hostname = node["metadata"]["labels"]["kubernetes.io/hostname"]
            taken = {place["node"] for place in self.endpoints.values()}
            if len(self.endpoints) < count and hostname not in taken and not node["spec"].get("unschedulable"):
                self.endpoints[name] = {"node": hostname, "address": _address(node)}

    def _configuration(self) -> str:
        override = (self.context.kube.get("ConfigMap", "rook-config-override") or {}).get("data", {}).get("config", "")
        hosts = ",".join(_PORTS.format(place["address"]) for _, place in sorted(self.endpoints.items()))
        return _OPTIONS.format(fsid=self.context.fsid, hosts=hosts, members=",".join(sorted(self.endpoints))) + override

    def _publish(self, keys: dict[str, str]) -> None:
        context = self.context
        addresses = ",".join(f"{name}={place['address']}:6789" for name, place in sorted(self.endpoints.items()))
        mapping = {name: {"Name": place["node"], "Hostname": place["node"], "Address": place["address"]} for name, place in self.endpoints.items()}
        last = str(len(self.endpoints) - 1)
        context.apply(pods.config_map("rook-ceph-mon-endpoints", {"data": addresses, "maxMonId": last, "mapping": json.dumps({"node": mapping})}))
        hosts = ",".join(_PORTS.format(place["address"]) for _, place in sorted(self.endpoints.items()))
        context.apply(pods.secret("rook-ceph-config", {"mon_host": hosts, "mon_initial_members": ",".join(sorted(self.endpoints))}))
        context.apply(pods.config_map(pods.CONFIGURATION, {"ceph.conf": self._configuration()}))
        caps = "".join(f'\tcaps {kind} = "allow *"\n' for kind in ("mds", "mon", "osd", "mgr"))
        admin = f"[client.admin]\n\tkey = {keys['ceph-secret']}\n{caps}"
        context.apply(pods.secret("rook-ceph-admin-keyring", {"keyring": admin}))
        context.apply(pods.secret("rook-ceph-mons-keyring", {"keyring": f'[mon.]\n\tkey = {keys["mon-secret"]}\n\tcaps mon = "allow *"\n\n{admin}'}))

    def _monitor(self, name: str, place: dict[str, str]) -> None:
        context = self.context
        members = " ".join(f"--addv {other} {_PORTS.format(there['address'])}" for other, there in sorted(self.endpoints.items()))
        labels = context.labels("rook-ceph-mon", mon=name, ceph_daemon_id=name)
        probe = {"tcpSocket": {"port": 3300}, "timeoutSeconds": 5}
        spec = pods.pod(
            "mon",
            context.image,
            ["sh", "-c", _START_MONITOR],
            keyring="rook-ceph-mons-keyring",
            node=place["node"],
            data=f"{context.spec.get('dataDirHostPath', '/var/lib/rook')}/mon-{name}/data",
            data_path=f"/var/lib/ceph/mon/ceph-{name}",
            environment={"MON": name, "FSID": context.fsid, "MEMBERS": members},
            probes={"startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 120}, "livenessProbe": {**probe, "periodSeconds": 30}},
            ports=[("tcp-msgr2", 3300), ("tcp-msgr1", 6789)],
        )
        context.roll(pods.deployment(f"rook-ceph-mon-{name}", labels, spec), safe=self._complete)

    def _complete(self) -> bool:
        return len(self.context.monitors()("quorum_status")["quorum_names"]) == len(self.endpoints)

    def _managers(self) -> None:
        context = self.context
        ceph = context.monitors()
        if not self._configured:
            # The devices are files of another computer; and nothing is sent from here.
            ceph("config set", who="mgr", name="mgr/devicehealth/enable_monitoring", value="false", force=True)
            ceph("config set", who="global", name="mon_warn_on_insecure_global_id_reclaim_allowed", value="false")
            self._configured = True
        count = int(context.spec.get("mgr", {}).get("count", 2))
        for name in string.ascii_lowercase[:count]:
            # The dashboard and the metrics of Ceph's manager need more packages; the stub answers at their ports.
            if context.kube.get("Secret", f"rook-ceph-mgr-{name}-keyring") is None:
                keyring = ceph("auth get-or-create", entity=f"mgr.{name}", caps=["mon", "allow profile mgr", "osd", "allow *", "mds", "allow *"])
                context.apply(pods.secret(f"rook-ceph-mgr-{name}-keyring", {"keyring": f"[mgr.{name}]\n\tkey = {keyring[0]['key']}\n"}))
            labels = context.labels("rook-ceph-mgr", mgr=name, ceph_daemon_id=name)
            interfaces: Object = {
                "name": "interfaces",
                "image": context.image,
                "command": ["/usr/local/bin/stub", "serve"],
                "env": [{"name": "STUB_PORTS", "value": "7000,9283"}],
                "ports": [{"name": "dashboard", "containerPort": 7000}, {"name": "http-metrics", "containerPort": 9283}],
                "resources": pods.REQUESTS,
            }
            command = ["sh", "-c", f"exec ceph-mgr -f -i {name} --keyring /etc/ceph/keyring --public-addr $HOST_IP"]
            spec = pods.pod("mgr", context.image, command, keyring=f"rook-ceph-mgr-{name}-keyring", more=[interfaces], apart={"app": "rook-ceph-mgr"})
            context.roll(pods.deployment(f"rook-ceph-mgr-{name}", labels, spec))
        if count > 1:
            context.apply(pods.budget("rook-ceph-mgr-pdb", {"app": "rook-ceph-mgr"}, 1))
        labels = context.labels("rook-ceph-mgr")
        context.apply(pods.service("rook-ceph-mgr-dashboard", labels, {"http-dashboard": (7000, 7000)}))
        context.apply(pods.service("rook-ceph-mgr", labels, {"http-metrics": (9283, 9283)}))
        if context.kube.get("Secret", "rook-ceph-dashboard-password") is None:
            context.apply(pods.secret("rook-ceph-dashboard-password", {"password": new_key()}))


def _address(node: Object) -> str:
    return next(str(entry["address"]) for entry in node["status"]["addresses"] if entry["type"] == "InternalIP")
