"""Rendering with the real talosctl: same bytes, right content, readable refusals, no secret where others see it; and talos_config both ways."""

from __future__ import annotations

import concurrent.futures
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from both_ways import Case, comparable, run
from talosctl_program import talosctl

from ansible_collections.trinode.platform.plugins.module_utils import vaulted_file
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos import secrets
from ansible_collections.trinode.platform.plugins.module_utils.talos.config_diff import compare
from ansible_collections.trinode.platform.plugins.module_utils.talos.documents import MAIN, DocumentId, keep_kubernetes_images, split, with_images
from ansible_collections.trinode.platform.plugins.module_utils.talos.redact import redact
from ansible_collections.trinode.platform.plugins.module_utils.talos.render import RenderedConfig, render
from ansible_collections.trinode.platform.plugins.module_utils.talos.render_options import with_defaults

PASSWORD = "pass wörd"
HIDDEN = "correct-horse"
AUTH = {"apiVersion": "v1alpha1", "kind": "RegistryAuthConfig", "name": "r.example.com", "username": "u", "password": HIDDEN}
HOSTNAME = DocumentId("v1alpha1", "HostnameConfig", "")
EMPTY_SCHEMATIC = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"


@pytest.fixture(scope="module")
def bundle() -> str:
    return secrets.generate(talosctl=talosctl(), contract="v1.13", deadline=Deadline(300))


@pytest.fixture(scope="module")
def secrets_file(bundle: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("cluster") / "secrets.yaml")
    assert vaulted_file.create(path, bundle, PASSWORD)
    return path


class Renderer:
    def __init__(self, secrets_file: str) -> None:
        self.options = {
            "secrets_file": secrets_file,
            "vault_password": PASSWORD,
            "cluster_name": "demo",
            "cluster_endpoint": "https://192.0.2.10:6443",
            "contract": "v1.13",
            "talos_version": "v1.13.8",
            "kubernetes_version": "v1.36.3",
            "hostname": "m1",
            "install_disk": {"serial": "S1"},
        }

    def __call__(self, *, program: str = "", throwaway_secrets: bool = False, **changes: Any) -> RenderedConfig:
        options = with_defaults({**self.options, **changes})
        return render(options, talosctl=program or talosctl(), deadline=Deadline(300), throwaway_secrets=throwaway_secrets)


@pytest.fixture
def rendered(secrets_file: str) -> Renderer:
    return Renderer(secrets_file)


def layer(name: str, *documents: Any) -> dict[str, Any]:
    return {"layer": name, "documents": list(documents)}


@pytest.mark.parametrize("contract", ["v1.12", "v1.13"])
@pytest.mark.parametrize("role", ["controlplane", "worker"])
@pytest.mark.parametrize("platform", ["metal", "container"])
def test_same_input_same_bytes_also_in_parallel(rendered: Renderer, contract: str, role: str, platform: str) -> None:
    machines = [
        {"hostname": name, "install_disk": {"serial": name}, "contract": contract, "machine_role": role, "talos_platform": platform} for name in ("m1", "m2")
    ]
    alone = [rendered(**machine) for machine in machines]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        together = list(pool.map(lambda machine: rendered(**machine), machines * 2))
    assert [config.text for config in together] == [config.text for config in alone * 2]
    assert alone[0].sha256 == together[0].sha256
    differing = [(change.document, change.paths) for change in compare(alone[0].text, alone[1].text)]
    assert differing == [(MAIN, ("machine.install.diskSelector.serial",)), (HOSTNAME, ("hostname",))]


def test_control_plane(rendered: Renderer) -> None:
    config = rendered(
        additional_sans=["192.0.2.11", "api.example.com"],
        vip="192.0.2.10",
        vip_link="eth0",
        machine_cidrs=["192.0.2.0/24"],
        pod_cidrs=["10.1.0.0/16"],
        service_cidrs=["10.2.0.0/16"],
        registry_mirrors={"ghcr.io": ["http://192.0.2.1:5000", "https://192.0.2.2"]},
        extensions=["siderolabs/iscsi-tools"],
    )
    assert [document.label for document in config.documents] == [
        "machine and cluster (v1alpha1)",
        "HostnameConfig",
        "Layer2VIPConfig 192.0.2.10",
        "RegistryMirrorConfig ghcr.io",
    ]
    machine, cluster = config.documents[MAIN]["machine"], config.documents[MAIN]["cluster"]
    image = "factory.talos.dev/metal-installer/c9078f9419961640c712a8bf2bb9174933dfcf1da383fd8ea2b7dc21493f8bac:v1.13.8"
    assert (config.installer_image, config.schematic_id) == (image, image.split("/")[2].split(":", maxsplit=1)[0])
    assert machine["install"] == {"diskSelector": {"serial": "S1"}, "image": image, "wipe": False, "grubUseUKICmdline": True}
    assert machine["certSANs"] == cluster["apiServer"]["certSANs"] == ["192.0.2.11", "api.example.com", "192.0.2.10"]
    assert machine["kubelet"]["image"] == "ghcr.io/siderolabs/kubelet:v1.36.3"
    assert machine["kubelet"]["extraArgs"] == {"rotate-server-certificates": "true"}
    assert machine["kubelet"]["nodeIP"] == {"validSubnets": ["192.0.2.0/24"]}
    assert machine["features"]["kubePrism"] == {"enabled": True, "port": 7445}
    assert "nodeLabels" not in machine
    assert cluster["network"] == {"cni": {"name": "none"}, "dnsDomain": "cluster.local", "podSubnets": ["10.1.0.0/16"], "serviceSubnets": ["10.2.0.0/16"]}
    assert cluster["proxy"]["disabled"] is True
    assert cluster["allowSchedulingOnControlPlanes"] is True
    assert cluster["etcd"]["advertisedSubnets"] == ["192.0.2.0/24"]
    assert config.documents[HOSTNAME] == {"apiVersion": "v1alpha1", "kind": "HostnameConfig", "hostname": "m1"}


