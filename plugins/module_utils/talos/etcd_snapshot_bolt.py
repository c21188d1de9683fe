# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Just enough of bbolt's file format to know that a database is whole and how much is in it; nothing is ever written.

(go.etcd.io/bbolt internal/common: page.go, meta.go, bucket.go.) Pages 0 and 1 are the meta pages, each with a checksum; the valid one with the higher
transaction counts. From its root, pages of branches lead to pages of leaves; a leaf that is a bucket holds the root of another tree, or a page inline.
All numbers are little-endian, as the machines that Talos runs on write them.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = 0xED0CDAED
_VERSION = 2
_PAGE = struct.Struct("<QHHI")  # id, flags, count, overflow
_META = struct.Struct("<IIIIQQQQQQ")  # magic, version, page size, flags, root, sequence, freelist, high water mark, transaction, checksum
_CHECKED_BYTES = _META.size - 8
_BRANCH = struct.Struct("<IIQ")  # position, key size, page
_LEAF = struct.Struct("<IIII")  # flags, position, key size, value size
_BUCKET = struct.Struct("<QQ")  # root, sequence
_IS_BRANCH, _IS_LEAF = 0x01, 0x02
_IS_BUCKET = 0x01
# Deeper than any tree of 64-bit page numbers: a loop is what would get there.
_DEEPEST = 64


class Damaged(Exception):
    """The file is no whole database; the text says where it breaks."""


@dataclass(frozen=True)
class Meta:
    """A valid meta page. ``pages`` is the high water mark: no page has this number or a higher one."""

    page_size: int
    root: int
    pages: int
    transaction: int


@dataclass(frozen=True)
class Bucket:
    """A bucket's number of entries and its last key (empty without entries)."""

    entries: int
    last_key: bytes


class Bolt:
    """A database of this many bytes; ``buckets`` walks all of it. Raises Damaged as soon as something does not fit."""

    def __init__(self, data: mmap.mmap | bytes, size: int) -> None:
        self._data = data
        self._size = size
        self.meta = self._newest_meta()
        if self.meta.pages * self.meta.page_size > size:
            raise Damaged(f"it has {self.meta.pages} pages of {self.meta.page_size} bytes, and the file ends after {size} bytes")
        self._seen = bytearray(self.meta.pages // 8 + 1)

    def buckets(self) -> dict[bytes, Bucket]:
        """Every bucket of the database by its name. Each page of each tree is looked at once."""
        found = {}
        for offset, length in self._leaves(self.meta.root, 0):
            for flags, key, value in self._elements(offset, length):
                if flags & _IS_BUCKET:
                    found[key] = self._bucket(*value)
        return found

    def _newest_meta(self) -> Meta:
        metas = [meta for meta in (self._meta(0), *(self._meta(size) for size in (4096, 8192, 16384, 65536))) if meta is not None]
        if not metas:
            raise Damaged("none of its two meta pages is valid")
        return max(metas, key=lambda meta: meta.transaction)

    def _meta(self, offset: int) -> Meta | None:
        start = offset + _PAGE.size
        if start + _META.size > self._size:
            return None
        magic, version, page_size, _flags, root, _sequence, _freelist, pages, transaction, checksum = _META.unpack_from(self._data, start)
        if magic != _MAGIC or version != _VERSION or page_size < 512 or offset not in (0, page_size):
            return None
        if checksum != _fnv1a(self._data[start : start + _CHECKED_BYTES]):
            return None
        return Meta(page_size, root, pages, transaction)

    def _bucket(self, offset: int, length: int) -> Bucket:
        if length < _BUCKET.size:
            raise Damaged("a bucket has no header")
        (root, _sequence) = _BUCKET.unpack_from(self._data, offset)
        leaves = self._leaves(root, 0) if root else iter([(offset + _BUCKET.size, length - _BUCKET.size)])
        entries, last_key = 0, b""
        for page, room in leaves:
            _id, flags, count, _overflow = self._header(page, room)
            if not flags & _IS_LEAF:
                raise Damaged("an inline bucket is no leaf")
            entries += count
            if count:
                last_key = self._element(page, room, count - 1)[1]
        return Bucket(entries, last_key)

    def _leaves(self, number: int, depth: int) -> Iterator[tuple[int, int]]:
        """Offset and length of every page of leaves below a page, in the order of their keys."""
        offset, length, flags, count = self._page(number)
        if depth > _DEEPEST:
            raise Damaged(f"page {number} is in a loop")
        if flags & _IS_LEAF:
            yield offset, length
            return
        if not flags & _IS_BRANCH:
            raise Damaged(f"page {number} is neither branch nor leaf")
        if _PAGE.size + count * _BRANCH.size > length:
            raise Damaged(f"page {number} has more branches than it has room for")
        for index in range(count):
            _position, _size, child = _BRANCH.unpack_from(self._data, offset + _PAGE.size + index * _BRANCH.size)
            yield from self._leaves(child, depth + 1)

    def _page(self, number: int) -> tuple[int, int, int, int]:
        """Offset, length, flags and count of a page that no other one has led to yet."""
        if not 2 <= number < self.meta.pages:
            raise Damaged(f"page {number} does not exist")
        byte, bit = number >> 3, 1 << (number & 7)
        if self._seen[byte] & bit:
            raise Damaged(f"page {number} is used twice")
        self._seen[byte] |= bit
        offset = number * self.meta.page_size
        identity, flags, count, overflow = _PAGE.unpack_from(self._data, offset)
        if identity != number:
            raise Damaged(f"page {number} says that it is page {identity}")
        if number + overflow >= self.meta.pages:
            raise Damaged(f"page {number} goes on behind the end of the database")
        return offset, (overflow + 1) * self.meta.page_size, flags, count

    def _header(self, offset: int, length: int) -> tuple[int, int, int, int]:
        if length < _PAGE.size:
            raise Damaged("a bucket has no page")
        header: tuple[int, int, int, int] = _PAGE.unpack_from(self._data, offset)
        return header

    def _elements(self, offset: int, length: int) -> Iterator[tuple[int, bytes, tuple[int, int]]]:
        count = self._header(offset, length)[2]
        for index in range(count):
            yield self._element(offset, length, index)

    def _element(self, offset: int, length: int, index: int) -> tuple[int, bytes, tuple[int, int]]:
        """Flags, key, and offset and length of the value of one leaf."""
        within = _PAGE.size + index * _LEAF.size
        if within + _LEAF.size > length:
            raise Damaged("a page has more leaves than it has room for")
        flags, position, key_size, value_size = _LEAF.unpack_from(self._data, offset + within)
        if within + position + key_size + value_size > length:
            raise Damaged("a leaf ends behind its page")
        start = offset + within + position
        return flags, self._data[start : start + key_size], (start + key_size, value_size)


def _fnv1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value
