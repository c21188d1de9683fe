# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""component_render with the real helm and small charts."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from component_charts import build, served
from test_helm_template import find_helm

from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import parse
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import component_render, helm_template

GATEWAY = {"name": "platform", "namespace": "istio-ingress", "domain": "example.org"}
OWN = "apiVersion: v1\nkind: Service\nmetadata: {name: own}\n---\n# nothing\n---\napiVersion: example.org/v1\nkind: Gadget\nmetadata: {name: own}\n"
FILE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-file}\n"


@pytest.fixture(scope="module")
def helm() -> str:
    found = find_helm()
    if found is None:
        pytest.skip("no helm: run `tests/lab/lab build`, or set TRINODE_HELM")
    return found


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, helm: str) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("charts")
    build(directory, helm)
    (directory / "file-1.0.0.yaml").write_text(FILE)
    with served(directory) as url:
        yield url


Render = Callable[..., Outcome]


@pytest.fixture
def render(tmp_path: Path, repository: str, helm: str) -> Render:
    pins = {name: {"chart": name, "repository": repository, "version": "1.0.0"} for name in ("plain", "hooked", "kinds")}
    pins["file"] = {"url": f"{repository}/file-{{version}}.yaml", "version": "1.0.0"}

    def call(definition: dict[str, Any], *, check: bool = False, **options: Any) -> Outcome:
        defaults = {name: option.get("default") for name, option in component_render.ARGUMENT_SPEC.items()}
        fixed = {
            "definition": {"name": "probe", "title": "Probe", "namespace": "probe", **definition},
            "pins": pins,
            "cache": str(tmp_path / "cache"),
            "tree": str(tmp_path / "tree"),
            "kubernetes_version": "v1.36.3",
            "helm": helm,
            "run_directory": str(tmp_path / "run"),
        }
        (tmp_path / "run").mkdir(exist_ok=True)
        return component_render.run(Task({**defaults, **fixed, **options}, check_mode=check, diff_mode=True, warn=lambda _text: None))

    return call


def chart(pin: str, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    return {"pin": pin, "version": version, **more}


def files(outcome: Outcome) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(Path(outcome.values["path"]).iterdir())}


