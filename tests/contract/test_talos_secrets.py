"""talos_secrets with the real talosctl: made once, kept for ever, encrypted, imported; and the same inside the worker as in a process of its own."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from both_ways import Case, comparable, run
from talosctl_program import talosctl

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos import secrets, vault
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import talos_secrets

pytestmark = pytest.mark.slow

PASSWORD = "pass wörd"


@pytest.fixture(scope="module")
def bundle() -> str:
    return secrets.generate(talosctl=talosctl(), contract="v1.13", deadline=Deadline(300))


@pytest.fixture(scope="module")
def configs(bundle: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the machine configurations of a cluster that was made by hand from ``bundle``."""
    directory = tmp_path_factory.mktemp("by-hand")
    (directory / "secrets.yaml").write_text(bundle)
    argv = [talosctl(), "gen", "config", "by-hand", "https://192.0.2.10:6443", "--with-secrets", "secrets.yaml", "--output", "."]
    subprocess.run(argv, cwd=directory, check=True, capture_output=True)
    return directory


class Runner:
    """Calls the module's run() with the defaults of its options."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "cluster" / "secrets.yaml"
        self.warnings: list[str] = []

    def __call__(self, *, check_mode: bool = False, **options: Any) -> Outcome:
        defaults = {name: specification.get("default") for name, specification in talos_secrets.ARGUMENT_SPEC.items()}
        params = {**defaults, "path": str(self.path), "contract": "v1.13", "talosctl": talosctl(), **options}
        return talos_secrets.run(Task(params=params, check_mode=check_mode, diff_mode=False, warn=self.warnings.append))


@pytest.fixture
def make(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_made_once_and_encrypted(make: Runner) -> None:
    first = make(vault_password=PASSWORD)
    assert (first.changed, first.values) == (True, {"created": True, "encrypted": True})
    assert (mode(make.path), mode(make.path.parent)) == (0o600, 0o700)
    written = make.path.read_text()
    assert vault.is_vaulted(written)
    second = make(vault_password=PASSWORD)
    assert (second.changed, second.values) == (False, {"created": False, "encrypted": True})
    assert make.path.read_text() == written
    assert make.warnings == []


def test_check_mode_writes_nothing(make: Runner) -> None:
    outcome = make(check_mode=True, vault_password=PASSWORD)
    assert (outcome.changed, outcome.values) == (True, {"created": True, "encrypted": True})
    assert not make.path.parent.exists()


def test_without_a_password_it_warns_each_time(make: Runner) -> None:
    assert make().values == {"created": True, "encrypted": False}
    assert mode(make.path) == 0o600
    assert not make().changed
    assert len(make.warnings) == 2
    assert "unencrypted" in make.warnings[0]


def test_a_plain_file_is_encrypted_in_place(make: Runner) -> None:
    make()
    plain = make.path.read_text()
    predicted = make(check_mode=True, vault_password=PASSWORD)
    assert predicted.changed
    assert make.path.read_text() == plain
    outcome = make(vault_password=PASSWORD)
    assert outcome == predicted
    assert secrets.read(str(make.path), PASSWORD).text == plain
    assert not make(vault_password=PASSWORD).changed


def test_a_plain_file_that_others_can_read_is_closed(make: Runner) -> None:
    make()
    make.path.chmod(0o644)
    assert make(check_mode=True).changed
    assert mode(make.path) == 0o644
    assert make().changed
    assert mode(make.path) == 0o600


def test_a_file_that_does_not_open_is_never_replaced(make: Runner) -> None:
    make(vault_password=PASSWORD)
    written = make.path.read_text()
    with pytest.raises(InputError, match="the vault password does not open this file"):
        make(vault_password="other")
    with pytest.raises(InputError, match="no vault password was given"):
        make()
    assert make.path.read_text() == written


def test_a_damaged_bundle_is_named_not_replaced(make: Runner, bundle: str) -> None:
    broken = yaml.safe_load(bundle)
    del broken["certs"]["etcd"]["key"], broken["trustdinfo"]
    make.path.parent.mkdir()
    make.path.write_text(yaml.safe_dump(broken))
    with pytest.raises(InputError, match=r"missing or malformed: trustdinfo\.token, certs\.etcd\.key\."):
        make()


def test_import_of_a_bundle(make: Runner, bundle: str, tmp_path: Path) -> None:
    plain, sealed = tmp_path / "plain.yaml", tmp_path / "sealed.yaml"
    plain.write_text(bundle)
    sealed.write_text(vault.encrypt(bundle, PASSWORD))
    assert make(vault_password=PASSWORD, import_file=str(sealed)).values == {"created": True, "encrypted": True}
    assert secrets.read(str(make.path), PASSWORD).text == bundle
    for source in (plain, sealed, tmp_path / "gone.yaml"):
        assert not make(vault_password=PASSWORD, import_file=str(source)).changed


def test_import_of_another_bundle_is_refused(make: Runner, bundle: str, tmp_path: Path) -> None:
    make(vault_password=PASSWORD)
    other = tmp_path / "other.yaml"
    other.write_text(bundle)
    with pytest.raises(RefusedError, match="is another one than the cluster's"):
        make(vault_password=PASSWORD, import_file=str(other))


def test_import_of_half_a_bundle_is_refused(make: Runner, tmp_path: Path) -> None:
    half = tmp_path / "half.yaml"
    half.write_text("cluster: {id: a, secret: b}\n")
    with pytest.raises(InputError, match="the secrets bundle is not complete"):
        make(import_file=str(half))
    assert not make.path.exists()


def test_import_from_a_control_plane(make: Runner, bundle: str, configs: Path) -> None:
    make(vault_password=PASSWORD, import_machine_config=str(configs / "controlplane.yaml"))
    assert yaml.safe_load(secrets.read(str(make.path), PASSWORD).text) == yaml.safe_load(bundle)


def test_import_from_what_talosctl_get_prints(make: Runner, bundle: str, configs: Path, tmp_path: Path) -> None:
    resource = {"node": "192.0.2.11", "metadata": {"type": "MachineConfigs.config.talos.dev"}, "spec": (configs / "controlplane.yaml").read_text()}
    source = tmp_path / "resource.yaml"
    source.write_text(yaml.safe_dump(resource))
    make(import_machine_config=str(source))
    assert yaml.safe_load(make.path.read_text()) == yaml.safe_load(bundle)


def test_import_from_a_worker_is_refused(make: Runner, configs: Path) -> None:
    with pytest.raises(InputError, match="this is a worker's configuration, which lacks most secrets"):
        make(import_machine_config=str(configs / "worker.yaml"))


def test_a_contract_is_needed_to_make_one(make: Runner) -> None:
    with pytest.raises(InputError, match="needs the version contract"):
        make(contract=None)
    with pytest.raises(InputError, match=r"'v1\.14' is not supported"):
        make(contract="v1.14")
    assert not make.path.parent.exists()


def test_both_ways_are_one(tmp_path: Path) -> None:
    common = {"path": f"{tmp_path}/{{way}}/cluster/secrets.yaml", "contract": "v1.13", "talosctl": talosctl()}
    module = "trinode.platform.talos_secrets"
    results = run(
        [
            Case("check", module, {**common, "vault_password": PASSWORD}, {"check_mode": True}),
            Case("create", module, {**common, "vault_password": PASSWORD}),
            Case("again", module, {**common, "vault_password": PASSWORD}),
            Case("wrong", module, {**common, "vault_password": "other"}),
            Case("plain", module, {**common, "path": f"{tmp_path}/{{way}}/plain.yaml"}),
            Case("exclusive", module, {**common, "import_file": "a", "import_machine_config": "b"}),
        ],
        tmp_path,
    )
    assert {case: comparable(result) for case, result in results["in_process"].items()} == {
        case: comparable(result) for case, result in results["ordinary"].items()
    }
    for case, (changed, failed) in {
        "check": (True, False),
        "create": (True, False),
        "again": (False, False),
        "wrong": (False, True),
        "plain": (True, False),
        "exclusive": (False, True),
    }.items():
        result = results["in_process"][case]
        assert (result["changed"], result.get("failed", False)) == (changed, failed), (case, result)
    assert results["in_process"]["create"]["encrypted"] is True
    assert "the vault password does not open this file" in results["in_process"]["wrong"]["msg"]
    assert any("unencrypted" in warning for warning in results["in_process"]["plain"]["warnings"])
    assert PASSWORD not in str(results)
