"""Every component has its scenario, and the scenarios' inventory knows what has to be there before it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted(path.parent.name for path in (ROOT / "extensions/molecule").glob("*/molecule.yml"))
COMPONENTS = sorted(yaml.safe_load((ROOT / "inventory/example/hosts.yml").read_text())["all"]["children"]["components"]["hosts"])


@pytest.fixture(scope="module")
def inventory() -> ModuleType:
    specification = importlib.util.spec_from_file_location("molecule_inventory", ROOT / "extensions/molecule/inventory/cluster.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_every_component_has_a_scenario() -> None:
    assert sorted([*COMPONENTS, "default"]) == SCENARIOS


@pytest.mark.parametrize("component", COMPONENTS)
def test_what_is_needed_comes_first(inventory: ModuleType, component: str) -> None:
    found = inventory.with_needs(component, storage=False)
    assert found[-1] == component
    assert len(found) == len(set(found))
    for name in found:
        needs = yaml.safe_load((ROOT / "roles" / name / "defaults" / "main.yml").read_text())[f"{name}_needs"]
        assert set(needs) <= set(found[: found.index(name)])


def test_storage_comes_before_those_that_store(inventory: ModuleType) -> None:
    assert "rook_ceph" in inventory.with_needs("loki", storage=True)
    assert "rook_ceph" not in inventory.with_needs("loki", storage=False)
    assert "rook_ceph" not in inventory.with_needs("kyverno", storage=True)


def test_no_nodes_where_there_is_no_cluster(inventory: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig that is not there, and a lab whose machines are no cluster yet."""
    assert inventory.cluster(str(tmp_path / "kubeconfig")) == ([], {})
    assert f"{tmp_path}/kubeconfig: " in capsys.readouterr().err
    monkeypatch.setattr(inventory, "answer", lambda *_command: {"cluster": str(tmp_path), "machines": [{"name": "m1", "address": "10.5.0.11"}]})
    assert inventory.cluster("lab") == ([], {})
