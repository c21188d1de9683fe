# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The components as ansible-playbook sees them, and what the real charts know, for test_catalogue.py.

``evaluate`` runs ansible-playbook once over a three-machine inventory with all components and returns what each role's ``<name>_component`` comes out as.
Nothing of a role's tasks runs: a stand-in role shares its defaults, variables, templates, dependencies and argument specs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = Path(os.environ.get("TRINODE_UPSTREAM", ROOT.parent / "shared" / "upstream"))

COMPONENTS = (
    "gateway_api",
    "prometheus_operator_crds",
    "cilium",
    "kubelet_csr_approver",
    "metrics_server",
    "snapshot_controller",
    "cert_manager",
    "istio",
    "sealed_secrets",
    "rook_ceph",
    "prometheus",
    "grafana",
    "loki",
    "alloy",
    "kiali",
    "crossplane",
    "argo_cd",
    "kyverno",
    "cloudnative_pg",
    "redis_operator",
)


@dataclass(frozen=True)
class Variant:
    """A way of configuring the platform: settings for all hosts, components that are not in the inventory, and how many machines there are."""

    settings: Mapping[str, Any]
    without: tuple[str, ...] = ()
    machines: int = 3


# As the module ceph_layout returns it with everything that it can be asked for; it is not run here.
LAYOUT = {
    "storage": {
        "useAllNodes": False,
        "useAllDevices": False,
        "config": {"encryptedDevice": "true"},
        "nearFullRatio": 0.8,
        "backfillFullRatio": 0.85,
        "fullRatio": 0.9,
        "nodes": [
            {
                "name": f"node{number}",
                "devices": [
                    {
                        "name": f"/dev/disk/by-id/ata-DISK_{number}",
                        "config": {
                            "deviceClass": "slow",
                            "osdsPerDevice": "2",
                            "metadataDevice": f"/dev/disk/by-id/nvme-DISK_{number}",
                            "databaseSizeMB": "61440",
                        },
                    },
                    {"name": f"/dev/disk/by-id/wwn-0x500253{number}"},
                ],
            }
            for number in (1, 2, 3)
        ],
    },
    "network": {"provider": "host", "addressRanges": {"public": ["192.0.2.0/24"], "cluster": ["198.51.100.0/24"]}},
    "pools": {
        "replicated": {"failureDomain": "host", "deviceClass": "slow", "replicated": {"size": 3, "requireSafeReplicaSize": True}},
        "bulk": {"failureDomain": "host", "deviceClass": "slow", "erasureCoded": {"dataChunks": 2, "codingChunks": 1}},
    },
    "monitors": 3,
    "osds": 9,
}

VARIANTS: Mapping[str, Variant] = {
    # As a user gets it with the machines' names alone.
    "default": Variant({}),
    # Everything that a setting switches on. Add the settings of your component that change its objects or values.
    "full": Variant(
        {
            "trinode_load_balancer_addresses": ["192.0.2.200-192.0.2.219", "192.0.2.224/28"],
            "trinode_acme_email": "admin@example.org",
            "istio_mode": "sidecar",
            "istio_gateway_address": "192.0.2.200",
            "cloudnative_pg_example": True,
            "redis_operator_example": True,
            "kyverno_policies_action": "Enforce",
            "kyverno_fail_open": False,
            "argo_cd_dex": True,
            "argo_cd_admin_enabled": False,
            "argo_cd_oidc_issuer": "https://sso.example.org",
            "argo_cd_oidc_client_id": "argocd",
            "argo_cd_oidc_client_secret": "not-a-secret",
            "argo_cd_oidc_ca": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "argo_cd_oidc_admins": ["platform", 'those of "all", too'],
            "argo_cd_oidc_readers": ["staff"],
            "trinode_git_url": "https://git.example.org/me/platform.git",
            "trinode_git_token": "not-a-token",
            "trinode_git_ca": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "argo_cd_notifications": True,
            "rook_ceph_layout": LAYOUT,
            "rook_ceph_encrypted_class": True,
            "rook_ceph_object_users": ["platform", "backups"],
            "rook_ceph_destroy_data": True,
            "prometheus_alertmanager_secret": "receivers",
            "grafana_database_secret": "grafana-app",
            "alloy_excluded_namespaces": ["kube-system"],
            "kiali_authentication": "anonymous",
            "kiali_view_only": False,
        }
    ),
    # The other way to announce addresses.
    "bgp": Variant(
        {
            "trinode_load_balancer_addresses": ["192.0.2.224/28", "2001:db8::100-2001:db8::1ff"],
            "trinode_pod_cidrs": ["10.244.0.0/16", "2001:db8:1::/56"],
            "cilium_load_balancer": "bgp",
            "cilium_bgp_peers": [{"address": "192.0.2.1", "asn": 64500}, {"address": "192.0.2.2", "asn": 64501, "secret": "router", "multihop": 2}],
            "cilium_gateway_api": True,
        },
        without=tuple(name for name in COMPONENTS if name not in {"gateway_api", "prometheus_operator_crds", "cilium", "kubelet_csr_approver"}),
    ),
    # One machine, and few components; what is made for others must be gone.
    "small": Variant(
        {},
        without=tuple(
            name
            for name in COMPONENTS
            if name not in {"gateway_api", "prometheus_operator_crds", "cilium", "cert_manager", "istio", "metrics_server", "prometheus", "loki"}
        ),
        machines=1,
    ),
}

