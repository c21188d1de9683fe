"""Doubles of Rook's charts. With Ceph's programs on this computer their operator runs a real Ceph (tests/lab/rook, rook.py there). Otherwise CephClusters only
become Ready and bucket claims get Secrets: a status without a Ceph. Claims get volumes that are directories either way.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from crds import definitions
from doubles import Double, Object, Part
from programs import ALL_RIGHTS, NAMESPACE, Operator, Program, Rule, child, parts

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "rook"))
from pods import ELSEWHERE, host_volumes

_CEPH = definitions(
    "ceph.rook.io",
    "CephBlockPoolRadosNamespace/cephblockpoolradosnamespaces Ns v1*; CephBlockPool/cephblockpools Ns v1*;"
    "CephBucketNotification/cephbucketnotifications Ns v1*;"
    "CephBucketTopic/cephbuckettopics Ns v1*; CephClient/cephclients Ns v1*; CephCluster/cephclusters Ns v1*; CephCOSIDriver/cephcosidrivers Ns v1*;"
    "CephFilesystemMirror/cephfilesystemmirrors Ns v1*; CephFilesystem/cephfilesystems Ns v1*;"
    "CephFilesystemSubVolumeGroup/cephfilesystemsubvolumegroups Ns v1*;"
    "CephNFS/cephnfses Ns v1*; CephNVMeOFGateway/cephnvmeofgateways Ns v1*; CephObjectRealm/cephobjectrealms Ns v1*;"
    "CephObjectStoreAccount/cephobjectstoreaccounts Ns v1*; CephObjectStore/cephobjectstores Ns v1*; CephObjectStoreUser/cephobjectstoreusers Ns v1*;"
    "CephObjectZoneGroup/cephobjectzonegroups Ns v1*; CephObjectZone/cephobjectzones Ns v1*; CephRBDMirror/cephrbdmirrors Ns v1*",
)
_CSI = definitions(
    "csi.ceph.io",
    "CephConnection/cephconnections Ns v1*; ClientProfileMapping/clientprofilemappings Ns v1*; ClientProfile/clientprofiles Ns v1*; Driver/drivers Ns v1*;"
    "OperatorConfig/operatorconfigs Ns v1*",
)
_BUCKETS = definitions("objectbucket.io", "ObjectBucketClaim/objectbucketclaims Ns v1alpha1*; ObjectBucket/objectbuckets Cl v1alpha1*")
_ROOK = "/apis/ceph.rook.io/v1"
# As roles/rook_ceph/defaults has it: the daemons, and the pods that verify.
_IMAGE = "quay.io/ceph/ceph:v20.2.4-20260818"


def _kept(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**item, "metadata": {**item["metadata"], "annotations": {"helm.sh/resource-policy": "keep"}}} for item in items]


def _rules() -> list[Rule]:
    phase = "<< if .ready >>Ready<< else >>Progressing<< end >>"
    cluster = {
        "phase": phase,
        "state": "<< if .ready >>Created<< else >>Creating<< end >>",
        "message": "<< if .ready >>Cluster created successfully<< else >>Configuring Ceph Mons<< end >> (a double says so)",
        "observedGeneration": "<<: int .metadata.generation >>",
        "ceph": {"health": "<< if .ready >>HEALTH_OK<< else >>HEALTH_WARN<< end >>", "fsid": "<< .metadata.uid >>"},
        "conditions": [{"type": "Ready", "status": "<< if .ready >>True<< else >>False<< end >>", "reason": "ClusterCreated", "message": "a double says so"}],
        "version": {"image": _IMAGE, "version": "20.2.4-0"},
        "storage": {"osd": {"storeType": {"bluestore": "<<: if .ready >><< lengths (at . `spec.storage.nodes` ``) `devices` >><< else >>0<< end >>"}}},
    }
    labels = {"rook_cluster": "rook-ceph"}
    daemons = [child("Deployment", f"rook-ceph-mon-{letter}", _IMAGE, 3300, labels={"app": "rook-ceph-mon", "mon": letter, **labels}) for letter in "abc"]
    daemons += [child("Deployment", "rook-ceph-mgr-a", _IMAGE, 7000, 9283, labels={"app": "rook-ceph-mgr", **labels})]
    password = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "rook-ceph-dashboard-password"},
        "stringData": {"password": "<< .metadata.uid >>"},
    }
    manager = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "rook-ceph-mgr-dashboard"},
        "spec": {"selector": {"lab.trinode/child": "rook-ceph-mgr-a"}, "ports": [{"name": "http-dashboard", "port": 7000}]},
    }
    name = "rook-ceph-rgw-<< .metadata.name >>"
    gateway = child("Deployment", f"{name}-a", _IMAGE, 8080, labels={"app": "rook-ceph-rgw", **labels})
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"lab.trinode/child": f"{name}-a"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }
    claimed = "<< at . `spec.bucketName` (printf `%v-%v` (at . `spec.generateBucketName` .metadata.name) .metadata.uid) >>"
    identity = {"AWS_ACCESS_KEY_ID": "DOUBLE<< .metadata.name >>", "AWS_SECRET_ACCESS_KEY": "<< .metadata.uid >>"}
    place = {
        "BUCKET_NAME": claimed,
        "BUCKET_HOST": "rook-ceph-rgw-ceph-objectstore.rook-ceph.svc",
        "BUCKET_PORT": "80",
        "BUCKET_REGION": "us-east-1",
        "BUCKET_SUBREGION": "",
    }
    bucket: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "<< .metadata.name >>"}, "stringData": identity},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "<< .metadata.name >>"}, "data": place},
    ]
    ready = {"phase": phase, "observedGeneration": "<<: int .metadata.generation >>"}
    simple = ("cephblockpools", "cephfilesystems", "cephfilesystemsubvolumegroups", "cephblockpoolradosnamespaces", "cephclients")
    keys = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "rook-ceph-object-user-<< .spec.store >>-<< .metadata.name >>"},
        "stringData": {"AccessKey": "DOUBLE<< .metadata.name >>", "SecretKey": "<< .metadata.uid >>"},
    }
    return [
        Rule(f"{_ROOK}/cephclusters", cluster, [*daemons, manager, password]),
        Rule(f"{_ROOK}/cephobjectstores", ready, [gateway, service]),
        *(Rule(f"{_ROOK}/{kind}", ready) for kind in simple),
        Rule(f"{_ROOK}/cephobjectstoreusers", ready, [keys]),
        Rule("/apis/objectbucket.io/v1alpha1/objectbucketclaims", {"phase": "Bound"}, bucket),
    ]


def _with_ceph(command: Sequence[str], *, operator: bool = False) -> dict[str, Any]:
    """The pod and the container of a program of tests/lab/rook, for Program: it runs on this computer's Python and Ceph, which the machine has in /.lab."""
    volumes, mounts = host_volumes(operator=operator)
    fields = {"NODE_NAME": "spec.nodeName", "POD_NAME": "metadata.name"}
    environment = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()]
    run = {"command": list(command), "volumeMounts": mounts, "securityContext": {"runAsUser": 0, "privileged": True}}
    return {"pod": {"volumes": volumes, "tolerations": [ELSEWHERE]}, "container": run, "environment": environment}


