"""The bundle's file: completeness, encryption as ansible-vault knows it, modes, and that nothing is ever replaced."""

from __future__ import annotations

import base64
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.trinode.platform.plugins.module_utils import vaulted_file
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos import secrets, vault

PASSWORD = "pass wörd"


def pem(label: str) -> str:
    return base64.b64encode(f"-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n".encode()).decode()


def bundle() -> dict[str, Any]:
    pair = {"crt": pem("CERTIFICATE"), "key": pem("EC PRIVATE KEY")}
    return {
        "cluster": {"id": "i", "secret": "s"},
        "secrets": {"bootstraptoken": "b", "secretboxencryptionsecret": "e"},
        "trustdinfo": {"token": "t"},
        "certs": {"etcd": pair, "k8s": pair, "k8saggregator": pair, "k8sserviceaccount": {"key": pem("RSA PRIVATE KEY")}, "os": pair},
    }


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def ansible_vault(password: str) -> VaultLib:
    return VaultLib([("default", VaultSecret(password.encode()))])


@pytest.mark.parametrize("text", ["", "a", "x" * 16, "Grüße\n" * 1000])
def test_ansible_reads_what_we_encrypt_and_the_other_way(text: str) -> None:
    sealed = vault.encrypt(text, PASSWORD)
    assert vault.is_vaulted(sealed)
    assert ansible_vault(PASSWORD).decrypt(sealed).decode() == text
    assert vault.decrypt(ansible_vault(PASSWORD).encrypt(text).decode(), PASSWORD, where="f") == text


def test_a_vault_file_with_a_label() -> None:
    sealed = ansible_vault(PASSWORD).encrypt("text", vault_id="default").decode()
    assert vault.decrypt(sealed.replace(";1.1;AES256", ";1.2;AES256;prod"), PASSWORD, where="f") == "text"


@pytest.mark.parametrize(
    ("sealed", "message"),
    [
        (vault.encrypt("x", "other"), "f: the vault password does not open this file"),
        (vault.encrypt("x", PASSWORD)[:-20], "f: (the vault file is damaged|the vault password does not open)"),
        ("$ANSIBLE_VAULT;1.1;AES256\nzz\n", "f: the vault file is damaged"),
        ("$ANSIBLE_VAULT;1.0;AES\n00\n", "a vault format that is not known here"),
        ("$ANSIBLE_VAULT;\n", "a vault format that is not known here"),
    ],
)
def test_vault_files_that_do_not_open(sealed: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        vault.decrypt(sealed, PASSWORD, where="f")


def test_a_whole_bundle() -> None:
    secrets.check_complete(yaml.safe_dump(bundle()), where="f")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("cluster.id", ""),
        ("cluster.secret", None),
        ("secrets.bootstraptoken", None),
        ("secrets.secretboxencryptionsecret", None),
        ("trustdinfo.token", 5),
        ("certs.etcd.key", ""),
        ("certs.k8s.crt", "not base64!"),
        ("certs.k8saggregator.key", pem("CERTIFICATE")),
        ("certs.k8sserviceaccount.key", None),
        ("certs.os.key", pem("CERTIFICATE")),
    ],
)
def test_what_is_missing_is_named(path: str, value: Any) -> None:
    broken = yaml.load(yaml.safe_dump(bundle(), default_flow_style=False), yaml.SafeLoader)
    place = broken
    *parents, last = path.split(".")
    for key in parents:
        place[key] = dict(place[key])
        place = place[key]
    place[last] = value
    with pytest.raises(InputError, match=f"f: the secrets bundle is not complete, missing or malformed: {path}\\."):
        secrets.check_complete(yaml.safe_dump(broken), where="f")


@pytest.mark.parametrize("text", ["", "a list:\n- x\n---\nb: c\n", "[]", "text"])
def test_what_is_no_bundle(text: str) -> None:
    with pytest.raises(InputError, match=r"f: (not a secrets bundle|the secrets bundle is not complete)"):
        secrets.check_complete(text, where="f")


def test_create_encrypts_and_keeps_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secrets.yaml"
    text = yaml.safe_dump(bundle())
    assert vaulted_file.create(str(path), text, PASSWORD)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert vault.is_vaulted(path.read_text())
    assert secrets.read(str(path), PASSWORD) == secrets.StoredBundle(text, True, 0o600)
    assert [entry.name for entry in path.parent.iterdir()] == ["secrets.yaml"]


def test_create_never_replaces(tmp_path: Path) -> None:
    path = tmp_path / "secrets.yaml"
    path.write_text("mine")
    assert not vaulted_file.create(str(path), "other", "")
    assert path.read_text() == "mine"
    assert [entry.name for entry in tmp_path.iterdir()] == ["secrets.yaml"]


def test_create_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "secrets.yaml"
    assert vaulted_file.create(str(path), "mine", "")
    assert not vaulted_file.create(str(path), "other", "")
    assert (path.read_text(), mode(path)) == ("mine", 0o600)
    assert [entry.name for entry in tmp_path.iterdir()] == ["secrets.yaml"]


def test_replace_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secrets.yaml"
    path.write_text("old")

    def refuse(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(InputError, match="the file cannot be written: No space left on device"):
        vaulted_file.replace(str(path), "new", "")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["secrets.yaml"]


def test_reading_fails_in_words(tmp_path: Path) -> None:
    path = tmp_path / "secrets.yaml"
    with pytest.raises(InputError, match="the file does not exist"):
        secrets.read(str(path), "")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read: it is not text"):
        secrets.read(str(path), "")
    path.write_text(vault.encrypt("x", PASSWORD))
    with pytest.raises(InputError, match="encrypted with Ansible Vault and no vault password was given"):
        secrets.read(str(path), "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("machine: {type: worker}", "this is a worker's configuration"),
        ("apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: x\n", "not a machine configuration of Talos"),
    ],
)
def test_import_of_the_wrong_file(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"f: {message}"):
        secrets.from_machine_config(text, where="f", talosctl="/nonexistent/talosctl", deadline=Deadline(1))
