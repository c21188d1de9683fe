"""Every chart double renders with Helm, and refuses what the real one refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from driver import ROOT
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


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("charts")
    subprocess.run(["python3", str(BUILD), "--out", str(directory)], check=True)
    return directory


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


@pytest.mark.parametrize("program", ["stub", "runc_wrap"])
def test_go_tests_of_the_doubles_programs(program: str) -> None:
    result = subprocess.run(["go", "test", "./..."], cwd=ROOT / "tests" / "lab" / program, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