def _operator(version: str, ceph: bool = False) -> list[Part]:
    operator: dict[str, Any] = {"operator": Operator(rules=_rules())}
    if ceph:
        operator = {"rights": ALL_RIGHTS, **_with_ceph(["python3", "-u", "/rook/rook.py"], operator=True)}
    return [
        Part("definitions", [*_kept(_CEPH + _BUCKETS), *_CSI], ".Values.crds.enabled"),
        *parts(
            Program(
                "rook-ceph-operator",
                f"docker.io/rook/ceph:{version}",
                [8080],
                account="rook-ceph-system",
                labels={"app": "rook-ceph-operator"},
                **operator,
            ),
            Program(
                "ceph-csi-controller-manager",
                "quay.io/cephcsi/ceph-csi-operator:v1.0.4",
                [8081],
                # With Ceph the double of Rook's operator gives volumes too.
                operator=Operator(rules=_drivers(), duties=[] if ceph else ["provision-volumes"]),
            ),
        ),
        Part(
            "config",
            [
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "rook-ceph-operator-config", "namespace": NAMESPACE},
                    "data": {"ROOK_LOG_LEVEL": "INFO"},
                }
            ],
        ),
    ]


def _drivers() -> list[Rule]:
    """The CSI drivers' workloads, by the name of their Driver object, which is also a CSIDriver."""
    controller = child("Deployment", "<< .metadata.name >>-ctrlplugin", "quay.io/cephcsi/cephcsi:v3.16.0", 8080)
    nodes = child("DaemonSet", "<< .metadata.name >>-nodeplugin", "quay.io/cephcsi/cephcsi:v3.16.0", 8080)
    nodes = nodes.replace('"replicas": 1, ', "")
    driver = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {"name": "<< .metadata.name >>", "namespace": ""},
        "spec": {"attachRequired": True},
    }
    return [Rule("/apis/csi.ceph.io/v1/drivers", "{}", [controller, nodes, driver])]


