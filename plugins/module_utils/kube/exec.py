# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command in a container, as `kubectl exec` runs it: its exit code and what it printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client

if TYPE_CHECKING:
    from websocket import WebSocket

# Each message begins with the number of its channel; the last one says how the command ended.
_PROTOCOL = "v4.channel.k8s.io"
_STDOUT, _STDERR, _STATUS = 1, 2, 3
_CLOSED = 8  # operation code of a WebSocket's closing frame


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it printed."""

    code: int
    output: str
    errors: str


def execute(client: Client, namespace: str, pod: str, command: Sequence[str], deadline: Deadline, *, container: str = "") -> Result:
    """Run ``command`` in a pod, without input, and wait for its end.

    Raises ApiError where the pod is not there or we may not, CommandError where the command cannot be started, ConnectionFailed where the connection broke
    off: the command may have been carried out then. After the deadline (DeadlineExceeded) it may still run.
    """
    params = [("command", argument) for argument in command] + [("stdout", "true"), ("stderr", "true")]
    params += [("container", container)] if container else []
    stream = client.open_stream(f"/api/v1/namespaces/{namespace}/pods/{pod}/exec", params, _PROTOCOL, deadline)
    try:
        return _received(stream, f"pod {namespace}/{pod}", deadline)
    finally:
        stream.close(timeout=0)


def _received(stream: WebSocket, where: str, deadline: Deadline) -> Result:
    import websocket  # noqa: PLC0415  comes with the package kubernetes

    channels: dict[int, bytearray] = {_STDOUT: bytearray(), _STDERR: bytearray(), _STATUS: bytearray()}
    try:
        while True:
            deadline.check("the command did not end", where=where)
            stream.settimeout(max(deadline.remaining, 0.01))
            operation, data = stream.recv_data()
            if operation == _CLOSED:
                break
            if data and data[0] in channels:
                channels[data[0]] += data[1:]
    except websocket.WebSocketTimeoutException as error:
        raise DeadlineExceeded(f"the command did not end within {deadline.seconds:.0f} s", where=where) from error
    except (websocket.WebSocketException, OSError) as error:
        # The server may close without saying so once it has told how the command ended.
        if not channels[_STATUS]:
            raise ConnectionFailed(f"the connection broke off while the command ran: {error}", where=where) from error
    output, errors = (channels[channel].decode("utf-8", "replace") for channel in (_STDOUT, _STDERR))
    return Result(exit_code(bytes(channels[_STATUS]), where), output, errors)


def exit_code(status: bytes, where: str) -> int:
    """The exit code in the status that ends a command. Raises CommandError where there was none to have."""
    try:
        told: Any = json.loads(status)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise ConnectionFailed("the connection ended before the command did", where=where)
    if told.get("status") == "Success":
        return 0
    causes = (told.get("details") or {}).get("causes") or []
    code = next((str(cause.get("message")) for cause in causes if cause.get("reason") == "ExitCode"), "")
    if not code.isdigit():
        raise CommandError(f"the command cannot be run: {told.get('message') or 'no reason given'}", where=where)
    return int(code)
