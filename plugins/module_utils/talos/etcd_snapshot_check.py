# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a file is a whole snapshot of etcd: a bbolt database with its SHA-256 behind it, which etcd adds when it sends one."""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from dataclasses import dataclass
from typing import IO, Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_bolt import Bolt, Damaged

_CHECKSUM_BYTES = hashlib.sha256().digest_size
_READ_BYTES = 1 << 20
_AGAIN = "Take another one; this one cannot be restored."


@dataclass(frozen=True)
class Content:
    """What a snapshot holds: etcd's revision, the entries in its bucket of keys (each revision of each key that is still kept), and its bytes."""

    revision: int
    keys: int
    size: int

    def as_values(self) -> dict[str, Any]:
        return {"revision": self.revision, "entries": self.keys, "size": self.size}


def check(file: IO[bytes], *, where: str) -> Content:
    """Read the whole file, which needs no name any more. Raises InputError, naming ``where``, when it is torn, changed, empty, or no snapshot at all."""
    try:
        size = os.fstat(file.fileno()).st_size
        if size % 512 != _CHECKSUM_BYTES or size == _CHECKSUM_BYTES:
            raise InputError(f"it is no whole snapshot of etcd: {size} bytes are no database with a checksum at its end", where=where, hint=_AGAIN)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _check_sum(data, size, where)
            return _content(data, size, where)
    except OSError as error:
        raise InputError(f"the snapshot cannot be read: {error.strerror}", where=where) from error


def _check_sum(data: mmap.mmap, size: int, where: str) -> None:
    digest = hashlib.sha256()
    end = size - _CHECKSUM_BYTES
    for start in range(0, end, _READ_BYTES):
        digest.update(data[start : min(start + _READ_BYTES, end)])
    if digest.digest() != data[end:]:
        raise InputError("the snapshot's checksum is not that of its contents: it is torn or was changed", where=where, hint=_AGAIN)


def _content(data: mmap.mmap, size: int, where: str) -> Content:
    try:
        keys = Bolt(data, size - _CHECKSUM_BYTES).buckets().get(b"key")
    except (Damaged, struct.error, RecursionError) as error:
        raise InputError(f"the snapshot's database is damaged: {error}", where=where, hint=_AGAIN) from error
    if keys is None or not keys.entries:
        raise InputError("the snapshot is empty: there is no key in it", where=where, hint="Look at the etcd that it was taken from (talos_etcd_info).")
    if len(keys.last_key) < 17:
        raise InputError("the snapshot's database is not etcd's: its keys are no revisions", where=where, hint=_AGAIN)
    # A key is a revision: 8 bytes, "_", 8 bytes. The last one is the newest.
    return Content(int.from_bytes(keys.last_key[:8], "big"), keys.entries, size)
