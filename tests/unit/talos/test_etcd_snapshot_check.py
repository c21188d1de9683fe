"""What is a whole snapshot of etcd, and what is none."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from bolt_file import LEAF, PAGE, branch, bucket, database, inline_bucket, leaf, meta, page, revision, snapshot

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_bolt import Bolt
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_check import Content, check


def checked(directory: Path, data: bytes) -> Content:
    path = directory / "snapshot"
    path.write_bytes(data)
    with path.open("rb") as file:
        # As when it is taken: the file has no name any more.
        path.unlink()
        return check(file, where="m2")


def test_a_whole_one(tmp_path: Path) -> None:
    data = snapshot(database())
    assert checked(tmp_path, data) == Content(revision=41, keys=5, size=len(data))


def test_the_newer_of_two_meta_pages_counts(tmp_path: Path) -> None:
    pages = {"page1": meta(1, root=3, pages=8, transaction=9), "page3": leaf(3, [(1, b"key", bucket(7))])}
    data = database(**pages) + leaf(7, [(0, revision(42), b"e")])
    assert checked(tmp_path, snapshot(data)).revision == 42


def test_pages_that_overflow_and_buckets_inline(tmp_path: Path) -> None:
    big = page(7, LEAF, 1, b"\0" * 4 + (16).to_bytes(4, "little") + (17).to_bytes(4, "little") + (9000).to_bytes(4, "little") + revision(50), overflow=2)
    pages = {"page0": meta(0, root=3, pages=10, transaction=8), "page4": branch(4, [5, 6, 7])}
    assert checked(tmp_path, snapshot(database(**pages) + big)) == Content(50, 6, 10 * PAGE + 32)
    inline = database(page3=leaf(3, [(1, b"key", inline_bucket([(0, revision(4), b"x")]))]))
    assert checked(tmp_path, snapshot(inline)) == Content(4, 1, 7 * PAGE + 32)


def test_buckets_by_name() -> None:
    data = database()
    assert {name: found.entries for name, found in Bolt(data, len(data)).buckets().items()} == {b"key": 5, b"meta": 1}


WHOLE = snapshot(database())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no database"),
        (b"\0" * 32, "no database"),
        (WHOLE[:-32], "no database"),
        (WHOLE[:-512], "the snapshot's checksum"),
        (WHOLE[: 3 * PAGE] + WHOLE[-32:], "the snapshot's checksum"),
        (WHOLE[:5000] + bytes([WHOLE[5000] ^ 1]) + WHOLE[5001:], "the snapshot's checksum"),
        (snapshot(b"\0" * PAGE), "none of its two meta pages"),
        (snapshot(b"no database at all".ljust(PAGE)), "none of its two meta pages"),
        (snapshot(database()[: 6 * PAGE]), "7 pages of 4096 bytes, and the file ends"),
        (snapshot(database(page0=meta(0, root=99, pages=7, transaction=8))), "page 99 does not exist"),
        (snapshot(database(page5=leaf(6, [(0, revision(2), b"a")]))), "page 5 says that it is page 6"),
        (snapshot(database(page4=branch(4, [5, 5]))), "page 5 is used twice"),
        (snapshot(database(page4=branch(4, [5, 4]))), "page 4 is used twice"),
        (snapshot(database(page5=page(5, 0, 1, b""))), "neither branch nor leaf"),
        (snapshot(database(page6=page(6, LEAF, 1, b"", overflow=4)[:PAGE])), "page 6 goes on behind the end"),
        (snapshot(database(page6=page(6, LEAF, 60000, b""))), "more leaves than it has room for"),
        (snapshot(database(page6=page(6, LEAF, 1, b"\xff" * 16))), "a leaf ends behind its page"),
        (snapshot(database(page4=page(4, 1, 60000, b""))), "more branches than it has room for"),
        (snapshot(database(page3=leaf(3, [(1, b"key", b"short")]))), "a bucket has no header"),
        (snapshot(database(page3=leaf(3, [(1, b"meta", bucket(4))]))), "there is no key in it"),
        (snapshot(database(page3=leaf(3, [(1, b"key", inline_bucket([]))]))), "there is no key in it"),
        (snapshot(database(page6=leaf(6, [(0, b"short", b"")]))), "its keys are no revisions"),
    ],
    # The data itself would make names of megabytes.
    ids=itertools.count(),
)
def test_what_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=f"^m2: .*{reason}"):
        checked(tmp_path, data)
