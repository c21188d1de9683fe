# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands against uninstalling a component, and what is in its namespaces besides its own. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component.definition import Definition
from ansible_collections.trinode.platform.plugins.module_utils.component.installed import COMPONENT_LABEL, Installed
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.applyset import PART_OF_LABEL
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.prune import PROTECTED

# Protected for what is in them, which is judged by itself.
_CONTAINERS = frozenset({("", "Namespace"), ("apiextensions.k8s.io", "CustomResourceDefinition")})
# What Kubernetes, its programs and meshes put into every namespace, or beside what others make.
_AUTOMATIC_KINDS = frozenset({"Endpoints", "EndpointSlice", "Event", "Lease", "PodMetrics", "ControllerRevision", "CiliumEndpoint"})
_AUTOMATIC = frozenset({("ConfigMap", "kube-root-ca.crt"), ("ConfigMap", "istio-ca-root-cert"), ("ServiceAccount", "default")})
_BY_PRODUCTS = frozenset({"ConfigMap", "Role", "RoleBinding", "Secret", "ServiceAccount"})
_CERTIFICATE = "cert-manager.io/certificate-name"
_DATA = frozenset({"PersistentVolumeClaim"})


def needed_by(component: str, installed: Mapping[str, Installed]) -> list[str]:
    """The installed components that need this one."""
    return sorted(name for name, other in installed.items() if component in other.needs and name != component)


def holds_data(item: Mapping[str, Any]) -> bool:
    """Whether an object holds data, or its deletion would delete some."""
    kind = (item["apiVersion"].rpartition("/")[0], item["kind"])
    return kind in PROTECTED and kind not in _CONTAINERS


def refuse(definition: Definition, needed: Sequence[str], data: Iterable[Mapping[str, Any]], destroy_data: str) -> None:
    """Raises RefusedError with everything that stands against uninstalling the component; nothing when it may go."""
    reasons = []
    if needed:
        reasons.append(f"{', '.join(needed)} {'needs' if len(needed) == 1 else 'need'} it")
    found = [str(key_of(item)) for item in data]
    confirmed = destroy_data == definition.name
    if not confirmed and (definition.data or found):
        shown = f": {', '.join(found[:5])}{f' and {len(found) - 5} more' if len(found) > 5 else ''}" if found else ""
        reasons.append(f"it holds data{shown}")
    if not reasons:
        return
    hints = []
    if needed:
        hints.append(f"Uninstall {', '.join(needed)} first.")
    if not confirmed and (definition.data or found):
        hints.append(f"To delete that data for good: -e component_destroy_data={definition.name}.")
    raise RefusedError(f"it is not uninstalled, since {' and '.join(reasons)}", where=f"component {definition.name}", hint=" ".join(hints))


def strangers(items: Iterable[Object], part_of: str, component: str, *, destroy_data: bool) -> list[Object]:
    """The objects in a component's namespace for which the namespace has to stay.

    Not among them are the component's own (``part_of`` is its set's id), what has an owner, what is being deleted, and what appears by itself. With
    ``destroy_data`` claims of volumes and what programs leave behind (Secrets, ConfigMaps and the like) do not count either.
    """
    return [item for item in items if _stranger(item, part_of, component, destroy_data)]


def _stranger(item: Mapping[str, Any], part_of: str, component: str, destroy_data: bool) -> bool:
    metadata = item["metadata"]
    labels = metadata.get("labels") or {}
    if metadata.get("deletionTimestamp") or metadata.get("ownerReferences") or labels.get(COMPONENT_LABEL) == component:
        return False
    if PART_OF_LABEL in labels:
        return bool(labels[PART_OF_LABEL] != part_of)
    kind = item["kind"]
    if kind == "Secret" and _CERTIFICATE in (metadata.get("annotations") or {}):
        # cert-manager's, of a Certificate that is judged by itself.
        return False
    if kind in _AUTOMATIC_KINDS or (kind, metadata["name"]) in _AUTOMATIC:
        return False
    return not (destroy_data and kind in _BY_PRODUCTS | _DATA)
