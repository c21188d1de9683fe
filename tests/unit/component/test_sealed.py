# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of a component as SealedSecrets: what is kept, what is made up, what is sealed anew, what is never written."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.trinode.platform.plugins.module_utils.component import definition as definitions
from ansible_collections.trinode.platform.plugins.module_utils.component import sealed, sealed_there
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key
from ansible_collections.trinode.platform.plugins.module_utils.sealing import keys, sealed_secret
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import component_render

NOW = dt.datetime(2026, 1, 10, tzinfo=dt.UTC)
MARK = "marked-correct-horse"
ROLES = Path(__file__).parents[3] / "roles"


@pytest.fixture(scope="module")
def pairs() -> list[keys.KeyPair]:
    """Two pairs, the newest first."""
    return [keys.generate(NOW), keys.generate(NOW - dt.timedelta(days=400))]


@dataclass
class There:
    """What is there already; ``asked`` are the Secrets that the cluster was asked for."""

    objects: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    cluster: dict[str, dict[str, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def sealed(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        return self.objects.get(f"{namespace}/{name}")

    def values(self, namespace: str, name: str) -> Mapping[str, bytes]:
        self.asked.append(f"{namespace}/{name}")
        return self.cluster.get(f"{namespace}/{name}", {})


def definition(**more: Any) -> definitions.Definition:
    return definitions.read({"name": "probe", "title": "Probe", "namespace": "probe", "resources": [secret("x")], **more})


def secret(name: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "probe", **more.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": MARK}, **more}


def opened(item: Mapping[str, Any], pairs: list[keys.KeyPair]) -> dict[str, bytes | None]:
    return sealed_secret.opened(item, pairs)


def test_a_secret_keeps_what_it_says_of_itself(pairs: list[keys.KeyPair]) -> None:
    metadata = {"labels": {"app": "probe"}, "annotations": {"example.org/a": "b", "helm.sh/hook": "pre-install", "helm.sh/resource-policy": "keep"}}
    item = secret("x", metadata=metadata, type="kubernetes.io/basic-auth", immutable=True, data={"file": base64.b64encode(b"\xff\x00").decode()})
    found = sealed.seal([item], definition(), There(), pairs)
    [made] = found.objects
    assert opened(made, pairs) == {"password": MARK.encode(), "file": b"\xff\x00"}
    assert made["metadata"]["annotations"] == {"helm.sh/hook": "pre-install", "helm.sh/resource-policy": "keep"}
    template = {"name": "x", "namespace": "probe", "labels": {"app": "probe"}, "annotations": {"example.org/a": "b"}}
    assert made["spec"]["template"] == {"type": "kubernetes.io/basic-auth", "immutable": True, "metadata": template}
    assert found.resealed == {Key("bitnami.com/v1alpha1", "SealedSecret", "probe", "x"): {"password": "new", "file": "new"}}
    assert found.count == 1


@pytest.mark.parametrize(
    "item",
    [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "empty", "namespace": "probe"}},
        secret("token", type="kubernetes.io/service-account-token"),
        secret("release", type="helm.sh/release.v1"),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "probe"}, "data": {"a": "b"}},
    ],
)
def test_what_is_not_sealed(pairs: list[keys.KeyPair], item: dict[str, Any]) -> None:
    assert sealed.seal([item], definition(), There(), pairs) == sealed.Sealed([item])


def test_data_that_is_no_base64(pairs: list[keys.KeyPair]) -> None:
    with pytest.raises(InputError, match="Secret probe/x: its data is not base64"):
        sealed.seal([secret("x", data={"a": "?"})], definition(), There(), pairs)


def test_two_secrets_of_one_name(pairs: list[keys.KeyPair]) -> None:
    generated = definition(generated_secrets=[{"name": "x", "generate": {"a": 12}}])
    with pytest.raises(InputError, match="SealedSecret probe/x comes from two Secrets"):
        sealed.seal([secret("x")], generated, There(), pairs)


GENERATED = {"name": "admin", "values": {"user": "admin"}, "generate": {"password": 16, "key": 8}}