def test_one_object_a_file(render: Render) -> None:
    definition = {
        "namespaces": [{"name": "probe", "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}],
        "charts": [chart("plain", values={"setting": "yes"}), chart("hooked", release="hooked", namespace="other"), chart("kinds"), chart("file")],
        "resources": OWN,
        "routes": [{"name": "ui", "title": "The UI", "service": "own", "port": 80, "password": "kubectl"}],
    }
    outcome = render(definition, gateway=GATEWAY)
    assert outcome.changed
    assert list(files(outcome)) == [
        "configmap-other-hooked.yaml",
        "configmap-probe-from-file.yaml",
        "configmap-probe-plain.yaml",
        "customresourcedefinition-gadgets.example.org.yaml",
        "deployment-other-hooked.yaml",
        "deployment-probe-plain.yaml",
        "gadget-probe-kinds.yaml",
        "gadget-probe-own.yaml",
        "httproute-probe-ui.yaml",
        "job-other-admission-create.yaml",
        "job-other-last.yaml",
        "job-other-migrate-resources.yaml",
        "job-other-redis-secret-init.yaml",
        "job-other-scale-to-zero.yaml",
        "job-other-startupapicheck.yaml",
        "namespace-probe.yaml",
        "service-probe-own.yaml",
        "serviceaccount-other-redis-secret-init.yaml",
    ]
    assert files(outcome)["configmap-probe-plain.yaml"] == (
        "apiVersion: v1\ndata:\n  setting: 'yes'\n  version: 1.0.0\nkind: ConfigMap\nmetadata:\n  name: plain\n  namespace: probe\n"
    )
    assert outcome.values["count"] == 18
    assert outcome.values["hooks"] == 7
    assert outcome.values["versions"] == {"plain": "1.0.0", "hooked": "1.0.0", "kinds": "1.0.0", "file": "1.0.0"}
    assert outcome.values["routes"] == [{"title": "The UI", "url": "https://ui.example.org", "password": "kubectl"}]
    [route] = parse(files(outcome)["httproute-probe-ui.yaml"])
    assert route["spec"]["hostnames"] == ["ui.example.org"]
    assert route["spec"]["parentRefs"][0]["name"] == "platform"
    [gadget] = parse(files(outcome)["gadget-probe-kinds.yaml"])
    assert gadget["spec"] == {"size": 1}
    [crd] = parse(files(outcome)["customresourcedefinition-gadgets.example.org.yaml"])
    assert "status" not in crd


def test_a_second_time_starts_nothing(render: Render, tmp_path: Path) -> None:
    definition = {"charts": [chart("plain"), chart("hooked")]}
    first = render(definition)
    written = {path: path.stat().st_mtime_ns for path in Path(first.values["path"]).iterdir()}
    begin = time.process_time()
    second = render(definition)
    assert time.process_time() - begin < 0.2
    assert not second.changed
    assert second.values == first.values
    # helm would fail, was it started.
    program = tmp_path / "helm"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(Exception, match="helm failed"):
        render(definition, helm=str(program))
    assert not render(definition).changed
    assert {path: path.stat().st_mtime_ns for path in Path(first.values["path"]).iterdir()} == written


def test_files_that_others_changed_are_made_anew(render: Render) -> None:
    definition = {"charts": [chart("plain")]}
    first = render(definition)
    before = files(first)
    directory = Path(first.values["path"])
    (directory / "deployment-probe-plain.yaml").unlink()
    (directory / "configmap-probe-plain.yaml").write_text("kind: ConfigMap\n")
    (directory / "stale-probe-x.yaml").write_text("kind: Stale\n")
    (directory / "configmap-probe-plain.yaml.partial").write_text("half")
    (directory / "README.md").write_text("the user's")
    second = render(definition)
    assert second.changed
    assert [entry["before_header"] for entry in second.diff or []] == ["configmap-probe-plain.yaml", "deployment-probe-plain.yaml", "stale-probe-x.yaml"]
    assert files(second) == {**before, "README.md": "the user's"}
    assert second.values["revision"] == first.values["revision"]


def test_a_new_version_is_a_list_of_changes(render: Render) -> None:
    first = render({"charts": [chart("plain", values={"extra": True})]})
    second = render({"charts": [chart("plain", "1.1.0")]})
    assert second.changed
    assert second.values["revision"] != first.values["revision"]
    shown = {entry["before_header"]: (entry["before"], entry["after"]) for entry in second.diff or []}
    assert list(shown) == ["configmap-probe-plain-extra.yaml", "configmap-probe-plain.yaml"]
    assert shown["configmap-probe-plain-extra.yaml"][1] == ""
    assert "version: 1.1.0" in shown["configmap-probe-plain.yaml"][1]


def test_check_mode_writes_nothing_into_the_tree(render: Render, tmp_path: Path) -> None:
    definition = {"charts": [chart("plain")]}
    predicted = render(definition, check=True)
    assert predicted.changed
    assert not (tmp_path / "tree").exists()
    assert Path(predicted.values["path"]).is_relative_to(tmp_path / "run")
    real = render(definition)
    assert real.diff == predicted.diff
    assert files(real) == files(predicted)
    assert {**real.values, "path": ""} == {**predicted.values, "path": ""}
    changed = render({"charts": [chart("plain", "1.1.0")]}, check=True)
    assert changed.changed
    assert files(real) != files(changed)
    again = render(definition, check=True)
    assert (again.changed, again.values["path"]) == (False, real.values["path"])


def test_secrets_are_encrypted_and_stay_as_they_are(render: Render) -> None:
    definition = {"charts": [chart("plain", values={"password": "correct horse"})]}
    with pytest.raises(RefusedError, match=r"component probe: Secret probe/plain would be written in clear\. Give the run a vault password"):
        render(definition)
    first = render(definition, vault_password="hunter2hunter2")
    written = files(first)
    assert written["secret-probe-plain.yaml"].startswith("$ANSIBLE_VAULT;1.1;AES256\n")
    assert "correct horse" not in str(written) + str(first)
    (Path(first.values["path"]) / "configmap-probe-plain.yaml").unlink()
    assert files(render(definition, vault_password="hunter2hunter2")) == written
    other = render({"charts": [chart("plain", values={"password": "battery staple"})]}, vault_password="hunter2hunter2")
    assert other.values["revision"] != first.values["revision"]
    assert files(other)["secret-probe-plain.yaml"] != written["secret-probe-plain.yaml"]
    assert [(entry["before"], entry["after"]) for entry in other.diff or []] == [("Secret, encrypted with other content\n", "Secret, encrypted\n")]


def test_a_secret_in_clear_is_not_taken_for_the_encrypted_one(render: Render) -> None:
    definition = {"charts": [chart("plain", values={"password": "correct horse"})]}
    first = render(definition, vault_password="hunter2hunter2")
    path = Path(first.values["path"]) / "secret-probe-plain.yaml"
    plain = yaml.safe_dump(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "plain", "namespace": "probe"}, "stringData": {"password": "correct horse"}}
    )
    path.write_text(plain)
    second = render(definition, vault_password="hunter2hunter2")
    assert second.changed
    assert "correct horse" not in path.read_text() + str(second)


