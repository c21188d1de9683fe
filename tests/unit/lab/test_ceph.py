"""The lab with Ceph's packages and without them."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from trinode_lab import ceph
from trinode_lab.errors import LabError
from trinode_lab.settings import Settings, make_settings

LAB = Path(__file__).resolve().parents[2] / "lab"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = make_settings("units", "10.99.0.0/24", 1, str(tmp_path / "state"))
    found.state.mkdir()
    return found


def test_without_its_packages_ceph_is_simulated_and_said_to_be(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ceph, "missing", lambda: ["ceph-osd"])
    monkeypatch.setattr(ceph.shutil, "which", lambda name: None)
    ceph.install()
    assert "Ceph is simulated in status only: ceph-osd are missing" in capsys.readouterr().err
    assert ceph.prepare(settings) is None
    settings.save_parts({"ceph": None})
    with pytest.raises(LabError, match="simulated in status only"):
        ceph.run(settings, ["status"])


def test_a_machine_sees_programs_that_it_cannot_change_and_its_own_disks(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ceph, "missing", list)
    assert ceph.prepare(settings) == settings.state / "rook"
    assert (settings.state / "rook" / "rook.py").exists()
    binds = {bind["target"]: bind for bind in ceph.binds(settings, settings.machine("m1"))}
    assert binds[".lab/host/usr"] == {"source": "/usr", "target": ".lab/host/usr", "writable": False}
    assert binds[".lab/machine"]["source"] == str(settings.machine("m1").directory)
    assert {target for target, bind in binds.items() if bind["writable"]} == {".lab/machine", ".lab/volumes", ".lab/timeline.jsonl"}


@pytest.mark.parametrize(("options", "program"), [((), "operator"), (("--ceph",), "/rook/rook.py")])
def test_the_double_of_the_operator_is_another_with_ceph(tmp_path: Path, options: tuple[str, ...], program: str) -> None:
    subprocess.run([sys.executable, str(LAB / "charts" / "build.py"), "--out", str(tmp_path), *options], check=True)
    with tarfile.open(next(tmp_path.glob("rook-ceph-v*.tgz"))) as archive:
        template = archive.extractfile("rook-ceph/templates/rook-ceph-operator.yaml")
        assert template is not None
        deployment = next(
            json.loads(text) for text in template.read().decode().replace("{{", '"{{').replace("}}", '}}"').split("---\n") if '"Deployment"' in text
        )
    assert program in deployment["spec"]["template"]["spec"]["containers"][0]["command"]
