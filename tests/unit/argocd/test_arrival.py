# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for Argo CD, which a script plays here."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.argocd import arrival, commits, status
from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import application_of
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import Repository, application
from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import Applications
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError

OLD, NEW, NEWER = "a" * 40, "b" * 40, "c" * 40
Json = dict[str, Any]
Change = Callable[[Json], None]


class Cluster:
    """Applications in memory. Each change that is asked of one (a refresh, a sync) is answered by the next of its ``script``."""

    server = "https://192.0.2.1:6443"

    def __init__(self, *items: Json, script: list[Change | None] | None = None) -> None:
        self.items = {item["metadata"]["name"]: copy.deepcopy(item) for item in items}
        self.script = script or []
        self.asked: list[Json] = []
        self.deadline = Deadline(300)
        self._changed = threading.Condition()
        self._version = 1

    def get(self, path: str, **_: Any) -> Json:
        return copy.deepcopy(self._named(path))

    def list(self, path: str, params: Any = None, **_: Any) -> tuple[list[Json], str]:
        if path.endswith("/pods"):
            return [], "1"
        wanted = (params or {}).get("fieldSelector", "").removeprefix("metadata.name=")
        return [copy.deepcopy(item) for name, item in self.items.items() if wanted in ("", name)], str(self._version)

    def request(self, method: str, path: str, body: Any = None, **_: Any) -> Json:
        item = self._named(path)
        self.asked.append(body)
        for name, value in body.items():
            if name == "metadata":
                item["metadata"].setdefault("annotations", {}).update(value["annotations"])
            else:
                item[name] = value
        self._notify()
        if self.script and (change := self.script.pop(0)) is not None:
            threading.Timer(0.05, self._change, (item, change)).start()
        return copy.deepcopy(item)

    def open_watch(self, path: str, version: str, *_: Any) -> Stream:
        return Stream(self, int(version))

    def wait(self, version: int) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._version > version, timeout=0.2)
            return self._version

    def _change(self, item: Json, change: Change) -> None:
        item["metadata"]["annotations"].pop(status.REFRESH, None)
        item.pop("operation", None)
        change(item)
        self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def _named(self, path: str) -> Json:
        name = path.rpartition("/")[2]
        if name not in self.items:
            raise ApiError(f"{name} not found", code=404, named=name)
        return self.items[name]


class Stream:
    def __init__(self, cluster: Cluster, version: int) -> None:
        self._cluster, self._version, self._open = cluster, version, True

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[tuple[str, Json]]:
        known = set(self._cluster.items)
        while self._open:
            version = self._cluster.wait(self._version)
            if version == self._version:
                continue
            self._version = version
            for name in known - set(self._cluster.items):
                yield "DELETED", {"metadata": {"name": name, "namespace": "argocd", "resourceVersion": str(version)}}
            for item in list(self._cluster.items.values()):
                found = copy.deepcopy(item)
                found["metadata"]["resourceVersion"] = str(version)
                yield "MODIFIED", found

    def close(self) -> None:
        self._open = False


def _application(revision: str = OLD, sync: str = "Synced", health: str = "Healthy", **more: Any) -> Json:
    item = application(application_of("x", "x"), Repository("https://git.example.com/p.git", "main"))
    item["status"] = {"sync": {"status": sync, "revision": revision}, "health": {"status": health}, "resources": [], **more}
    return item


ROOT = {"metadata": {"name": "platform", "namespace": "argocd"}, "spec": {"syncPolicy": {"automated": {}}}, "status": {"sync": {"status": "Synced"}}}


def _failed(revision: str, started: str = "1") -> Json:
    return {"phase": "Failed", "startedAt": started, "message": "it is no good", "operation": {"sync": {"revision": revision}}}


def _becomes(revision: str = NEW, sync: str = "Synced", started: str = "", phase: str = "Succeeded") -> Change:
    def change(item: Json) -> None:
        item["status"]["sync"] = {"status": sync, "revision": revision}
        if started:
            item["status"]["operationState"] = {**_failed(revision, started), "phase": phase}

    return change


def _access(cluster: Cluster) -> Applications:
    client: Any = cluster
    return Applications(client, Deadline(300))


def _knows(commit: str) -> commits.Knows:
    """OLD comes before NEW; of NEWER nothing is known here."""
    return {OLD: commit == OLD, NEW: True}.get


@pytest.fixture(autouse=True)
def nothing_but_applications(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "discover", lambda _client: {})


def test_nothing_to_wait_for_asks_nothing() -> None:
    cluster = Cluster(_application(NEW))
    found = arrival.present(_access(cluster), "x", _knows(NEW))
    assert (found.changed, found.revision, cluster.asked) == (False, NEW, [])