def test_runtime_fields_are_taken_out(render: Render) -> None:
    rule = {"kind": "Deployment", "name": "plain", "fields": ["spec.replicas", "spec.template.spec.containers[*].image", "spec.none"]}
    outcome = render({"charts": [chart("plain")], "runtime_fields": [rule]})
    [item] = parse(files(outcome)["deployment-probe-plain.yaml"])
    assert "replicas" not in item["spec"]
    assert item["spec"]["template"]["spec"]["containers"] == [{"name": "main"}]


def test_all_mistakes_at_once_and_nothing_is_fetched(render: Render, tmp_path: Path) -> None:
    definition = {
        "namespaec": [],
        "charts": [chart("plain", "^1", valuse={}), chart("hoked"), {"version": "1.0.0", "values": []}],
        "routes": [{"name": "UI", "title": "x", "service": "x"}],
        "runtime_fields": [{"kind": "X", "name": "x", "fields": ["a..b"]}],
        "generated_secrets": [{"name": "x", "generate": {"a": 2}}],
        "resources": "a: [",
    }
    with pytest.raises(InputError) as caught:
        render(definition)
    text = str(caught.value)
    for part in (
        "definition of probe: 10 mistakes: ",
        "namespaec: there is no such key, did you mean namespace?",
        "charts[0].valuse: there is no such key, did you mean values?",
        "charts[0].version: '^1' is not an exact version",
        "charts[2].pin: is missing",
        "charts[2].values: [] is not a dictionary",
        "routes[0].port: is missing",
        "routes[0].name: 'UI' is no name that Kubernetes takes",
        "runtime_fields[0].fields: 'a..b' is no path",
        "generated_secrets[0].generate.a: 2 is not a number of characters from 8 to 1024",
        ": not valid YAML",
    ):
        assert part in text
    with pytest.raises(InputError, match="pin hoked: there is none of that name, did you mean hooked"):
        render({"charts": [chart("hoked")]})
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "tree").exists()


def test_charts_that_fail_are_all_told(render: Render, repository: str) -> None:
    pins = {name: {"chart": name, "repository": repository, "version": "9.9.9"} for name in ("plain", "hooked")}
    with pytest.raises(InputError) as caught:
        render({"charts": [chart("plain", "9.9.9"), chart("hooked", "9.9.9")]}, pins=pins)
    assert "chart plain 9.9.9 from" in str(caught.value)
    assert "chart hooked 9.9.9 from" in str(caught.value)


