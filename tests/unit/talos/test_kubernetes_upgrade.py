"""An upgrade of Kubernetes in check mode: it says what is behind, and starts no program."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos import kubernetes_upgrade
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
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


def request(version: str, *, check_mode: bool = True) -> kubernetes_upgrade.Request:
    return kubernetes_upgrade.Request(Talosctl("192.0.2.11", talosconfig="talosconfig"), "kubeconfig", "", [], version, "", check_mode)


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
