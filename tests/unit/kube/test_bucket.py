# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket is tried through an API server. A small server of ours is both: the API server, and the store behind it, which checks every signature."""

from __future__ import annotations

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube import bucket
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.s3 import Keys, presigned

KEYS = Keys("ACCESS", "SECRET/+=")
PLACE = {"BUCKET_NAME": "logs-1234", "BUCKET_HOST": "rook-ceph-rgw-store.rook-ceph.svc", "BUCKET_PORT": "80"}
PROXY = "/api/v1/namespaces/rook-ceph/services/http:rook-ceph-rgw-store:80/proxy"
CLAIM = "/api/v1/namespaces/loki/{}/loki-bucket"


class Store:
    """An object store. ``forget``: what is written is lost; ``spoil``: what is read is not what was written; ``keep``: nothing is deleted."""

    def __init__(self) -> None:
        self.keys = KEYS
        self.objects: dict[str, bytes] = {}
        self.log: list[str] = []
        self.forget = self.spoil = self.keep = False
        self.busy = 0
        self.place: dict[str, str] = dict(PLACE)

    def answer(self, method: str, path: str, query: list[tuple[str, str]], host: str, body: bytes) -> tuple[int, bytes]:
        """As Ceph's gateway answers."""
        given = dict(query)
        signed_at = datetime.strptime(given["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if presigned(method, host, path, self.keys, signed_at, seconds=int(given["X-Amz-Expires"])) != query:
            return 403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
        if self.busy:
            self.busy -= 1
            return 503, b"<Error><Code>SlowDown</Code></Error>"
        self.log.append(method)
        if method == "PUT":
            if not self.forget:
                self.objects[path] = body
            return 200, b""
        if method == "DELETE":
            if not self.keep:
                self.objects.pop(path, None)
            return 204, b""
        if path not in self.objects:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>"
        return 200, self.objects[path][:-1] if self.spoil else self.objects[path]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def client(store: Store, tmp_path: Path) -> Iterator[Client]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            secret = {"AWS_ACCESS_KEY_ID": KEYS.access, "AWS_SECRET_ACCESS_KEY": KEYS.secret}
            claimed = {
                CLAIM.format("configmaps"): store.place,
                CLAIM.format("secrets"): {key: base64.b64encode(value.encode()).decode() for key, value in secret.items()},
            }
            if url.path in claimed:
                status, found = 200, json.dumps({"data": claimed[url.path]}).encode()
            elif url.path.startswith(f"{PROXY}/"):
                path = unquote(url.path).removeprefix(PROXY)
                status, found = store.answer(self.command, path, parse_qsl(url.query), self.headers["Host"], body)
            else:
                status, found = 404, b"{}"
            self.send_response(status)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        do_GET = do_PUT = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Not among the tests' output."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = tmp_path / "kubeconfig"
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "x", "user": {}}],
    }
    path.write_text(json.dumps(config))
    yield connect(str(path))
    server.shutdown()
    server.server_close()


def exercise(client: Client, seconds: float = 20) -> None:
    bucket.exercise(client, "loki", "loki-bucket", Deadline(seconds))


def test_an_object_is_written_read_and_deleted(client: Client, store: Store) -> None:
    exercise(client)
    assert store.log == ["PUT", "GET", "DELETE", "GET"]
    assert store.objects == {}


def test_a_port_of_its_own_is_part_of_what_is_signed(client: Client, store: Store) -> None:
    store.place["BUCKET_PORT"] = "8080"
    found = bucket.read(client, "loki", "loki-bucket", Deadline(300))
    assert found.request("GET", "a", 200, 10).headers == {"Host": f"{PLACE['BUCKET_HOST']}:8080"}


def test_a_store_that_is_busy_is_asked_again(client: Client, store: Store) -> None:
    store.busy = 2
    exercise(client)
    assert store.log == ["PUT", "GET", "DELETE", "GET"]


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("forget", "404 where 200 was expected: <Error><Code>NoSuchKey"),
        ("spoil", "the answer 200 is not what it has to be: 262143 bytes, 262144 were expected"),
        ("keep", "200 where 404 was expected"),
    ],
)
def test_a_store_that_does_not_keep_its_word(client: Client, store: Store, fault: str, text: str) -> None:
    setattr(store, fault, True)
    with pytest.raises(DeadlineExceeded) as failure:
        exercise(client, 3)
    assert failure.match(text)
    assert "X-Amz" not in str(failure.value), "a signature is not for the log"
    assert "DELETE" in store.log, "what was written is taken away after a failure too"


def test_keys_that_the_store_does_not_know(client: Client, store: Store) -> None:
    store.keys = Keys(KEYS.access, "another")
    with pytest.raises(DeadlineExceeded, match="403 where 200 was expected: <Error><Code>SignatureDoesNotMatch"):
        exercise(client, 2)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ({"BUCKET_HOST": "s3.example.org"}, r"the bucket is at s3\.example\.org, which is no service of this cluster"),
        ({"BUCKET_NAME": ""}, "they have no BUCKET_NAME"),
    ],
)
def test_a_bucket_that_cannot_be_asked(client: Client, store: Store, place: dict[str, str], text: str) -> None:
    store.place |= place
    with pytest.raises(InputError, match=text):
        exercise(client)
