"""Object stores with their gateways, their users, and buckets for ObjectBucketClaims."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pods
import s3
from context import Context, fault, log
from kube import KubeError, Object
from monitors import CephError
from pools import create

_POOLS = ("rgw.control", "rgw.meta", "rgw.log", "rgw.buckets.index", "rgw.buckets.non-ec", "rgw.otp")
_GROUPS = 4
_SECONDS = 60


class Objects:
    def __init__(self, context: Context) -> None:
        self.context = context
        self._made: dict[str, Object] = {}
        self._users: dict[str, tuple[str, str]] = {}  # keys of a user, by "<store>/<user>"

    def reconcile(self) -> None:
        stores = [item for item in self.context.kube.list("CephObjectStore") if "deletionTimestamp" not in item["metadata"]]
        for item in stores:
            self._guarded(item, self._store, "Failure")
        names = [item["metadata"]["name"] for item in stores if item.get("status", {}).get("phase") == "Ready"]
        for item in self.context.kube.list("CephObjectStoreUser"):
            if item["spec"].get("store") in names:
                self._guarded(item, self._user, "Failure")
        for item in self.context.kube.list("ObjectBucketClaim", everywhere=True) if names else []:
            self._guarded(item, lambda claim: self._claim(claim, names), "Pending")

    def _guarded(self, item: Object, make: Any, phase: str) -> None:
        if fault(item) == "silent" or "deletionTimestamp" in item["metadata"]:
            return
        if fault(item) == "failed":
            self.context.status(item, {"phase": phase})
            return
        try:
            make(item)
        except (CephError, KubeError, OSError, subprocess.SubprocessError) as error:
            log(f"{item['kind']} {item['metadata']['name']}: {error}")
            self.context.status(item, {"phase": phase})

    def _store(self, item: Object) -> None:
        context, name, spec = self.context, item["metadata"]["name"], item["spec"]
        if self._made.get(name) != spec:
            for pool in (".rgw.root", *(f"{name}.{pool}" for pool in _POOLS)):
                create(context, pool, spec["metadataPool"], "rgw", groups=_GROUPS)
            create(context, f"{name}.rgw.buckets.data", spec["dataPool"], "rgw", groups=2 * _GROUPS)
            self._zone(name)
            self._made[name] = spec
        gateway = spec["gateway"]
        keyring = f"rook-ceph-rgw-{name}-a-keyring"
        user = f"client.rgw.{name}.a"
        if context.kube.get("Secret", keyring) is None:
            key = context.monitors()("auth get-or-create", entity=user, caps=["mon", "allow rw", "osd", "allow rwx"])[0]["key"]
            context.apply(pods.secret(keyring, {"keyring": f"[{user}]\n\tkey = {key}\n"}), item)
        labels = context.labels("rook-ceph-rgw", rgw=name, rook_object_store=name)
        command = ["radosgw", "-f", "--name", user, "--keyring", "/etc/ceph/keyring", "--rgw-frontends", "beast port=8080", *_place(name)]
        probe = {"httpGet": {"path": "/swift/healthcheck", "port": 8080}, "timeoutSeconds": 5}
        starting = {"startupProbe": {**probe, "periodSeconds": 2, "failureThreshold": 60}, "readinessProbe": {**probe, "periodSeconds": 10}}
        spread = {"app": "rook-ceph-rgw", "rgw": name}
        pod = pods.pod("rgw", context.image, command, keyring=keyring, host_network=False, probes=starting, ports=[("http", 8080)], apart=spread)
        replicas = int(gateway.get("instances", 1))
        deployment = pods.deployment(f"rook-ceph-rgw-{name}-a", labels, pod, replicas=replicas)
        context.roll(deployment, item)
        port = int(gateway.get("port") or 80)
        context.apply(pods.service(f"rook-ceph-rgw-{name}", spread, {"http": (port, 8080)}), item)
        if replicas > 1:
            context.apply(pods.budget(f"rook-ceph-rgw-{name}", spread, 1), item)
        gateways = [found for found in context.deployments("rook-ceph-rgw") if found["metadata"]["labels"]["rgw"] == name]
        answers = any(found.get("status", {}).get("readyReplicas") for found in gateways)
        ready = answers or item.get("status", {}).get("phase") == "Ready"
        endpoint = f"http://{self._host(name)}:{port}"
        status = {"phase": "Ready" if ready else "Progressing", "observedGeneration": item["metadata"]["generation"]}
        context.status(item, {**status, "info": {"endpoint": endpoint}, "endpoints": {"insecure": [endpoint], "secure": []}})

    def _zone(self, name: str) -> None:
        """Realm, zone group and zone of the store's name."""
        realm, group, zone = _place(name)
        changed = False
        for kind, options in (("realm", [realm]), ("zonegroup", [realm, group]), ("zone", [realm, group, zone])):
            if self._admin(kind, "get", *options, missing=True) is None:
                master = [] if kind == "realm" else ["--master"]
                self._admin(kind, "create", *options, *master, "--default")
                changed = True
        if changed:
            self._admin("period", "update", "--commit", realm, group, zone)

    def _admin(self, *arguments: str, missing: bool = False) -> Any:
        """The answer of radosgw-admin; None where the thing is not there and may be ``missing``."""
        command = ["radosgw-admin", *self.context.monitors().options, *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        if result.returncode:
            if missing:
                return None
            raise CephError(f"radosgw-admin {' '.join(arguments[:2])}: {result.stderr.strip()[-300:]}")
        return json.loads(result.stdout)

    def _keys(self, store: str, user: str, display: str) -> tuple[str, str]:
        """Access key and secret key of a user, who is made where it is not there."""
        if f"{store}/{user}" not in self._users:
            found = self._admin("user", "info", f"--uid={user}", *_place(store), missing=True)
            if found is None:
                found = self._admin("user", "create", f"--uid={user}", f"--display-name={display or user}", *_place(store))
            self._users[f"{store}/{user}"] = found["keys"][0]["access_key"], found["keys"][0]["secret_key"]
        return self._users[f"{store}/{user}"]

    def _user(self, item: Object) -> None:
        name, store = item["metadata"]["name"], item["spec"]["store"]
        secret = f"rook-ceph-object-user-{store}-{name}"
        if item.get("status", {}).get("phase") == "Ready" and self.context.kube.get("Secret", secret):
            return
        access, key = self._keys(store, name, item["spec"].get("displayName", ""))
        data = {"AccessKey": access, "SecretKey": key, "Endpoint": f"http://{self._host(store)}:80"}
        self.context.apply(pods.secret(secret, data), item)
        self.context.status(item, {"phase": "Ready", "observedGeneration": item["metadata"]["generation"], "info": {"secretName": secret}})

    def _claim(self, item: Object, stores: list[str]) -> None:
        kube, metadata = self.context.kube, item["metadata"]
        if item.get("status", {}).get("phase") == "Bound":
            return
        storage_class = kube.get("StorageClass", item["spec"]["storageClassName"])
        if storage_class is None or not storage_class["provisioner"].endswith(".ceph.rook.io/bucket"):
            return
        parameters = storage_class.get("parameters") or {}
        store = parameters.get("objectStoreName", stores[0])
        bucket = item["spec"].get("bucketName") or f"{item['spec'].get('generateBucketName') or metadata['name']}-{metadata['uid']}"
        access, key = self._keys(store, f"obc-{metadata['namespace']}-{metadata['name']}-{metadata['uid']}", metadata["name"])
        s3.create_bucket(self._host(store), (access, key), bucket)
        where = {"namespace": metadata["namespace"], "name": metadata["name"]}
        made = pods.secret(metadata["name"], {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": key}, kind="Opaque")
        self.context.apply({**made, "metadata": where}, item)
        place = {
            "BUCKET_HOST": self._host(store),
            "BUCKET_PORT": "80",
            "BUCKET_NAME": bucket,
            "BUCKET_REGION": parameters.get("region", ""),
            "BUCKET_SUBREGION": "",
        }
        self.context.apply({**pods.config_map(metadata["name"], place), "metadata": where}, item)
        name = f"obc-{metadata['namespace']}-{metadata['name']}"
        endpoint = {"bucketHost": self._host(store), "bucketPort": 80, "bucketName": bucket, "region": parameters.get("region", "")}
        reference = {"apiVersion": item["apiVersion"], "kind": item["kind"], **where, "uid": metadata["uid"]}
        spec = {"storageClassName": item["spec"]["storageClassName"], "claimRef": reference, "endpoint": endpoint}
        kube.apply({"apiVersion": item["apiVersion"], "kind": "ObjectBucket", "metadata": {"name": name}, "spec": spec})
        kube.merge("ObjectBucketClaim", metadata["name"], {"spec": {"bucketName": bucket, "objectBucketName": name}}, namespace=metadata["namespace"])
        self.context.status(item, {"phase": "Bound"})

    def _host(self, store: str) -> str:
        return f"rook-ceph-rgw-{store}.{self.context.kube.namespace}.svc"


def _place(store: str) -> list[str]:
    return [f"--rgw-realm={store}", f"--rgw-zonegroup={store}", f"--rgw-zone={store}"]
