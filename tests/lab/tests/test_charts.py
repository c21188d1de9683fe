"""Every chart double renders with Helm, and refuses what the real one refuses."""

from __future__ import annotations

import functools
import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from driver import ROOT
from oci_registry import Registry, serving
from trinode_lab import tools

BUILD = ROOT / "tests" / "lab" / "charts" / "build.py"
# What a chart cannot be rendered without.
NEEDED: dict[str, dict[str, Any]] = {
    "cilium": {"hubble": {"tls": {"auto": {"method": "cronJob"}}}},
    "loki": {"loki": {"schemaConfig": {"configs": []}, "storage": {"bucketNames": {"chunks": "chunks"}}}},
    "grafana": {"admin": {"existingSecret": "grafana-admin"}},
    "kiali-server": {"login_token": {"signing_key": "secret:key:key"}},
    "redis-operator": {"redisOperator": {"webhook": True}, "certmanager": {"enabled": True}},
}


def build(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{tools.user_programs()}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(["python3", str(BUILD), "--out", str(out), *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("charts")
    assert build(directory).returncode == 0
    return directory


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory, and the URL at which it is served."""
    directory = tmp_path / "served"
    directory.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(directory)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield directory, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with serving(packaged("grafana", "12.11.1", tmp_path), "grafana", "12.11.1", tmp_path) as found:
        yield found


def packaged(name: str, version: str, directory: Path) -> Path:
    """An empty chart's archive."""
    source = directory / name / "Chart.yaml"
    source.parent.mkdir()
    source.write_text(f"apiVersion: v2\nname: {name}\nversion: {version}\n")
    subprocess.run([tools.HELM.program(), "package", source.parent, "--destination", directory], check=True)
    return directory / f"{name}-{version}.tgz"


def render(repository: Path, archive: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = [tools.HELM.program(), "template", "release", repository / archive, "--namespace", "here", "--include-crds", "--kube-version", "1.36.3"]
    return subprocess.run([*command, "--values", "-"], input=json.dumps(values), capture_output=True, text=True, check=False)


def charts(repository: Path) -> list[tuple[str, str]]:
    entries = json.loads((repository / "index.yaml").read_text())["entries"]
    return [(name, entry["urls"][0]) for name, found in entries.items() for entry in found]


def test_every_double_renders_to_objects_of_its_own(repository: Path) -> None:
    for name, archive in charts(repository):
        result = render(repository, archive, NEEDED.get(name, {}))
        assert result.returncode == 0, f"{archive}: {result.stderr}"
        objects = [item for item in yaml.safe_load_all(result.stdout) if item]
        keys = [(item["apiVersion"], item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects]
        assert keys, archive
        assert len(keys) == len(set(keys)), f"{archive} renders an object twice: {sorted(key for key in keys if keys.count(key) > 1)}"
        for item in objects:
            if item["kind"] == "ConfigMap" and "config.json" in item["data"]:
                assert json.loads(item["data"]["config.json"]).keys() >= {"rules", "duties"}


@pytest.mark.parametrize(
    ("chart", "values", "complaint"),
    [
        ("cert-manager-v1.21.1.tgz", {"replicaCount": "2"}, "replicaCount"),
        ("cert-manager-v1.21.1.tgz", {"replicas": 2}, "additional properties 'replicas' not allowed"),
        ("cloudnative-pg-0.29.0.tgz", {"replicaCount": "2"}, "replicaCount"),
        ("loki-18.11.0.tgz", {**NEEDED["loki"], "singleBinary": {"replicas": "3"}}, "replicas"),
        ("loki-18.11.0.tgz", {}, "You must provide a schema_config"),
        ("cilium-1.20.0.tgz", {**NEEDED["cilium"], "operator": {"replicas": "2"}}, "replicas"),
        ("cilium-1.20.0.tgz", {"kubeProxyReplacement": "strict"}, "kubeProxyReplacement must be explicitly set"),
    ],
)
def test_wrong_values_are_refused_as_by_the_real_chart(repository: Path, chart: str, values: dict[str, Any], complaint: str) -> None:
    result = render(repository, chart, values)
    assert result.returncode != 0
    assert complaint in result.stderr


def test_real_charts_of_a_repository_take_the_place_of_doubles(repository: Path, served: tuple[Path, str], tmp_path: Path) -> None:
    """It has three charts and no manifests; one is of another version than ours, and Cilium stays a double all the same."""
    directory, url = served
    for name, version in (("cilium", "1.20.0"), ("grafana", "12.11.1"), ("loki", "1.2.3")):
        packaged(name, version, tmp_path).rename(directory / f"{name}-{version}.tgz")
    subprocess.run([tools.HELM.program(), "repo", "index", directory], check=True)
    assert_only_grafana_is_real(repository, tmp_path / "out", url)


def assert_only_grafana_is_real(repository: Path, out: Path, url: str) -> None:
    result = build(out, "--real", url)
    assert (result.returncode, result.stdout, result.stderr) == (0, "real chart: grafana 12.11.1\n", "")
    different = [path.name for path in repository.iterdir() if path.suffix == ".tgz" and path.read_bytes() != (out / path.name).read_bytes()]
    assert different == ["grafana-12.11.1.tgz"]


def test_real_charts_come_out_of_an_oci_registry_too(repository: Path, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(registry.authority))
    assert_only_grafana_is_real(repository, tmp_path / "out", registry.url)


def test_a_repository_without_our_charts_is_refused(served: tuple[Path, str], tmp_path: Path) -> None:
    directory, url = served
    result = build(tmp_path / "out", "--real", url)
    assert result.returncode == 1
    assert f"{url}index.yaml" in result.stderr
    (directory / "index.yaml").write_text(json.dumps({"apiVersion": "v1", "entries": {}}))
    result = build(tmp_path / "out", "--real", url)
    assert (result.returncode, result.stderr) == (1, f"{url[:-1]} has none of the charts in the versions that the platform pins\n")


@pytest.mark.parametrize("program", ["stub", "runc_wrap"])
def test_go_tests_of_the_doubles_programs(program: str) -> None:
    result = subprocess.run(["go", "test", "./..."], cwd=ROOT / "tests" / "lab" / program, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
