# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a node's pods has to leave it, what stays, and what nobody may take away unasked. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import label
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import Json, part

_MIRROR = "kubernetes.io/config.mirror"
_SHOWN = 10


@dataclass(frozen=True)
class Options:
    """``empty_dir``: pods may lose their emptyDir volumes; ``unmanaged``: pods that nobody brings back may go. ``grace_period`` in seconds, None: the pod's."""

    empty_dir: bool = False
    unmanaged: bool = False
    grace_period: int | None = None


@dataclass
class Plan:
    """``leave`` and ``refuse`` are by "namespace/name", with the reason."""

    evict: list[dict[str, Any]] = field(default_factory=list)
    leave: dict[str, str] = field(default_factory=dict)
    refuse: dict[str, str] = field(default_factory=dict)

    def check(self, node: str) -> None:
        """RefusedError where a pod may not be taken away unasked."""
        if not self.refuse:
            return
        lines = [f"{name} {why}" for name, why in sorted(self.refuse.items())]
        shown = "; ".join(lines[:_SHOWN]) + (f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else "")
        wanted = [
            option
            for option, word in (("delete_empty_dir_data", "emptyDir"), ("delete_unmanaged", "nobody"))
            if any(word in why for why in self.refuse.values())
        ]
        hint = f"Save what is needed, and set {' and '.join(wanted)} to let them go. Nothing was touched."
        raise RefusedError(f"pods would lose what cannot be brought back: {shown}", where=f"node {node}", hint=hint, details={"refused": dict(self.refuse)})


def plan(pods: Iterable[dict[str, Any]], options: Options) -> Plan:
    """Sort the pods of a node."""
    made = Plan()
    for pod in pods:
        if why := _stays(pod):
            made.leave[label(pod)] = why
        elif why := _refused(pod, options):
            made.refuse[label(pod)] = why
        else:
            made.evict.append(pod)
    return made


def _stays(pod: Json) -> str:
    metadata = part(pod, "metadata")
    if _MIRROR in (metadata.get("annotations") or {}):
        return "it is a static pod of the node"
    owner = _controller(pod)
    if owner.get("kind") == "DaemonSet":
        return f"it belongs to the DaemonSet {owner.get('name')}"
    return ""


def _refused(pod: Json, options: Options) -> str:
    metadata, phase = part(pod, "metadata"), part(pod, "status").get("phase")
    # What has ended or is going already has nothing to lose.
    if metadata.get("deletionTimestamp") or phase in ("Succeeded", "Failed"):
        return ""
    if not _controller(pod) and not options.unmanaged:
        return "has no controller, so nobody would bring it back"
    volumes = [str(volume.get("name")) for volume in part(pod, "spec").get("volumes") or [] if "emptyDir" in volume]
    if volumes and not options.empty_dir:
        return f"would lose its emptyDir {', '.join(volumes)}"
    return ""


def _controller(pod: Json) -> Json:
    return next((owner for owner in part(pod, "metadata").get("ownerReferences") or [] if owner.get("controller")), {})
