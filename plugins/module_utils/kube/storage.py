# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a PersistentVolumeClaim will be bound, by what the cluster's StorageClasses say. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.kube.built_in import claim as bound
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import READY, Json, Readiness, part, progressing, stuck

CLASSES = Resource("storage.k8s.io/v1", "StorageClass", "storageclasses", False)
CLAIMS = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims", True)

_DEFAULT = "storageclass.kubernetes.io/is-default-class"
_SELECTED_NODE = "volume.kubernetes.io/selected-node"


def claim_state(claim: Json, classes: Iterable[Json]) -> Readiness:
    """The claim's readiness. One whose class waits for a pod to use it is as ready as it gets; one without a class that is there will not be bound."""
    state = bound(claim)
    spec = part(claim, "spec")
    # A claim for one certain volume, or for those without a class, needs no class.
    if state.ready or state.state == "failed" or spec.get("volumeName") or spec.get("storageClassName") == "":
        return state
    known = {str(part(found, "metadata").get("name")): found for found in classes}
    name = spec.get("storageClassName") or default_class(known.values())
    if name is None:
        return stuck("it names no StorageClass, and the cluster has no default one", 1.0)
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        return stuck(f"StorageClass {name} does not exist (there: {there})", 1.0)
    waits = known[name].get("volumeBindingMode") == "WaitForFirstConsumer"
    if waits and _SELECTED_NODE not in part(claim, "metadata", "annotations"):
        return READY
    return progressing(f"{state.reason}: no volume of StorageClass {name} yet")


def default_class(classes: Iterable[Json]) -> str | None:
    """The newest of those that say that they are the default, as Kubernetes takes it."""
    found = [item for item in classes if str(part(item, "metadata", "annotations").get(_DEFAULT)).lower() == "true"]
    found.sort(key=lambda item: str(part(item, "metadata").get("creationTimestamp") or ""))
    return str(found[-1]["metadata"]["name"]) if found else None


def claims_of(pod: Mapping[str, Any]) -> list[str]:
    """The names of the claims that a pod uses, those that are made for it too."""
    name = str(part(pod, "metadata").get("name"))
    found = []
    for volume in part(pod, "spec").get("volumes") or []:
        if "persistentVolumeClaim" in volume:
            found.append(str(part(volume, "persistentVolumeClaim").get("claimName")))
        elif "ephemeral" in volume:
            found.append(f"{name}-{volume.get('name')}")
    return found
