# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes of role rook_ceph's values, and what its verification makes, against a real API server with Rook's real definitions.

Rook's charts copy parts of their values into custom resources as they are; the same is done here with the real charts' default values and ours, so a
field that no Rook knows is found. Skipped where the real charts' data is missing, as tests/contract/test_catalogue.py says.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.kube import manifests
from ansible_collections.trinode.platform.tests.contract import catalogue
from ansible_collections.trinode.platform.tests.contract.test_catalogue import Server, server

pytestmark = [pytest.mark.slow, pytest.mark.newest_only]

__all__ = ["server"]

NAMESPACE = "rook-ceph"
PRIVILEGED = {"pod-security.kubernetes.io/enforce": "privileged"}
VARIANTS = ("default", "full", "alone")
# On one machine, with nothing that can be left out.
ALONE = catalogue.Variant({"rook_ceph_filesystem": False, "rook_ceph_object_store": False}, machines=1)
VERIFICATIONS = ("block", "snapshot", "file", "object")


@pytest.fixture(scope="module")
def components(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The role's definition in each variant."""
    found = {}
    for variant in VARIANTS:
        settings = ALONE if variant == "alone" else catalogue.VARIANTS[variant]
        evaluated = catalogue.evaluate(tmp_path_factory.mktemp(variant), settings, ["rook_ceph"])["rook_ceph"]
        assert evaluated.component is not None, evaluated.error
        found[variant] = evaluated.component
    return found


def values(component: dict[str, Any], pin: str) -> dict[str, Any]:
    """A chart's values as its templates see them."""
    real = catalogue.chart(pin)
    if real is None:
        pytest.skip(f"no values of the real chart {pin} in {catalogue.UPSTREAM}")
    [chart] = [chart for chart in component["charts"] if chart["pin"] == pin]
    merged: dict[str, Any] = catalogue.merged(real.values, chart["values"])
    return merged


def custom_resource(api_version: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def cluster(component: dict[str, Any]) -> dict[str, Any]:
    """The CephCluster's spec, as the chart rook-ceph-cluster writes it."""
    chart = values(component, "rook-ceph-cluster")
    image = chart["cephImage"]
    return {
        **chart["cephClusterSpec"],
        "monitoring": {"enabled": chart["monitoring"]["enabled"]},
        "cephVersion": {"image": f"{image['repository']}:{image['tag']}", "allowUnsupported": image["allowUnsupported"]},
    }


def storage(component: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything that the chart rook-ceph-cluster makes of Ceph's kinds."""
    chart = values(component, "rook-ceph-cluster")
    kinds = {"CephBlockPool": "cephBlockPools", "CephFilesystem": "cephFileSystems", "CephObjectStore": "cephObjectStores"}
    found = [custom_resource("ceph.rook.io/v1", "CephCluster", NAMESPACE, cluster(component))]
    for kind, key in kinds.items():
        found += [custom_resource("ceph.rook.io/v1", kind, item["name"], item["spec"]) for item in chart[key]]
    return found


def drivers(component: dict[str, Any]) -> list[dict[str, Any]]:
    """The drivers that are switched on; of their values only what is ours, since the chart leaves out most of what is empty."""
    [chart] = [chart for chart in component["charts"] if chart["pin"] == "ceph-csi-drivers"]
    return [
        custom_resource("csi.ceph.io/v1", "Driver", driver["name"], {key: value for key, value in driver.items() if key not in ("enabled", "name")})
        for driver in chart["values"]["drivers"].values()
        if driver["enabled"]
    ]


@pytest.mark.parametrize("variant", VARIANTS)
def test_rook_knows_every_field(server: Server, components: dict[str, dict[str, Any]], variant: str) -> None:
    server.namespace(NAMESPACE, PRIVILEGED)
    answers = {str(manifests.key_of(item)): server.rejection(item, NAMESPACE) for item in (*storage(components[variant]), *drivers(components[variant]))}
    assert {key: answer for key, answer in answers.items() if answer} == {}
    assert len(answers) == (3 if variant == "alone" else 6)


def test_three_machines_can_spare_one(components: dict[str, dict[str, Any]]) -> None:
    spec = cluster(components["default"])
    assert (spec["mon"]["count"], spec["mon"]["allowMultiplePerNode"]) == (3, False)
    assert (spec["mgr"]["count"], spec["mgr"]["allowMultiplePerNode"]) == (2, False)
    assert spec["disruptionManagement"]["managePodBudgets"] is True
    pool, files, objects = storage(components["default"])[1:]
    for replicated in (
        pool["spec"],
        files["spec"]["metadataPool"],
        files["spec"]["dataPools"][0],
        objects["spec"]["metadataPool"],
        objects["spec"]["dataPool"],
    ):
        assert replicated["failureDomain"] == "host"
        assert replicated["replicated"] == {"size": 3, "requireSafeReplicaSize": True}
    metadata, gateway = files["spec"]["metadataServer"], objects["spec"]["gateway"]
    assert metadata["activeStandby"] is True
    [apart] = metadata["placement"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert apart["labelSelector"]["matchLabels"] == {"app": "rook-ceph-mds", "rook_file_system": files["metadata"]["name"]}
    assert gateway["instances"] == 2
    [spread] = gateway["placement"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == {"app": "rook-ceph-rgw", "rook_object_store": objects["metadata"]["name"]}


def test_what_is_known_to_be_bad_is_off(components: dict[str, dict[str, Any]]) -> None:
    spec = cluster(components["default"])
    assert {"name": "rook", "enabled": False} in spec["mgr"]["modules"]
    assert spec["cephVersion"]["image"].rpartition("-")[2].isdigit(), "the tag has its date"
    assert not spec["storage"]["useAllNodes"]
    assert not spec["storage"]["useAllDevices"]
    assert not spec.get("csi", {}).get("readAffinity", {}).get("enabled")


def test_storage_classes_name_the_drivers_that_are_made(components: dict[str, dict[str, Any]]) -> None:
    chart = values(components["full"], "rook-ceph-cluster")
    assert not chart["csiDriverNamePrefix"], "then it is the operator's namespace"
    made = {driver["metadata"]["name"] for driver in drivers(components["full"])}
    assert made == {f"{chart['operatorNamespace']}.rbd.csi.ceph.com", f"{chart['operatorNamespace']}.cephfs.csi.ceph.com"}
    [encrypted] = [item for item in manifests.parse(components["full"]["resources"], source="resources") if item["kind"] == "StorageClass"]
    assert encrypted["provisioner"] in made
    [pool] = chart["cephBlockPools"]
    assert encrypted["parameters"]["pool"] == pool["name"]
    assert {key: value for key, value in encrypted["parameters"].items() if key in pool["storageClass"]["parameters"]} == pool["storageClass"]["parameters"]


def test_keys_of_encrypted_volumes_are_where_the_driver_looks(components: dict[str, dict[str, Any]]) -> None:
    component = components["full"]
    [config, encrypted] = [item for item in manifests.parse(component["resources"], source="resources") if item["kind"] in ("ConfigMap", "StorageClass")]
    assert config["metadata"]["name"] == "csi-kms-connection-details", "the driver looks for this name where nothing is mounted for it"
    manager = json.loads(config["data"][encrypted["parameters"]["encryptionKMSID"]])
    [secret] = component["generated_secrets"]
    assert (manager["encryptionKMSType"], manager["secretName"], manager["secretNamespace"]) == ("metadata", secret["name"], NAMESPACE)
    assert "encryptionPassphrase" in secret["generate"]
    assert components["default"]["generated_secrets"] == []


def test_the_gateway_leads_to_the_dashboard_and_to_s3(components: dict[str, dict[str, Any]]) -> None:
    routes = {route["name"]: (route["service"], route["port"]) for route in components["default"]["routes"]}
    assert routes == {"ceph": ("rook-ceph-mgr-dashboard", 7000), "s3": ("rook-ceph-rgw-ceph-objectstore", 80)}
    assert [route["name"] for route in components["alone"]["routes"]] == ["ceph"]
    [s3] = [route for route in components["default"]["routes"] if route["name"] == "s3"]
    assert s3["password"] == (
        "kubectl -n rook-ceph get secret rook-ceph-object-user-ceph-objectstore-platform "
        "-o go-template='{{.data.AccessKey | base64decode}} {{.data.SecretKey | base64decode}}'"
    )


# All ways to choose what is verified.
CHOICES = [list(chosen) for number in range(1, 5) for chosen in itertools.combinations(VERIFICATIONS, number)]
_PLAY = """\
- hosts: localhost
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  vars_files: ["{{ role }}/defaults/main.yml", "{{ role }}/vars/main.yml"]
  tasks:
    - ansible.builtin.copy:
        dest: "{{ output }}"
        mode: "0600"
        content: >-
          [{% for chosen in choices %}{{ lookup('ansible.builtin.template', role ~ '/templates/probe.yml.j2',
          template_vars={'rook_ceph_verify': chosen, 'rook_ceph_encrypted_class': chosen | length == 4}) | from_yaml | to_json
          }}{{ '' if loop.last else ',' }}{% endfor %}]
"""


@pytest.fixture(scope="module")
def probes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What kube_probe is given for each of CHOICES; with encrypted volumes where all is chosen."""
    directory = tmp_path_factory.mktemp("probes")
    (directory / "play.yml").write_text(_PLAY)
    (directory / "ansible.cfg").touch()
    output = directory / "probes.json"
    command = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "play.yml", "-i", "localhost,", "-c", "local"]
    command += ["-e", json.dumps({"role": str(catalogue.ROOT / "roles" / "rook_ceph"), "output": str(output), "choices": CHOICES})]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")} | {"ANSIBLE_CONFIG": str(directory / "ansible.cfg")}
    result = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert output.exists(), result.stdout[-3000:] + result.stderr[-1000:]
    found: list[dict[str, Any]] = json.loads(output.read_text())
    return found


def steps(probe: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The objects of each step."""
    return [probe["objects"] or [], *(step["objects"] for step in probe["then"] or [])]


def names(probe: dict[str, Any]) -> list[list[str]]:
    return [[f"{item['kind']} {item['metadata']['name'].removeprefix('trinode-probe-')}" for item in step] for step in steps(probe)]


def test_what_is_chosen_is_tried_and_nothing_else(probes: list[dict[str, Any]]) -> None:
    tried = {tuple(chosen): names(probe) for chosen, probe in zip(CHOICES, probes, strict=True)}
    block = ["PersistentVolumeClaim block", "Job block"]
    file = ["PersistentVolumeClaim file", "Job file"]
    assert tried[("block",)] == [block, ["Job block-read"]]
    assert tried[("snapshot",)] == [block, ["Job block-read", "VolumeSnapshot trinode-probe"], ["PersistentVolumeClaim restored", "Job restored"]]
    assert tried[("file",)] == [file]
    assert tried[("object",)] == [["ObjectBucketClaim trinode-probe"]]
    everything = tried[VERIFICATIONS]
    encrypted = ["PersistentVolumeClaim encrypted", "Job encrypted"]
    assert everything == [[*block, *encrypted, *file, "ObjectBucketClaim trinode-probe"], *tried[("snapshot",)][1:]]
    assert [bool(probe["buckets"]) for probe in probes] == ["object" in chosen for chosen in CHOICES]


def test_the_api_server_takes_what_is_made_to_try_it(server: Server, probes: list[dict[str, Any]]) -> None:
    server.namespace(NAMESPACE, PRIVILEGED)
    answers = {str(manifests.key_of(item)): server.rejection(item, NAMESPACE) for step in steps(probes[-1]) for item in step}
    assert {key: answer for key, answer in answers.items() if answer} == {}
