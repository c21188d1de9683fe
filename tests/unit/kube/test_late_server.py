# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An operator has made a definition, one API server serves its kind, and another has not learned of it yet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, from_status
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Request
from ansible_collections.trinode.platform.plugins.module_utils.kube.sender import Sender
from ansible_collections.trinode.platform.plugins.module_utils.kube.waves import wanted

GEARS = Resource("example.org/v1", "Gear", "gears", False)
GEAR = {"apiVersion": "example.org/v1", "kind": "Gear", "metadata": {"name": "x"}}
EARLY, LATE = "http://192.0.2.1:6443", "http://192.0.2.2:6443"
NOT_SERVED = (404, b"404 page not found\n")
NO_OBJECT = (404, b'{"kind": "Status", "reason": "NotFound", "message": "gears \\"x\\" not found", "details": {"name": "x"}}')


def client(answers: dict[str, tuple[int, bytes]], asked: list[str]) -> Client:
    """A client whose servers give these answers."""

    def request(_method: str, url: str, **_: Any) -> SimpleNamespace:
        server = url.partition("/apis")[0]
        asked.append(server)
        status, data = answers[server]
        return SimpleNamespace(status=status, data=data, headers={})

    configuration: Any = SimpleNamespace(host=EARLY, auth_settings=dict)
    pool: Any = SimpleNamespace(request=request)
    return Client(configuration, pool, Deadline(300), list(answers))


def test_another_server_is_asked() -> None:
    asked: list[str] = []
    there = client({EARLY: (200, b'{"kind": "Gear"}'), LATE: NOT_SERVED}, asked)
    for _ in range(2):
        assert there.get(GEARS.path(name="x")) == {"kind": "Gear"}
    assert LATE in asked


def test_an_object_that_is_not_there_is_asked_for_once() -> None:
    asked: list[str] = []
    with pytest.raises(ApiError) as refused:
        client({EARLY: NO_OBJECT, LATE: NO_OBJECT}, asked).get(GEARS.path(name="x"))
    assert refused.value.not_found
    assert len(asked) == 1


def test_a_kind_that_nobody_serves_is_asked_for_of_each() -> None:
    asked: list[str] = []
    with pytest.raises(ApiError) as refused:
        client({EARLY: NOT_SERVED, LATE: NOT_SERVED}, asked).get(GEARS.path(name="x"))
    assert refused.value.kind_missing
    assert sorted(asked) == [EARLY, LATE]


UNKNOWN_FIELD = (500, {"message": "failed to create typed patch object (/x; example.org/v1, Kind=Gear): .spec.teeth: field not declared in schema"})


def sending(answers: list[Any], resource: Resource = GEARS) -> Sender:
    """A sender whose server gives these answers, one after the other."""

    def request(*_args: Any, **_options: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    there: Any = SimpleNamespace(request=request, server=EARLY)
    nothing: Any = SimpleNamespace(read=lambda _key: None, namespaces=set())
    return Sender(there, Request(), {(resource.api_version, resource.kind): resource}, nothing, Deadline(300))


@pytest.mark.parametrize("refusal", [NOT_SERVED, UNKNOWN_FIELD])
def test_an_object_is_sent_again_until_its_kind_is_known(refusal: tuple[int, Any]) -> None:
    answers: list[Any] = [from_status(*refusal, request="PATCH", where="x")] * 3 + [{**GEAR, "metadata": {"name": "x", "resourceVersion": "1"}}]
    assert sending(answers).send(wanted(GEAR)).action == "created"
    assert not answers


def test_an_unknown_field_of_a_built_in_kind_is_refused_at_once() -> None:
    answers: list[Any] = [from_status(*UNKNOWN_FIELD, request="PATCH", where="x")] * 2
    with pytest.raises(ApiError, match=r"\.spec\.teeth: field not declared in schema.* Correct the field's name"):
        sending(answers, Resource("v1", "Pod", "pods", False)).send(wanted({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}))
    assert len(answers) == 1