def test_check_mode_only_reads() -> None:
    cluster = Cluster(_application(OLD))
    found = arrival.present(_access(cluster), "x", _knows(NEW), check=True)
    assert (found.changed, found.waiting_for, cluster.asked) == (True, "it is at aaaaaaaa still", [])


@pytest.mark.parametrize(
    ("item", "changed"),
    [
        (_application(NEW, health="Progressing"), False),
        (_application(NEW, sync="OutOfSync"), True),
        # Argo CD could not compare it, when it had the commit, and before.
        (_application(NEW, sync="Unknown", conditions=[{"type": "ComparisonError", "message": "too slow"}]), False),
        (_application(OLD, sync="Unknown", conditions=[{"type": "ComparisonError", "message": "too slow"}]), True),
    ],
)
def test_check_mode_predicts_a_sync_and_not_a_wait(item: Json, changed: bool) -> None:
    found = arrival.present(_access(Cluster(item)), "x", _knows(NEW), check=True)
    assert found.changed is changed
    assert found.waiting_for


@pytest.mark.parametrize(
    ("change", "changed", "revision"),
    [
        (_becomes(started="2"), True, NEW),
        # Nothing of this Application in the commit: no sync.
        (_becomes(), False, NEW),
        # Somebody else has pushed meanwhile.
        (_becomes(NEWER, started="2"), True, NEWER),
    ],
)
def test_a_commit_arrives(change: Change, changed: bool, revision: str) -> None:
    cluster = Cluster(_application(OLD), script=[change])
    found = arrival.present(_access(cluster), "x", _knows(NEW))
    assert (found.changed, found.revision) == (changed, revision)
    assert cluster.asked == [{"metadata": {"annotations": {status.REFRESH: "normal"}}}]


def test_a_sync_that_fails_is_told() -> None:
    cluster = Cluster(_application(OLD), script=[_becomes(sync="OutOfSync", started="2", phase="Failed")])
    with pytest.raises(PlatformError, match="it will not become synced: it is no good"):
        arrival.present(_access(cluster), "x", _knows(NEW))


def test_one_that_failed_before_is_started_again() -> None:
    cluster = Cluster(_application(NEW, "OutOfSync", operationState=_failed(NEW)), script=[_becomes(started="2")])
    assert arrival.present(_access(cluster), "x", _knows(NEW)).changed
    (asked,) = cluster.asked
    assert asked["operation"]["sync"]["revision"] == NEW
    assert "ServerSideApply=true" in asked["operation"]["sync"]["syncOptions"]


def test_argo_cd_that_does_not_react() -> None:
    cluster = Cluster(_application(OLD))
    with pytest.raises(PlatformError) as caught:
        arrival.present(_access(cluster), "x", _knows(NEW), silence=0.2)
    assert "Argo CD does not react" in str(caught.value)
    assert "argocd has no pods of Argo CD. Argo CD can be passed over: -e component_delivery=direct." in str(caught.value)


def test_an_application_that_nobody_makes() -> None:
    with pytest.raises(InputError, match="no root Application"):
        arrival.present(_access(Cluster()), "x", _knows(NEW))


def test_an_application_that_the_root_has_yet_to_make() -> None:
    cluster = Cluster(ROOT)
    made = _application(NEW, operationState={"phase": "Succeeded", "startedAt": "1"})
    cluster.script = [lambda _item: cluster.items.update(x=made)]
    assert arrival.present(_access(cluster), "x", _knows(NEW)).changed


def test_gone() -> None:
    cluster = Cluster(ROOT, _application(NEW))
    assert arrival.absent(_access(cluster), "x", check=True).changed
    assert cluster.asked == []
    cluster.script = [lambda _item: cluster.items.pop("x")]
    assert arrival.absent(_access(cluster), "x").changed
    assert not arrival.absent(_access(cluster), "x").changed


def test_what_would_take_everything_along_is_refused() -> None:
    item = _application(NEW)
    item["metadata"]["finalizers"] = ["resources-finalizer.argocd.argoproj.io"]
    with pytest.raises(RefusedError, match="would be deleted"):
        arrival.absent(_access(Cluster(ROOT, item)), "x")


def test_without_a_root_nobody_deletes() -> None:
    with pytest.raises(InputError, match="nobody deletes it"):
        arrival.absent(_access(Cluster(_application(NEW))), "x")


def test_commits_without_a_repository(tmp_path: Path) -> None:
    knows = commits.containing(NEW, str(tmp_path / "none"), Deadline(5))
    assert [knows(revision) for revision in ("", NEW, OLD)] == [False, True, None]
    assert commits.containing("", "", Deadline(5))(OLD) is True
