# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What we seal is opened by kubeseal and by the real controller, and what kubeseal seals by us; components change over to sealed secrets and back."""

from __future__ import annotations

import base64
import datetime as dt
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import component_cluster
import pytest
import yaml
from component_cluster import Cluster, eventually
from sealing_programs import DEFINITION, controller, fetched, programs

from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.sealing import box, keys, sealed_secret
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import component_deliver, component_render, kube_apply, sealing_keys
from ansible_collections.trinode.platform.tests.contract import api_server

pytestmark = [pytest.mark.slow, pytest.mark.newest_only]

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
VALUES = {"password": b"correct horse", "file": b"\xff\x00 not text", "nothing": b""}
PATH = "/api/v1/namespaces/{}/secrets/{}"
SEALED = "/apis/bitnami.com/v1alpha1/namespaces/{}/sealedsecrets/{}"


@pytest.fixture(scope="module")
def pairs() -> list[keys.KeyPair]:
    """Two pairs, the newest first."""
    return [keys.generate(NOW), keys.generate(NOW - dt.timedelta(days=40))]


def run(module: ModuleType, arguments: dict[str, Any], *, check: bool = False) -> Outcome:
    defaults = {name: option.get("default") for name, option in module.ARGUMENT_SPEC.items()}
    outcome: Outcome = module.run(Task({**defaults, **arguments}, check, True, lambda _text: None))
    return outcome


