"""Every module of ours gives the same result inside the Ansible worker and the ordinary way.

The cases need no machine: what a module computes or refuses, and how it says that a machine is not there. A module without a row fails the test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from both_ways import CHECKOUT, Case, comparable, run
from talosctl_program import talosctl

pytestmark = pytest.mark.slow

MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py"))
NOWHERE = "127.0.0.1"  # nothing answers on the machines' ports there
MISSING = {"talosctl": "/nonexistent/talosctl"}
RENDER = {
    "secrets_file": "{directory}/{way}/none.yaml",
    "cluster_name": "lab",
    "cluster_endpoint": "https://192.0.2.10:6443",
    "contract": "v1.13",
    "talos_version": "v1.13.8",
    "kubernetes_version": "v1.36.3",
    "hostname": "m1",
    "patches": [{"layer": "all", "documents": [{"machine": {"sysctls": {"vm.max_map_count": "262144"}}}]}],
}
CHART = {
    "name": "x",
    "chart": "x",
    "repository": "http://127.0.0.1:9/charts",
    "version": "1.0.0",
    "cache": "{directory}/{way}/charts",
    "namespace": "x",
    "kubernetes_version": "v1.36.3",
    "timeout": 2,
}
COMPONENT = {
    "name": "x",
    "title": "X",
    "namespace": "x",
    "namespaces": [{"name": "x"}],
    "resources": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}],
}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringData": {"password": "hunter2hunter2"}}
SEALED = {"name": "x", "title": "X", "namespace": "x", "resources": [SECRET]}
RENDERING = {
    "definition": COMPONENT,
    "pins": {},
    "cache": "{directory}/{way}/charts",
    "kubernetes_version": "v1.36.3",
    "run_directory": "{directory}/{way}",
}
SNAPSHOT = {
    "cluster_name": "lab",
    "endpoints": [NOWHERE],
    "vault_password": "hunter2hunter2",
    "directory": "{directory}/{way}/backups",
    "talosconfig": "/nonexistent",
}
CREDENTIALS = {
    "secrets_file": "{directory}/{way}/none.yaml",
    "vault_password": "hunter2hunter2",
    "cluster_name": "lab",
    "cluster_endpoint": "https://192.0.2.10:6443",
    "endpoints": [NOWHERE],
    "talosconfig": "{directory}/{way}/talosconfig",
    "talosctl": "{directory}/talosctl",
    "timeout": 2,
}
PUBLISHED = {
    "repository": "{directory}/{way}/platform.git",
    "component": "x",
    "contents": [{"target": "apps/x.yaml", "content": "kind: ConfigMap\nmetadata:\n  name: x\n"}],
}
CHECK = {"check_mode": True, "diff": True}
LAYOUT = [{"name": name, "osd_disks": [{"by_id": f"ata-DISK_{name}"}]} for name in ("m1", "m2", "m3")]
NEW_DISK = {"machine": "m1", "use": "osd", "contents": "empty", "serial": "S1", "path": "/dev/sdb", "link": "/dev/disk/by-id/ata-S1", "size": 10737418240}
LOOK = {"machines": [{"name": "m1", "address": "192.0.2.11"}], "disks": [NEW_DISK], "image": "ceph"}
CEPH_CLUSTER = {"apiVersion": "ceph.rook.io/v1", "kind": "CephCluster", "metadata": {"name": "rook-ceph"}, "spec": {"storage": {"nodes": [{"name": "m4"}]}}}

APPLICATION = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "x", "namespace": "argocd"}, "spec": {}}

# module: {what the case shows: (arguments, keywords of the task)}
ROWS: dict[str, dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "argocd_admin": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", "secret": "argocd-admin"}, {}),
        "no kubeconfig, in check mode": ({"kubeconfig": "/nonexistent/kubeconfig", "secret": "argocd-admin"}, CHECK),
    },
    "argocd_application": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", "name": "cilium", "revision": "0" * 40}, {}),
        "no kubeconfig, in check mode": ({"kubeconfig": "/nonexistent/kubeconfig", "name": "cilium"}, CHECK),
    },
    "argocd_handover": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", "applications": [], "root": APPLICATION, "tree": "{directory}"}, {}),
        "no kubeconfig, in check mode": (
            {"kubeconfig": "/nonexistent/kubeconfig", "applications": [APPLICATION], "root": APPLICATION, "tree": "{directory}"},
            CHECK,
        ),
        "no objects": ({"kubeconfig": "/nonexistent/kubeconfig", "applications": [{"kind": "x"}], "root": {}, "tree": "{directory}"}, {}),
    },
    "ceph_disk_look": {
        "no disk to look at": ({"kubeconfig": "/nonexistent/kubeconfig", "machines": [], "disks": [], "image": "ceph"}, {}),
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", **LOOK}, {}),
        "no kubeconfig, in check mode": ({"kubeconfig": "/nonexistent/kubeconfig", **LOOK}, CHECK),
    },
    "boot_image": {
        "the factory's": ({"talos_version": "v1.13.8", "extensions": ["siderolabs/iscsi-tools"]}, CHECK),
        "one's own": ({"iso": "http://192.0.2.1/talos.iso"}, {}),
        "no version": ({}, {}),
    },
    "ceph_info": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", "ok_to_stop_host": "m1"}, {}),
        "no kubeconfig, in check mode": ({"kubeconfig": "/nonexistent/kubeconfig", "ok_to_stop_osds": [1]}, CHECK),
    },
    "ceph_osd": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", "osds": [3]}, {}),
        "no kubeconfig, in check mode": ({"kubeconfig": "/nonexistent/kubeconfig", "disks": ["S1"], "failed": True}, CHECK),
        "nothing is named": ({"kubeconfig": "/nonexistent/kubeconfig"}, {}),
    },
    "ceph_layout": {
        "planned": ({"machines": LAYOUT, "judged": False}, {}),
        "in check mode with what runs": ({"machines": LAYOUT, "judged": False, "objects": [CEPH_CLUSTER]}, CHECK),
        "too many copies": ({"machines": LAYOUT, "judged": False, "policy": {"copies": 4}}, {}),
    },
    "chart_info": {
        "helm is missing": ({"pins": {"x": {"chart": "x", "repository": "http://127.0.0.1:9/charts", "version": "1.0.0"}}, "helm": "/nonexistent/helm"}, {}),
        "not a pin": ({"pins": {"x": {"chart": "x"}}}, {}),
    },
    "component_deliver": {
        "no files": ({"definition": COMPONENT, "path": "{directory}/{way}/none", "kubeconfig": "/nonexistent/kubeconfig"}, {}),
        "no path": ({"definition": COMPONENT, "kubeconfig": "/nonexistent/kubeconfig"}, {}),
        "mistakes": ({"definition": {"name": "x"}, "path": "{directory}", "kubeconfig": "/nonexistent/kubeconfig"}, {}),
    },
    "component_needs": {
        "nothing to wait for": ({"component": "x", "in_run": ["x"], "kubeconfig": "/nonexistent/kubeconfig", "run_directory": "{directory}"}, {}),
        "no cluster": ({"component": "x", "needs": ["y"], "in_run": ["x"], "kubeconfig": "/nonexistent/kubeconfig", "run_directory": "{directory}"}, {}),
    },
    "component_plan": {
        "no cluster": ({"components": [], "kubeconfig": "/nonexistent/kubeconfig"}, {}),
        "no results of component_render": ({"components": [{"msg": "failed"}], "kubeconfig": "/nonexistent/kubeconfig"}, CHECK),
    },
    "component_render": {
        "rendered": ({**RENDERING, "tree": "{directory}/{way}/tree"}, {}),
        "again": ({**RENDERING, "tree": "{directory}/{way}/tree"}, {}),
        "in check mode": ({**RENDERING, "tree": "{directory}/{way}/other"}, CHECK),
        "mistakes": ({**RENDERING, "tree": "{directory}/{way}/tree", "definition": {"name": "x", "charts": [{"pin": "y"}]}}, {}),
        "no sealing keys": ({**RENDERING, "definition": SEALED, "tree": "{directory}/{way}/tree", "sealing_keys": "/nonexistent"}, {}),
    },
    "component_report": {
        "ready": ({"component": "x", "state": "ready", "run_directory": "{directory}"}, {}),
        "failed": ({"component": "x", "state": "failed", "reason": "no room", "run_directory": "{directory}"}, {}),
    },
    "disk_contract": {
        "unreachable": ({"machines": [{"name": "m1", "address": NOWHERE}], "talosctl": "{directory}/talosctl", "timeout": 2}, {}),
        "unreachable, only told": ({"machines": [{"name": "m1", "address": NOWHERE}], "enforce": False, "timeout": 2, **MISSING}, CHECK),
        "no machines": ({"machines": [], "ours": []}, {}),
    },
    "drift_report": {
        "nothing can be read": (
            {"kubeconfig": "/nonexistent/kubeconfig", "machines": [{"name": "m1"}], "git": {"msg": "no answer"}, "tree": "{directory}"},
            {},
        ),
        "in check mode": (
            {
                "kubeconfig": "/nonexistent/kubeconfig",
                "machines": [{"name": "m1", "result": {"step": "none"}}],
                "git": {"edits": [], "head": "3f2a9c0e"},
                "tree": "{directory}",
            },
            CHECK,
        ),
    },
    "gate": {
        "closed": ({"machines": [NOWHERE], "endpoints": [NOWHERE], "checks": ["etcd"], "talosconfig": "/nonexistent", "timeout": 2, **MISSING}, {}),
        "Ceph cannot be asked": (
            {"machines": [NOWHERE], "endpoints": [NOWHERE], "checks": ["ceph"], "kubeconfig": "/nonexistent/kubeconfig", "ceph_without": [3], "timeout": 1},
            {},
        ),
        "one look, with a check of one's own": (
            {
                "machines": [NOWHERE],
                "endpoints": [NOWHERE],
                "checks": [],
                "wait": False,
                "commands": [{"name": "mine", "argv": ["sh", "-c", "echo no >&2; exit 3"]}],
            },
            {},
        ),
        "only told": (
            {
                "machines": [NOWHERE],
                "endpoints": [NOWHERE],
                "checks": ["gitops", "webhooks", "network"],
                "kubeconfig": "/nonexistent/kubeconfig",
                "commands": [{"name": "mine", "argv": ["false"]}],
            },
            CHECK,
        ),
        "wrong check": ({"machines": [NOWHERE], "endpoints": [NOWHERE], "checks": ["weather"]}, {}),
    },
    "git_publish": {
        "predicted": (PUBLISHED, CHECK),
        "nothing to remove": ({**PUBLISHED, "state": "absent"}, {}),
        "nothing to inspect": ({"repository": "{directory}/{way}/none.git", "state": "inspected"}, {}),
        "password in the URL": ({**PUBLISHED, "url": "https://git:hunter2hunter2@127.0.0.1:9/x.git"}, {}),
        "nobody answers": ({**PUBLISHED, "url": "https://127.0.0.1:9/x.git", "token": "hunter2hunter2"}, {}),
    },
    "helm_template": {
        "helm is missing": ({**CHART, "helm": "/nonexistent/helm"}, {}),
    },
    "image_schematic": {
        "computed": ({"extensions": ["siderolabs/util-linux-tools"], "kernel_arguments": ["quiet"], "talos_version": "v1.13.8"}, {}),
        "in check mode": ({"extensions": []}, CHECK),
    },
    "kube_apply": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", "objects": [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}}]}, {}),
        "no kind": ({"kubeconfig": "/nonexistent/kubeconfig", "manifests": "a: 1\n"}, {}),
    },
    "kube_delete": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", "targets": [{"api_version": "v1", "kind": "Namespace", "name": "x"}]}, {}),
        "no name": ({"kubeconfig": "/nonexistent/kubeconfig", "targets": [{"api_version": "v1", "kind": "Namespace"}]}, {}),
    },
    "kube_drain": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", "node": "m1"}, {}),
        "no kubeconfig, simulated": ({"kubeconfig": "/nonexistent/kubeconfig", "simulate": True}, CHECK),
        "no node": ({"kubeconfig": "/nonexistent/kubeconfig", "state": "cordoned"}, {}),
    },
    "kube_info": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", "kind": "Node"}, {}),
        "no kubeconfig, in check mode": ({"kubeconfig": "/nonexistent/kubeconfig", "resources": [{"kind": "Node"}], "query": "length(items)"}, CHECK),
        "no expression": ({"kubeconfig": "/nonexistent/kubeconfig", "kind": "Node", "query": "items["}, {}),
    },
    "kube_probe": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", "http": [{"service": "x", "port": 80}]}, {}),
        "no kubeconfig, in check mode": ({"kubeconfig": "/nonexistent/kubeconfig", "http": [{"service": "x", "port": 80}]}, CHECK),
        "no expression": ({"kubeconfig": "/nonexistent/kubeconfig", "http": [{"service": "x", "port": 80, "expect": "a ==== b"}]}, {}),
    },
    "kube_quiesce": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent", "state": "quiesced", "timeout": 2}, {}),
        "no kubeconfig, in check mode": ({"kubeconfig": "/nonexistent", "state": "resumed", "timeout": 2}, CHECK),
        "wrong choice": ({"kubeconfig": "/nonexistent", "state": "asleep"}, {}),
    },
    "kube_wait": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", "kind": "Node"}, {}),
        "no kubeconfig, in check mode": ({"kubeconfig": "/nonexistent/kubeconfig", "targets": [{"kind": "Node", "condition": "absent"}]}, CHECK),
        "no expression": ({"kubeconfig": "/nonexistent/kubeconfig", "kind": "Node", "condition": "until"}, {}),
    },
    "membership_plan": {
        "no kubeconfig": (
            {"operation": "add", "machines": [{"name": "m1", "address": NOWHERE}], "kubeconfig": "/nonexistent/kubeconfig", "talosconfig": "/nonexistent"},
            {},
        ),
        "no such machine": (
            {
                "operation": "replace",
                "machine": "m9",
                "machines": [{"name": "m1", "address": NOWHERE}],
                "kubeconfig": "/nonexistent",
                "talosconfig": "/nonexistent",
            },
            CHECK,
        ),
    },
    "postgres_switchover": {
        "no kubeconfig": ({"kubeconfig": "/nonexistent/kubeconfig", "node": "m1"}, {}),
        "no kubeconfig, in check mode": ({"kubeconfig": "/nonexistent/kubeconfig", "node": "m1"}, CHECK),
    },
    "preflight": {
        "findings": ({"settings": {"file": "x"}, "vault_password": "hunter2hunter2"}, {}),
    },
    "rolling_plan": {
        "no kubeconfig": ({"machines": [{"name": "m1", "address": NOWHERE}], "kubeconfig": "/nonexistent/kubeconfig", "talosconfig": "/nonexistent"}, {}),
        "an image without a version": (
            {"machines": [{"name": "m1", "address": NOWHERE, "image": "x:latest"}], "kubeconfig": "/nonexistent", "talosconfig": "/nonexistent"},
            CHECK,
        ),
    },
    "redfish_boot": {
        "nothing to boot": ({"address": NOWHERE, "username": "u", "password": "hunter2hunter2", "image": "http://x/y.iso", "talos": "maintenance"}, {}),
        "no image": ({"address": NOWHERE, "username": "u", "password": "hunter2hunter2"}, CHECK),
        "no such authority": ({"address": NOWHERE, "username": "u", "password": "hunter2hunter2", "state": "on", "ca_file": "/nonexistent"}, CHECK),
    },
    "sealed_secret": {
        "no keys": ({"path": "{directory}/{way}/s.yaml", "keys_file": "/nonexistent", "name": "n", "namespace": "n", "values": {"a": "hunter2hunter2"}}, {}),
    },
    "sealing_keys": {
        "predicted": ({"path": "{directory}/{way}/keys.yaml", "vault_password": "hunter2hunter2"}, CHECK),
        "no cluster": ({"path": "{directory}/{way}/keys.yaml", "kubeconfig": "/nonexistent"}, CHECK),
    },
    "talos_apply": {
        "secrets missing, in check mode": ({"address": NOWHERE, "render": RENDER, "talosctl": "{directory}/talosctl", "timeout": 2}, CHECK),
        "two sources": ({"address": NOWHERE, "render": RENDER, "config_file": "x"}, {}),
        "no source": ({"address": NOWHERE}, {}),
    },
    "talos_bootstrap": {
        "not among the endpoints": ({"address": NOWHERE, "talosconfig": "/nonexistent", "endpoints": ["192.0.2.11"], **MISSING}, {}),
        "no talosconfig": ({"address": NOWHERE, "talosconfig": "/nonexistent", "endpoints": [NOWHERE], **MISSING}, {}),
    },
    "talos_config": {
        "rendered with throw-away secrets": ({**RENDER, "talosctl": "{directory}/talosctl"}, CHECK),
        "no secrets": ({**RENDER, "talosctl": "{directory}/talosctl", "path": "{directory}/{way}/m1.yaml"}, {}),
    },
    "talos_credentials": {
        "no secrets": (CREDENTIALS, {}),
        "no secrets, in check mode": (CREDENTIALS, CHECK),
    },
    "talos_disk_wipe": {
        "unreachable": ({"address": NOWHERE, "serial": "S1", "timeout": 2, **MISSING}, {}),
        "unreachable, in check mode": ({"address": NOWHERE, "serial": "S1", "path": "/dev/sdb", "ours": [], "timeout": 2, **MISSING}, CHECK),
    },
    "talos_etcd_info": {
        "no talosconfig": ({"endpoints": [NOWHERE], "talosconfig": "/nonexistent"}, {}),
    },
    "talos_etcd_member": {
        "no id": ({"endpoints": [NOWHERE], "hostname": "m3", "state": "absent", "talosconfig": "/nonexistent"}, {}),
        "no talosconfig": ({"endpoints": [NOWHERE], "hostname": "m3", "state": "left", "talosconfig": "/nonexistent"}, CHECK),
        "wrong choice": ({"endpoints": [NOWHERE], "hostname": "m3", "state": "gone", "talosconfig": "/nonexistent"}, {}),
    },
    "talos_etcd_probe": {
        "no talosconfig": ({"endpoints": [NOWHERE], "talosconfig": "/nonexistent", "timeout": 2, **MISSING}, {}),
        "before there is anything, in check mode": ({"endpoints": [NOWHERE], "talosconfig": "/nonexistent", "timeout": 2, **MISSING}, CHECK),
    },
    "talos_etcd_restore": {
        "not confirmed": ({**SNAPSHOT, "confirm": "other", "backup": "latest", "address": NOWHERE}, {}),
        "no password": ({**SNAPSHOT, "vault_password": "", "confirm": "lab", "backup": "latest", "address": NOWHERE}, {}),
        "no talosconfig": ({**SNAPSHOT, "confirm": "lab", "backup": "latest", "address": NOWHERE}, CHECK),
    },
    "talos_etcd_snapshot": {
        "everything is wrong": (
            {**SNAPSHOT, "vault_password": "", "keep": -1, "bucket": "http://s3.example.com/b", "access_key": "hunter2hunter2"},
            {},
        ),
        "no talosconfig": (SNAPSHOT, {}),
        "no talosconfig, in check mode": (SNAPSHOT, CHECK),
    },
    "talos_kubernetes_upgrade": {
        "no kubeconfig": ({"address": NOWHERE, "talosconfig": "/nonexistent", "kubeconfig": "/nonexistent", "version": "v1.36.3", **MISSING}, {}),
        "no kubeconfig, in check mode": ({"address": NOWHERE, "talosconfig": "/nonexistent", "kubeconfig": "/nonexistent", "version": "v1.36.3"}, CHECK),
    },
    "talos_machine_info": {
        "unreachable": ({"address": NOWHERE, "talosctl": "{directory}/talosctl", "timeout": 2}, {}),
        "talosctl is missing": ({"address": NOWHERE, **MISSING}, {}),
    },
    "talos_power": {
        "no talosconfig": ({"address": NOWHERE, "talosconfig": "/nonexistent", "state": "off", "confirm": "m1", "timeout": 2, **MISSING}, {}),
        "no talosconfig, in check mode": ({"address": NOWHERE, "talosconfig": "/nonexistent", "state": "on", "timeout": 2, **MISSING}, CHECK),
        "wrong choice": ({"address": NOWHERE, "talosconfig": "/nonexistent", "state": "asleep"}, {}),
    },
    "talos_reset": {
        "no talosconfig": ({"address": NOWHERE, "talosconfig": "/nonexistent", "confirm": "m1", "timeout": 2, **MISSING}, {}),
        "wrong choice": ({"address": NOWHERE, "talosconfig": "/nonexistent", "confirm": "m1", "wipe": "nothing"}, {}),
    },
    "talos_secrets": {
        "predicted": ({"path": "{directory}/{way}/secrets.yaml", "contract": "v1.13", "talosctl": "{directory}/talosctl"}, CHECK),
        "made, with a warning": ({"path": "{directory}/{way}/secrets.yaml", "contract": "v1.13", "talosctl": "{directory}/talosctl"}, {}),
        "encrypted": ({"path": "{directory}/{way}/secrets.yaml", "vault_password": "hunter2hunter2"}, CHECK),
        "two sources": ({"path": "{directory}/{way}/other.yaml", "import_file": "a", "import_machine_config": "b"}, {}),
        "talosctl is missing": ({"path": "{directory}/{way}/other.yaml", "contract": "v1.13", **MISSING}, {}),
    },
    "talos_upgrade": {
        "no machine": ({"address": NOWHERE, "talosconfig": "/nonexistent", "image": "x:v1.13.9", "timeout": 2, **MISSING}, CHECK),
        "an image without a version": ({"address": NOWHERE, "talosconfig": "/nonexistent", "image": "x:latest", **MISSING}, {}),
        "wrong choice": ({"address": NOWHERE, "talosconfig": "/nonexistent", "image": "x:v1.13.9", "state": "rebooted"}, {}),
    },
}


def cases(directory: Path) -> list[Case]:
    """Every module's rows, and what can be asked of any module."""
    listed = []
    for module, rows in ROWS.items():
        name = f"trinode.platform.{module}"
        listed += [Case(f"{module}: no arguments", name, {}), Case(f"{module}: unknown option", name, {"no_such_option": 1})]
        listed += [Case(f"{module}: {row}", name, filled(arguments, directory), keywords) for row, (arguments, keywords) in rows.items()]
    return listed


def filled(value: Any, directory: Path) -> Any:
    if isinstance(value, dict):
        return {key: filled(item, directory) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, directory) for item in value]
    if isinstance(value, str):
        return value.replace("{directory}", str(directory))
    return value


def test_every_module_has_a_row() -> None:
    assert sorted(ROWS) == MODULES, "add rows for the new module to ROWS in tests/contract/test_both_ways.py"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, dict[str, Any]]]:
    directory = tmp_path_factory.mktemp("ways")
    (directory / "talosctl").symlink_to(talosctl())
    return run(cases(directory), directory)


@pytest.mark.parametrize("case", [case.name for case in cases(Path("/"))])
def test_same_result(results: dict[str, dict[str, dict[str, Any]]], case: str) -> None:
    in_process, ordinary = (comparable(results[way][case]) for way in ("in_process", "ordinary"))
    assert in_process == ordinary
    assert "hunter2" not in str(in_process)
    if not case.endswith(("no arguments", "unknown option")):
        assert "Unsupported parameters" not in in_process.get("msg", ""), "the row has an option that the module does not have"
        assert "missing required" not in in_process.get("msg", ""), "the row lacks an option"
