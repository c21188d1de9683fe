# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Kubernetes may be upgraded, and whether it has to be. Pure: from the versions that run and the calls that were made to the reason against it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.compatibility import rules
from ansible_collections.trinode.platform.plugins.module_utils.compatibility.version import Version
from ansible_collections.trinode.platform.plugins.module_utils.rolling import versions

_METRIC = re.compile(r"^apiserver_requested_deprecated_apis\{(?P<labels>[^}]*)\} (?P<value>\S+)", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
# The kubelet may be so many minor releases older than the API server (kubernetes.io, version skew policy).
_KUBELET_SKEW = 3


@dataclass(frozen=True)
class Component:
    """A program of Kubernetes on a node, and its version: ``kube-apiserver``, ``kubelet``, ..."""

    name: str
    node: str
    version: str


@dataclass(frozen=True)
class DeprecatedCall:
    """An API that somebody has called since the API server started, and the release that no longer serves it."""

    api: str
    resource: str
    removed: str

    @property
    def text(self) -> str:
        return f"{self.resource} of {self.api}, which Kubernetes {self.removed} no longer serves"


def deprecated_calls(metrics: str) -> list[DeprecatedCall]:
    """What an API server's metrics say of deprecated APIs that were asked for."""
    found = {}
    for line in _METRIC.finditer(metrics):
        labels = dict(_LABEL.findall(line["labels"]))
        if line["value"] in ("0", "0.0") or not labels.get("removed_release"):
            continue
        api = "/".join(part for part in (labels.get("group", ""), labels.get("version", "")) if part)
        resource = labels.get("resource", "") + (f"/{labels['subresource']}" if labels.get("subresource") else "")
        found[api, resource] = DeprecatedCall(api, resource, labels["removed_release"])
    return [found[key] for key in sorted(found)]


def behind(components: Iterable[Component], wanted: str) -> list[Component]:
    """Those that do not run the wanted version yet."""
    return [component for component in components if _plain(component.version) != _plain(wanted)]


def objections(components: Sequence[Component], wanted: str, talos: Sequence[str], calls: Sequence[DeprecatedCall]) -> list[str]:
    """Everything against the upgrade, a sentence or two each. Nothing is against one that has been done."""
    target = Version.parse(wanted)
    if target is None:
        return [f"{wanted!r} is no version of Kubernetes. Write it like v1.36.3."]
    if not components:
        return ["Kubernetes does not tell what runs. Look at its API."]
    if not behind(components, wanted):
        return []
    found: list[str] = []
    for version in sorted({component.version for component in components}):
        # A half-done upgrade has both versions, and goes on from the older one.
        objection = versions.step("Kubernetes", version, wanted)
        if objection is not None:
            found.append(f"{_where(components, version)}: {objection.what}. {objection.hint}")
    for running in sorted(set(talos)):
        parsed = Version.parse(running)
        objection = rules.unsupported("talos", parsed, {"kubernetes": target}) if parsed is not None else None
        if objection is not None:
            found.append(f"{objection.what}. {objection.hint} Upgrade Talos first (playbooks/upgrade_talos.yml).")
    for component in components:
        parsed = Version.parse(component.version)
        if component.name == "kubelet" and parsed is not None and target.minor - parsed.minor > _KUBELET_SKEW:
            found.append(f"The kubelet of {component.node} would be more than {_KUBELET_SKEW} minor releases older than the API server. Upgrade it first.")
    for call in calls:
        removed = Version.parse(call.removed)
        if removed is not None and removed.release <= target.release:
            found.append(
                f"Somebody uses {call.text}. Find out who (the audit log, or `kubectl get {call.resource} -A`), and have it use the API that replaces it; "
                "an API server forgets the call when it restarts."
            )
    return found


def _where(components: Sequence[Component], version: str) -> str:
    names = sorted({f"{component.name} of {component.node}" for component in components if component.version == version})
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _plain(version: str) -> str:
    return version.removeprefix("v")
