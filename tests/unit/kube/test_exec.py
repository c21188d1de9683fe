# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in pods: a small server of ours speaks the API server's part of the WebSocket."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.exec import Result, execute

SUCCESS = {"metadata": {}, "status": "Success"}
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def ended(code: int) -> dict[str, object]:
    return {
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


class Server:
    """Answers each exec with ``messages`` [(channel, bytes)], then closes; or refuses with ``refusal``; or says nothing for ``silence`` seconds."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, bytes]] = []
        self.refusal: tuple[int, bytes] = (0, b"")
        self.silence = 0.0
        self.closes = True
        self.asked: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                if server.refusal[0]:
                    self.send_response(server.refusal[0])
                    self.send_header("Content-Length", str(len(server.refusal[1])))
                    self.end_headers()
                    self.wfile.write(server.refusal[1])
                    return
                key = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + MAGIC).encode()).digest()  # noqa: S324  as the protocol has it
                self.send_response(101)
                for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", base64.b64encode(key).decode())):
                    self.send_header(name, value)
                self.send_header("Sec-WebSocket-Protocol", self.headers["Sec-WebSocket-Protocol"])
                self.end_headers()
                time.sleep(server.silence)
                for channel, data in server.messages:
                    self.wfile.write(frame(2, bytes([channel]) + data))
                if server.closes:
                    self.wfile.write(frame(8, b"\x03\xe8"))
                self.wfile.flush()
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Not among the tests' output."""

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


def frame(operation: int, payload: bytes) -> bytes:
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | operation]) + size + payload


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.http.shutdown()
    started.http.server_close()


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[Client]:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.http.server_address[1]}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    connected = connect(str(path))
    yield connected
    connected.close()


def run(client: Client, *command: str, seconds: float = 5, container: str = "") -> Result:
    return execute(client, "rook-ceph", "tools", command or ("true",), Deadline(seconds), container=container)


def test_output_comes_in_parts_and_by_channels(server: Server, client: Client) -> None:
    server.messages = [(1, b"one "), (2, b"warning"), (1, "zwölf".encode()), (3, json.dumps(SUCCESS).encode())]
    assert run(client, "ceph", "-s") == Result(0, "one zwölf", "warning")


def test_the_command_and_the_container_are_told(server: Server, client: Client) -> None:
    server.messages = [(3, json.dumps(SUCCESS).encode())]
    run(client, "sh", "-c", "echo 'a & b' | cat", container="tools")
    path = urlsplit(server.asked[0])
    assert path.path == "/api/v1/namespaces/rook-ceph/pods/tools/exec"
    assert parse_qs(path.query) == {"command": ["sh", "-c", "echo 'a & b' | cat"], "stdout": ["true"], "stderr": ["true"], "container": ["tools"]}


def test_an_exit_code_is_a_result(server: Server, client: Client) -> None:
    server.messages = [(2, b"Error EBUSY: no"), (3, json.dumps(ended(16)).encode())]
    assert run(client) == Result(16, "", "Error EBUSY: no")


def test_output_longer_than_a_frame(server: Server, client: Client) -> None:
    server.messages = [(1, b"x" * 60000)] * 3 + [(3, json.dumps(SUCCESS).encode())]
    assert len(run(client).output) == 180000


def test_a_close_without_a_word_after_the_status_is_no_error(server: Server, client: Client) -> None:
    server.closes = False
    server.messages = [(1, b"done"), (3, json.dumps(SUCCESS).encode())]
    assert run(client) == Result(0, "done", "")


@pytest.mark.parametrize("closes", [True, False])
def test_an_end_without_a_status_is_an_error(server: Server, client: Client, closes: bool) -> None:
    server.closes = closes
    server.messages = [(1, b"half")]
    with pytest.raises(ConnectionFailed, match=r"pod rook-ceph/tools: the connection (ended before the command did|broke off while the command ran)"):
        run(client)


def test_a_command_that_cannot_start(server: Server, client: Client) -> None:
    told = {"status": "Failure", "reason": "InternalError", "message": 'exec: "ceph": executable file not found in $PATH'}
    server.messages = [(3, json.dumps(told).encode())]
    with pytest.raises(CommandError, match=r"the command cannot be run: .*executable file not found"):
        run(client)


def test_a_refusal_is_the_api_servers(server: Server, client: Client) -> None:
    told = {"kind": "Status", "message": 'pods "tools" not found', "reason": "NotFound", "details": {"name": "tools"}}
    server.refusal = (404, json.dumps(told).encode())
    with pytest.raises(ApiError, match='pods "tools" not found') as raised:
        run(client)
    assert raised.value.not_found


def test_silence_ends_at_the_deadline(server: Server, client: Client) -> None:
    server.silence = 3
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="the command did not end within"):
        run(client, seconds=0.5)
    assert time.monotonic() - started < 2.5


def test_no_server(server: Server, client: Client) -> None:
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(ApiUnreachable, match="no answer to"):
        run(client)