# Directories of ../shared/upstream/values, where they are not named as the pin.
_VALUES_OF_PIN = {"istiod": "istio-istiod", "ztunnel": "istio-ztunnel"}

# Maps whose keys are the user's own or Kubernetes's, whatever example the chart has in them.
_FREE_KEYS = {
    "affinity",
    "annotations",
    "containersecuritycontext",
    "labels",
    "limits",
    "nodeselector",
    "podsecuritycontext",
    "requests",
    "resources",
    "securitycontext",
    "strategy",
    "updatestrategy",
}

# Keys that the chart reads but that its values.yaml does not have, by pin: a dotted key stands for itself and everything below.
# Say why; a key that is only believed to exist does not belong here.
KNOWN_KEYS: Mapping[str, Mapping[str, str]] = {
    "argo-cd": {
        "configs.cm.application.resourceTrackingMethod": "the map becomes argocd-cm",
        "configs.cm.oidc.config": "the map becomes argocd-cm, and a comment in values.yaml describes it",
        "configs.cm.resource.compareoptions": "the map becomes argocd-cm",
        "configs.cm.resource.customizations.health.argoproj.io_Application": "the map becomes argocd-cm",
        "configs.cm.resource.customizations.ignoreDifferences.all": "the map becomes argocd-cm",
        "configs.params.controller.resource.health.persist": "the map becomes argocd-cmd-params-cm",
        "configs.params.controller.diff.server.side": "the map becomes argocd-cmd-params-cm",
        "configs.params.reposerver.parallelism.limit": "the map becomes argocd-cmd-params-cm",
        "configs.params.server.insecure": "the map becomes argocd-cmd-params-cm",
        "redis-ha.haproxy.deploymentStrategy": "values of the chart redis-ha",
        "redis-ha.haproxy.podDisruptionBudget": "values of the chart redis-ha",
        "redis-ha.haproxy.resources": "values of the chart redis-ha",
        "redis-ha.podDisruptionBudget": "values of the chart redis-ha",
        "redis-ha.redis.resources": "values of the chart redis-ha",
        "redis-ha.sentinel": "values of the chart redis-ha",
        "redis-ha.splitBrainDetection": "values of the chart redis-ha",
    },
    "cilium": {"socketLB.hostNamespaceOnly": "a comment in values.yaml describes it"},
    "ceph-csi-drivers": {"operatorConfig.driverSpecDefaults.controllerPlugin.priorityClassName": "templates/operatorConfig.yaml reads it"},
    "istiod": {"profile": "templates/zzz_profile.yaml merges the profile of this name"},
    "istio-cni": {"profile": "templates/zzz_profile.yaml merges the profile of this name"},
    "kube-prometheus-stack": {
        "alertmanager.alertmanagerSpec.configSecret": "a comment in values.yaml describes it",
        "kube-state-metrics.resources": "values of the chart kube-state-metrics",
        "kube-state-metrics.tolerations": "values of the chart kube-state-metrics",
        "prometheus-node-exporter.resources": "values of the chart prometheus-node-exporter",
    },
    "loki": {
        "gateway.deploymentStrategy.rollingUpdate": "a strategy of Kubernetes",
        "loki.ingester.chunk_encoding": "the map becomes that part of Loki's configuration",
        "loki.limits_config.ingestion_burst_size_mb": "the map becomes that part of Loki's configuration",
        "loki.limits_config.ingestion_rate_mb": "the map becomes that part of Loki's configuration",
        "loki.limits_config.retention_period": "the map becomes that part of Loki's configuration",
        "loki.storage.bucketNames": "a comment in values.yaml describes it",
    },
    "rook-ceph": {
        "ceph-csi-operator.controllerManager.priorityClassName": "values of the chart ceph-csi-operator",
        "ceph-csi-operator.controllerManager.tolerations": "values of the chart ceph-csi-operator",
    },
    "rook-ceph-cluster": {
        "cephClusterSpec.dashboard.port": "the map becomes the CephCluster's spec; a comment in values.yaml describes it",
        "cephClusterSpec.storage.config": "the map becomes the CephCluster's spec; a comment in values.yaml describes it",
        "cephClusterSpec.storage.nodes": "the map becomes the CephCluster's spec; a comment in values.yaml describes it",
        "cephClusterSpec.storage.nearFullRatio": "the map becomes the CephCluster's spec",
        "cephClusterSpec.storage.backfillFullRatio": "the map becomes the CephCluster's spec",
        "cephClusterSpec.storage.fullRatio": "the map becomes the CephCluster's spec",
        "cephClusterSpec.network.provider": "the map becomes the CephCluster's spec; a comment in values.yaml describes it",
        "cephClusterSpec.network.addressRanges": "the map becomes the CephCluster's spec",
    },
    "kiali-server": {
        "external_services.grafana": "the map becomes that part of Kiali's configuration",
        "external_services.prometheus.url": "the map becomes that part of Kiali's configuration",
        "external_services.tracing": "the map becomes that part of Kiali's configuration",
    },
}

