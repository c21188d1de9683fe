"""Backups in a bucket, against a small store that checks signatures as S3 does."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, InputError, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.s3 import Keys, presigned
from ansible_collections.trinode.platform.plugins.module_utils.talos import etcd_snapshot_bucket
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_bucket import Bucket, check_url

KEYS = Keys("access", "hunter2hunter2")


class Store(ThreadingHTTPServer):
    """Objects and unfinished uploads of one bucket. ``fail``: statuses of the next answers; ``lose``: cut what is put by this many bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.fail: list[int] = []
        self.lose = 0
        self.page = 1000


class Handler(BaseHTTPRequestHandler):
    server: Store

    def log_message(self, *_arguments: Any) -> None:
        pass

    def _signed(self, path: str, query: list[tuple[str, str]]) -> bool:
        given = dict(query)
        own = [(name, value) for name, value in query if not name.startswith("X-Amz-")]
        then = datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        wanted = presigned(self.command, self.headers["Host"], path, KEYS, then, seconds=int(given["X-Amz-Expires"]), region="eu-central-1", parameters=own)
        return wanted[-1][1] == given["X-Amz-Signature"]

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qsl(parts.query, keep_blank_values=True)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.fail:
            return self._answer(self.server.fail.pop(0), b"<Error><Code>Busy</Code><Message>not &amp; now</Message></Error>")
        if not self._signed(path, query):
            return self._answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
        _empty, _bucket, key = path.split("/", 2) if path.count("/") > 1 else ("", "", "")
        return self._object(key, dict(query), body)

    def _object(self, key: str, query: dict[str, str], body: bytes) -> None:  # noqa: PLR0911  one return a kind of request
        store = self.server
        if "list-type" in query:
            names = sorted(name for name in store.objects if name.startswith(query["prefix"]) and name > query.get("continuation-token", ""))
            shown = names[: store.page]
            token = f"<NextContinuationToken>{shown[-1]}</NextContinuationToken>" if len(shown) < len(names) else ""
            listed = "".join(f"<Contents><Key>{name}</Key></Contents>" for name in shown)
            return self._answer(200, f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{listed}{token}</ListBucketResult>'.encode())
        if self.command == "POST" and "uploads" in query:
            store.uploads["u1"] = {}
            return self._answer(200, b"<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>")
        if self.command == "POST":
            parts = store.uploads.pop(query["uploadId"])
            assert body.count(b"<Part>") == len(parts)
            store.objects[key] = b"".join(parts[number] for number in sorted(parts))
            return self._answer(200, b"<CompleteMultipartUploadResult/>")
        if self.command == "PUT" and "uploadId" in query:
            store.uploads[query["uploadId"]][int(query["partNumber"])] = body
            return self._answer(200, ETag=f'"{query["partNumber"]}"')
        if self.command == "PUT":
            store.objects[key] = body[: len(body) - store.lose]
            return self._answer(200)
        if self.command == "DELETE":
            (store.uploads if "uploadId" in query else store.objects).pop(query.get("uploadId", key), None)  # type: ignore[attr-defined]
            return self._answer(204)
        if key not in store.objects:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        found = store.objects[key]
        return self._answer(200, found if self.command == "GET" else b"", Content_Length=str(len(found)))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815  http.server's names


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deadline, "pause", lambda _self, _seconds: None)


def bucket(store: Store, keys: Keys = KEYS) -> Bucket:
    # Without TLS, which the module refuses.
    return Bucket(f"http://127.0.0.1:{store.server_address[1]}/backups/lab", keys, region="eu-central-1", deadline=Deadline(300))


def test_there_and_back(store: Store, tmp_path: Path) -> None:
    (tmp_path / "sealed").write_bytes(b"x" * 1000)
    place = bucket(store)
    place.put("etcd-lab-1.backup", str(tmp_path / "sealed"))
    store.objects["lab/notes"] = store.objects["other/etcd-lab-0.backup"] = b""
    assert place.names() == ["etcd-lab-1.backup"]
    assert place.where("etcd-lab-1.backup").endswith("/backups/lab/etcd-lab-1.backup")
    target = io.BytesIO()
    place.fetch("etcd-lab-1.backup", target)
    assert target.getvalue() == b"x" * 1000
    place.remove("etcd-lab-1.backup")
    place.remove("etcd-lab-1.backup")
    assert place.names() == []


