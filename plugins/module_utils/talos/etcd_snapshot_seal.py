# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots encrypted: authenticated, in chunks, so that one of many gigabytes needs no memory and no plain copy.

Ansible Vault has a file in memory three times over, as hexadecimal digits of hexadecimal digits; a database of etcd may have 8 GiB. The format:

- a line ``TRINODE-ETCD-SNAPSHOT 1``
- a line of JSON, the header: cluster, time, member, revision, keys, size; how the data key is wrapped (``salt``, ``nonce``, ``key``) and what the
  chunks' nonces begin with (``prefix``), in base64
- chunks of 1 MiB of plain text (the last one may be shorter, or empty), each followed by its tag of 16 bytes

The data key is random, 256 bits, and encrypted by AES-256-GCM with scrypt(vault password, salt, N=2^15, r=8, p=1). A chunk is encrypted by AES-256-GCM with the
data key; its nonce is the prefix (7 bytes), its number (4 bytes), and 1 for the last chunk, else 0 (1 byte); its associated data is the SHA-256 of the
two lines. So a chunk that is changed, missing, repeated or in another place is found, as is a file that ends early and a header that was changed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, InputError

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True

MAGIC = b"TRINODE-ETCD-SNAPSHOT 1\n"
CHUNK_BYTES = 1 << 20
_TAG_BYTES = 16
_LONGEST_HEADER = 65536


@dataclass(frozen=True)
class Header:
    """What a backup says of itself, readable without a password and authenticated by it."""

    cluster: str
    taken: str
    member: str
    revision: int
    keys: int
    size: int


def seal(plain: IO[bytes], sealed: IO[bytes], header: Header, password: str) -> None:
    """Encrypt one file into another, from where they stand."""
    _require_cryptography()
    data_key, salt, nonce, prefix = os.urandom(32), os.urandom(32), os.urandom(12), os.urandom(7)
    wrapped = AESGCM(_password_key(password, salt)).encrypt(nonce, data_key, MAGIC)
    secrets = {"salt": salt, "nonce": nonce, "key": wrapped, "prefix": prefix}
    line = json.dumps({**vars(header), **{name: base64.b64encode(value).decode() for name, value in secrets.items()}}).encode() + b"\n"
    sealed.write(MAGIC + line)
    cipher, associated = AESGCM(data_key), hashlib.sha256(MAGIC + line).digest()
    number, chunk = 0, plain.read(CHUNK_BYTES)
    while True:
        following = plain.read(CHUNK_BYTES) if len(chunk) == CHUNK_BYTES else b""
        sealed.write(cipher.encrypt(_nonce(prefix, number, not following), chunk, associated))
        if not following:
            return
        number, chunk = number + 1, following


def read_header(sealed: IO[bytes], *, where: str) -> Header:
    """The header of a backup, not authenticated. Raises InputError when the file is none."""
    return _header(_read_lines(sealed, where)[1], where)


def unseal(sealed: IO[bytes], plain: IO[bytes], password: str, *, where: str) -> Header:
    """Decrypt one file into another. Raises InputError for a wrong password and for a file that was changed or cut off."""
    _require_cryptography()
    line, values = _read_lines(sealed, where)
    try:
        salt, nonce, wrapped, prefix = (base64.b64decode(str(values[name]), validate=True) for name in ("salt", "nonce", "key", "prefix"))
    except (KeyError, binascii.Error) as error:
        raise _damaged(where, "its header is not whole") from error
    if len(prefix) != 7 or len(nonce) != 12:
        raise _damaged(where, "its header is not whole")
    try:
        data_key = AESGCM(_password_key(password, salt)).decrypt(nonce, wrapped, MAGIC)
    except InvalidTag as error:
        raise InputError(
            "the vault password does not open this backup", where=where, hint="Give the password that it was made with (--vault-password-file)."
        ) from error
    cipher, associated = AESGCM(data_key), hashlib.sha256(MAGIC + line).digest()
    number, chunk = 0, sealed.read(CHUNK_BYTES + _TAG_BYTES)
    while True:
        following = sealed.read(CHUNK_BYTES + _TAG_BYTES) if len(chunk) == CHUNK_BYTES + _TAG_BYTES else b""
        try:
            plain.write(cipher.decrypt(_nonce(prefix, number, not following), chunk, associated))
        except (InvalidTag, ValueError) as error:
            raise _damaged(where, f"the part from byte {number * CHUNK_BYTES} on is not what was written") from error
        if not following:
            return _header(values, where)
        number, chunk = number + 1, following


def _read_lines(sealed: IO[bytes], where: str) -> tuple[bytes, Mapping[str, Any]]:
    if sealed.read(len(MAGIC)) != MAGIC:
        raise InputError("this is no backup of etcd that was made here", where=where, hint="Give a file that playbooks/etcd_backup.yml has written.")
    line = sealed.readline(_LONGEST_HEADER)
    try:
        values = json.loads(line)
    except ValueError as error:
        raise _damaged(where, "its header cannot be read") from error
    if not isinstance(values, dict) or not line.endswith(b"\n"):
        raise _damaged(where, "its header cannot be read")
    return line, values


def _header(values: Mapping[str, Any], where: str) -> Header:
    try:
        texts = {name: str(values[name]) for name in ("cluster", "taken", "member")}
        return Header(**texts, revision=int(values["revision"]), keys=int(values["keys"]), size=int(values["size"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(where, "its header is not whole") from error


def _damaged(where: str, why: str) -> InputError:
    return InputError(f"the backup is damaged: {why}", where=where, hint="Take another backup.")


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])


def _password_key(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=1 << 15, r=8, p=1, maxmem=64 << 20, dklen=32)


def _require_cryptography() -> None:
    if not HAS_CRYPTOGRAPHY:
        raise CommandError("the Python library cryptography is missing", hint="It comes with ansible-core; run the module with the controller's own Python.")