def test_worker_holds_no_authority(rendered: Renderer, bundle: str) -> None:
    config = rendered(machine_role="worker", vip="192.0.2.10", vip_link="eth0")
    machine, cluster = config.documents[MAIN]["machine"], config.documents[MAIN]["cluster"]
    assert (machine["type"], machine["ca"]["key"], cluster["ca"]["key"]) == ("worker", "", "")
    assert "Layer2VIPConfig" not in config.text


@pytest.mark.parametrize(("platform", "forwards"), [("metal", False), ("container", True)])
def test_platforms(rendered: Renderer, platform: str, forwards: bool) -> None:
    config = rendered(talos_platform=platform)
    assert config.documents[MAIN]["machine"]["features"]["hostDNS"] == {"enabled": True, "forwardKubeDNSToHost": forwards}


def test_a_container_needs_no_disk(rendered: Renderer) -> None:
    config = rendered(talos_platform="container", install_disk={})
    assert config.documents[MAIN]["machine"]["install"]["disk"] == "/dev/disk/by-id/none-in-a-container"


@pytest.mark.parametrize(
    "selector", [{"wwid": "naa.5002538e40a0b1c2"}, {"by_id": "wwn-0x5002538e40a0b1c2"}, {"size": "<= 1TB", "type": "nvme"}, {"bus_path": "/pci0000:00/*"}]
)
def test_disks_that_talos_accepts(rendered: Renderer, selector: dict[str, Any]) -> None:
    install = rendered(install_disk=selector).documents[MAIN]["machine"]["install"]
    assert ("disk" in install) != ("diskSelector" in install)


def test_installers(rendered: Renderer) -> None:
    own = rendered(installer_image="registry.example.com/installer:v1.13.8-own")
    assert (own.installer_image, own.schematic_id) == ("registry.example.com/installer:v1.13.8-own", "")
    mirrored = f"registry.example.com/metal-installer-secureboot/{EMPTY_SCHEMATIC}:v1.13.8"
    assert rendered(installer_image=mirrored).schematic_id == EMPTY_SCHEMATIC
    assert rendered(image_factory="registry.example.com", secure_boot=True).installer_image == mirrored


def test_layers_in_order(rendered: Renderer) -> None:
    config = rendered(
        patches=[
            layer("all", {"machine": {"sysctls": {"a": "all", "b": "all", "c": "all"}, "certSANs": ["all.example.com"]}}),
            layer(
                "control planes",
                "machine: {sysctls: {b: role, c: role}, certSANs: [role.example.com]}\n---\napiVersion: v1alpha1\nkind: LinkConfig\nname: eth0\nmtu: 9000\n",
            ),
            layer(
                "host m1",
                {"machine": {"sysctls": {"c": "host"}, "nodeLabels": {"x": "y"}}},
                {"apiVersion": "v1alpha1", "kind": "LinkConfig", "name": "eth0", "addresses": [{"address": "192.0.2.11/24"}]},
                {"cluster": {"discovery": {"$patch": "delete"}}},
            ),
        ]
    )
    machine = config.documents[MAIN]["machine"]
    assert machine["sysctls"] == {"a": "all", "b": "role", "c": "host"}
    assert machine["certSANs"] == ["all.example.com", "role.example.com"]
    assert machine["nodeLabels"] == {"x": "y"}
    link = config.documents[DocumentId("v1alpha1", "LinkConfig", "eth0")]
    assert (link["mtu"], link["addresses"]) == (9000, [{"address": "192.0.2.11/24"}])
    assert "discovery" not in config.documents[MAIN]["cluster"]