@pytest.mark.parametrize("scope", box.SCOPES)
@pytest.mark.parametrize("number", [0, 1])
def test_kubeseal_opens_what_we_seal(pairs: list[keys.KeyPair], tmp_path: Path, scope: str, number: int) -> None:
    kubeseal, _controller = programs()
    wanted = sealed_secret.Wanted("database", "shop", VALUES, scope, "kubernetes.io/basic-auth", {"app": "shop"}, {"note": "a"}, immutable=True)
    item = sealed_secret.seal(wanted, None, pairs[number:]).item
    (tmp_path / "keys.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [keys.as_secret(pair, "kube-system") for pair in pairs]}))
    argv = [str(kubeseal), "--recovery-unseal", "--recovery-private-key", str(tmp_path / "keys.json")]
    answer = subprocess.run(argv, input=json.dumps(item), capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr
    secret = json.loads(answer.stdout)
    assert values_of(secret) == VALUES
    assert (secret["type"], secret["immutable"], secret["metadata"]["labels"]) == ("kubernetes.io/basic-auth", True, {"app": "shop"})
    assert secret["metadata"]["annotations"]["note"] == "a"


@pytest.mark.parametrize("scope", box.SCOPES)
def test_we_open_what_kubeseal_seals(pairs: list[keys.KeyPair], tmp_path: Path, scope: str) -> None:
    kubeseal, _controller = programs()
    (tmp_path / "certificate.pem").write_text(pairs[0].certificate)
    data = {name: base64.b64encode(value).decode() for name, value in VALUES.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "database", "namespace": "shop"}, "data": data}
    argv = [str(kubeseal), "--cert", str(tmp_path / "certificate.pem"), "--scope", scope, "--format", "yaml"]
    answer = subprocess.run(argv, input=json.dumps(secret), capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr
    item = yaml.safe_load(answer.stdout)
    assert sealed_secret.opened(item, pairs) == VALUES
    # So it is not sealed anew.
    again = sealed_secret.seal(sealed_secret.Wanted("database", "shop", VALUES, scope), item, pairs)
    assert again.resealed == {}
    assert again.item["spec"]["encryptedData"] == item["spec"]["encryptedData"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if api_server.find_hyper() is None:
        pytest.skip("no kube-apiserver: run `tests/lab/lab build`, or set TRINODE_HYPER")
    with component_cluster.running(tmp_path_factory.mktemp("api")) as started:
        started.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{DEFINITION['metadata']['name']}", DEFINITION)
        eventually(lambda: _served(started))
        yield started


def _served(cluster: Cluster) -> bool:
    try:
        return bool(cluster.get("/apis/bitnami.com/v1alpha1"))
    except PlatformError:
        return False


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory, pairs: list[keys.KeyPair]) -> Path:
    """With the older pair."""
    path = tmp_path_factory.mktemp("keys") / "sealing-keys.yaml"
    path.write_text(keys.dump(pairs[1:]))
    return path


@pytest.fixture
def certificate_url(cluster: Cluster, key_file: Path, tmp_path: Path) -> Iterator[str]:
    """The controller, started after it was given its keys."""
    _kubeseal, program = programs()
    run(sealing_keys, {"path": str(key_file), "kubeconfig": str(cluster.kubeconfig)})
    with controller(program, cluster, tmp_path / "controller") as url:
        yield url


def secret_of(cluster: Cluster, namespace: str, name: str) -> dict[str, Any]:
    """The Secret as it is; empty where there is none."""
    found = [item for item in cluster.client.list(f"/api/v1/namespaces/{namespace}/secrets")[0] if item["metadata"]["name"] == name]
    return found[0] if found else {}


def values_of(secret: dict[str, Any]) -> dict[str, bytes]:
    return {name: base64.b64decode(text or "") for name, text in (secret.get("data") or {}).items()}


def test_the_controller_takes_our_keys_and_makes_none(cluster: Cluster, certificate_url: str, pairs: list[keys.KeyPair]) -> None:
    assert fetched(certificate_url) == pairs[1].certificate.strip()
    found, _version = cluster.client.list("/api/v1/namespaces/kube-system/secrets", {"labelSelector": keys.ACTIVE_LABEL})
    assert [item["metadata"]["name"] for item in found] == [keys.as_secret(pairs[1], "kube-system")["metadata"]["name"]]


@pytest.mark.parametrize("scope", box.SCOPES)
def test_the_controller_opens_what_we_seal(cluster: Cluster, certificate_url: str, pairs: list[keys.KeyPair], scope: str) -> None:
    wanted = sealed_secret.Wanted(f"sealed-{scope}", "default", VALUES, scope, labels={"app": "shop"})
    item = sealed_secret.seal(wanted, None, pairs[1:]).item
    applied = run(kube_apply, {"kubeconfig": str(cluster.kubeconfig), "objects": [item], "timeout": 300, "wait": True})
    assert applied.changed
    secret = secret_of(cluster, "default", wanted.name)
    assert values_of(secret) == VALUES
    assert secret["metadata"]["labels"] == {"app": "shop"}


def test_what_no_key_opens_is_told(cluster: Cluster, certificate_url: str, pairs: list[keys.KeyPair]) -> None:
    item = sealed_secret.seal(sealed_secret.Wanted("foreign", "default", {"password": b"x"}), None, pairs[:1]).item
    with pytest.raises(PlatformError, match=r"SealedSecret default/foreign.*it cannot be unsealed: no key could decrypt secret \(password\)"):
        run(kube_apply, {"kubeconfig": str(cluster.kubeconfig), "objects": [item], "timeout": 300, "wait": True})


@dataclass
class Component:
    """A component with a Secret of its own, a generated one, and a hook that comes before all."""

    cluster: Cluster
    key_file: Path
    directory: Path
    namespace: str
    password: str = "correct horse"

    def run(self, *, sealed: bool, check: bool = False, state: str = "present") -> tuple[Outcome, Outcome]:
        """Render and deliver it."""
        hook = {"helm.sh/hook": "pre-install,pre-upgrade"}
        space = {"namespace": self.namespace}
        definition = {
            "name": self.namespace.replace("-", "_"),
            "title": "Probe",
            "namespace": self.namespace,
            "namespaces": [{"name": self.namespace}],
            "resources": [
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login", **space}, "stringData": {"password": self.password}},
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "early", **space, "annotations": hook}},
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plain", **space}, "data": {"a": self.password[:1]}},
            ],
            "generated_secrets": [{"name": "admin", "values": {"user": "admin"}, "generate": {"password": 16}}],
        }
        places = {"cache": str(self.directory / "cache"), "tree": str(self.directory / "tree"), "run_directory": str(self.directory)}
        kubeconfig = {"kubeconfig": str(self.cluster.kubeconfig)}
        options = {"sealing_keys": str(self.key_file) if sealed else "", "vault_password": "hunter2hunter2"}
        fixed = {**places, **kubeconfig, **options, "definition": definition, "pins": {}, "kubernetes_version": "v1.36.3"}
        rendered = run(component_render, fixed, check=check)
        outline = {**rendered.values["definition"], "generated_secrets": definition["generated_secrets"]}
        about = {"path": rendered.values["path"], "vault_password": "hunter2hunter2", "timeout": 300, "state": state}
        arguments = {**kubeconfig, "definition": outline, **about}
        return rendered, run(component_deliver, arguments, check=check)

    def secret(self, name: str) -> dict[str, Any]:
        return secret_of(self.cluster, self.namespace, name)


def owners(secret: dict[str, Any]) -> list[str]:
    return [owner["kind"] for owner in secret["metadata"].get("ownerReferences") or []]


def keys_shown(outcome: Outcome) -> list[str]:
    return [entry["before_header"] for entry in outcome.diff or []]