def _csi_drivers(version: str) -> list[Part]:
    configuration = {
        "apiVersion": "csi.ceph.io/v1",
        "kind": "OperatorConfig",
        "metadata": {"name": "ceph-csi-operator-config", "namespace": "{{ .Values.operatorConfig.namespace | default .Release.Namespace }}"},
        "spec": {"driverSpecDefaults": "{{ .Values.operatorConfig.driverSpecDefaults | toJson }}"},
    }
    found = [Part("configuration", [configuration])]
    for kind in ("rbd", "cephfs", "nfs", "nvmeof"):
        driver: Object = {
            "apiVersion": "csi.ceph.io/v1",
            "kind": "Driver",
            "metadata": {"name": f"{{{{ .Values.drivers.{kind}.name }}}}", "namespace": "{{ .Values.operatorConfig.namespace | default .Release.Namespace }}"},
            "spec": f"{{{{ omit .Values.drivers.{kind} `enabled` `name` `snapshotClass` `deployCsiAddonsSidecar` | toJson }}}}",
        }
        found.append(Part(kind, [driver], f".Values.drivers.{kind}.enabled"))
    return found


_CLUSTER_TEMPLATE = """{{- $root := . -}}
---
apiVersion: ceph.rook.io/v1
kind: CephCluster
metadata:
  name: {{ default .Release.Namespace .Values.clusterName }}
  namespace: {{ .Release.Namespace }}
spec: {{ toJson (mergeOverwrite (dict "monitoring" (omit .Values.monitoring "createPrometheusRules")) .Values.cephClusterSpec) }}
{{- range $kind, $items := dict "CephBlockPool" .Values.cephBlockPools "CephFilesystem" .Values.cephFileSystems "CephObjectStore" .Values.cephObjectStores }}
{{- range $item := $items }}
---
apiVersion: ceph.rook.io/v1
kind: {{ $kind }}
metadata:
  name: {{ $item.name }}
  namespace: {{ $root.Release.Namespace }}
spec: {{ toJson $item.spec }}
{{- if eq $kind "CephFilesystem" }}
---
apiVersion: ceph.rook.io/v1
kind: CephFilesystemSubVolumeGroup
metadata:
  name: {{ $item.name }}-csi
  namespace: {{ $root.Release.Namespace }}
spec: {filesystemName: {{ $item.name }}, name: csi}
{{- end }}
{{- with $class := $item.storageClass }}
{{- if $class.enabled }}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata:
  name: {{ $class.name }}
  annotations: {storageclass.kubernetes.io/is-default-class: {{ $class.isDefault | default false | quote }}}
{{- $provisioners := dict "CephBlockPool" "rbd.csi.ceph.com" "CephFilesystem" "cephfs.csi.ceph.com" "CephObjectStore" "ceph.rook.io/bucket" }}
provisioner: {{ $root.Release.Namespace }}.{{ get $provisioners $kind }}
{{- $namespace := $root.Release.Namespace }}
{{- $places := dict "CephBlockPool" (dict "clusterID" $namespace "pool" $item.name)
  "CephFilesystem" (dict "clusterID" $namespace "fsName" $item.name "pool" (printf "%s-%s" $item.name ($class.pool | default "data0")))
  "CephObjectStore" (dict "objectStoreName" $item.name "objectStoreNamespace" $namespace) }}
parameters: {{ toJson (merge (dict) ($class.parameters | default dict) (get $places $kind)) }}
reclaimPolicy: {{ $class.reclaimPolicy | default "Delete" }}
volumeBindingMode: {{ $class.volumeBindingMode | default "Immediate" }}
{{- if ne $kind "CephObjectStore" }}
allowVolumeExpansion: {{ $class.allowVolumeExpansion | default true }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $kind := list "rbd" "cephfs" }}
{{- $class := get $root.Values (ternary "cephBlockPoolsVolumeSnapshotClass" "cephFileSystemVolumeSnapshotClass" (eq $kind "rbd")) }}
{{- if $class.enabled }}
---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshotClass
metadata:
  name: {{ $class.name }}
  annotations: {snapshot.storage.kubernetes.io/is-default-class: {{ $class.isDefault | default false | quote }}}
driver: {{ $root.Release.Namespace }}.{{ $kind }}.csi.ceph.com
parameters:
  clusterID: {{ $root.Release.Namespace }}
  csi.storage.k8s.io/snapshotter-secret-name: rook-csi-{{ $kind }}-provisioner
  csi.storage.k8s.io/snapshotter-secret-namespace: {{ $root.Release.Namespace }}
deletionPolicy: {{ $class.deletionPolicy | default "Delete" }}
{{- end }}
{{- end }}
{{- if and .Values.monitoring.enabled .Values.monitoring.createPrometheusRules }}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: prometheus-ceph-rules
  namespace: {{ .Release.Namespace }}
spec: {groups: [{name: double, rules: [{alert: CephHealthError, expr: ceph_health_status == 2}]}]}
{{- end }}
"""


