"""The format of encrypted backups."""

from __future__ import annotations

import io
import itertools
import json

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_seal import CHUNK_BYTES, MAGIC, Header, read_header, seal, unseal

HEADER = Header("lab", "2026-11-30T11:52:00+00:00", "192.0.2.12", 41, 5, 28704)
PASSWORD = "hunter2hunter2"


def sealed(plain: bytes, password: str = PASSWORD) -> bytes:
    target = io.BytesIO()
    seal(io.BytesIO(plain), target, HEADER, password)
    return target.getvalue()


def opened(data: bytes, password: str = PASSWORD) -> tuple[bytes, Header]:
    target = io.BytesIO()
    header = unseal(io.BytesIO(data), target, password, where="x.backup")
    return target.getvalue(), header


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_there_and_back(size: int) -> None:
    plain = bytes(range(256)) * (size // 256) + bytes(size % 256)
    data = sealed(plain)
    assert opened(data) == (plain, HEADER)
    assert plain[:64] not in data or size < 64


def test_the_header_is_read_without_a_password() -> None:
    assert read_header(io.BytesIO(sealed(b"x")), where="x.backup") == HEADER


def test_the_same_snapshot_is_never_encrypted_the_same_way() -> None:
    assert sealed(b"x" * 100)[-116:] != sealed(b"x" * 100)[-116:]


BODY = bytes(2 * CHUNK_BYTES + 10)
WHOLE = sealed(BODY)
START = len(WHOLE) - len(BODY) - 3 * 16
FIRST, SECOND, LAST = WHOLE[START : START + CHUNK_BYTES + 16], WHOLE[START + CHUNK_BYTES + 16 : -26], WHOLE[-26:]


def with_header(**changes: object) -> bytes:
    line = json.loads(WHOLE[len(MAGIC) : START])
    return MAGIC + json.dumps({**line, **changes}).encode() + b"\n" + WHOLE[START:]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"$ANSIBLE_VAULT;1.1;AES256\n", "no backup of etcd"),
        (b"", "no backup of etcd"),
        (MAGIC, "its header cannot be read"),
        (MAGIC + b"[]\n", "its header cannot be read"),
        (MAGIC + b"{}\n", "its header is not whole"),
        (WHOLE[: START + 1000], "from byte 0 on"),
        (WHOLE[:-26], "from byte 1048576 on"),
        (WHOLE[:-1], "from byte 2097152 on"),
        (WHOLE + b"more", "from byte 2097152 on"),
        (WHOLE[:START], "from byte 0 on"),
        (WHOLE[:START] + SECOND + FIRST + LAST, "from byte 0 on"),
        (WHOLE[:START] + FIRST + FIRST + SECOND + LAST, "from byte 1048576 on"),
        (WHOLE[:START] + FIRST + LAST, "from byte 1048576 on"),
        (with_header(cluster="other"), "from byte 0 on"),
        (with_header(revision="many"), "from byte 0 on"),
        (with_header(prefix="AAAA"), "its header is not whole"),
        (with_header(salt="?"), "its header is not whole"),
    ],
    # The data itself would make names of megabytes.
    ids=itertools.count(),
)
def test_what_was_changed_is_found(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=f"^x.backup: .*{reason}"):
        opened(data)


def test_another_password_opens_nothing() -> None:
    with pytest.raises(InputError, match="the vault password does not open this backup"):
        opened(WHOLE, "another")