def test_secrets_in_the_cluster_are_taken_over_with_their_values_and_back(cluster: Cluster, certificate_url: str, key_file: Path, tmp_path: Path) -> None:
    component = Component(cluster, key_file, tmp_path, "changes-over")
    component.run(sealed=False)
    before = {name: component.secret(name) for name in ("login", "admin")}
    assert owners(before["admin"]) == []

    _rendered, predicted = component.run(sealed=True, check=True)
    rendered, delivered = component.run(sealed=True)
    assert "AgB" not in str(rendered.diff) + str(delivered.diff) + str(predicted.diff)
    assert sorted(keys_shown(delivered)) == sorted(keys_shown(predicted))
    for name in ("login", "admin"):
        eventually(lambda name=name: owners(component.secret(name)) == ["SealedSecret"])
        assert values_of(component.secret(name)) == values_of(before[name])
        assert component.secret(name)["metadata"]["uid"] == before[name]["metadata"]["uid"]
    again = component.run(sealed=True)
    assert [outcome.changed for outcome in again] == [False, False]
    # Another checkout, without the files: the cluster has what they were.
    elsewhere = Component(cluster, key_file, tmp_path / "elsewhere", "changes-over")
    elsewhere.directory.mkdir()
    anew, unchanged = elsewhere.run(sealed=True)
    assert (anew.values["revision"], unchanged.changed) == (rendered.values["revision"], False)

    component.password = "battery staple"
    component.run(sealed=True)
    eventually(lambda: values_of(component.secret("login")) == {"password": b"battery staple"})
    assert values_of(component.secret("admin")) == values_of(before["admin"])

    component.run(sealed=False)
    eventually(lambda: not cluster.names(SEALED.format("changes-over", "")[:-1]))
    assert [owners(component.secret(name)) for name in ("login", "admin")] == [[], []]
    assert values_of(component.secret("admin")) == values_of(before["admin"])
    assert [outcome.changed for outcome in component.run(sealed=False)] == [False, False]


def test_a_new_component_is_sealed_from_the_first_moment(cluster: Cluster, certificate_url: str, key_file: Path, tmp_path: Path) -> None:
    component = Component(cluster, key_file, tmp_path, "sealed-first")
    _rendered, delivered = component.run(sealed=True)
    assert delivered.values["objects"] == {"created": 5}
    assert {name: sorted(values_of(component.secret(name))) for name in ("login", "admin")} == {"login": ["password"], "admin": ["password", "user"]}
    assert [outcome.changed for outcome in component.run(sealed=True)] == [False, False]
    component.run(sealed=True, state="absent")
    assert "sealed-first" not in cluster.names("/api/v1/namespaces")


def test_a_secret_of_somebody_else_is_refused(cluster: Cluster, certificate_url: str, key_file: Path, tmp_path: Path) -> None:
    component = Component(cluster, key_file, tmp_path, "of-somebody-else")
    cluster.apply("/api/v1/namespaces/of-somebody-else", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "of-somebody-else"}})
    theirs = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "admin"}, "stringData": {"password": "theirs"}}
    cluster.apply(PATH.format("of-somebody-else", "admin"), theirs)
    with pytest.raises(RefusedError, match="Secret of-somebody-else/admin: it is there already and was made by somebody else"):
        component.run(sealed=True)
    marked = {**theirs, "metadata": {"name": "admin", "annotations": {"sealedsecrets.bitnami.com/managed": "true"}}}
    cluster.apply(PATH.format("of-somebody-else", "admin"), marked)
    tree = tmp_path / "tree" / "of_somebody_else" / "sealedsecret-of-somebody-else-admin.yaml"
    tree.unlink()
    component.run(sealed=True)
    assert values_of(component.secret("admin"))["password"] == b"theirs"


def test_renewal_and_restoration(cluster: Cluster, key_file: Path, tmp_path: Path) -> None:
    """A renewed key seals anew, the restarted controller opens both, and a cluster's keys are in the file again when that was lost."""
    _kubeseal, program = programs()
    renewed_file = tmp_path / "sealing-keys.yaml"
    renewed_file.write_text(key_file.read_text())
    component = Component(cluster, renewed_file, tmp_path, "renewed")
    with controller(program, cluster, tmp_path / "before"):
        component.run(sealed=True)
    before = values_of(component.secret("admin"))
    arguments = {"path": str(renewed_file), "kubeconfig": str(cluster.kubeconfig), "renew_days": 30}
    renewed = run(sealing_keys, arguments)
    assert (renewed.values["made"], renewed.values["pairs"], renewed.values["installed"]) == ("the newest is 40 days old", 2, 1)
    assert not run(sealing_keys, arguments).changed
    with controller(program, cluster, tmp_path / "restarted") as url:
        assert fetched(url) == renewed.values["certificate"].strip()
        rendered, _delivered = component.run(sealed=True)
        assert "<sealed: sealed with an old key>" in str(rendered.diff)
        assert values_of(component.secret("admin")) == before
    renewed_file.unlink()
    restored = run(sealing_keys, arguments)
    assert (restored.values["made"], restored.values["backed_up"], restored.values["fingerprint"]) == ("", 2, renewed.values["fingerprint"])