def _cluster(version: str, ceph: bool = False) -> list[Part]:
    common: dict[str, Any] = {"when": ".Values.toolbox.enabled", "labels": {"app": "rook-ceph-tools"}, "account": "rook-ceph-default"}
    if ceph:
        common |= {"rights": ALL_RIGHTS, **_with_ceph(["python3", "-u", "/rook/toolbox.py"])}
    toolbox = Program("rook-ceph-tools", _IMAGE, [8080], **common)
    return [*parts(toolbox), Part("cluster", text=_CLUSTER_TEMPLATE)]


_CLUSTER: dict[str, Any] = {
    "operatorNamespace": "rook-ceph",
    "toolbox": {"enabled": False},
    "monitoring": {"enabled": False, "createPrometheusRules": False},
    "cephClusterSpec": {"cephVersion": {"image": _IMAGE}, "dataDirHostPath": "/var/lib/rook", "mon": {"count": 3}, "mgr": {"count": 2}},
    "cephBlockPools": [
        {"name": "ceph-blockpool", "spec": {"failureDomain": "host"}, "storageClass": {"enabled": True, "name": "ceph-block", "isDefault": True}}
    ],
    "cephFileSystems": [{"name": "ceph-filesystem", "spec": {}, "storageClass": {"enabled": True, "name": "ceph-filesystem"}}],
    "cephObjectStores": [{"name": "ceph-objectstore", "spec": {}, "storageClass": {"enabled": True, "name": "ceph-bucket"}}],
    "cephBlockPoolsVolumeSnapshotClass": {"enabled": False, "name": "ceph-block"},
    "cephFileSystemVolumeSnapshotClass": {"enabled": False, "name": "ceph-filesystem"},
}
_DRIVERS: dict[str, Any] = {
    "operatorConfig": {"namespace": "", "driverSpecDefaults": {}},
    "drivers": {kind: {"enabled": kind in ("rbd", "cephfs", "nfs"), "name": f"{kind}.csi.ceph.com"} for kind in ("rbd", "cephfs", "nfs", "nvmeof")},
}


def doubles(*, ceph: bool) -> tuple[Double, ...]:
    """``ceph``: with a real Ceph."""
    return (
        Double("rook-ceph", ("v1.20.6",), {"crds": {"enabled": True}, "monitoring": {"enabled": False}}, partial(_operator, ceph=ceph)),
        Double("ceph-csi-drivers", ("1.0.4",), _DRIVERS, _csi_drivers),
        Double("rook-ceph-cluster", ("v1.20.6",), _CLUSTER, partial(_cluster, ceph=ceph)),
    )


DOUBLES = doubles(ceph=False)
