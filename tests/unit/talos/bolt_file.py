"""A database of bbolt, written page by page, so that tests can break it in one place."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

PAGE = 4096
BRANCH, LEAF, META, FREELIST = 1, 2, 4, 16


def fnv1a(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) % (1 << 64)
    return value


def page(number: int, flags: int, count: int, body: bytes, *, overflow: int = 0) -> bytes:
    return (struct.pack("<QHHI", number, flags, count, overflow) + body).ljust(PAGE * (overflow + 1), b"\0")


def leaf_body(items: Sequence[tuple[int, bytes, bytes]]) -> bytes:
    headers, data = b"", b""
    for index, (flags, key, value) in enumerate(items):
        headers += struct.pack("<IIII", flags, 16 * (len(items) - index) + len(data), len(key), len(value))
        data += key + value
    return headers + data


def leaf(number: int, items: Sequence[tuple[int, bytes, bytes]]) -> bytes:
    return page(number, LEAF, len(items), leaf_body(items))


def branch(number: int, children: Sequence[int]) -> bytes:
    headers = b"".join(struct.pack("<IIQ", 16 * (len(children) - index), 0, child) for index, child in enumerate(children))
    return page(number, BRANCH, len(children), headers)


def meta(number: int, *, root: int, pages: int, transaction: int, checksum: int | None = None) -> bytes:
    checked = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, PAGE, 0, root, 0, 2, pages, transaction)
    return page(number, META, 0, checked + struct.pack("<Q", fnv1a(checked) if checksum is None else checksum))


def revision(main: int, sub: int = 0) -> bytes:
    return struct.pack(">Q", main) + b"_" + struct.pack(">Q", sub)


def bucket(root: int) -> bytes:
    return struct.pack("<QQ", root, 0)


def inline_bucket(items: Sequence[tuple[int, bytes, bytes]]) -> bytes:
    return bucket(0) + struct.pack("<QHHI", 0, LEAF, len(items), 0) + leaf_body(items)


def database(**changes: bytes) -> bytes:
    """Five keys in two leaves below a branch, and an inline bucket. ``changes`` replace a page: ``page4=...``."""
    pages = [
        meta(0, root=3, pages=7, transaction=8),
        # A newer one that was not written to its end, as a power cut leaves it: the older one counts.
        meta(1, root=99, pages=7, transaction=9, checksum=1),
        page(2, FREELIST, 0, b""),
        leaf(3, [(1, b"key", bucket(4)), (1, b"meta", inline_bucket([(0, b"consistent_index", b"\0" * 8)]))]),
        branch(4, [5, 6]),
        leaf(5, [(0, revision(2), b"a"), (0, revision(3), b"b"), (0, revision(3, 1), b"c")]),
        leaf(6, [(0, revision(7), b"d"), (0, revision(41) + b"t", b"")]),
    ]
    for name, changed in changes.items():
        pages[int(name.removeprefix("page"))] = changed
    return b"".join(pages)


def snapshot(data: bytes) -> bytes:
    """As etcd sends it."""
    return data + hashlib.sha256(data).digest()
