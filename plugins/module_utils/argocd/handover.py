# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Argo CD takes over what was applied directly, once it has been seen that it would change nothing.

What has been done is read from the cluster, so a run that was killed is completed by the next one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from ansible_collections.trinode.platform.plugins.module_utils.argocd import adoption, arrival, status, transfer
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import without_automation
from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import Applications
from ansible_collections.trinode.platform.plugins.module_utils.argocd.attention import SILENCE_SECONDS, Attention
from ansible_collections.trinode.platform.plugins.module_utils.argocd.commits import Knows
from ansible_collections.trinode.platform.plugins.module_utils.argocd.status import Contains
from ansible_collections.trinode.platform.plugins.module_utils.argocd.transfer import Transfer
from ansible_collections.trinode.platform.plugins.module_utils.component import installed
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resources, discover
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Pursuit
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import FIELD_MANAGER, ApplySet
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import READY, Readiness, part, progressing, stuck
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

Step = Literal["hand over", "move", "nothing"]
_SOURCE = ("repoURL", "targetRevision", "path")
_PATIENCE = 3.0
_AT_ONCE = 4


@dataclass(frozen=True)
class Wanted:
    """All as it is in Git: the components' Applications, what they belong to (projects, sets of the user's applications), and the root Application.

    ``tree`` is the directory with the rendered components.
    """

    applications: Sequence[Object]
    others: Sequence[Object]
    root: Object
    tree: str


@dataclass
class Handed:
    """What became of each Application (by name), how many objects changed hands, and what else was written."""

    steps: dict[str, Step] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return bool(self.written) or any(step != "nothing" for step in self.steps.values()) or any(self.objects.values())


def plan(wanted: Sequence[Object], live: Mapping[str, Json]) -> dict[str, Step]:
    """What is to be done with each Application: those that sync by themselves have been handed over. Pure."""
    return {item["metadata"]["name"]: _step(item, live.get(item["metadata"]["name"])) for item in wanted}


def compared(item: Json) -> Readiness:
    """Whether Argo CD has compared the Application as it is now, with whatever result."""
    if status.REFRESH in part(item, "metadata", "annotations"):
        return progressing("Argo CD has not looked at it yet")
    if broken := status.condition(item):
        # The server of repositories may be starting, and a new Argo CD has the whole cluster to read first.
        return stuck(broken, _PATIENCE)
    if status.in_progress(item):
        return progressing("somebody has started a sync")
    state = part(item, "status", "sync").get("status")
    return READY if state in ("Synced", "OutOfSync") else progressing("Argo CD has not compared it yet")


def arrived(item: Json | None, root: str, contains: Contains = status.any_revision) -> Readiness:
    """Whether an Application is as it is to be at the end: Synced and Healthy, the one named ``root`` Synced, at a revision that is far enough.

    Its health is that of the worst that it has made, so a component that has failed would hold up the others; each is judged for itself.
    """
    if item is not None and item["metadata"]["name"] == root:
        return status.synced(item, contains)
    return arrival.judge(item, status.any_revision)


def execute(access: Applications, wanted: Wanted, *, knows: Knows = status.any_revision, check: bool = False, silence: float = SILENCE_SECONDS) -> Handed:
    """Hand over what has not been, and wait until Argo CD has the commit that ``knows`` tells.

    Raises PlatformError with the differences where Argo CD would change something; its automation then stays off.
    """
    return _Handover(access, wanted, knows=knows, check=check, silence=silence).run()


