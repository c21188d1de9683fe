# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster brought to rest and back, with a stand-in for the API and for Ceph's toolbox (both simulated)."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.kube import quiesce
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.quiesce_plan import FLAGS

VOLUME = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}


def item(name: str, namespace: str = "app", **parts: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "annotations": {}, **parts.pop("metadata", {})}, **parts}


def merged(target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merged(target.setdefault(key, {}), value) if isinstance(value, dict) else value
    return target


class Api:
    """Nodes, pods, databases, the CephCluster and what is attached; a pod that is deleted is gone, unless it is one of ``stuck``."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.stuck: set[str] = set()
        self.flags = {"sortbitwise"}
        self.silent = 0
        for name in ("m1", "m2"):
            self.objects[f"/api/v1/nodes/{name}"] = item(name, spec={})
        self.objects["/api/v1/nodes/m2"]["spec"]["unschedulable"] = True
        for name, volumes in (("web", []), ("store", [VOLUME])):
            pod = item(name, spec={"nodeName": "m1", "volumes": volumes}, status={"phase": "Running"})
            self.objects[f"/api/v1/namespaces/app/pods/{name}"] = pod
        instance = item("db-1", spec={"nodeName": "m1", "volumes": [VOLUME]}, status={"phase": "Running"})
        self.objects["/api/v1/namespaces/app/pods/db-1"] = instance
        self.objects["/apis/postgresql.cnpg.io/v1/namespaces/app/clusters/db"] = item("db")
        self.objects["/apis/ceph.rook.io/v1/namespaces/rook-ceph/cephclusters/rook-ceph"] = item("rook-ceph", "rook-ceph")

    def list(self, path: str, params: dict[str, Any] | None = None, *, deadline: Deadline) -> tuple[list[dict[str, Any]], str]:
        group, _slash, plural = path.rpartition("/")
        found = [
            value
            for key, value in self.objects.items()
            if key.rpartition("/")[0].rpartition("/")[2] == plural and key.startswith(group.split("/namespaces")[0])
        ]
        if params and "cnpg.io/cluster=db" in params["labelSelector"]:
            found = [pod for pod in found if pod["metadata"]["name"] == "db-1"]
        assert not deadline.expired or not found
        return copy.deepcopy(found), ""

    def request(self, method: str, path: str, body: Any = None, *, content_type: str = "", deadline: Deadline) -> dict[str, Any]:
        self.calls.append(f"{method} {path.rpartition('/')[2]}")
        if method == "DELETE":
            if path not in self.objects:
                raise ApiError("not found", code=404)
            if path.rpartition("/")[2] not in self.stuck:
                self.objects.pop(path)
            return {}
        merged(self.objects[path], body)
        if path.endswith("/clusters/db") and body["metadata"]["annotations"]["cnpg.io/hibernation"] == "on":
            # The operator's part.
            self.objects.pop("/api/v1/namespaces/app/pods/db-1", None)
        return self.objects[path]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api()

    class Toolbox:
        def __init__(self, _client: Any, namespace: str) -> None:
            assert namespace == "rook-ceph"

        def ceph(self, arguments: Sequence[str], _deadline: Deadline) -> str:
            if made.silent:
                made.silent -= 1
                raise ConnectionFailed("there is no toolbox pod that is ready")
            if arguments[1] == "dump":
                return json.dumps({"flags": ",".join(sorted(made.flags))})
            made.calls.append(" ".join(arguments))
            {"set": made.flags.add, "unset": made.flags.discard}[arguments[1]](arguments[2])
            return ""

    monkeypatch.setattr(quiesce, "Toolbox", Toolbox)
    path = "/apis/ceph.rook.io/v1/namespaces/rook-ceph/cephclusters/rook-ceph"
    monkeypatch.setattr(quiesce.ceph_observe, "find", lambda _client, _deadline: copy.deepcopy(made.objects[path]))
    monkeypatch.setattr(Deadline, "pause", lambda _self, _seconds: None)
    return made


def settle(api: Api, state: str, *, check_mode: bool = False, seconds: float = 20) -> list[str]:
    steps, cordoned = quiesce.settle(api, state, check_mode=check_mode, deadline=Deadline(seconds))  # type: ignore[arg-type]
    assert cordoned == ("m2",)
    return [step.text for step in steps]


def test_to_rest_and_back(api: Api) -> None:
    assert settle(api, "quiesced", check_mode=True) == settle(api, "quiesced")
    # The database's pod went with it; it was there when the plan was made.
    assert api.calls == ["PATCH m1", "PATCH db", "DELETE store", "DELETE db-1", "PATCH rook-ceph", *(f"osd set {flag}" for flag in FLAGS)]
    assert api.flags == {"sortbitwise", *FLAGS}
    assert settle(api, "quiesced") == []
    settle(api, "resumed")
    assert api.flags == {"sortbitwise"}
    assert not api.objects["/api/v1/nodes/m1"]["spec"].get("unschedulable")
    assert api.objects["/api/v1/nodes/m2"]["spec"]["unschedulable"]
    assert api.objects["/apis/postgresql.cnpg.io/v1/namespaces/app/clusters/db"]["metadata"]["annotations"] == {"cnpg.io/hibernation": "off"}
    assert settle(api, "resumed") == []


def test_check_mode_touches_nothing(api: Api) -> None:
    assert settle(api, "quiesced", check_mode=True)
    assert api.calls == []


def test_flags_wait_until_the_volumes_are_gone(api: Api) -> None:
    api.stuck = {"store"}
    with pytest.raises(DeadlineExceeded, match="these still have volumes: app/store"):
        settle(api, "quiesced", seconds=0.5)
    assert api.flags == {"sortbitwise"}
    # The next run goes on.
    api.stuck = set()
    settle(api, "quiesced")
    assert api.flags == {"sortbitwise", *FLAGS}


def test_what_was_set_before_is_not_taken_back(api: Api) -> None:
    api.flags.add("noout")
    settle(api, "quiesced")
    settle(api, "resumed")
    assert api.flags == {"sortbitwise", "noout"}


def test_ceph_is_waited_for_after_a_start(api: Api) -> None:
    settle(api, "quiesced")
    api.silent = 5
    settle(api, "resumed")
    assert api.flags == {"sortbitwise"}


def test_an_api_server_that_has_just_started_is_asked_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(api, "quiesced")
    find, early = quiesce.ceph_observe.find, [ApiError("storage is (re)initializing", code=429)] * 3

    def starting(client: Any, deadline: Deadline) -> Any:
        if early:
            raise early.pop()
        return find(client, deadline)

    monkeypatch.setattr(quiesce.ceph_observe, "find", starting)
    settle(api, "resumed")
    assert api.flags == {"sortbitwise"}
    assert not early
