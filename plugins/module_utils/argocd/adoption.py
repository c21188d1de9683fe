# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why Argo CD would change something when it takes over: the difference between what Git has and what the cluster has, object by object."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd import status
from ansible_collections.trinode.platform.plugins.module_utils.argocd.transfer import ARGO_CD, managed_by
from ansible_collections.trinode.platform.plugins.module_utils.component import tree
from ansible_collections.trinode.platform.plugins.module_utils.component.installed import COMPONENT_LABEL
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import diff, manifests
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.applyset import Place, group_kind
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resources
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.talos import vault

_LINES = 30
_OBJECTS = 5


@dataclass(frozen=True)
class Difference:
    """One object that is not as Git has it. ``text`` is a unified diff from the cluster to Git, or a sentence."""

    application: str
    key: Key
    text: str

    def as_dict(self) -> dict[str, str]:
        return {"application": self.application, "object": str(self.key), "difference": self.text}


def differences(client: Client, item: Mapping[str, Any], directory: str, resources: Resources, deadline: Deadline) -> list[Difference]:
    """What differs of an Application that is out of sync. ``directory`` has the component's files as they are in Git."""
    name = str(item["metadata"]["name"])
    namespace = str(item["spec"]["destination"].get("namespace") or "")
    wanted = _wanted(directory, namespace)
    entries = status.differing(item)
    found = []
    for entry, place in zip(entries, managed_by(entries), strict=True):
        key = _key(entry)
        if entry.get("requiresPruning"):
            text = "it is in the cluster, and Git has it no more"
        elif place not in wanted:
            text = "Git has it, and the rendered files of the component do not: publish it first"
        else:
            text = _difference(client, key, wanted[place], resources, deadline)
        found.append(Difference(name, key, text))
    return found


def refusal(found: Sequence[Difference], where: str) -> PlatformError:
    """The error that stops a handover, with the first of the differences in it and all of them in its details."""
    names = list(dict.fromkeys(item.application for item in found))
    shown = "\n".join(f"{item.application}: {item.key}:\n{item.text}" for item in found[:_OBJECTS])
    more = f"\nand {len(found) - _OBJECTS} more" if len(found) > _OBJECTS else ""
    return PlatformError(
        f"Argo CD would change something in {', '.join(names)}, so nothing is handed over to it:\n{shown}{more}\n",
        where=where,
        hint="Deliver these components and publish them again (playbooks/platform.yml), or correct whoever else writes these fields.",
        details={"differences": [item.as_dict() for item in found]},
    )


def component_of(item: Mapping[str, Any]) -> str:
    """The component that an Application delivers."""
    metadata = item["metadata"]
    return str((metadata.get("labels") or {}).get(COMPONENT_LABEL) or metadata["name"].replace("-", "_"))


def _wanted(directory: str, namespace: str) -> dict[Place, Object]:
    """The objects in the files that Argo CD reads: encrypted ones are not among them."""
    found: dict[Place, Object] = {}
    for name in tree.listed(directory):
        path = os.path.join(directory, name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for item in [] if vault.is_vaulted(text) else manifests.parse(text, source=path):
            for key in _places(item, namespace):
                found.setdefault(key, item)
    return found


def _places(item: Object, namespace: str) -> Iterable[Place]:
    key = key_of(item)
    kind = group_kind(key.api_version, key.kind)
    # Without the cluster it is not known whether the kind has namespaces.
    return [(*kind, key.namespace, key.name), *([] if key.namespace else [(*kind, namespace, key.name)])]


def _key(entry: Mapping[str, Any]) -> Key:
    group, version = entry.get("group") or "", entry.get("version") or ""
    return Key(f"{group}/{version}" if group else str(version), str(entry["kind"]), str(entry.get("namespace") or ""), str(entry["name"]))


def _difference(client: Client, key: Key, wanted: Object, resources: Resources, deadline: Deadline) -> str:
    resource = resources.get((key.api_version, key.kind))
    if resource is None:
        return "its kind is not served"
    path = resource.path(key.namespace, key.name)
    try:
        before = retried(lambda: client.get(path, deadline=deadline), deadline, str(key))
        params = {"fieldManager": ARGO_CD, "force": "true", "dryRun": "All"}
        after = retried(
            lambda: client.request("PATCH", path, wanted, content_type="application/apply-patch+yaml", params=params, deadline=deadline), deadline, str(key)
        )
    except ApiError as error:
        return "it is not in the cluster" if error.not_found else f"the API server refuses it: {error.what}"
    change = diff.difference(key, before, after)
    return unified(change["before"], change["after"]) or "the API server sees no difference: Argo CD has not seen the newest state, or compares otherwise"


def unified(before: str, after: str) -> str:
    """The changed lines with what is around them, cut where there are many."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), "in the cluster", "in Git", n=2, lineterm=""))
    return "\n".join([*lines[:_LINES], *([f"... {len(lines) - _LINES} more lines"] if len(lines) > _LINES else [])])
