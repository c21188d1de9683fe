# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Order, placement, retries and messages of apply, without a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.kube import diff, waves
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable, from_status
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried


def thing(kind: str, name: str = "x", **metadata: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **metadata}}


RESOURCES = {("v1", "ConfigMap"): Resource("v1", "ConfigMap", "configmaps", True), ("v1", "Node"): Resource("v1", "Node", "nodes", False)}


@pytest.mark.parametrize(
    ("item", "namespace"),
    [
        (thing("ConfigMap"), "ours"),
        (thing("ConfigMap", namespace="theirs"), "theirs"),
        (thing("Node", namespace="wrong"), None),
        (thing("Gear"), "ours"),
        (thing("Wheel"), None),
    ],
)
def test_where_objects_go(item: dict[str, Any], namespace: str | None) -> None:
    defined = {("v1", "Gear"): True, ("v1", "Wheel"): False}
    kind = (item["apiVersion"], item["kind"])
    there = waves.placed(item, RESOURCES.get(kind), defined.get(kind), "ours")
    assert there["metadata"].get("namespace") == namespace


def failing(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call


def test_what_is_temporary_is_tried_again() -> None:
    webhook = ApiError('failed calling webhook "x": connection refused', code=500)
    assert retried(failing(ApiUnreachable("away"), ApiError("busy", code=429, retry_after=0.1), webhook), Deadline(300), "here") == "done"


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
def test_what_is_refused_is_not_tried_again(code: int) -> None:
    with pytest.raises(ApiError):
        retried(failing(ApiError("no", code=code)), Deadline(300), "here")


def test_retries_end_with_the_deadline_and_say_why() -> None:
    with pytest.raises(DeadlineExceeded, match=r"here: webhook away \(tried until the time of 1 s was over\)"):
        retried(failing(*[ApiError("webhook away", code=503) for _ in range(99)]), Deadline(1), "here")


def test_a_server_that_begins_to_cache_a_kind_is_asked_again_soon() -> None:
    """It asks for a second, as it does when it is too busy, and needs a tenth of it."""

    def asked(message: str) -> float:
        body = {"message": message, "reason": "TooManyRequests", "details": {"retryAfterSeconds": 1}}
        error = from_status(429, body, request="GET /x", where="server", retry_after=1.0)
        assert error.temporary
        return error.retry_after

    assert asked("storage is (re)initializing") == 0.0
    assert asked("too many requests, please try again later") == 1.0


def test_conflicts_of_fields_are_final_and_races_are_not() -> None:
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "kubectl" using apps/v1', "field": ".spec.replicas"}
    fields = from_status(409, {"message": "Apply failed", "reason": "Conflict", "details": {"causes": [cause]}}, request="PATCH /x", where="server")
    assert not fields.temporary
    assert [(conflict.field, conflict.owner) for conflict in fields.field_conflicts] == [(".spec.replicas", "kubectl")]
    assert from_status(409, {"message": "the object has been modified", "reason": "Conflict"}, request="PUT /x", where="server").temporary
    for namespace, temporary in (("kube-system", True), ("elsewhere", False)):
        status = {"message": f'namespaces "{namespace}" not found', "reason": "NotFound", "details": {"name": namespace, "kind": "namespaces"}}
        assert from_status(404, status, request="POST /x", where="server").temporary is temporary


def test_a_proxys_text_is_shown() -> None:
    assert "was answered 502: bad gateway" in str(from_status(502, "bad gateway", request="GET /x", where="server"))


def test_what_the_server_writes_is_no_difference() -> None:
    before = {
        **thing("DaemonSet"),
        "metadata": {"name": "x", "resourceVersion": "1", "generation": 1, "annotations": {"deprecated.daemonset.template.generation": "1"}},
        "status": {"numberReady": 1},
    }
    assert diff.essence(before) == diff.essence(thing("DaemonSet"))
    assert diff.essence(None) == {}


def test_differences_hide_values_of_secrets_but_not_names() -> None:
    before = {**thing("Secret"), "data": {"same": "c2FtZQ==", "gone": "Z29uZQ=="}}
    after = {**thing("Secret"), "data": {"same": "c2FtZQ==", "new": "bmV3"}}
    entry = diff.difference(Key("v1", "Secret", "n", "x"), before, after)
    assert entry["before_header"] == "Secret n/x"
    assert "gone: <hidden>" in entry["before"]
    assert "same: <hidden>\n" in entry["after"]
    assert "new: <hidden, changed>" in entry["after"]
    assert "==" not in str(entry)