def test_a_large_one_goes_in_parts(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_snapshot_bucket, "PART_BYTES", 10)
    (tmp_path / "sealed").write_bytes(bytes(range(25)))
    bucket(store).put("etcd-lab-1.backup", str(tmp_path / "sealed"))
    assert store.objects == {"lab/etcd-lab-1.backup": bytes(range(25))}
    assert store.uploads == {}


def test_parts_of_what_fails_are_dropped(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_snapshot_bucket, "PART_BYTES", 10)
    (tmp_path / "sealed").write_bytes(bytes(25))
    place = bucket(store)
    sent = place._send
    numbers = iter(range(100))

    def send(*arguments: Any, **keywords: Any) -> Any:
        if next(numbers) == 3:
            store.fail = [403]
        return sent(*arguments, **keywords)

    monkeypatch.setattr(place, "_send", send)
    with pytest.raises(InputError, match="does not allow us to write the backup: Busy: not & now"):
        place.put("etcd-lab-1.backup", str(tmp_path / "sealed"))
    assert (store.objects, store.uploads) == ({}, {})


def test_long_lists(store: Store) -> None:
    store.page = 2
    store.objects = {f"lab/etcd-lab-{number}.backup": b"" for number in range(5)}
    assert len(bucket(store).names()) == 5


def test_a_busy_store_is_asked_again(store: Store) -> None:
    store.fail = [503, 500]
    assert bucket(store).names() == []
    store.fail = [503, 503, 503]
    with pytest.raises(CommandError, match="could not list the bucket: Busy: not & now"):
        bucket(store).names()


def test_what_lost_bytes_is_no_backup(store: Store, tmp_path: Path) -> None:
    store.lose = 1
    (tmp_path / "sealed").write_bytes(b"x" * 1000)
    with pytest.raises(CommandError, match="the store has 999 bytes of it, 1000 were sent"):
        bucket(store).put("etcd-lab-1.backup", str(tmp_path / "sealed"))


def test_nothing_is_replaced(store: Store, tmp_path: Path) -> None:
    store.objects["lab/etcd-lab-1.backup"] = b"old"
    (tmp_path / "sealed").write_bytes(b"new")
    with pytest.raises(RefusedError, match="there is a backup of this second already"):
        bucket(store).put("etcd-lab-1.backup", str(tmp_path / "sealed"))
    assert store.objects["lab/etcd-lab-1.backup"] == b"old"


def test_failures_are_explained(store: Store) -> None:
    with pytest.raises(InputError, match=r"SignatureDoesNotMatch.*Check the keys"):
        bucket(store, Keys("access", "another")).names()
    with pytest.raises(InputError, match="NoSuchKey"):
        bucket(store).fetch("none.backup", io.BytesIO())
    closed = Bucket("http://127.0.0.1:1/backups", KEYS, region="x", deadline=Deadline(5))
    with pytest.raises(ConnectionFailed, match="could not list the bucket"):
        closed.names()
    with pytest.raises(InputError, match="no certificate in PEM"):
        Bucket("https://192.0.2.1/backups", KEYS, region="x", deadline=Deadline(5), authority="-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    with pytest.raises(PlatformError) as caught:
        bucket(store, Keys("access", "hunter3hunter3")).names()
    assert "hunter3" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("https://s3.example.com/backups", ""),
        ("https://s3.example.com:9000/backups/lab/etcd", ""),
        ("http://s3.example.com/backups", "is not an https URL"),
        ("https://s3.example.com", "names no bucket"),
        ("https://s3.example.com/B", "names no bucket"),
        ("https://u:p@s3.example.com/backups", "more than host"),
        ("https://s3.example.com/backups?x=1", "more than host"),
    ],
)
def test_urls(url: str, wrong: str) -> None:
    assert (wrong in check_url(url)) if wrong else check_url(url) == ""
