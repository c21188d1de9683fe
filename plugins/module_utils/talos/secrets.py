# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's secrets bundle: certificate authorities, tokens and encryption keys. Made once by talosctl, never again; at rest in one file."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils import command, vaulted_file
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos import vault
from ansible_collections.trinode.platform.plugins.module_utils.talos.documents import MAIN, load_all, split

# What a bundle must hold (siderolabs/talos pkg/machinery/config/generate/secrets: Bundle.Validate).
_TEXTS = ("cluster.id", "cluster.secret", "secrets.bootstraptoken", "trustdinfo.token")
_CERTIFICATES = ("certs.etcd", "certs.k8s", "certs.k8saggregator", "certs.os")
_ENCRYPTION = ("secrets.secretboxencryptionsecret", "secrets.aescbcencryptionsecret")


@dataclass(frozen=True)
class StoredBundle:
    """A bundle read from its file: the plain YAML (never to be shown), whether the file is encrypted, its permission bits."""

    text: str
    encrypted: bool
    mode: int


def generate(*, talosctl: str, contract: str, deadline: Deadline) -> str:
    """A new bundle, in memory only."""
    return _talosctl([talosctl, "gen", "secrets", "--talos-version", contract, "--output-file", "-"], None, deadline, "could not generate a secrets bundle")


def from_machine_config(text: str, *, where: str, talosctl: str, deadline: Deadline) -> str:
    """The bundle that a control plane's machine configuration holds. Accepts the output of ``talosctl get machineconfig -o yaml`` too."""
    config = _unwrap(text, where)
    main = split(config, where=where).get(MAIN)
    if main is None or not isinstance(main.get("machine"), dict):
        raise InputError("not a machine configuration of Talos", where=where, hint="Save one with: talosctl get machineconfig v1alpha1 -o jsonpath='{.spec}'.")
    if main["machine"].get("type") not in ("controlplane", "init"):
        raise InputError("this is a worker's configuration, which lacks most secrets", where=where, hint="Take the configuration of a control plane.")
    argv = [talosctl, "gen", "secrets", "--from-controlplane-config", "/dev/stdin", "--output-file", "-"]
    bundle = _talosctl(argv, config, deadline, f"{where}: talosctl could not take the secrets out of this machine configuration")
    check_complete(bundle, where=where)
    return bundle


def check_complete(text: str, *, where: str) -> None:
    """Raise InputError, naming what is missing, unless the text is a whole bundle."""
    documents = load_all(text, where=where)
    if len(documents) != 1 or not isinstance(documents[0], dict):
        raise InputError("not a secrets bundle of Talos", where=where, hint="It is the file that talosctl gen secrets writes.")
    bundle: Mapping[str, Any] = documents[0]
    missing = [path for path in _TEXTS if not _text(bundle, path)]
    if not any(_text(bundle, path) for path in _ENCRYPTION):
        missing.append(_ENCRYPTION[0])
    for path in _CERTIFICATES:
        missing += [
            f"{path}.{part}" for part, label in (("crt", b"CERTIFICATE"), ("key", b"PRIVATE KEY")) if not _is_pem(_text(bundle, f"{path}.{part}"), label)
        ]
    if not _is_pem(_text(bundle, "certs.k8sserviceaccount.key"), b"PRIVATE KEY"):
        missing.append("certs.k8sserviceaccount.key")
    if missing:
        raise InputError(
            f"the secrets bundle is not complete, missing or malformed: {', '.join(missing)}",
            where=where,
            hint="Restore it from your backup, or import it from a control plane's machine configuration.",
        )


def read(path: str, vault_password: str) -> StoredBundle:
    """The bundle of this file, decrypted and checked to be whole. Raises InputError when it is missing, unreadable or incomplete."""
    text, mode = vaulted_file.read_text(path)
    encrypted = vault.is_vaulted(text)
    plain = vaulted_file.decrypted(text, vault_password, where=path)
    check_complete(plain, where=path)
    return StoredBundle(plain, encrypted, mode)


def _talosctl(argv: list[str], stdin: str | None, deadline: Deadline, failure: str) -> str:
    result = command.run(argv, deadline=deadline, stdin=stdin)
    if result.returncode != 0:
        lines = result.stderr.strip().splitlines()
        raise CommandError(f"{failure}: {lines[-1] if lines else f'exit code {result.returncode}'}")
    return result.stdout


def _unwrap(text: str, where: str) -> str:
    """The configuration inside the resource that ``talosctl get machineconfig -o yaml`` prints, or the text itself."""
    for document in load_all(text, where=where):
        if isinstance(document, dict) and isinstance(document.get("metadata"), dict) and isinstance(document.get("spec"), str):
            return str(document["spec"])
    return text


def _text(bundle: Mapping[str, Any], path: str) -> str:
    value: Any = bundle
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""


def _is_pem(encoded: str, label: bytes) -> bool:
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    return decoded.startswith(b"-----BEGIN ") and label in decoded.split(b"\n", 1)[0]
