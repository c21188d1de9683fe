"""The lab's chart repository: a double for every pin, the same bytes each time, real charts in the place of doubles."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "tests" / "lab" / "charts" / "build.py"
PINS: dict[str, dict[str, str]] = yaml.safe_load((ROOT / "roles" / "trinode" / "vars" / "main" / "pins.yml").read_text())["trinode_pins"]


def build(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(BUILD), "--out", str(out), *arguments], capture_output=True, text=True, check=False)


def index(repository: Path) -> dict[str, dict[str, Any]]:
    """The repository's charts: name -> version -> entry."""
    entries = json.loads((repository / "index.yaml").read_text())["entries"]
    return {name: {entry["version"]: entry for entry in found} for name, found in entries.items()}


def member(archive: Path, name: str) -> str:
    with tarfile.open(archive) as opened:
        content = opened.extractfile(name)
        assert content is not None
        return content.read().decode()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("charts")
    result = build(directory)
    assert result.returncode == 0, result.stderr
    return directory


@pytest.mark.parametrize("pin", sorted(PINS))
def test_every_pin_has_a_double_of_its_version(repository: Path, pin: str) -> None:
    version = PINS[pin]["version"]
    if "url" in PINS[pin]:
        documents = list(yaml.safe_load_all((repository / f"{pin}-{version}.yaml").read_text()))
        assert {document["kind"] for document in documents} >= {"CustomResourceDefinition"}
        return
    entry = index(repository)[PINS[pin]["chart"]][version]
    archive = repository / entry["urls"][0]
    assert entry["digest"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert "DOUBLE" in json.loads(member(archive, f"{PINS[pin]['chart']}/Chart.yaml"))["description"]


@pytest.mark.parametrize(("chart", "versions"), [("cilium", 2), ("cert-manager", 3), ("sealed-secrets", 2)])
def test_some_charts_have_several_versions(repository: Path, chart: str, versions: int) -> None:
    assert len(index(repository)[chart]) == versions


def test_the_same_sources_give_the_same_bytes(repository: Path, tmp_path: Path) -> None:
    assert build(tmp_path).returncode == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {path.name: path.read_bytes() for path in repository.iterdir()}


def chart(path: Path, **files: str) -> Path:
    """An archive of a chart with these files."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"loki/{name.replace('__', '/')}.yaml")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def test_a_real_chart_takes_the_place_of_the_double_without_digests(tmp_path: Path) -> None:
    real, out = tmp_path / "real", tmp_path / "out"
    real.mkdir()
    digest = f"sha256:{'0' * 64}"
    values = f'image:\n  digest: "{digest}"\n  other: quay.io/a/b:v1@{digest}\n  replicas: 1\n'
    chart(real / "any.tgz", Chart='name: loki\nversion: "9.9.9"\n', values=values, charts__sub__values=f"sha: {digest}\n")
    assert build(out, "--real", str(real)).returncode == 0
    charts = index(out)
    assert list(charts["loki"]) == ["9.9.9"]
    assert "grafana" in charts
    archive = out / charts["loki"]["9.9.9"]["urls"][0]
    assert charts["loki"]["9.9.9"]["digest"] == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert yaml.safe_load(member(archive, "loki/values.yaml")) == {"image": {"digest": "", "other": "quay.io/a/b:v1", "replicas": 1}}
    assert yaml.safe_load(member(archive, "loki/charts/sub/values.yaml")) == {"sha": ""}


def test_what_is_no_chart_is_named(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    chart(tmp_path / "real" / "broken.tgz", values="{}")
    result = build(tmp_path / "out", "--real", str(tmp_path / "real"))
    assert result.returncode != 0
    assert "broken.tgz is no chart" in result.stderr
