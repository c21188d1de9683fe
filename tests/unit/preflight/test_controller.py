# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.preflight.controller import check_controller, credentials_pending
from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Origin
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Host
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import Values
from ansible_collections.trinode.platform.plugins.module_utils.talos import vault

TALOSCTL = 'printf "Client:\\n\\tTag:         %s\\n" {version}'
HELM = "echo {version}"


def program(directory: Path, name: str, body: str) -> str:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return str(path)


def findings(directory: Path, *, talosctl: str = "v1.13.8", helm: str = "v3.22.0+g123", password: str = "", **valid: str) -> list[str]:
    values = {
        "trinode_talos_version": "v1.13.8",
        "trinode_talosctl": program(directory, "talosctl", TALOSCTL.format(version=talosctl)),
        "trinode_helm": program(directory, "helm", HELM.format(version=helm)),
        "trinode_secrets_file": str(directory / "secrets.yaml"),
        **valid,
    }
    cluster = Values(Host("all", {}, Origin("inventory")), values)
    return [f"{finding.variable}: {finding.what}. {finding.hint}" for finding in check_controller(cluster, password, Deadline(300))]


@pytest.mark.parametrize("talosctl", ["v1.13.8", "v1.13.0", "v1.14.1"])
@pytest.mark.parametrize("helm", ["v3.14.0", "v3.22", "v4.0.0"])
def test_new_enough(tmp_path: Path, talosctl: str, helm: str) -> None:
    assert findings(tmp_path, talosctl=talosctl, helm=helm) == []


def test_both_too_old_are_told_at_once(tmp_path: Path) -> None:
    assert findings(tmp_path, talosctl="v1.12.4", helm="v3.13.3") == [
        "trinode_talosctl: talosctl 1.12.4 is older than Talos 1.13.8. Install talosctl 1.13 or later; it knows how to write configs for older releases too.",
        "trinode_helm: helm 3.13.3 is too old. Install helm 3.14 or later.",
    ]


def test_missing_program(tmp_path: Path) -> None:
    assert findings(tmp_path, trinode_talosctl="no-such-talosctl") == [
        "trinode_talosctl: the program 'no-such-talosctl' was not found. Install it from Talos's releases, or name its path in trinode_talosctl."
    ]


def test_a_program_that_is_something_else(tmp_path: Path) -> None:
    other = program(tmp_path, "other", "echo unknown command >&2; exit 3")
    assert findings(tmp_path, trinode_helm=other) == [
        f"trinode_helm: {other} does not tell its version (exit code 3: unknown command). Install Helm, or name its path in trinode_helm."
    ]


def test_secrets_file_in_the_clear_needs_no_password(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").write_text("cluster: {}\n")
    assert findings(tmp_path) == []


def test_encrypted_secrets_file(tmp_path: Path) -> None:
    path = tmp_path / "secrets.yaml"
    path.write_text(vault.encrypt("cluster: {}\n", "right"))
    assert findings(tmp_path, password="right") == []
    (missing,) = findings(tmp_path)
    assert missing.startswith(f"trinode_secrets_file: the secrets file {path} is encrypted, and this run has no vault password. Give it with ")
    (wrong,) = findings(tmp_path, password="wrong")
    assert wrong.startswith(f"trinode_secrets_file: the secrets file {path}: the vault password does not open this file. ")


def test_secrets_file_that_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "secrets.yaml").mkdir()
    (finding,) = findings(tmp_path)
    assert "cannot be read: Is a directory" in finding


@pytest.mark.parametrize(("present", "pending"), [((), False), (("secrets",), True), (("secrets", "talosconfig"), False), (("talosconfig",), False)])
def test_credentials_pending(tmp_path: Path, present: tuple[str, ...], pending: bool) -> None:
    for name in present:
        (tmp_path / name).write_text("x")
    values = {"trinode_secrets_file": str(tmp_path / "secrets"), "trinode_talosconfig": str(tmp_path / "talosconfig")}
    assert credentials_pending(Values(Host("all", {}), values)) is pending
