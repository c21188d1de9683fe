"""What the machines are, as the lab and Talos see them."""

from __future__ import annotations

import json
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from trinode_lab import bmc, bmc_identity, control, git, tools
from trinode_lab.errors import LabError
from trinode_lab.factory import EMPTY_SCHEMATIC
from trinode_lab.network import API_PORT
from trinode_lab.settings import Machine, Settings

TALOS_SECONDS = 5


def _run(*argv: str) -> str | None:
    """Output of a program, or None when it fails or takes too long."""
    try:
        result = subprocess.run(argv, capture_output=True, text=True, timeout=TALOS_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None
    return result.stdout if result.returncode == 0 else None


def _talosctl(settings: Settings, machine: Machine, *arguments: str) -> str | None:
    """talosctl with the lab's talosconfig when there is one."""
    talosconfig = settings.cluster / "talosconfig"
    if not talosconfig.exists():
        return None
    return _run(str(tools.TALOSCTL.program()), "--talosconfig", str(talosconfig), "-e", machine.address, "-n", machine.address, *arguments)


def listens(address: str, port: int) -> bool:
    """Whether something accepts TCP connections there."""
    try:
        socket.create_connection((address, port), 0.5).close()
    except OSError:
        return False
    return True


def stage(settings: Settings, machine: Machine) -> str:
    """Talos's stage: maintenance, booting, running, ...; ``configured`` when no talosconfig of ours opens it; ``unreachable``."""
    insecure = _run(str(tools.TALOSCTL.program()), "-n", machine.address, "get", "machinestatus", "--insecure", "-o", "json")
    text = insecure or _talosctl(settings, machine, "get", "machinestatus", "-o", "json")
    if text is None:
        return "configured" if listens(machine.address, API_PORT) else "unreachable"
    return str(json.loads(text)["spec"]["stage"])


def describe(settings: Settings, machine: Machine) -> dict[str, Any]:
    """One machine: power and boots from its supervisor, stage and etcd member from Talos."""
    try:
        found = control.status(machine)
    except LabError:
        return {"name": machine.name, "address": machine.address, "power": "none", "stage": "unknown", "etcd": ""}
    reachable = found["power"] == "on" and not found["frozen"] and not found.get("nothing_runs")
    etcd = _talosctl(settings, machine, "get", "etcdmember", "-o", "json") if reachable else None
    return {
        "name": machine.name,
        "address": machine.address,
        **found,
        "stage": stage(settings, machine) if reachable else _silence(found),
        "etcd": json.loads(etcd)["spec"]["memberID"] if etcd else "",
    }


def _silence(found: dict[str, Any]) -> str:
    """Why a machine cannot be asked."""
    if found["power"] == "off":
        return "off"
    return "frozen" if found["frozen"] else "nothing runs"


def nodes(settings: Settings) -> dict[str, str]:
    """Ready, NotReady or Unknown by node name; empty without a kubeconfig or an API server."""
    kubeconfig = settings.cluster / "kubeconfig"
    if not kubeconfig.exists():
        return {}
    kubectl = tools.user_programs() / "kubectl"
    text = _run(str(kubectl), "--kubeconfig", str(kubeconfig), "--request-timeout", f"{TALOS_SECONDS - 1}s", "get", "nodes", "-o", "json")
    if text is None:
        return {}
    states = {"True": "Ready", "False": "NotReady"}
    return {
        node["metadata"]["name"]: next(
            (states.get(condition["status"], "Unknown") for condition in node["status"]["conditions"] if condition["type"] == "Ready"), "Unknown"
        )
        for node in json.loads(text)["items"]
    }


def lab(settings: Settings) -> dict[str, Any]:
    """The whole lab."""
    with ThreadPoolExecutor(settings.machine_count + 1) as pool:
        known = pool.submit(nodes, settings)
        machines = list(pool.map(lambda machine: describe(settings, machine), settings.machines))
        return {"name": settings.name, "network": str(settings.network), "state": str(settings.state), "machines": machines, "nodes": known.result()}


def inventory(settings: Settings) -> dict[str, Any]:
    """Addresses and paths, for tests and scripts."""
    return {
        "name": settings.name,
        "network": str(settings.network),
        "gateway": settings.gateway,
        "vip": settings.vip,
        "registry": settings.registry_url,
        "charts": settings.charts_url,
        "git": {
            "url": settings.git_url,
            "username": git.USERS[0],
            "password_file": str(settings.git / "users" / git.USERS[0]),
            "password_files": {user: str(settings.git / "users" / user) for user in git.USERS},
        },
        "bmc": {
            "available": bmc.available(),
            "username": bmc_identity.USER,
            "password_file": str(settings.bmc / "password"),
            "ca_file": str(settings.bmc / "ca.crt"),
            "image_url": f"{settings.images_url}/image/{EMPTY_SCHEMATIC}/{tools.TALOS_VERSION}/metal-amd64.iso",
            "image_factory": settings.images_url,
            "boot_directory": str(settings.state / "boot"),
            "urls": {machine.name: settings.bmc_url(machine) for machine in settings.machines},
        },
        "state": str(settings.state),
        "cluster": str(settings.cluster),
        "vault_password_file": str(settings.vault_password),
        "timeline": str(settings.timeline),
        "programs": str(tools.user_programs()),
        "versions": {"talos": tools.TALOS_VERSION, "kubernetes": tools.KUBERNETES_VERSION},
        "front": settings.front,
        "machines": [
            {
                "name": machine.name,
                "address": machine.address,
                "directory": str(machine.directory),
                "namespace": machine.namespace,
                "uuid": machine.uuid,
                "serial": machine.serial,
                "mac": machine.mac,
                "bmc": {"url": settings.bmc_url(machine), "system": f"{bmc.SYSTEMS}/{machine.uuid}"},
                "disks": json.loads((machine.directory / "disks.json").read_text()),
            }
            for machine in settings.machines
        ],
    }