@pytest.mark.parametrize(
    ("existing", "in_cluster", "kept", "made_up"),
    [
        ({}, {}, {"user": "admin"}, {"password": 16, "key": 8}),
        ({}, {"user": "root", "password": "old"}, {"user": "root", "password": "old"}, {"key": 8}),
        ({}, {"password": "old", "more": "from elsewhere"}, {"user": "admin", "password": "old", "more": "from elsewhere"}, {"key": 8}),
        ({"user": "root", "password": "p", "key": "k"}, {"password": "other"}, {"user": "root", "password": "p", "key": "k"}, {}),
        ({"user": "root", "password": "p"}, {"password": "other"}, {"user": "root", "password": "p"}, {"key": 8}),
        ({"user": "root", "password": "p", "key": None}, {"key": "known"}, {"user": "root", "password": "p", "key": "known"}, {}),
        ({"user": "u", "password": "p", "key": "k", "old": "kept"}, {}, {"user": "u", "password": "p", "key": "k", "old": "kept"}, {}),
    ],
)
def test_generated_values(
    pairs: list[keys.KeyPair],
    existing: dict[str, str | None],
    in_cluster: dict[str, str],
    kept: dict[str, str],
    made_up: dict[str, int],
) -> None:
    wanted = sealed_secret.Wanted("admin", "probe", {name: (text or "").encode() for name, text in existing.items()})
    item = sealed_secret.seal(wanted, None, pairs).item
    item["spec"]["encryptedData"] |= {name: "AgBx" for name, text in existing.items() if text is None}
    there = There({"probe/admin": item} if existing else {}, {"probe/admin": {name: text.encode() for name, text in in_cluster.items()}})
    found = sealed.seal([], definition(generated_secrets=[GENERATED]), there, pairs)
    [made] = found.objects
    values = {name: (value or b"").decode() for name, value in opened(made, pairs).items()}
    assert {name: values[name] for name in kept} == kept
    assert {name: len(text) for name, text in values.items() if name not in kept} == made_up
    assert there.asked == ([] if {"user", "password", "key"} <= {name for name, text in existing.items() if text is not None} else ["probe/admin"])
    assert made["spec"]["template"]["metadata"]["labels"] == {"trinode.dev/component": "probe"}
    unchanged = {name for name, text in existing.items() if text is not None}
    assert all(made["spec"]["encryptedData"][name] == item["spec"]["encryptedData"][name] for name in unchanged)


def test_a_generated_value_that_no_key_opens_is_not_made_up_anew(pairs: list[keys.KeyPair]) -> None:
    item = sealed_secret.seal(sealed_secret.Wanted("admin", "probe", {"password": b"p"}), None, pairs[1:]).item
    with pytest.raises(RefusedError, match="Secret probe/admin: no key in the file opens the sealed value of password, and the cluster does not have it"):
        sealed.seal([], definition(generated_secrets=[GENERATED]), There({"probe/admin": item}), pairs[:1])


def test_what_comes_before_the_controller() -> None:
    """The rule is kept as a list; it follows from what the roles need and use."""
    defaults = {path.parents[1].name: yaml.safe_load(path.read_text()) or {} for path in ROLES.glob("*/defaults/main.yml")}
    found, todo = set(), [sealed.CONTROLLER]
    while todo:
        name = todo.pop()
        found.add(name)
        todo += [other for kind in ("needs", "uses") for other in defaults[name].get(f"{name}_{kind}", []) if other not in found]
    assert found == sealed.BEFORE


@pytest.mark.parametrize(
    ("metadata", "ours"),
    [
        ({"labels": {"trinode.dev/component": "probe"}}, True),
        ({"labels": {"trinode.dev/component": "other"}}, False),
        ({"annotations": {"sealedsecrets.bitnami.com/managed": "true"}}, True),
        ({"ownerReferences": [{"kind": "SealedSecret", "name": "x"}]}, True),
        ({"ownerReferences": [{"kind": "Certificate", "name": "x"}]}, False),
        ({}, False),
    ],
)
def test_whose_a_secret_in_the_cluster_is(metadata: dict[str, Any], ours: bool) -> None:
    assert sealed_there.may_take({"metadata": metadata}, "probe") is ours


# --- through the module, into files


Render = Callable[..., Outcome]
RESOURCES = [secret("login"), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "probe"}}]


@pytest.fixture
def key_file(tmp_path: Path, pairs: list[keys.KeyPair]) -> Path:
    path = tmp_path / "sealing-keys.yaml"
    path.write_text(keys.dump(pairs[1:]))
    return path


@pytest.fixture
def render(tmp_path: Path, key_file: Path) -> Render:
    def call(*, check: bool = False, resources: Any = RESOURCES, generated: Any = (GENERATED,), name: str = "probe", **options: Any) -> Outcome:
        defaults = {key: option.get("default") for key, option in component_render.ARGUMENT_SPEC.items()}
        described = {"name": name, "title": "Probe", "namespace": "probe", "resources": resources, "generated_secrets": list(generated)}
        (tmp_path / "run_directory").mkdir(exist_ok=True)
        places = {place: str(tmp_path / place) for place in ("cache", "tree", "run_directory")}
        fixed = {**places, "definition": described, "pins": {}, "kubernetes_version": "v1.36.3", "sealing_keys": str(key_file)}
        return component_render.run(Task({**defaults, **fixed, **options}, check, True, lambda _text: None))

    return call


def files(outcome: Outcome) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(Path(outcome.values["path"]).iterdir())}


