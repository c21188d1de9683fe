# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One value, sealed and opened as Sealed Secrets does (bitnami-labs/sealed-secrets, pkg/crypto).

Two bytes of length, a session key under RSA-OAEP, and the value under AES-256-GCM with that key, which is used once, so that the nonce is all zeros.
The OAEP label says for which Secret it is sealed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True

SCOPES = ("strict", "namespace-wide", "cluster-wide")
_SESSION_BITS = 256
_NONCE = bytes(12)


def label(scope: str, namespace: str, name: str) -> bytes:
    """What a value sealed for this Secret is bound to."""
    return {"strict": f"{namespace}/{name}", "namespace-wide": namespace, "cluster-wide": ""}[scope].encode()


def seal(value: bytes, key: RSAPublicKey, bound_to: bytes) -> str:
    """The value as it stands in ``spec.encryptedData``; another text each time."""
    session = AESGCM.generate_key(_SESSION_BITS)
    wrapped = key.encrypt(session, _oaep(bound_to))
    return base64.b64encode(len(wrapped).to_bytes(2, "big") + wrapped + AESGCM(session).encrypt(_NONCE, value, None)).decode()


def open_sealed(text: str, keys: Sequence[RSAPrivateKey], bound_to: bytes) -> tuple[bytes, int] | None:  # pylint: disable=unsupported-binary-operation
    """The value and which of the keys opened it; None when none does: sealed for another cluster or Secret, or damaged."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    end = 2 + int.from_bytes(content[:2], "big")
    if len(content) < end:
        return None
    for index, key in enumerate(keys):
        try:
            session = key.decrypt(content[2:end], _oaep(bound_to))
            return AESGCM(session).decrypt(_NONCE, content[end:], None), index
        except (ValueError, InvalidTag):
            continue
    return None


def require_cryptography() -> None:
    if not HAS_CRYPTOGRAPHY:
        raise CommandError("the Python library cryptography is missing", hint="It comes with ansible-core; run the module with the controller's own Python.")


def _oaep(bound_to: bytes) -> padding.OAEP:
    return padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), bound_to)