def test_texts_that_yaml_could_misread_survive(rendered: Renderer) -> None:
    values = {"a": "off", "b": "0o644", "c": "1e3", "d": "null", "e": "2024-01-01", "f": "Grüße \u2028 \x85\x7f\ufeff 😀 'x' \"y\"\n"}
    config = rendered(patches=[layer("all", {"machine": {"sysctls": values}})])
    assert config.documents[MAIN]["machine"]["sysctls"] == values


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"machine": {"foo": {"password": "hunter2"}}}, r"document 2 \(machine and cluster\): Talos does not know machine\.foo\.password"),
        ({"machine": {"kubelet": {"extraArgs": [1]}}}, "a list stands where .*Args is expected"),
        ({"apiVersion": "v1alpha1", "kind": "HostnamConfig", "hostname": "x"}, r"document 2 \(HostnamConfig\): .* not registered. Check kind and apiVersion"),
        ("machine: {}\n---\napiVersion: v1alpha1\nkind: LinkConfig\nnam: x\n", r"document 2 \(LinkConfig, line 3\): Talos does not know nam\."),
        ({"machine": {"network": {"hostname": "x"}}}, "static hostname is already set in v1alpha1 config. Set the name by the machine's hostname"),
        ({"apiVersion": "v1alpha1", "kind": "HostnameConfig", "auto": "stable"}, "'auto' and 'hostname' cannot be set at the same time"),
        ({"machine": {"nodeLabels": {"a": {"$patch": "delete"}}}}, "The patch deletes something that is not there"),
        ({"machine": {"install": {"extensions": [{"image": "x"}]}}}, r"\.machine\.install\.extensions is deprecated"),
        ({"machine": {"sysctls": "hunter2hunter2hunter2hunter2hunter2hunter2"}}, r"a text stands where map\[string\]string is expected"),
    ],
)
def test_a_wrong_patch_is_named(rendered: Renderer, document: Any, message: str) -> None:
    good = {"machine": {"sysctls": {"a": "1"}}}
    with pytest.raises(InputError, match=f"^m1, patch layer 'host m1', (document 2)?.*{message}") as caught:
        rendered(patches=[layer("all", good), layer("host m1", good, document), layer("late", good)])
    assert "hunter2" not in str(caught.value)


def test_wrong_options_are_not_blamed_on_a_patch(rendered: Renderer) -> None:
    with pytest.raises(InputError, match=r"^m1, the options of this machine .*failed to parse disk size"):
        rendered(install_disk={"size": "large"}, patches=[layer("all", {"machine": {"sysctls": {"a": "1"}}})])


def test_throwaway_secrets_only_where_there_are_none(rendered: Renderer, tmp_path: Path) -> None:
    missing = str(tmp_path / "cluster" / "secrets.yaml")
    with pytest.raises(InputError, match="the file does not exist"):
        rendered(secrets_file=missing)
    config = rendered(secrets_file=missing, throwaway_secrets=True)
    assert list(tmp_path.iterdir()) == []
    real = rendered(throwaway_secrets=True)
    assert real.text == rendered().text
    assert redact(split(config.text)[MAIN])["machine"]["kubelet"] == redact(split(real.text)[MAIN])["machine"]["kubelet"]


RECORDER = """#!{python}
import json, os, stat, sys
found = []
for directory, _names, files in os.walk(os.environ["TMPDIR"]):
    found += [[oct(stat.S_IMODE(os.stat(os.path.join(directory, name)).st_mode)), oct(stat.S_IMODE(os.stat(directory).st_mode))] for name in files]
with open({log!r}, "a") as log:
    log.write(json.dumps({{"argv": sys.argv, "environment": list(os.environ.values()), "files": found}}) + "\\n")
os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A talosctl that notes how it was called; the notes are in ``calls`` beside it."""
    script = tmp_path / "talosctl"
    script.write_text(RECORDER.format(python=sys.executable, log=str(tmp_path / "calls"), program=talosctl()))
    script.chmod(0o755)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr("tempfile.tempdir", None)
    return script


@pytest.mark.parametrize(("platform", "calls"), [("metal", 2), ("container", 3)])
def test_few_calls_and_no_secret_in_sight(rendered: Renderer, recorder: Path, bundle: str, platform: str, calls: int) -> None:
    config = rendered(program=str(recorder), talos_platform=platform, patches=[layer("all", AUTH)])
    assert HIDDEN in config.text
    notes = (recorder.parent / "calls").read_text()
    assert len(notes.splitlines()) == calls
    secret_lines = [line.split(": ", 1)[1] for line in bundle.splitlines() if ": " in line]
    assert not [secret for secret in [HIDDEN, PASSWORD, *secret_lines] if secret in notes]
    assert '"files": [["0o600", "0o700"], ["0o600", "0o700"]]' in notes
    assert list((recorder.parent / "scratch").iterdir()) == []


