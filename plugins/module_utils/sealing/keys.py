# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key pairs that secrets are sealed with: made by us, kept in one vaulted file, given to the controller as Secrets. The newest seals, all of them open."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils import vaulted_file
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.sealing import box

if box.HAS_CRYPTOGRAPHY:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

# The controller takes each Secret with this label, whatever its name (bitnami-labs/sealed-secrets, pkg/controller/keyregistry.go).
ACTIVE_LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"
_BITS = 4096
_YEARS = 10


@dataclass(frozen=True)
class KeyPair:
    """A self-signed certificate and its private key, both PEM."""

    certificate: str
    key: str

    @cached_property
    def private(self) -> rsa.RSAPrivateKey:
        # Whether the primes are prime takes half a second to find out, and is about keys of strangers. ``_checked`` sees that the pair belongs together.
        found = serialization.load_pem_private_key(self.key.encode(), None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(found, rsa.RSAPrivateKey):
            raise InputError("a sealing key is not RSA", hint="Restore the file from your backup.")
        return found

    @property
    def public(self) -> rsa.RSAPublicKey:
        return self.private.public_key()

    @cached_property
    def _parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.encode())

    @property
    def whole(self) -> bool:
        """Whether key and certificate belong together, and the key is what it says."""
        numbers = self.private.private_numbers()
        return self._parsed.public_key() == self.public and numbers.p * numbers.q == numbers.public_numbers.n

    @property
    def made(self) -> dt.datetime:
        return self._parsed.not_valid_before_utc

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, hexadecimal."""
        return self._parsed.fingerprint(hashes.SHA256()).hex()


def throw_away() -> KeyPair:
    """A pair for predictions where none was made yet; short, since nothing that it seals is kept."""
    return generate(dt.datetime.now(dt.UTC), 2048)


def generate(now: dt.datetime, bits: int = _BITS) -> KeyPair:
    """A new pair, valid from ``now``."""
    box.require_cryptography()
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sealed-secret")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=365 * _YEARS))
        .sign(key, hashes.SHA256())
    )
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()).decode(),
    )


def read(path: str, vault_password: str) -> list[KeyPair]:
    """The pairs of this file, the newest first. Raises InputError when it is missing, cannot be opened or holds something else."""
    if not os.path.lexists(path):
        raise InputError(
            "there is no file of sealing keys",
            where=path,
            hint="A run of the platform makes it (module sealing_keys). If there was one, restore it from your copy: without it nothing opens that was sealed.",
        )
    stored, _mode = vaulted_file.read_text(path)
    text = vaulted_file.decrypted(stored, vault_password, where=path)
    try:
        found = [(entry["certificate"], entry["key"]) for entry in yaml.safe_load(text)["sealing_keys"]]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise _no_pairs(path) from error
    return _checked(found, path)


def from_secrets(secrets: Iterable[Mapping[str, Any]], *, where: str) -> list[KeyPair]:
    """The pairs in the controller's Secrets, the newest first."""
    try:
        found = [(_decoded(item, "tls.crt"), _decoded(item, "tls.key")) for item in secrets]
    except (KeyError, TypeError, ValueError) as error:
        raise _no_pairs(where) from error
    return _checked(found, where)


def _decoded(secret: Mapping[str, Any], name: str) -> str:
    return base64.b64decode(secret["data"][name]).decode()


def _checked(found: Sequence[tuple[str, str]], where: str) -> list[KeyPair]:
    box.require_cryptography()
    pairs = [KeyPair(certificate, key) for certificate, key in found]
    try:
        whole = all(pair.whole for pair in pairs)
    except (AttributeError, ValueError) as error:
        raise _no_pairs(where) from error
    if not pairs or not whole:
        raise _no_pairs(where)
    return sorted(pairs, key=lambda pair: pair.made, reverse=True)


def _no_pairs(where: str) -> InputError:
    return InputError("it does not hold whole key pairs of Sealed Secrets", where=where, hint="Restore it from your backup; without its keys nothing opens.")


def digest(pairs: Iterable[KeyPair]) -> str:
    """One text that differs when there is another pair."""
    return hashlib.sha256(" ".join(sorted(pair.fingerprint for pair in pairs)).encode()).hexdigest()


def dump(pairs: Iterable[KeyPair]) -> str:
    """The text of a key file."""
    return yaml.safe_dump({"sealing_keys": [{"certificate": pair.certificate, "key": pair.key} for pair in pairs]}, sort_keys=False)


def as_secret(pair: KeyPair, namespace: str) -> dict[str, Any]:
    """The Secret that gives the pair to the controller."""
    data = {"tls.crt": pair.certificate, "tls.key": pair.key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"sealed-secrets-key-{pair.fingerprint[:12]}", "namespace": namespace, "labels": {ACTIVE_LABEL: "active"}},
        "type": "kubernetes.io/tls",
        "data": {name: base64.b64encode(value.encode()).decode() for name, value in data.items()},
    }
