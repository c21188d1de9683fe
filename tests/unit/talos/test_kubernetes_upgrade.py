"""An upgrade of Kubernetes: what is behind, what starts no program, and what comes before talosctl does the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos import kubernetes_upgrade
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import Resource
from ansible_collections.trinode.platform.plugins.module_utils.talos.control_plane_upgrade import SharedAddress
from ansible_collections.trinode.platform.plugins.module_utils.talos.kubernetes_plan import Component

RUNS = [Component("kube-apiserver", "m1", "v1.36.3"), Component("kubelet", "m1", "v1.36.4")]


class Cluster:
    def close(self) -> None: ...


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The programs that were started."""
    found: list[str] = []

    def start(argv: list[str], **_: Any) -> Any:
        found.append(" ".join(argv))
        raise AssertionError(argv)

    monkeypatch.setattr(kubernetes_upgrade, "connect", lambda *_: Cluster())
    monkeypatch.setattr(kubernetes_upgrade, "_look", lambda *_: (RUNS, ["v1.13.8"]))
    monkeypatch.setattr(kubernetes_upgrade, "_calls", lambda *_: [])
    monkeypatch.setattr(kubernetes_upgrade.command, "started", start)
    return found


def request(version: str, *, check_mode: bool = True, machines: Sequence[Talosctl] = (), shared: SharedAddress | None = None) -> kubernetes_upgrade.Request:
    return kubernetes_upgrade.Request(Talosctl("192.0.2.11", talosconfig="talosconfig"), "kubeconfig", "", machines, version, "", check_mode, shared)


def test_check_mode_names_what_is_behind_and_starts_nothing(started: list[str]) -> None:
    told = kubernetes_upgrade.upgrade(request("v1.36.4"), deadline=Deadline(5))
    assert told.behind == (RUNS[0],)
    assert told.output == ()
    assert started == []


def test_check_mode_refuses_as_the_upgrade_does(started: list[str]) -> None:
    for check_mode in (True, False):
        with pytest.raises(RefusedError, match=r"Nothing was touched"):
            kubernetes_upgrade.upgrade(request("v1.35.0", check_mode=check_mode), deadline=Deadline(5))
    assert started == []


def test_otherwise_talosctl_is_started(started: list[str]) -> None:
    with pytest.raises(AssertionError):
        kubernetes_upgrade.upgrade(request("v1.36.4", check_mode=False), deadline=Deadline(5))
    assert "upgrade-k8s --to 1.36.4" in started[0]
    assert "--dry-run" not in started[0]


class Named(Talosctl):
    """talosctl at a machine that only tells the name of its node."""

    def get(self, kind: str, identity: str = "", **_: Any) -> list[Resource]:
        assert kind == "nodename"
        return [Resource("nodename", {"nodename": self.address})]


@pytest.mark.parametrize(
    ("machines", "shared", "first"),
    [
        (["m1", "m2"], SharedAddress("192.0.2.10"), "--dry-run"),  # then API servers, whose machine has the address last
        (["m1"], SharedAddress("192.0.2.10"), "upgrade-k8s"),
        (["m1", "m2"], None, "upgrade-k8s"),
    ],
    ids=["virtual address", "one machine", "no virtual address"],
)
def test_what_comes_first(started: list[str], machines: list[str], shared: SharedAddress | None, first: str) -> None:
    with pytest.raises(AssertionError):
        kubernetes_upgrade.upgrade(request("v1.36.4", check_mode=False, machines=[Named(name) for name in machines], shared=shared), deadline=Deadline(300))
    assert first in started[0]
    assert ("--dry-run" in started[0]) == (first == "--dry-run")


def test_an_api_server_elsewhere_is_refused_before_anything_is_touched(started: list[str]) -> None:
    asked = request("v1.36.4", check_mode=False, machines=[Named("m2"), Named("m3")], shared=SharedAddress("192.0.2.10"))
    with pytest.raises(RefusedError, match=r"endpoints: API servers run on m1 too.*Name all control planes"):
        kubernetes_upgrade.upgrade(asked, deadline=Deadline(300))
    assert started == []
