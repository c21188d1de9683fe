"""Bringing a cluster up and down."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from trinode_lab import charts, host, ownership, registry, tools
from trinode_lab.errors import LabError
from trinode_lab.processes import Record, start_daemon, wait_until
from trinode_lab.status import listens

from trinode_kind import docker as engine
from trinode_kind import images, node_image
from trinode_kind.docker import Docker
from trinode_kind.settings import API_PORT, SETTINGS_FILE, Settings, load_settings

CREATE_SECONDS = 600
STOCK_IMAGE = f"kindest/node:{tools.KUBERNETES_VERSION}"


def build() -> None:
    """The programs that a cluster needs, made where they are missing: kind, kubectl, helm, and what the images of nodes and pods are made of."""
    host.check()
    started = time.monotonic()
    wanted = [tools.ARGOCD, tools.TALOSCTL, tools.HELM, tools.SEALED_SECRETS, tools.KIND, tools.STUB, *node_image.wanted_tools()]
    missing = [tool for tool in wanted if not tool.built]
    tools.build(missing)
    images.lab_images()
    if missing:
        print(f"built in {time.monotonic() - started:.0f} s", flush=True)


def up(settings: Settings) -> None:
    """A cluster whose nodes wait for their pod network. One that stands is left as it is; what a killed `up` left is removed first."""
    build()
    with ownership.locked(f"cluster {settings.name}"):
        standing = load_settings(settings)
        if standing is not None and standing == settings and answers(standing):
            print(f"cluster {settings.name} is up already; `kind down` ends it", flush=True)
            return
        _refuse_foreign_directory(settings)
        started = time.monotonic()
        docker = engine.start()
        _remove(settings, docker)
        _prepare(settings)
        image = _node_image(docker)
        _make_network(settings, docker)
        _start_registry(settings)
        _create(settings, docker, image)
    print(f"cluster {settings.name}: API server answers after {time.monotonic() - started:.0f} s; kubeconfig: {settings.kubeconfig}", flush=True)


def down(settings: Settings) -> None:
    """End and remove everything of the cluster; our own Docker daemon too when no other cluster needs it."""
    with ownership.locked(f"cluster {settings.name}"):
        _refuse_foreign_directory(settings)
        _remove(settings, engine.standing())
        engine.stop_if_unused()
    print(f"cluster {settings.name}: nothing is left", flush=True)


def answers(settings: Settings) -> bool:
    """Whether the registry and the API server of a cluster do."""
    return listens(settings.gateway, registry.REGISTRY_PORT) and kubectl(settings, "get", "--raw", "/readyz") is not None


def kubectl(settings: Settings, *arguments: str) -> str | None:
    """Output of kubectl, None when it fails."""
    command = [str(tools.user_programs() / "kubectl"), "--kubeconfig", str(settings.kubeconfig), "--request-timeout", "5s", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else None


def describe(settings: Settings) -> dict[str, Any]:
    """What tests and inventories need to know of a cluster that stands."""
    nodes = json.loads(kubectl(settings, "get", "nodes", "--output", "json") or '{"items": []}')["items"]
    version = json.loads(kubectl(settings, "version", "--output", "json") or "{}").get("serverVersion", {}).get("gitVersion", "")
    return {
        "name": settings.name,
        "state": str(settings.directory),
        "kubeconfig": str(settings.kubeconfig),
        "kubernetes_version": version,
        "api_host": settings.api_host,
        "api_port": API_PORT,
        "load_balancer_addresses": settings.load_balancer_addresses,
        "charts": settings.charts_url,
        "registry": settings.registry_url,
        "programs": str(tools.user_programs()),
        "nodes": [_node(node) for node in nodes],
    }


def _node(node: dict[str, Any]) -> dict[str, Any]:
    ready = next((condition["status"] for condition in node["status"].get("conditions", []) if condition["type"] == "Ready"), "Unknown")
    return {
        "name": node["metadata"]["name"],
        "address": next((entry["address"] for entry in node["status"]["addresses"] if entry["type"] == "InternalIP"), ""),
        "control_plane": "node-role.kubernetes.io/control-plane" in node["metadata"]["labels"],
        "ready": ready == "True",
    }


def _refuse_foreign_directory(settings: Settings) -> None:
    standing = load_settings(settings)
    ownership.refuse_foreign(settings.directory, f"cluster {settings.name}", standing and f"cluster {standing.name}")


def _prepare(settings: Settings) -> None:
    directory = settings.directory
    directory.mkdir(parents=True, exist_ok=True)
    settings.save()
    (directory / "registry").mkdir()
    images.write(directory / "images")
    charts.make(directory / "charts")
    # containerd on the nodes asks our registry for every image, whatever its registry.
    mirror = directory / "certs.d" / "_default"
    mirror.mkdir(parents=True)
    (mirror / "hosts.toml").write_text(f'[host."{settings.registry_url}"]\n  capabilities = ["pull", "resolve"]\n')
    (directory / "kind.yaml").write_text(json.dumps(_configuration(settings), indent=2))


def _configuration(settings: Settings) -> dict[str, Any]:
    """kind's configuration (JSON is YAML). No pod network and no kube-proxy: that is Cilium's part."""
    mount = {"hostPath": str(settings.directory / "certs.d"), "containerPath": "/etc/containerd/certs.d", "readOnly": True}
    roles = ["control-plane"] * settings.control_planes + ["worker"] * settings.workers
    # The kubelet refuses cgroup version 1 otherwise.
    kubelet = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "failCgroupV1": False, "serializeImagePulls": False}
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": settings.name,
        "featureGates": {"KubeletInUserNamespace": True} if host.needs_shim() else {},
        "networking": {
            "disableDefaultCNI": True,
            "kubeProxyMode": "none",
            "apiServerAddress": "127.0.0.1",
            "podSubnet": "10.244.0.0/16",
            "serviceSubnet": "10.96.0.0/16",
        },
        "containerdConfigPatches": ['[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n'],
        "kubeadmConfigPatches": [json.dumps(kubelet)],
        "nodes": [{"role": role, "extraMounts": [mount]} for role in roles],
    }


def _node_image(docker: Docker) -> str:
    """The image of nodes: the one that the user names, the stock one where the host's Docker has or gets it, ours otherwise."""
    if chosen := os.environ.get("TRINODE_KIND_IMAGE"):
        return chosen
    if docker.socket is None and (docker.has_image(STOCK_IMAGE) or docker.run("pull", "--quiet", STOCK_IMAGE, check=False).returncode == 0):
        return STOCK_IMAGE
    return node_image.ensure(docker)


