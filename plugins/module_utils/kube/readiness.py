# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is an object ready? Pure, by the object alone, as kstatus (sigs.k8s.io/cli-utils) defines it; and stricter for the custom resources that we install."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.kube import built_in, custom_resources
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import (
    READY,
    UNSEEN_VERSION,
    Json,
    Readiness,
    Rule,
    condition,
    failed,
    outdated,
    part,
    progressing,
    said,
)

__all__ = ["READY", "Readiness", "readiness", "waited_for"]


def readiness(item: Mapping[str, Any]) -> Readiness:
    """The state of any object. Kinds without a rule of their own: their conditions, and ready where they have none."""
    metadata, status = part(item, "metadata"), part(item, "status")
    if metadata.get("deletionTimestamp"):
        return progressing("is being deleted")
    observed, generation = status.get("observedGeneration"), metadata.get("generation")
    controlled = _group(item) == "apps"
    if generation is not None and (observed is not None or controlled) and int(observed or 0) < int(generation):
        return UNSEEN_VERSION
    return (_rule(item) or _generic)(item)


def waited_for(item: Mapping[str, Any]) -> bool:
    """Whether readiness is more than existence: kinds with a rule, and custom resources that we know nothing of (a group that is not Kubernetes' own)."""
    group, kind = _group(item), str(item.get("kind"))
    if custom_resources.exists_only(group, kind):
        return False
    return _rule(item) is not None or ("." in group and not group.endswith(".k8s.io"))


def _group(item: Mapping[str, Any]) -> str:
    return str(item.get("apiVersion") or "").rpartition("/")[0]


def _rule(item: Mapping[str, Any]) -> Rule | None:
    group, kind = _group(item), str(item.get("kind"))
    return built_in.RULES.get((group, kind)) or custom_resources.RULES.get((group, kind))


def _generic(item: Json) -> Readiness:
    """kstatus for kinds that it does not know: Stalled, Reconciling, and the conditions that most controllers write."""
    status = part(item, "status")
    stalled, reconciling = condition(status, "Stalled"), condition(status, "Reconciling")
    if stalled.get("status") == "True":
        return failed(said(stalled, "stalled"))
    if reconciling.get("status") == "True":
        return progressing(said(reconciling, "being reconciled"))
    for name in ("Ready", "Available"):
        found = condition(status, name)
        if found and outdated(item, found):
            return UNSEEN_VERSION
        if found and found.get("status") != "True":
            return progressing(said(found, f"not {name}"))
    return READY
