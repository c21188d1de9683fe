# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible Vault's file format (1.1 and 1.2, AES256), read and written without Ansible's own code.

``ansible.parsing.vault`` belongs to the controller: a module that runs the ordinary way and imports it cannot even report its result any more
(tried on ansible-core 2.19 and 2.21). The format: a header line, then, in lines of 80 hexadecimal digits, the hexadecimal form of three lines:
salt, HMAC-SHA256 of the ciphertext, ciphertext, each hexadecimal again. Keys by PBKDF2-SHA256, 10000 rounds; AES-256-CTR; PKCS7 padding.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os

from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, InputError

try:
    from cryptography.hazmat.primitives import padding
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
except ImportError:
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True

_HEADER = "$ANSIBLE_VAULT;1.1;AES256"
_MAGIC = "$ANSIBLE_VAULT;"


def is_vaulted(text: str) -> bool:
    """Whether this text is a file encrypted by Ansible Vault."""
    return text.startswith(_MAGIC)


def encrypt(plain: str, password: str) -> str:
    """The text as a vault file of format 1.1, ending in a newline."""
    _require_cryptography()
    salt = os.urandom(32)
    cipher_key, mac_key, counter = _keys(password, salt)
    padder = padding.PKCS7(algorithms.AES.block_size).padder()
    padded = padder.update(plain.encode()) + padder.finalize()
    encryptor = Cipher(algorithms.AES(cipher_key), modes.CTR(counter)).encryptor()
    ciphertext = encryptor.update(padded) + encryptor.finalize()
    digest = hmac.digest(mac_key, ciphertext, "sha256")
    body = binascii.hexlify(b"\n".join(binascii.hexlify(part) for part in (salt, digest, ciphertext))).decode()
    return "\n".join([_HEADER, *(body[start : start + 80] for start in range(0, len(body), 80)), ""])


def decrypt(text: str, password: str, *, where: str) -> str:
    """The plain text of a vault file. Raises InputError, naming the file ``where``, for a wrong password or a damaged file."""
    _require_cryptography()
    header, _newline, body = text.partition("\n")
    fields = header.strip().split(";")
    if len(fields) < 3 or fields[1] not in ("1.1", "1.2") or fields[2] != "AES256":
        raise InputError(f"a vault format that is not known here: {header.strip()[:40]!r}", where=where, hint="Encrypt it again with ansible-vault rekey.")
    try:
        salt, digest, ciphertext = (binascii.unhexlify(part) for part in binascii.unhexlify("".join(body.split())).split(b"\n", 2))
    except (binascii.Error, ValueError) as error:
        raise InputError("the vault file is damaged", where=where, hint="Restore it from your backup.") from error
    cipher_key, mac_key, counter = _keys(password, salt)
    if not hmac.compare_digest(hmac.digest(mac_key, ciphertext, "sha256"), digest):
        raise InputError(
            "the vault password does not open this file",
            where=where,
            hint="Give the password it was encrypted with (--vault-password-file); the file itself is never made anew.",
        )
    decryptor = Cipher(algorithms.AES(cipher_key), modes.CTR(counter)).decryptor()
    unpadder = padding.PKCS7(algorithms.AES.block_size).unpadder()
    plain: bytes = unpadder.update(decryptor.update(ciphertext) + decryptor.finalize()) + unpadder.finalize()
    return plain.decode()


def _keys(password: str, salt: bytes) -> tuple[bytes, bytes, bytes]:
    derived = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 10000, 80)
    return derived[:32], derived[32:64], derived[64:]


def _require_cryptography() -> None:
    if not HAS_CRYPTOGRAPHY:
        raise CommandError("the Python library cryptography is missing", hint="It comes with ansible-core; run the module with the controller's own Python.")