def test_nothing_is_left_after_a_failure(rendered: Renderer, recorder: Path) -> None:
    with pytest.raises(InputError, match="Talos does not know machine"):
        rendered(program=str(recorder), patches=[layer("all", {"machine": {"foo": 1}})])
    assert list((recorder.parent / "scratch").iterdir()) == []


def test_nothing_is_left_after_the_deadline(rendered: Renderer, recorder: Path) -> None:
    recorder.write_text(f"#!{sys.executable}\nimport signal\nsignal.pause()\n")
    with pytest.raises(CommandError, match="talosctl gen did not end within"):
        render(with_defaults(rendered.options), talosctl=str(recorder), deadline=Deadline(0.5))
    assert list((recorder.parent / "scratch").iterdir()) == []


def test_a_missing_talosctl(rendered: Renderer) -> None:
    with pytest.raises(CommandError, match="the program '/nonexistent/talosctl' was not found"):
        rendered(program="/nonexistent/talosctl")


def test_the_upgrade_of_kubernetes_owns_the_images(rendered: Renderer) -> None:
    running, desired = rendered(kubernetes_version="v1.36.5"), rendered()
    kept = keep_kubernetes_images(running.documents, desired.documents)
    assert [image.component for image in kept] == ["kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"]
    assert with_images(desired.text, kept) == running.text


def test_both_ways_are_one(secrets_file: str, rendered: Renderer, tmp_path: Path) -> None:
    module = "trinode.platform.talos_config"
    common = {**rendered.options, "talosctl": talosctl(), "path": f"{tmp_path}/{{way}}/configs/m1.yaml"}
    missing = {**common, "secrets_file": f"{tmp_path}/none.yaml"}
    results = run(
        [
            Case("first look", module, missing, {"check_mode": True}),
            Case("without secrets", module, missing),
            Case("check", module, common, {"check_mode": True, "diff": True}),
            Case("write", module, common, {"diff": True}),
            Case("again", module, common, {"diff": True}),
            Case("change", module, {**common, "hostname": "m2"}, {"diff": True}),
            Case("only render", module, {name: value for name, value in common.items() if name != "path"}),
            Case("wrong patch", module, {**common, "patches": [layer("all", {"machine": {"foo": 1}})]}),
            Case(
                "secret in a patch",
                module,
                {**common, "patches": [layer("all", AUTH, f"machine: {{env: {{MY_TOKEN: {HIDDEN}}}}}")]},
                {"check_mode": True, "diff": True},
            ),
            Case("schematic", "trinode.platform.image_schematic", {"extensions": ["siderolabs/iscsi-tools"], "talos_version": "v1.13.8"}),
            Case("wrong option", module, {**common, "machine_role": "boss"}),
        ],
        tmp_path,
    )
    ways = results["in_process"], results["ordinary"]
    unlike = {"first look"}  # throw-away secrets are new ones each time
    assert {case: comparable(result) for case, result in ways[0].items() if case not in unlike} == {
        case: comparable(result) for case, result in ways[1].items() if case not in unlike
    }
    result = ways[0]
    changed = {case: (outcome["changed"], outcome.get("failed", False)) for case, outcome in result.items()}
    assert changed == {
        "first look": (True, False),
        "without secrets": (False, True),
        "check": (True, False),
        "write": (True, False),
        "again": (False, False),
        "change": (True, False),
        "only render": (False, False),
        "wrong patch": (False, True),
        "secret in a patch": (True, False),
        "schematic": (False, False),
        "wrong option": (False, True),
    }
    assert result["check"]["diff"] == result["write"]["diff"]
    assert result["change"]["diff"] == [
        {
            "before_header": "HostnameConfig (running)",
            "after_header": "HostnameConfig (rendered)",
            "before": "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: m1\n",
            "after": "apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: m2\n",
        }
    ]
    assert result["write"]["documents"] == ["machine and cluster (v1alpha1)", "HostnameConfig"]
    assert result["write"]["schematic"] == EMPTY_SCHEMATIC
    assert result["only render"]["sha256"] == result["write"]["sha256"] == rendered().sha256
    assert result["schematic"]["installer_image"] == f"factory.talos.dev/metal-installer/{result['schematic']['id']}:v1.13.8"
    written = tmp_path / "in_process" / "configs" / "m1.yaml"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert vaulted_file.decrypted(written.read_text(), PASSWORD, where="") == rendered(hostname="m2").text
    assert HIDDEN not in str(results)
    assert "RegistryAuthConfig r.example.com" in result["secret in a patch"]["documents"]
    assert PASSWORD not in str(results)
    token = split(rendered().text)[MAIN]["machine"]["token"]
    assert token not in str(results)