# Groups whose definitions no chart has, and where they come from: they are in packages that are fetched at run time.
PACKAGED_GROUPS: Mapping[str, str] = {"kubernetes.m.crossplane.io": "Crossplane's provider-kubernetes"}


def roles() -> list[str]:
    """The components that have a role of the present shape."""
    return [name for name in COMPONENTS if f"{name}_component:" in _variables(name)]


def _variables(name: str) -> str:
    path = ROOT / "roles" / name / "vars" / "main.yml"
    return path.read_text() if path.exists() else ""


@dataclass(frozen=True)
class Evaluated:
    """What ansible-playbook made of a role: its definition, or why it could not."""

    component: dict[str, Any] | None
    error: str = ""


_PLAYBOOK = """\
- hosts: components
  gather_facts: false
  tasks:
    - block:
        - ansible.builtin.include_role: {name: "{{ inventory_hostname }}"}
      rescue:
        - ansible.builtin.set_fact:
            evaluated: {component: null, error: "{{ ansible_failed_result.msg | default(ansible_failed_result) | string }}"}
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        dest: "{{ evaluated_file }}"
        mode: "0600"
        content: "{{ dict(names | zip(names | map('extract', hostvars, 'evaluated'))) | to_json }}"
      vars:
        names: "{{ evaluated_names }}"
"""
_TASKS = """\
- ansible.builtin.set_fact:
    evaluated: {component: "{{ lookup('ansible.builtin.vars', inventory_hostname ~ '_component') }}", error: ""}
"""


def evaluate(directory: Path, variant: Variant, names: Sequence[str]) -> dict[str, Evaluated]:
    """The definitions of the components ``names`` in a variant. ``directory`` is an empty one to work in. RuntimeError where Ansible itself fails."""
    names = [name for name in names if name not in variant.without]
    if not names:
        return {}
    for name in names:
        _stand_in(ROOT / "roles" / name, directory / "roles" / name)
    settings = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "trinode_cluster_name": "trial",
        "trinode_directory": str(directory / "cluster"),
        **variant.settings,
    }
    inventory = {
        "all": {
            "vars": settings,
            "children": {
                "machines": {"hosts": {f"node{number}": {"machine_address": f"192.0.2.1{number}"} for number in range(1, variant.machines + 1)}},
                "components": {"hosts": {name: {} for name in COMPONENTS if name not in variant.without}},
            },
        }
    }
    (directory / "hosts.yml").write_text(yaml.safe_dump(inventory))
    (directory / "play.yml").write_text(_PLAYBOOK)
    (directory / "ansible.cfg").write_text(f"[defaults]\ncollections_path = {ROOT / '.collections'}\nroles_path = {directory / 'roles'}\nforks = 4\n")
    output = directory / "evaluated.json"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environment |= {"ANSIBLE_CONFIG": str(directory / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
    command = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "play.yml", "-i", "hosts.yml", "--limit", f"{','.join(names)},localhost"]
    command += ["-e", json.dumps({"evaluated_file": str(output), "evaluated_names": list(names)})]
    result = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=900, check=False)
    if not output.exists():
        raise RuntimeError(f"ansible-playbook: {result.stdout[-6000:]}{result.stderr[-2000:]}")
    return {name: Evaluated(**values) for name, values in json.loads(output.read_text()).items()}


