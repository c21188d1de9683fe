#!/usr/bin/env python3
"""The inventory of a scenario: the machines of the cluster that TRINODE_MOLECULE_CLUSTER names, and the component of the scenario with all that it needs.

On our own clusters, components that store data also get rook_ceph, whose double provides their volumes; others are taken to have a default storage class.

kind (default)   the cluster of tests/kind/kind
lab              the lab that stands, with a cluster on it (make demo)
a path           the kubeconfig of any cluster; charts come from where users' do
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]


def main() -> None:
    scenario = os.environ.get("MOLECULE_SCENARIO_NAME", "default")
    chosen = os.environ.get("TRINODE_MOLECULE_CLUSTER") or "kind"
    nodes, variables = cluster(chosen)
    machines = {
        node["name"]: {"machine_address": node["address"], "machine_role": "controlplane" if node["control_plane"] else "worker", **node.get("settings", {})}
        for node in nodes
    }
    components = [] if scenario == "default" else with_needs(scenario, storage=chosen in ("kind", "lab"))
    inventory = {
        "all": {"vars": {"ansible_connection": "local", **variables}},
        "machines": {"hosts": list(machines)},
        "components": {"hosts": components},
        # The one that is tested.
        "scenario": {"hosts": components[-1:]},
        "_meta": {"hostvars": machines},
    }
    sys.stdout.write(json.dumps(inventory, indent=2))


def cluster(chosen: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Nodes with name, address, control_plane and perhaps settings of their own, and the cluster's settings. Both are empty while there is no cluster."""
    if chosen == "kind":
        facts = answer("tests/kind/kind", "status", "--json")
        return (facts["nodes"], kind_variables(facts)) if facts else ([], {})
    if chosen == "lab":
        facts = answer("tests/lab/lab", "inventory")
        return lab(facts) if facts and Path(facts["cluster"], "kubeconfig").exists() else ([], {})
    return existing(chosen)


def kind_variables(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "trinode_cluster_name": facts["name"],
        # Machines that are containers.
        "trinode_talos_platform": "container",
        "trinode_kubernetes_version": facts["kubernetes_version"],
        "trinode_kubeconfig": facts["kubeconfig"],
        "trinode_directory": facts["state"],
        "trinode_chart_mirror": facts["charts"],
        "trinode_chart_cache": f"{facts['state']}/chart-cache",
        "trinode_load_balancer_addresses": [facts["load_balancer_addresses"]],
        # No Ceph is behind the doubles.
        "rook_ceph_verify": [],
        # There is no KubePrism.
        "cilium_values": {"k8sServiceHost": facts["api_host"], "k8sServicePort": facts["api_port"]},
    }


def lab(facts: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    nodes = [
        {
            "name": machine["name"],
            "address": machine["address"],
            "control_plane": True,
            # As in inventory/lab.
            "settings": {"machine_osd_disks": [{"serial": disk["serial"]} for disk in machine["disks"] if disk["serial"].endswith(("-OSD1", "-OSD2"))]},
        }
        for machine in facts["machines"]
    ]
    prefix = facts["gateway"].rpartition(".")[0]
    return nodes, {
        "trinode_cluster_name": facts["name"],
        # Machines that are containers.
        "trinode_talos_platform": "container",
        "trinode_kubernetes_version": facts["versions"]["kubernetes"],
        "trinode_directory": facts["cluster"],
        "trinode_kubeconfig": f"{facts['cluster']}/kubeconfig",
        "trinode_load_balancer_addresses": [f"{prefix}.200-{prefix}.220"],
        "trinode_chart_mirror": facts["charts"],
        "trinode_chart_cache": f"{facts['state']}/chart-cache",
        # No machine mounts a volume of Ceph, as inventory/lab/host_vars/rook_ceph.yml says.
        "rook_ceph_verify": ["object"] if Path("/usr/bin/radosgw").exists() else [],
    }


def existing(kubeconfig: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    # Only here, so that the others need no client.
    from kubernetes import client, config  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        api = config.new_client_from_config(config_file=kubeconfig)
        found = client.CoreV1Api(api).list_node().items
        version = client.VersionApi(api).get_code().git_version
    except (config.ConfigException, client.ApiException, HTTPError) as error:
        sys.stderr.write(f"{kubeconfig}: {error}\n")
        return [], {}
    name = config.list_kube_config_contexts(config_file=kubeconfig)[1]["context"]["cluster"]
    nodes = [
        {
            "name": node.metadata.name,
            "address": next(entry.address for entry in node.status.addresses if entry.type == "InternalIP"),
            "control_plane": "node-role.kubernetes.io/control-plane" in node.metadata.labels,
        }
        for node in found
    ]
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return nodes, {
        "trinode_cluster_name": name,
        "trinode_kubernetes_version": version,
        "trinode_kubeconfig": str(Path(kubeconfig).expanduser().absolute()),
        "trinode_directory": str(Path(state).expanduser() / "trinode-molecule" / name),
    }


def answer(*command: str) -> dict[str, Any]:
    """What a command of the tests prints as JSON; empty when it says that nothing stands."""
    result = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.stderr.write(result.stderr)
        return {}
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def with_needs(component: str, storage: bool) -> list[str]:
    """The component and, before it, everything that it needs, by the defaults of the roles; with ``storage``, rook_ceph where it is used."""
    found: list[str] = []

    def add(name: str) -> None:
        defaults = yaml.safe_load((ROOT / "roles" / name / "defaults" / "main.yml").read_text())
        for needed in defaults[f"{name}_needs"] + (["rook_ceph"] if storage and "rook_ceph" in defaults[f"{name}_uses"] else []):
            add(needed)
        if name not in found:
            found.append(name)

    add(component)
    return found


if __name__ == "__main__":
    main()
