"""Delivery by Argo CD as component_deliver sees it. What Argo CD and the API server say is simulated; contract and lab tests have the real ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import PAUSED
from ansible_collections.trinode.platform.plugins.module_utils.argocd.arrival import Arrived
from ansible_collections.trinode.platform.plugins.module_utils.component import definition as definitions
from ansible_collections.trinode.platform.plugins.module_utils.component import deliver, handed_over
from ansible_collections.trinode.platform.plugins.module_utils.component.contents import Contents
from ansible_collections.trinode.platform.plugins.module_utils.component.result import Result
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog

DEFINITION = definitions.read(
    {
        "name": "loki",
        "title": "Loki",
        "namespace": "loki",
        "needs": ["cilium"],
        "resources": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "loki"}}],
    }
)
NOTED = {**deliver.note(DEFINITION, "r1"), "delivery": "argo_cd"}


class Applications:
    """As much of the class of that name as is needed."""

    client = None
    deadline = None
    namespace = "argocd"

    def __init__(self, annotations: dict[str, str]) -> None:
        self.annotations = annotations
        self.paused: list[bool] = []
        self.gone = False
        self.root: dict[str, Any] | None = None

    def read(self, name: str) -> dict[str, Any] | None:
        if name == "platform":
            return self.root
        assert name == "loki"
        return None if self.gone else {"metadata": {"name": name, "annotations": self.annotations}}

    def pause(self, name: str, *, paused: bool) -> None:
        assert name == "loki"
        self.paused.append(paused)


class Cluster:
    """What the component's ConfigMap holds, what Argo CD comes to, and what is written back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, noted: dict[str, str], *, synced: bool, annotations: dict[str, str] | None = None) -> None:
        self.applications = Applications(annotations or {})
        self.written: list[dict[str, Any]] = []
        self.asked = 0
        monkeypatch.setattr(handed_over.applyset, "read", lambda *_: SimpleNamespace(data=noted) if noted else None)
        monkeypatch.setattr(handed_over.arrival, "present", lambda *_, **__: self._arrive(synced=synced))
        monkeypatch.setattr(handed_over.Access, "merge", lambda access, _item, change: None if access._check else self.written.append(change["data"]))

    def _arrive(self, *, synced: bool) -> Arrived:
        self.asked += 1
        return Arrived(changed=synced, revision="abc")

    def present(self, revision: str, *, check: bool = False) -> Result | None:
        contents = Contents([], [], revision)
        return handed_over.present(self.applications, DEFINITION, contents, RunLog(""), lambda _revision: True, check=check)  # type: ignore[arg-type]


@pytest.mark.parametrize("noted", [{}, deliver.note(DEFINITION, "r1")])
def test_what_is_not_handed_over_is_left_to_others(monkeypatch: pytest.MonkeyPatch, noted: dict[str, str]) -> None:
    cluster = Cluster(monkeypatch, noted, synced=False)
    assert cluster.present("r1") is None
    assert (cluster.asked, cluster.written) == (0, [])


@pytest.mark.parametrize(
    ("root", "left"),
    [
        ({"status": {"resources": [{"name": "cilium"}]}}, True),
        # Somebody has deleted it, and the root Application makes it again.
        ({"status": {"resources": [{"name": "cilium"}, {"name": "loki"}]}}, False),
        # Argo CD itself is gone: to be said, not to be passed over.
        (None, False),
    ],
)
def test_what_was_taken_out_of_git_is_left_to_others(monkeypatch: pytest.MonkeyPatch, root: dict[str, Any] | None, left: bool) -> None:
    """An uninstallation took its Application out, and did not come to its end."""
    cluster = Cluster(monkeypatch, NOTED, synced=False)
    cluster.applications.gone, cluster.applications.root = True, root
    assert (cluster.present("r1") is None) == left
    assert cluster.asked == (0 if left else 1)


def test_nothing_new_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, NOTED, synced=False)
    result = cluster.present("r1")
    assert result is not None
    assert not result.changed
    assert cluster.written == []


def test_a_new_revision_is_noted_and_argo_cd_goes_on_delivering(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, NOTED, synced=True)
    result = cluster.present("r2")
    assert result is not None
    assert [str(item.key) for item in result.changes] == ["Application argocd/loki", "ConfigMap kube-system/trinode-component-loki"]
    assert cluster.written == [{"begun": "r2"}, {**NOTED, "revision": "r2", "begun": None}]


@pytest.mark.parametrize(("revision", "begins"), [("r2", []), ("r1", [{"begun": "r1"}]), ("r3", [{"begun": "r3"}])])
def test_an_upgrade_that_was_interrupted_is_gone_on_with_or_taken_back(monkeypatch: pytest.MonkeyPatch, revision: str, begins: list[dict[str, str]]) -> None:
    cluster = Cluster(monkeypatch, {**NOTED, "begun": "r2"}, synced=False)
    result = cluster.present(revision)
    assert result is not None
    assert result.changed
    assert cluster.written == [*begins, {**NOTED, "revision": revision, "begun": None}]


def test_check_mode_predicts_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, NOTED, synced=False, annotations={PAUSED: "true"})
    result = cluster.present("r2", check=True)
    assert result is not None
    assert result.changed
    assert (cluster.written, cluster.applications.paused) == ([], [])


def test_a_pause_ends_when_the_wanted_layout_is_in_git(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(monkeypatch, NOTED, synced=True, annotations={PAUSED: "true"})
    assert cluster.present("r2") is not None
    assert cluster.applications.paused == [False]
