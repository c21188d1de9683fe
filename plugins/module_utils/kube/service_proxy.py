# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service answers over HTTP, asked through the API server: no address of the cluster's own network is needed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.kube import api_errors
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.query import Query
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

# A service that hangs is asked again.
_TRY_SECONDS = 20.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0
_SHOWN = 300


@dataclass(frozen=True)
class Request:
    """A request to a service, and what the answer has to be. ``port`` is a number or a name; ``path`` may have a query.

    ``expect`` has to be true of the JSON body, ``contains`` has to be part of the body, which has to be ``exact``; None and "" ask nothing.
    ``query`` comes after that of the path and is not shown: it may have a signature in it.
    """

    namespace: str
    service: str
    port: str
    path: str = "/"
    scheme: str = "http"
    status: int = 200
    expect: Query | None = None
    contains: str = ""
    method: str = "GET"
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    exact: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        verb = "" if self.method == "GET" else f"{self.method} "
        return f"{verb}{self.scheme}://{self.service}.{self.namespace}:{self.port}{self.path}"


def await_answer(client: Client, request: Request, deadline: Deadline) -> None:
    """Ask until the answer is as it has to be. Raises DeadlineExceeded with the last answer, ApiError where we may not ask."""
    pause, said = _FIRST_PAUSE, ""
    while True:
        try:
            wrong = _ask(client, request, deadline)
        except DeadlineExceeded:
            wrong = said or "no answer"
            raise _late(request, wrong, deadline) from None
        if not wrong:
            return
        if wrong != said:
            progress(f"asking {request} again: {wrong}")
            said = wrong
        if deadline.remaining <= pause:
            raise _late(request, wrong, deadline)
        deadline.pause(pause)
        pause = min(_LONGEST_PAUSE, pause * 1.5)


def _late(request: Request, wrong: str, deadline: Deadline) -> DeadlineExceeded:
    return DeadlineExceeded(f"asked for {deadline.seconds:.0f} s, and {wrong}", where=str(request))


def _ask(client: Client, request: Request, deadline: Deadline) -> str:
    """One try: what is wrong with the answer, or nothing."""
    try:
        status, body = exchange(client, request, deadline.at_most(_TRY_SECONDS))
    except api_errors.ApiUnreachable as error:
        return error.what
    except api_errors.ApiError as error:
        if error.code in (401, 403):
            raise
        return error.what
    except DeadlineExceeded as error:
        if deadline.expired:
            raise
        return error.what
    return judge(request, status, body)


def exchange(client: Client, request: Request, deadline: Deadline) -> tuple[int, bytes]:
    """One request: the service's own status and body, whatever they are. Raises ApiError where the API server itself answers."""
    path, _question, query = request.path.partition("?")
    target = f"/api/v1/namespaces/{request.namespace}/services/{request.scheme}:{request.service}:{request.port}/proxy{unquote(path)}"
    status, body = client.exchange(
        target,
        [*parse_qsl(query, keep_blank_values=True), *request.query],
        method=request.method,
        body=request.body,
        headers=request.headers,
        deadline=deadline,
    )
    refusal = _refusal(status, body, request, client.server)
    if refusal is not None:
        raise refusal
    return status, body


def judge(request: Request, status: int, body: bytes) -> str:
    """What is wrong with a service's answer, in words; empty when it is as it has to be."""
    text = body.decode("utf-8", "replace")
    if status != request.status:
        return f"the answer was {status} where {request.status} was expected{_shown(text)}"
    if request.contains and request.contains not in text:
        return f"the answer {status} does not contain «{request.contains}»{_shown(text)}"
    if request.exact is not None and body != request.exact:
        return f"the answer {status} is not what it has to be: {len(body)} bytes, {len(request.exact)} were expected"
    if request.expect is None:
        return ""
    try:
        data = json.loads(text)
    except ValueError:
        return f"the answer {status} is not JSON{_shown(text)}"
    return "" if request.expect.holds(data) else f"it is not true of the answer {status} that {request.expect.text}{_shown(text)}"


def _refusal(status: int, body: bytes, request: Request, server: str) -> api_errors.ApiError | None:
    """The API server's own answer: it does not find the service, cannot reach it, or does not let us ask."""
    if status < 400 or b'"Status"' not in body:
        return None
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    if not isinstance(answer, Mapping) or answer.get("kind") != "Status" or answer.get("apiVersion") != "v1":
        return None
    details: Any = answer.get("details") or {}
    ours = details.get("kind") == "services" or answer.get("reason") in ("ServiceUnavailable", "Unauthorized", "BadRequest", "InternalError")
    return api_errors.from_status(status, answer, request=f"{'GET ' if request.method == 'GET' else ''}{request}", where=server) if ours else None


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return f": {line[:_SHOWN]}{'…' if len(line) > _SHOWN else ''}" if line else ", and it was empty"