def _stand_in(role: Path, shadow: Path) -> None:
    """A role with everything of ``role`` but its tasks."""
    (shadow / "tasks").mkdir(parents=True)
    (shadow / "tasks" / "main.yml").write_text(_TASKS)
    for part in ("defaults", "vars", "meta", "templates", "files"):
        if (role / part).exists():
            (shadow / part).symlink_to(role / part)


@dataclass(frozen=True)
class Chart:
    """The data of a real chart: its default values and its schema, None where it has none."""

    values: dict[str, Any]
    schema: dict[str, Any] | None


def chart(pin: str) -> Chart | None:
    """None where there is no data of this chart."""
    directory = UPSTREAM / "values" / _VALUES_OF_PIN.get(pin, pin)
    if not (directory / "values.yaml").exists():
        return None
    values = yaml.safe_load((directory / "values.yaml").read_text()) or {}
    # Istio's charts keep their defaults below this key and lift them at rendering; users set them flat.
    values = values.get("_internal_defaults_do_not_set", values)
    schema = directory / "values.schema.json"
    return Chart(values, json.loads(schema.read_text()) if schema.exists() else None)


def merged(defaults: Any, values: Any) -> Any:
    """As helm merges values: maps key by key, null takes a default away, anything else replaces."""
    if not isinstance(defaults, dict) or not isinstance(values, dict):
        return values
    result = {**defaults, **{key: merged(defaults.get(key), value) for key, value in values.items()}}
    return {key: value for key, value in result.items() if not (key in values and values[key] is None)}


def unknown_keys(values: Mapping[str, Any], known: Chart, declared: Mapping[str, str]) -> Iterator[str]:
    """Keys of ``values`` that the chart does not have, dotted, with why. A key below an empty map or null is free unless the schema says otherwise."""
    yield from _unknown(values, known.values, _Schema(known.schema, known.schema) if known.schema else _Schema(None, None), declared, "")


def _unknown(values: Mapping[str, Any], real: Mapping[str, Any], schema: _Schema, declared: Mapping[str, str], prefix: str) -> Iterator[str]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        if path in declared:
            continue
        below = schema.property(key)
        if key not in real and not below:
            yield f"{path}: the chart has no such key"
            continue
        if not isinstance(value, dict) or not value or key.lower() in _FREE_KEYS or key.lower().endswith(("labels", "annotations")):
            continue
        there = real.get(key)
        if isinstance(there, dict) and there:
            yield from _unknown(value, there, below, declared, f"{path}.")
        elif below.closed:
            yield from _unknown(value, {}, below, declared, f"{path}.")
        elif there not in (None, {}, ""):
            yield f"{path}: it is a map, and the chart's value is {there!r}"


@dataclass(frozen=True)
class _Schema:
    """One place in a JSON schema; false where it says nothing."""

    node: Any
    root: Any

    def __bool__(self) -> bool:
        return isinstance(self.node, dict)

    def _resolved(self) -> dict[str, Any]:
        node = self.node
        while isinstance(node, dict) and str(node.get("$ref", "")).startswith("#/"):
            target = self.root
            for part in node["$ref"][2:].split("/"):
                target = target[part]
            node = target
        return node if isinstance(node, dict) else {}

    @property
    def closed(self) -> bool:
        """Whether only the keys that it names may be there."""
        node = self._resolved()
        return bool(node.get("properties")) and node.get("additionalProperties") is False

    def property(self, key: str) -> _Schema:
        return _Schema(self._resolved().get("properties", {}).get(key), self.root)
