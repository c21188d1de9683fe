from __future__ import annotations

import base64
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos import credentials
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_kubeconfig import merge, parse_kubeconfig
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_plan import Wanted, kubeconfig_outdated, talosconfig_outdated
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_talosconfig import (
    ClientContext,
    parse_talosconfig,
    read_talosconfig,
    require_talosconfig,
)

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)


def certificate(*, days_old: int = 0, days_left: int = 365) -> str:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "admin")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(NOW - dt.timedelta(days=days_old)).not_valid_after(NOW + dt.timedelta(days=days_left))
    return builder.sign(key, None).public_bytes(serialization.Encoding.PEM).decode()


AUTHORITY = certificate()
WANTED = Wanted("example", "https://192.0.2.10:6443", ("192.0.2.11", "192.0.2.12"), ("192.0.2.11", "192.0.2.12"), AUTHORITY, AUTHORITY, 0.5)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def talosconfig(**changes: Any) -> str:
    context = {
        "endpoints": ["192.0.2.11", "192.0.2.12"],
        "nodes": ["192.0.2.11", "192.0.2.12"],
        "ca": encoded(AUTHORITY),
        "crt": encoded(certificate()),
        "key": "c2VjcmV0",
        **changes,
    }
    return yaml.safe_dump({"context": "example", "contexts": {"example": context}})


def kubeconfig(name: str = "example", *, server: str = "https://192.0.2.10:6443", authority: str = AUTHORITY, client: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": encoded(authority)}}],
        "users": [{"name": f"admin@{name}", "user": {"client-certificate-data": encoded(client or certificate())}}],
        "contexts": [{"name": f"admin@{name}", "context": {"cluster": name, "user": f"admin@{name}"}}],
        "current-context": f"admin@{name}",
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"endpoints": ["192.0.2.11"]}, "its endpoints are 192.0.2.11"),
        ({"nodes": []}, "its nodes are none"),
        ({"ca": encoded(certificate())}, "another certificate authority"),
        ({"crt": encoded(certificate(days_old=200, days_left=165))}, "less than 50%"),
        ({"crt": encoded(certificate(days_old=165, days_left=200))}, ""),
        ({"crt": encoded(certificate(days_old=400, days_left=-35))}, "expired"),
    ],
)
def test_when_a_talosconfig_is_written_anew(changes: dict[str, Any], reason: str) -> None:
    found = talosconfig_outdated(parse_talosconfig(talosconfig(**changes), where="t"), WANTED, NOW)
    assert reason in found if reason else found == ""


def test_a_talosconfig_of_another_cluster() -> None:
    context = parse_talosconfig(talosconfig(), where="t")
    other = ClientContext("other", context.endpoints, context.nodes, context.authorities, context.certificate)
    assert "named other" in talosconfig_outdated(other, WANTED, NOW)
    assert talosconfig_outdated(None, WANTED, NOW) == "it does not exist"


@pytest.mark.parametrize("text", ["", "[]", "context: a\ncontexts: {}\n", "a: [", talosconfig(crt="?"), talosconfig(ca="")])
def test_a_broken_talosconfig_is_said(text: str) -> None:
    with pytest.raises(InputError, match="somewhere"):
        parse_talosconfig(text, where="somewhere")


def test_a_missing_talosconfig(tmp_path: Path) -> None:
    path = str(tmp_path / "talosconfig")
    assert read_talosconfig(path) is None
    assert read_talosconfig(None) is None
    with pytest.raises(InputError, match="does not exist"):
        require_talosconfig(path)


def test_a_broken_talosconfig_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "talosconfig"
    path.write_text("context: [")
    assert credentials.current_talosconfig(str(path)) is None


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (kubeconfig(), ""),
        (kubeconfig(server="https://192.0.2.99:6443"), "points to https://192.0.2.99:6443"),
        (kubeconfig(authority=certificate()), "another certificate authority"),
        (kubeconfig(client=certificate(days_old=300, days_left=65)), "less than 50%"),
    ],
)
def test_when_a_kubeconfig_is_fetched_anew(config: dict[str, Any], reason: str) -> None:
    found = kubeconfig_outdated(parse_kubeconfig(yaml.safe_dump(config), where="k"), WANTED, NOW)
    assert reason in found if reason else found == ""


def test_a_kubeconfig_that_is_none() -> None:
    assert kubeconfig_outdated(None, WANTED, NOW) == "it does not exist"
    for text in ("[]", "a: [", "{}"):
        with pytest.raises(InputError):
            parse_kubeconfig(text, where="k")


def test_merging_keeps_what_was_there() -> None:
    old = kubeconfig("other", server="https://198.51.100.1:6443")
    merged = merge(old, kubeconfig())
    assert [entry["name"] for entry in merged["clusters"]] == ["other", "example"]
    assert merged["current-context"] == "admin@other"
    assert merge(merged, kubeconfig(client=certificate()))["clusters"] == merged["clusters"]


def test_merging_replaces_what_is_ours() -> None:
    new = kubeconfig(server="https://192.0.2.77:6443")
    assert merge(kubeconfig(), new)["clusters"] == new["clusters"]


def test_merging_into_nothing() -> None:
    assert merge({}, kubeconfig())["current-context"] == "admin@example"


def test_merging_twice_changes_nothing(tmp_path: Path) -> None:
    path, own = tmp_path / "config", yaml.safe_dump(kubeconfig())
    text = credentials.merged(str(path), own)
    assert text is not None
    credentials.write(str(path), text)
    assert credentials.merged(str(path), own) is None
    assert path.stat().st_mode & 0o777 == 0o600


def test_modes(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    assert not credentials.has_loose_mode(str(path))
    path.write_text("x")
    path.chmod(0o640)
    assert credentials.has_loose_mode(str(path))
    credentials.tighten_mode(str(path))
    assert path.stat().st_mode & 0o777 == 0o600
