# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What services answer through an API server: a small server of ours stands in for it."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.kube import query
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.service_proxy import Request, await_answer

Answer = tuple[int, str]


class Server:
    """Gives its answers in turn, the last for ever; records the paths that were asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.asked: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                status, body = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
                if not status:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                """Not among the tests' output."""

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.http.shutdown()
    started.http.server_close()


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[Client]:
    path = tmp_path / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{server.http.server_port}"}}],
        "users": [{"name": "x", "user": {}}],
    }
    path.write_text(json.dumps(config))
    connected = connect(str(path))
    yield connected
    connected.close()


def refusal(code: int, reason: str, message: str, **details: str) -> Answer:
    return code, json.dumps({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, "details": details})


def expect(text: str) -> query.Query:
    return query.compile(text, option="expect")


def ask(client: Client, seconds: float = 0.3, **more: Any) -> None:
    await_answer(client, Request("monitoring", "web", "http", **more), Deadline(seconds))


def test_the_service_is_asked_through_the_api_server(server: Server, client: Client) -> None:
    server.answers = [(200, "fine")]
    ask(client, path="/a%20b/c?match[]=x&match[]=y&q=sum(up)%20%3E%200&empty=", scheme="https", contains="fine")
    assert server.asked == [
        "/api/v1/namespaces/monitoring/services/https:web:http/proxy/a%20b/c?match%5B%5D=x&match%5B%5D=y&q=sum%28up%29+%3E+0&empty=",
    ]


def test_it_is_asked_again_until_the_answer_is_right(server: Server, client: Client) -> None:
    server.answers = [
        refusal(503, "ServiceUnavailable", 'no endpoints available for service "web"'),
        (0, ""),
        (502, "bad gateway"),
        (200, "not json"),
        (200, '{"status": "starting"}'),
        (200, '{"status": "ready"}'),
    ]
    ask(client, seconds=10, expect=expect("status == 'ready'"))
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("answer", "request_", "text"),
    [
        ((404, "nothing\n here"), {}, "the answer was 404 where 200 was expected: nothing here"),
        ((200, ""), {"contains": "x"}, "the answer 200 does not contain «x», and it was empty"),
        ((200, "y" * 400), {"contains": "x"}, f"does not contain «x»: {'y' * 300}…"),
        ((200, "<html>"), {"expect": expect("a")}, "the answer 200 is not JSON: <html>"),
        ((200, '{"a": []}'), {"expect": expect("length(a) > `0`")}, 'it is not true of the answer 200 that length(a) > `0`: {"a": []}'),
        ((200, '{"b": 1}'), {"expect": expect("length(a) > `0`")}, "it is not true of the answer 200 that"),
        (refusal(404, "NotFound", 'services "web" not found', name="web", kind="services"), {}, 'services "web" not found'),
        (refusal(503, "ServiceUnavailable", "error trying to reach service: dial tcp 10.0.0.1:80: connect: connection refused"), {}, "connection refused"),
        ((0, ""), {}, "no answer to GET"),
    ],
)
def test_what_is_wrong_is_told(server: Server, client: Client, answer: Answer, request_: dict[str, Any], text: str) -> None:
    server.answers = [answer]
    with pytest.raises(DeadlineExceeded) as caught:
        # Long enough for one answer on a busy machine.
        ask(client, path="/x", seconds=1.2, **request_)
    assert "http://web.monitoring:http/x: asked for 1 s, and " in str(caught.value)
    assert text in str(caught.value)


def test_another_status_may_be_the_right_one(server: Server, client: Client) -> None:
    server.answers = [(401, "who are you?")]
    ask(client, status=401)


def test_a_status_object_of_the_service_itself_is_its_answer(server: Server, client: Client) -> None:
    server.answers = [refusal(404, "NotFound", "pods not found", kind="pods")]
    ask(client, status=404)


def test_who_may_not_ask_is_told_at_once(server: Server, client: Client) -> None:
    server.answers = [refusal(403, "Forbidden", 'services "web" is forbidden', kind="services")]
    started = time.monotonic()
    with pytest.raises(ApiError, match="is forbidden"):
        ask(client, seconds=30)
    assert time.monotonic() - started < 5
