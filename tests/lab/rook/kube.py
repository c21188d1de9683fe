"""The little of the Kubernetes API that Rook's double needs, from inside a pod: keep-alive, JSON, server-side apply."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from pathlib import Path
from typing import Any

Object = dict[str, Any]

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_MANAGER = "rook"
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"

# Kind -> path of its API and plural name.
KINDS = {
    "ConfigMap": ("/api/v1", "configmaps"),
    "Secret": ("/api/v1", "secrets"),
    "Service": ("/api/v1", "services"),
    "Pod": ("/api/v1", "pods"),
    "Node": ("/api/v1", "nodes"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "Job": ("/apis/batch/v1", "jobs"),
    "PodDisruptionBudget": ("/apis/policy/v1", "poddisruptionbudgets"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "PersistentVolume": ("/api/v1", "persistentvolumes"),
    "VolumeSnapshot": ("/apis/snapshot.storage.k8s.io/v1", "volumesnapshots"),
    "VolumeSnapshotContent": ("/apis/snapshot.storage.k8s.io/v1", "volumesnapshotcontents"),
    "VolumeSnapshotClass": ("/apis/snapshot.storage.k8s.io/v1", "volumesnapshotclasses"),
    "StorageClass": ("/apis/storage.k8s.io/v1", "storageclasses"),
    "CephCluster": ("/apis/ceph.rook.io/v1", "cephclusters"),
    "CephBlockPool": ("/apis/ceph.rook.io/v1", "cephblockpools"),
    "CephFilesystem": ("/apis/ceph.rook.io/v1", "cephfilesystems"),
    "CephFilesystemSubVolumeGroup": ("/apis/ceph.rook.io/v1", "cephfilesystemsubvolumegroups"),
    "CephBlockPoolRadosNamespace": ("/apis/ceph.rook.io/v1", "cephblockpoolradosnamespaces"),
    "CephClient": ("/apis/ceph.rook.io/v1", "cephclients"),
    "CephObjectStore": ("/apis/ceph.rook.io/v1", "cephobjectstores"),
    "CephObjectStoreUser": ("/apis/ceph.rook.io/v1", "cephobjectstoreusers"),
    "ObjectBucketClaim": ("/apis/objectbucket.io/v1alpha1", "objectbucketclaims"),
    "ObjectBucket": ("/apis/objectbucket.io/v1alpha1", "objectbuckets"),
}
_CLUSTER_WIDE = {"Node", "StorageClass", "ObjectBucket", "PersistentVolume", "VolumeSnapshotContent", "VolumeSnapshotClass"}


class KubeError(Exception):
    """The API server refused: ``status`` is the HTTP code."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Kube:
    """The API as the pod's service account, in one namespace. Not for several threads."""

    def __init__(self) -> None:
        self.namespace = (_ACCOUNT / "namespace").read_text()
        self.started = os.environ.get("POD_NAME", "")
        self._connection: http.client.HTTPSConnection | None = None

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """The object, or None."""
        try:
            return self._call("GET", f"{self._path(kind, namespace)}/{name}")
        except KubeError as error:
            if error.status == http.client.NOT_FOUND:
                return None
            raise

    def list(self, kind: str, *, selector: str = "", everywhere: bool = False) -> list[Object]:
        """All objects of a kind; none where the kind is not known (yet).

        As the API server remembers them, like the informers of the real operator: to be sure that it knows the newest, it would ask etcd each time.
        """
        path = self._path(kind, "", everywhere=everywhere) + "?resourceVersion=0" + (f"&labelSelector={selector}" if selector else "")
        try:
            return list(self._call("GET", path)["items"])
        except KubeError as error:
            if error.status == http.client.NOT_FOUND:
                return []
            raise

    def apply(self, item: Object) -> Object:
        """Create or change what the object names."""
        metadata = item["metadata"]
        path = f"{self._path(item['kind'], metadata.get('namespace', ''))}/{metadata['name']}"
        return self._call("PATCH", f"{path}?fieldManager={_MANAGER}&force=true", item, _APPLY)

    def merge(self, kind: str, name: str, change: Object, *, namespace: str = "", part: str = "") -> Object:
        """Merge a change into an object, or into its ``part`` "/status"."""
        return self._call("PATCH", f"{self._path(kind, namespace)}/{name}{part}?fieldManager={_MANAGER}", change, _MERGE)

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        try:
            self._call("DELETE", f"{self._path(kind, namespace)}/{name}?propagationPolicy=Background")
        except KubeError as error:
            if error.status != http.client.NOT_FOUND:
                raise

    def _path(self, kind: str, namespace: str, *, everywhere: bool = False) -> str:
        api, plural = KINDS[kind]
        if everywhere or kind in _CLUSTER_WIDE:
            return f"{api}/{plural}"
        return f"{api}/namespaces/{namespace or self.namespace}/{plural}"

    def _call(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        text = json.dumps(body) if body is not None else None
        # The token is renewed in its file; a connection that the server has closed meanwhile is opened again, once.
        headers = {"Authorization": f"Bearer {(_ACCOUNT / 'token').read_text()}", "Content-Type": kind, "Accept": "application/json"}
        for attempt in (1, 2):
            try:
                if self._connection is None:
                    self._connection = self._open()
                self._connection.request(method, path, text, headers)
                response = self._connection.getresponse()
                content = response.read()
                break
            except (OSError, http.client.HTTPException):
                self._connection = None
                if attempt == 2:
                    raise
        if response.status >= http.client.BAD_REQUEST:
            raise KubeError(response.status, f"{method} {path}: {content.decode(errors='replace')[:500]}")
        found: Object = json.loads(content)
        return found

    @staticmethod
    def _open() -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))
        host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
        return http.client.HTTPSConnection(host, int(port), timeout=20, context=context)