class _Handover:
    def __init__(self, access: Applications, wanted: Wanted, *, knows: Knows, check: bool, silence: float) -> None:
        self._access = access
        self._wanted = wanted
        self._knows = lru_cache(maxsize=None)(knows)
        self._check = check
        self._silence = silence
        self._by_name = {item["metadata"]["name"]: item for item in wanted.applications}
        self._root = str(wanted.root["metadata"]["name"])
        self._served: Resources | None = None

    def run(self) -> Handed:
        root = self._wanted.root
        live = self._access.all()
        steps = plan([*self._wanted.applications, root], live)
        result = Handed(dict(steps))
        new = [name for name in self._by_name if steps[name] == "hand over"]
        if steps[root["metadata"]["name"]] != "nothing":
            # Later on these are Git's.
            result.written += [self._write(item) for item in self._wanted.others if self._access.differs(item)]
        self._compare(new, live)
        self._take_over(result, new)
        for name in [name for name in self._by_name if steps[name] == "move"]:
            self._switch_on(self._by_name[name])
        if steps[root["metadata"]["name"]] != "nothing":
            self._switch_on(root)
        if not self._check:
            self._await_all()
        return result

    @property
    def _resources(self) -> Resources:
        if self._served is None:
            self._served = retried(lambda: discover(self._access.client), self._access.deadline, self._access.client.server)
        return self._served

    def _write(self, item: Object) -> str:
        if not self._check:
            self._access.apply(item)
        return f"{item['kind']} {item['metadata']['name']}"

    def _compare(self, names: Sequence[str], live: Mapping[str, Json]) -> None:
        """Let Argo CD compare them without being allowed to do anything, and insist that nothing differs."""
        if self._check or not names:
            return
        missing = [name for name in names if not self._noted(name)]
        if missing:
            raise InputError(f"{', '.join(missing)}: not installed, so there is nothing to take over", hint="Run playbooks/platform.yml for them first.")
        for name in names:
            if name not in live:
                progress(f"Argo CD gets to know {name}, without acting yet")
            self._access.apply(without_automation(self._by_name[name]))
            self._access.refresh(name)
        found = self._compared(names)
        if differing := [name for name in names if not _synced(found[name])]:
            # The first look may be older than the last object that was applied.
            for name in differing:
                self._access.refresh(name)
            found = self._compared(names)
        differences = []
        for name in names:
            if not _synced(found[name]):
                directory = os.path.join(self._wanted.tree, adoption.component_of(self._by_name[name]))
                differences += adoption.differences(self._access.client, found[name], directory, self._resources, self._access.deadline)
        if differences:
            raise adoption.refusal(differences, self._access.client.server)

    def _compared(self, names: Sequence[str]) -> Mapping[str, Json]:
        self._pursue(names, compared, "compared")
        return self._access.all()

    def _take_over(self, result: Handed, new: Sequence[str]) -> None:
        """Fields change hands, also those of components that were applied directly since; then Argo CD may act."""
        live = {name: item for name, item in self._access.all().items() if name in self._by_name and _synced(item)}
        for name, transfers in self._transfers(live).items():
            result.objects[name] = len(transfers)
            if transfers and not self._check:
                progress(f"{len(transfers)} objects of {name} become Argo CD's")
                transfer.execute(self._access.client, transfers, self._resources, self._access.deadline)
            if name in new:
                self._switch_on(self._by_name[name])
            component = adoption.component_of(self._by_name[name])
            if self._note(component):
                result.written.append(f"ConfigMap {installed.parent_name(component)}")

    def _transfers(self, live: Mapping[str, Json]) -> dict[str, list[Transfer]]:
        """By Application, the objects that it manages with fields of ours."""
        if not live:
            return {}
        client, resources, deadline = self._access.client, self._resources, self._access.deadline

        def find(name: str) -> list[Transfer]:
            managed = transfer.managed_by(part(live[name], "status").get("resources") or [])
            return transfer.find(client, _set_of(adoption.component_of(self._by_name[name])), managed, resources, deadline)

        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            return dict(zip(live, pool.map(find, live), strict=True))

    def _switch_on(self, item: Object) -> None:
        if not self._check:
            progress(f"Argo CD delivers {item['metadata']['name']} from now on")
            self._access.apply(item)
            self._access.refresh(item["metadata"]["name"])

    def _note(self, component: str) -> bool:
        """Write down that Argo CD delivers the component. Returns whether that was not known."""
        data = self._data(component)
        if data is None or data.get(installed.DELIVERY) == installed.ARGO_CD:
            return False
        if not self._check:
            body = {"data": {installed.DELIVERY: installed.ARGO_CD}}
            client, deadline = self._access.client, self._access.deadline
            params = {"fieldManager": FIELD_MANAGER}
            retried(
                lambda: client.request("PATCH", _path(component), body, content_type="application/merge-patch+json", params=params, deadline=deadline),
                deadline,
                component,
            )
        return True

    def _noted(self, name: str) -> bool:
        return bool((self._data(adoption.component_of(self._by_name[name])) or {}).get("revision"))

    def _data(self, component: str) -> Mapping[str, Any] | None:
        deadline = self._access.deadline
        try:
            return retried(lambda: self._access.client.get(_path(component), deadline=deadline), deadline, component).get("data") or {}
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def _await_all(self) -> None:
        live = self._access.all()
        names = [*self._by_name, self._root]
        if all(arrived(live.get(name), self._root, lambda revision: self._knows(revision) is True).ready for name in names):
            return
        if self._knows(status.revision(live.get(self._root, {}))) is not True:
            self._access.refresh(self._root)
        # Once it has looked anew, a commit that is not known here is a later one.
        self._pursue(names, lambda item: arrived(item, self._root, lambda revision: self._knows(revision) is not False), "Synced and Healthy")

    def _pursue(self, names: Sequence[str], judged: arrival.Judge, aim: str) -> None:
        goals = [arrival.goal_of(self._access, name, judged, alone=False) for name in names]
        attention = Attention(self._access, silence=self._silence)
        Pursuit(self._access.client, goals, self._access.deadline, aim=aim, observer=attention).run()


def _step(wanted: Json, live: Json | None) -> Step:
    if live is None or not status.automated(live):
        return "hand over"
    before, after = part(live, "spec", "source"), part(wanted, "spec", "source")
    # The root Application cannot read from Git that Git is elsewhere.
    return "move" if any(before.get(key) != after.get(key) for key in _SOURCE) else "nothing"


def _synced(item: Json) -> bool:
    return part(item, "status", "sync").get("status") == "Synced"


def _set_of(component: str) -> ApplySet:
    return ApplySet(installed.parent_name(component), installed.NAMESPACE)


def _path(component: str) -> str:
    return f"/api/v1/namespaces/{installed.NAMESPACE}/configmaps/{installed.parent_name(component)}"