def test_files_are_sealed_and_stay_as_they_are(render: Render, tmp_path: Path) -> None:
    first = render()
    written = files(first)
    assert list(written) == ["configmap-probe-c.yaml", "sealedsecret-probe-admin.yaml", "sealedsecret-probe-login.yaml"]
    assert MARK not in str(written) + str(first)
    assert base64.b64encode(MARK.encode()).decode() not in str(written)
    assert (first.values["sealed"], first.values["definition"]["needs"], first.values["definition"]["sealed"]) == (2, ["sealed_secrets"], True)
    again = render()
    assert (again.changed, again.values) == (False, first.values)
    # Without what is remembered of the last time, everything is rendered, and comes to the same.
    for record in (tmp_path / "cache" / ".rendered").iterdir():
        record.unlink()
    anew = render()
    assert (anew.changed, anew.values, files(anew)) == (False, first.values, written)


def test_the_diff_says_why_and_not_what(render: Render, key_file: Path, pairs: list[keys.KeyPair]) -> None:
    predicted = render(check=True)
    first = render()
    assert predicted.diff == first.diff
    shown = {entry["before_header"]: entry["after"] for entry in first.diff or []}
    assert "    password: '<sealed: new>'\n" in shown["sealedsecret-probe-login.yaml"]
    changed = render(resources=[secret("login", stringData={"password": "another-secret"})])
    [_gone, entry] = changed.diff or []
    assert "    password: <sealed>\n" in entry["before"]
    assert "    password: '<sealed: changed>'\n" in entry["after"]
    assert "AgB" not in str(changed.diff)
    assert changed.values["revision"] != first.values["revision"]


def test_a_renewed_key_seals_all_anew(render: Render, key_file: Path, pairs: list[keys.KeyPair]) -> None:
    first = files(render())
    key_file.write_text(keys.dump(pairs))
    renewed = render()
    assert [entry["before_header"] for entry in renewed.diff or []] == ["sealedsecret-probe-admin.yaml", "sealedsecret-probe-login.yaml"]
    assert "<sealed: sealed with an old key>" in str(renewed.diff)
    before, after = yaml.safe_load(first["sealedsecret-probe-admin.yaml"]), yaml.safe_load(files(renewed)["sealedsecret-probe-admin.yaml"])
    assert opened(before, pairs) == opened(after, pairs[:1])
    assert not render().changed


def test_keys_are_read_only_where_there_are_secrets(render: Render, key_file: Path) -> None:
    plain = RESOURCES[1:]
    assert render(resources=plain, generated=[], sealing_keys=f"{key_file}.none").values["sealed"] == 0
    with pytest.raises(InputError, match=r"sealing-keys.yaml.none: there is no file of sealing keys\. A run of the platform makes it"):
        render(sealing_keys=f"{key_file}.none")
    # In check mode the run has not made them.
    assert "<sealed: new>" in str(render(sealing_keys=f"{key_file}.none", check=True).diff)


def test_a_component_before_the_controller_has_vault_files(render: Render) -> None:
    outcome = render(name="cilium", vault_password="hunter2hunter2")
    assert list(files(outcome)) == ["configmap-probe-c.yaml", "secret-probe-login.yaml"]
    assert files(outcome)["secret-probe-login.yaml"].startswith("$ANSIBLE_VAULT;")
    assert "sealed" not in outcome.values["definition"]
    with pytest.raises(RefusedError, match="component cilium: Secret probe/login cannot be sealed, so it cannot lie in Git"):
        render(name="cilium", vault_password="hunter2hunter2", application={"name": "", "namespace": "kube-system"})


def test_without_a_file_of_keys_all_is_as_before(render: Render) -> None:
    outcome = render(sealing_keys="", vault_password="hunter2hunter2")
    assert list(files(outcome)) == ["configmap-probe-c.yaml", "secret-probe-login.yaml"]
    render()
    back = render(sealing_keys="", vault_password="hunter2hunter2")
    assert list(files(back)) == ["configmap-probe-c.yaml", "secret-probe-login.yaml"]


def test_argo_cd_reads_the_sealed_secret_and_not_the_secret(render: Render) -> None:
    outcome = render(application={"name": "", "namespace": "probe"})
    item = yaml.safe_load(files(outcome)["sealedsecret-probe-admin.yaml"])
    tracking = "probe:bitnami.com/SealedSecret:probe/admin"
    assert item["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"] == tracking
    # A value that was made up is not lost with the Application.
    assert item["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] == "Prune=false,Delete=false"
    assert "annotations" not in item["spec"]["template"]["metadata"]
    assert not render(application={"name": "", "namespace": "probe"}).changed
    assert files(render())["sealedsecret-probe-admin.yaml"] != files(outcome)["configmap-probe-c.yaml"]


def test_a_cluster_that_does_not_answer_has_a_say(render: Render, tmp_path: Path) -> None:
    """Else passwords that it has would be made up anew. In check mode nothing is lost."""
    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}
    config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}]}
    kubeconfig.write_text(yaml.safe_dump({**config, "current-context": "c"}))
    with pytest.raises(DeadlineExceeded, match=r"127\.0\.0\.1:9"):
        render(kubeconfig=str(kubeconfig), timeout=1)
    assert render(kubeconfig=str(kubeconfig), check=True).changed
    assert render(kubeconfig=str(tmp_path / "none")).changed
    assert not render(kubeconfig=str(kubeconfig)).changed