def _make_network(settings: Settings, docker: Docker) -> None:
    """Docker's network of this cluster, with addresses that we know before kind does."""
    command = ["network", "create", "--driver", "bridge", "--subnet", settings.network, "--gateway", settings.gateway]
    docker.run(*command, "--opt", f"com.docker.network.bridge.name=tk-{settings.name[:12]}", settings.docker_network)


def _start_registry(settings: Settings) -> None:
    arguments = [str(settings.directory), settings.gateway, str(settings.directory / "images")]
    log = settings.directory / "registry" / "log"
    process = start_daemon("trinode_lab.registry", arguments, log, lambda: None)
    Record(settings.registry_record).write(process.pid)
    if not wait_until(lambda: process.poll() is not None or listens(settings.gateway, registry.REGISTRY_PORT), 15) or process.poll() is not None:
        raise LabError(f"the registry does not answer at {settings.registry_url}; its log: {log}")


def _create(settings: Settings, docker: Docker, image: str) -> None:
    command = ["create", "cluster", "--config", str(settings.directory / "kind.yaml"), "--kubeconfig", str(settings.kubeconfig)]
    with (settings.directory / "kind.log").open("w") as log:
        result = _kind(settings, docker, *command, "--image", image, "--retain", output=log)
    if result.returncode:
        raise LabError(f"kind could not create the cluster {settings.name}; its log: {log.name}\n{Path(log.name).read_text()[-3000:]}")
    # Nobody but the owner reads credentials.
    settings.kubeconfig.chmod(0o600)
    if not settings.workers:
        # kind does so for a single node alone. The answer is an error when no node has the taint.
        kubectl(settings, "taint", "nodes", "--all", "node-role.kubernetes.io/control-plane-")


def _kind(settings: Settings, docker: Docker, *arguments: str, output: Any = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    environment = {**docker.environment(), "KIND_EXPERIMENTAL_PROVIDER": "docker", "KIND_EXPERIMENTAL_DOCKER_NETWORK": settings.docker_network}
    command = [str(tools.KIND.program()), *arguments]
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, text=True, check=False, timeout=CREATE_SECONDS
    )


def _remove(settings: Settings, docker: Docker | None) -> None:
    if docker is not None and docker.containers(f"label=io.x-k8s.kind.cluster={settings.name}"):
        result = _kind(settings, docker, "delete", "cluster", "--name", settings.name, "--kubeconfig", str(settings.kubeconfig))
        if result.returncode:
            raise LabError(f"kind could not delete the cluster {settings.name}: {result.stdout.strip()}")
    if docker is not None:
        docker.run("network", "rm", settings.docker_network, check=False)
    process = Record(settings.registry_record).read()
    if process is not None and not process.end(signal.SIGTERM, 5):
        process.end(signal.SIGKILL)
    if (settings.directory / SETTINGS_FILE).exists():
        shutil.rmtree(settings.directory)
        with contextlib.suppress(OSError):
            settings.directory.parent.rmdir()  # only when nothing else is in it
