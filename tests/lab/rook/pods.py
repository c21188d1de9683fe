"""What a daemon's pod looks like: a container of the lab's stub image that sees this computer's programs, and the real daemon of Ceph in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Object = dict[str, Any]

PLACE = "/.lab"  # of trinode_lab/ceph.py
VOLUMES = f"{PLACE}/volumes"
ACCOUNT = "rook-ceph-system"
CONFIGURATION = "rook-ceph-lab"
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "etc/alternatives", "etc/ld.so.cache", "etc/ssl")
# A name for each, with its place in a machine and in a pod.
PLACES = (*((name.replace("/", "-").replace(".", "-"), f"{PLACE}/host/{name}", f"/{name}") for name in _SYSTEM), ("rook", f"{PLACE}/rook", "/rook"))
# Only one of these runs a machine's programs; the lab's two cores are for them all.
# Of what need not run on one machine: it is made anew elsewhere soon after its machine is gone, as Rook has it.
ELSEWHERE = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
REQUESTS = {"requests": {"cpu": "5m", "memory": "16Mi"}}


def host_volumes(*, machine: bool = False, operator: bool = False) -> tuple[list[Object], list[Object]]:
    """Volumes and mounts: this computer's programs; with ``machine`` the machine's disks in /lab; for the ``operator`` what all machines
    share: the lab's record in /timeline, and the contents of volumes.
    """
    places = [(name, source, target, True) for name, source, target in PLACES]
    if machine:
        places.append(("machine", f"{PLACE}/machine", "/lab", False))
    if operator:
        places += [("timeline", f"{PLACE}/timeline.jsonl", "/timeline", False), ("volumes", VOLUMES, VOLUMES, False)]
    volumes = [{"name": f"lab-{name}", "hostPath": {"path": source}} for name, source, _, _ in places]
    mounts = [{"name": f"lab-{name}", "mountPath": target, "readOnly": fixed} for name, _, target, fixed in places]
    return volumes, mounts


def configuration(keyring: str) -> tuple[Object, Object]:
    """Volume and mount of /etc/ceph: ceph.conf, and the keyring out of a Secret."""
    sources = [{"configMap": {"name": CONFIGURATION}}, {"secret": {"name": keyring}}]
    return {"name": "ceph", "projected": {"sources": sources}}, {"name": "ceph", "mountPath": "/etc/ceph"}


def pod(
    name: str,
    image: str,
    command: Sequence[str],
    *,
    keyring: str,
    node: str = "",
    host_network: bool = True,
    machine: bool = False,
    data: str = "",
    data_path: str = "",
    environment: Mapping[str, str] | None = None,
    probes: Mapping[str, Any] | None = None,
    ports: Sequence[tuple[str, int]] = (),
    more: Sequence[Object] = (),
    restart: str = "Always",
    apart: Mapping[str, str] | None = None,
) -> Object:
    """A pod's spec. ``data`` is a directory of the machine that is mounted at ``data_path``; ``more`` are further containers; ``apart`` labels of pods that
    it is not to share a machine with, if that can be.
    """
    volumes, mounts = host_volumes(machine=machine)
    volume, mount = configuration(keyring)
    volumes += [volume, {"name": "run", "emptyDir": {}}, {"name": "state", "emptyDir": {}}]
    mounts += [mount, {"name": "run", "mountPath": "/run/ceph"}, {"name": "run", "mountPath": "/var/run/ceph"}, {"name": "state", "mountPath": "/var/lib/ceph"}]
    if data:
        volumes.append({"name": "data", "hostPath": {"path": data, "type": ""}})
        mounts.append({"name": "data", "mountPath": data_path})
    fields = {"NODE_NAME": "spec.nodeName", "POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "HOST_IP": "status.hostIP"}
    variables = [{"name": key, "valueFrom": {"fieldRef": {"fieldPath": path}}} for key, path in fields.items()]
    variables += [{"name": key, "value": value} for key, value in (environment or {}).items()]
    container: Object = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        "env": variables,
        "volumeMounts": mounts,
        "resources": REQUESTS,
        "securityContext": {"runAsUser": 0, "privileged": True},
        **(probes or {}),
    }
    if ports:
        container["ports"] = [{"name": title, "containerPort": port} for title, port in ports]
    spec: Object = {
        "serviceAccountName": ACCOUNT,
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 20,
        "hostNetwork": host_network,
        "dnsPolicy": "ClusterFirstWithHostNet" if host_network else "ClusterFirst",
        "containers": [container, *more],
        "volumes": volumes,
    }
    if not node:
        spec["tolerations"] = [ELSEWHERE]
    else:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    if apart:
        term = {"labelSelector": {"matchLabels": dict(apart)}, "topologyKey": "kubernetes.io/hostname"}
        spec["affinity"] = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}}
    return spec


def deployment(name: str, labels: Mapping[str, str], spec: Object, *, replicas: int | None = None) -> Object:
    """``replicas`` None leaves it to whoever scales it; Kubernetes begins with 1."""
    body: Object = {
        "selector": {"matchLabels": dict(labels)},
        "strategy": {"type": "Recreate"},
        "revisionHistoryLimit": 1,
        "template": {"metadata": {"labels": dict(labels)}, "spec": spec},
    }
    if replicas is not None:
        body["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": dict(labels)}, "spec": body}


def secret(name: str, data: Mapping[str, str], kind: str = "kubernetes.io/rook") -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": dict(data)}


def config_map(name: str, data: Mapping[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(data)}


def service(name: str, labels: Mapping[str, str], ports: Mapping[str, tuple[int, int]]) -> Object:
    entries = [{"name": title, "port": port, "targetPort": target} for title, (port, target) in ports.items()]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": dict(labels)}, "spec": {"selector": dict(labels), "ports": entries}}


def budget(name: str, labels: Mapping[str, str], unavailable: int) -> Object:
    spec = {"maxUnavailable": unavailable, "selector": {"matchLabels": dict(labels)}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}
