# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what the drift of a cluster is judged by: nothing is written, and what cannot be read becomes a finding."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import application_name
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import NAMESPACE, ROOT
from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import Applications
from ansible_collections.trinode.platform.plugins.module_utils.component import contents, deliver, installed
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import Definition
from ansible_collections.trinode.platform.plugins.module_utils.component.installed import Installed
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.git import repository as git
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import Json
from ansible_collections.trinode.platform.plugins.module_utils.verify import applications, delivered
from ansible_collections.trinode.platform.plugins.module_utils.verify.drift import Drift

_PARALLEL = 4
# An API server that has not answered by then is not going to.
_ANSWER_SECONDS = 20.0
_PARTS = "app.kubernetes.io/part-of=argocd"
# The user's files are looked through for the one with a resource that an error names.
_LARGEST = 1_000_000


@dataclass(frozen=True)
class Component:
    """A component of the inventory; ``namespace`` is for its objects that name none."""

    name: str
    namespace: str


@dataclass(frozen=True)
class Sources:
    """What there is to read besides the cluster: the rendered files (``tree``), and the local repository at ``head``, "" where it was not read."""

    components: Sequence[Component]
    tree: str
    vault_password: str = field(default="", repr=False)
    repository: str = ""
    branch: str = "main"
    head: str = ""
    argo_namespace: str = NAMESPACE


@dataclass(frozen=True)
class Looked:
    """What was found, and what was compared for it."""

    found: Sequence[Drift]
    compared: Sequence[str]


def cluster(client: Client, sources: Sources, deadline: Deadline) -> Looked:
    """The components that Argo CD delivers by its Applications, all others by their files, at once."""
    there = installed.read(client, deadline=deadline.at_most(_ANSWER_SECONDS), tries=2)
    by_argo_cd = {name: item for name, item in there.items() if item.delivery == delivered.ARGO_CD}
    mine = [item for item in sources.components if item.name in there and item.name not in by_argo_cd]
    with ThreadPoolExecutor(max_workers=_PARALLEL) as pool:
        asked = pool.submit(_argo_cd, client, sources, by_argo_cd, deadline)
        compared = list(pool.map(lambda item: _component(client, item, there[item.name], sources, deadline), mine))
        found = [*delivered.present([item.name for item in sources.components], there), *asked.result()]
    found += [finding for findings in compared for finding in findings]
    ways = [f"{len(by_argo_cd)} components by Argo CD"] if by_argo_cd else []
    ways += [f"{len(mine)} components by their files"] if mine else []
    return Looked(found, ways)


def _component(client: Client, component: Component, there: Installed, sources: Sources, deadline: Deadline) -> list[Drift]:
    path = os.path.join(os.path.expanduser(sources.tree), component.name)
    try:
        files = contents.read(path, password=sources.vault_password)
        result = deliver.present(client, _definition(component), files, RunLog(""), deadline, check=True)
    except PlatformError as error:
        return [delivered.unreadable(component.name, str(error))]
    parent = installed.parent_name(component.name)
    changes = [item for item in result.changes if not (item.key.kind == "ConfigMap" and item.key.name == parent)]
    return delivered.judge(component.name, changes, delivered=there.revision == files.revision)


def _definition(component: Component) -> Definition:
    """As much of it as comparing the files takes: Secrets that are made in the cluster are never changed, so they cannot differ."""
    return Definition(
        name=component.name,
        title=component.name,
        namespace=component.namespace or component.name,
        namespaces=(),
        needs=(),
        uses=(),
        charts=(),
        resources=(),
        generated_secrets=(),
        runtime_fields=(),
        leftovers=(),
        routes=(),
        data=False,
        timeout=0,
    )


def _argo_cd(client: Client, sources: Sources, by_argo_cd: Mapping[str, Installed], deadline: Deadline) -> list[Drift]:
    expected = {**{application_name(name): name for name in by_argo_cd}, **({ROOT: ""} if by_argo_cd else {})}
    try:
        there = Applications(client, deadline, sources.argo_namespace).all()
        sets = _listed(client, f"/apis/argoproj.io/v1alpha1/namespaces/{sources.argo_namespace}/applicationsets", deadline)
        workloads = [
            item
            for kind in ("deployments", "statefulsets")
            for item in _listed(client, f"/apis/apps/v1/namespaces/{sources.argo_namespace}/{kind}", deadline, labelSelector=_PARTS)
        ]
    except PlatformError as error:
        return [Drift("cluster", "Argo CD", f"It cannot be asked: {error}", "Until then nobody knows what differs from Git")]
    wrong = [item for item in there.values() if applications.is_users(item) and applications.problems(item)]
    files = _files(sources, [applications.directory(item) for item in wrong], deadline)
    return applications.judge(applications.Seen(there, expected, sets, workloads, files, dt.datetime.now(dt.UTC)))


def _listed(client: Client, path: str, deadline: Deadline, **query: str) -> list[Json]:
    """A collection; nothing where its kind is not served."""
    try:
        return list(client.list(path, query, deadline=deadline)[0])
    except ApiError as error:
        if error.not_found:
            return []
        raise


def _files(sources: Sources, directories: Sequence[str], deadline: Deadline) -> dict[str, str]:
    """The texts below directories in Git, from the local repository; none where they cannot be read: then an error's own words have to do."""
    if not directories or not sources.head or not git.exists(sources.repository):
        return {}
    try:
        repository = git.Repository(sources.repository, sources.branch, deadline)
        entries = repository.entries(sources.head, directories)
        texts = repository.texts(entries.values())
    except PlatformError:
        return {}
    return {path: texts[entry.id] for path, entry in entries.items() if len(texts.get(entry.id, "")) < _LARGEST and entry.id in texts}
