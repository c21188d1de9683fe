# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivering a component: its files to the cluster, hooks at their moments, and at the end the note that it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component import contents, installed
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import Definition
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import apply
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key

FIELD_MANAGER = "trinode"
_APPLY = "application/apply-patch+yaml"


@dataclass
class Result:
    """What was done, or in check mode would be."""

    applied: list[apply.Applied] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return any(item.action != "unchanged" for item in self.applied)


@dataclass(frozen=True)
class Delivery:
    """One component on its way into one cluster."""

    client: Client
    definition: Definition
    contents: contents.Contents
    log: RunLog
    check: bool
    deadline: Deadline

    def present(self) -> Result:
        """Install it, upgrade it, or find it as it should be."""
        name = self.definition.name
        result = Result()
        self.log.record(name, "applying", f"{len(self.contents.applied)} objects")
        request = apply.Request(namespace=self.definition.namespace, force=True, dry_run=self.check)
        objects = [item for manifest in self.contents.applied for item in manifest.objects]
        result.applied += apply.apply(self.client, objects, request, self.deadline)
        result.applied.append(self._note())
        return result

    def _note(self) -> apply.Applied:
        """Write down what is installed, once it is."""
        key = Key("v1", "ConfigMap", installed.NAMESPACE, installed.parent_name(self.definition.name))
        path = f"/api/v1/namespaces/{key.namespace}/configmaps/{key.name}"
        wanted = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": key.name, "namespace": key.namespace, "labels": {installed.COMPONENT_LABEL: self.definition.name}},
            "data": note(self.definition, self.contents.revision),
        }
        before = _existing(self.client, path)
        params: dict[str, Any] = {"fieldManager": FIELD_MANAGER, "force": "true"}
        if self.check:
            params["dryRun"] = "All"
        after = self.client.request("PATCH", path, wanted, content_type=_APPLY, params=params, deadline=self.deadline)
        if before is None:
            return apply.Applied(key, "created", None, after)
        return apply.Applied(key, "unchanged" if before.get("data") == after.get("data") else "changed", before, after)


def note(definition: Definition, revision: str) -> dict[str, str]:
    """What the cluster keeps of a component: see installed.py, which reads it."""
    versions = " ".join(f"{pin}={version}" for pin, version in sorted(definition.versions.items()))
    return {"revision": revision, "versions": versions, "needs": " ".join(definition.needs)}


def _existing(client: Client, path: str) -> Json | None:
    try:
        return client.get(path)
    except ApiError as error:
        if error.not_found:
            return None
        raise


def summary(applied: Sequence[apply.Applied]) -> Mapping[str, int]:
    """How many objects came to what."""
    counts: dict[str, int] = {}
    for item in applied:
        counts[item.action] = counts.get(item.action, 0) + 1
    return counts