def test_an_object_in_two_sources_is_refused(render: Render) -> None:
    own = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\n"
    with pytest.raises(InputError, match=r"component probe: ConfigMap probe/plain is in chart plain 1\.0\.0 and in resources\. Switch it off"):
        render({"charts": [chart("plain")], "resources": own})


def test_files_of_manifests_by_url_mirror_and_digest(render: Render, repository: str) -> None:
    digest = "sha256:" + hashlib.sha256(FILE.encode()).hexdigest()
    definition = {"charts": [chart("file")]}
    pin = {"url": "https://files.invalid/v{version}/install.yaml", "version": "1.0.0"}
    assert render(definition, pins={"file": {**pin, "digest": digest}}, mirror=repository).values["count"] == 1
    with pytest.raises(RefusedError, match="its digest is sha256:"):
        render(definition, pins={"file": {**pin, "digest": "sha256:" + "0" * 64}}, mirror=f"{repository}/")
    with pytest.raises(InputError, match=r"file file 2\.0\.0, http.*/file-2\.0\.0\.yaml: there is no such file"):
        render({"charts": [chart("file", "2.0.0")]}, pins={"file": pin}, mirror=repository)
    with pytest.raises(ConnectionFailed, match="it cannot be fetched"):
        render({"charts": [chart("file")]}, pins={"file": {**pin, "url": "http://127.0.0.1:9/{version}.yaml"}})


def test_a_killed_run_is_completed(render: Render, tmp_path: Path, helm: str, repository: str) -> None:
    """A run that dies amid its files leaves some of them; the next one finds out and writes all."""
    definition = {"charts": [chart("plain"), chart("hooked")]}
    first = render(definition)
    record = next((tmp_path / "cache" / ".rendered").iterdir())
    complete = files(first)
    # What a killed first run leaves: some files, one of them half, and no record.
    record.unlink()
    for name in list(complete)[3:]:
        (Path(first.values["path"]) / name).unlink()
    (Path(first.values["path"]) / "zzz.yaml.partial").write_text("ap")
    second = render(definition)
    assert second.changed
    assert files(second) == complete


def test_helm_template_returns_hooks_when_asked(helm: str, repository: str, tmp_path: Path) -> None:
    def kinds(*, hooks: bool) -> list[str]:
        defaults = {name: option.get("default") for name, option in helm_template.ARGUMENT_SPEC.items()}
        fixed = {"name": "x", "chart": "hooked", "repository": repository, "version": "1.0.0", "namespace": "x", "kubernetes_version": "v1.36.3"}
        options = {**defaults, **fixed, "cache": str(tmp_path), "helm": helm, "hooks": hooks}
        outcome = helm_template.run(Task(options, check_mode=False, diff_mode=False, warn=lambda _text: None))
        return sorted({item["kind"] for item in parse(outcome.values["manifests"])})

    assert kinds(hooks=True) == ["ConfigMap", "Deployment", "Job", "ServiceAccount"]
    assert kinds(hooks=False) == ["ConfigMap", "Deployment"]


def test_git_shows_only_what_changed(render: Render, tmp_path: Path) -> None:
    render({"charts": [chart("plain"), chart("hooked"), chart("kinds")]})
    tree = tmp_path / "tree"
    git = ["git", "-C", str(tree), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for argv in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *argv], check=True, timeout=300)
    render({"charts": [chart("plain", values={"setting": "two"}), chart("hooked"), chart("kinds")]})
    shown = subprocess.run([*git, "diff", "--unified=0"], check=True, capture_output=True, text=True, timeout=300).stdout
    assert [line for line in shown.splitlines() if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))] == [
        "-  setting: one",
        "+  setting: two",
    ]
