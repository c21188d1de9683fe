# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A component's Secrets as SealedSecrets, so that its files may lie in Git. What is sealed already stays as it is; generated values exist only there."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ansible_collections.trinode.platform.plugins.module_utils.component import generate, tree
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import Definition, GeneratedSecret
from ansible_collections.trinode.platform.plugins.module_utils.component.installed import COMPONENT_LABEL
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.prune import ANNOTATION
from ansible_collections.trinode.platform.plugins.module_utils.sealing import sealed_secret
from ansible_collections.trinode.platform.plugins.module_utils.sealing.keys import KeyPair
from ansible_collections.trinode.platform.plugins.module_utils.sealing.sealed_secret import Wanted

CONTROLLER = "sealed_secrets"
# What the controller itself waits for has nobody yet who opens its secrets. A test compares it with what the roles need and use.
BEFORE = frozenset({CONTROLLER, "cilium", "gateway_api", "prometheus_operator_crds"})

# The cluster or helm fills them in; they are about one cluster, or about helm's own installation.
_LEFT = frozenset({"kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1"})
_HELM = "helm.sh/"
# When a component no longer asks for a value that was made up, something may still be encrypted with it.
_KEPT = {ANNOTATION: "disabled"}


class There(Protocol):
    """What is there already, by namespace and name."""

    def sealed(self, namespace: str, name: str) -> Mapping[str, Any] | None:
        """The SealedSecret."""

    def values(self, namespace: str, name: str) -> Mapping[str, bytes]:
        """The values of the Secret in the cluster, if it is this component's."""


@dataclass(frozen=True)
class Sealed:
    """``objects`` are all of the component; ``resealed`` says which values were sealed anew and why; ``count`` of them are SealedSecrets from Secrets."""

    objects: Sequence[Object]
    resealed: Mapping[Key, Mapping[str, str]] = field(default_factory=dict)
    count: int = 0


def applies(definition: Definition) -> bool:
    """Whether the component comes after the controller."""
    return definition.name not in BEFORE


def seal(objects: Iterable[Object], definition: Definition, there: There, keys: Sequence[KeyPair]) -> Sealed:
    """The objects with SealedSecrets in place of Secrets that hold something, and those for the Secrets that the component generates."""
    found: list[Object] = []
    resealed: dict[Key, Mapping[str, str]] = {}
    count = 0

    def add(wanted: Wanted, existing: Mapping[str, Any] | None) -> None:
        nonlocal count
        sealed = sealed_secret.seal(wanted, existing, keys)
        count += 1
        found.append(sealed.item)
        if sealed.resealed:
            resealed[key_of(sealed.item)] = sealed.resealed

    for item in objects:
        if tree.is_secret(item) and item.get("type") not in _LEFT:
            wanted = _wanted(item)
            add(wanted, there.sealed(wanted.namespace, wanted.name))
        else:
            found.append(item)
    for secret in definition.generated_secrets:
        existing = there.sealed(secret.namespace, secret.name)
        add(_generated(secret, definition.name, existing, there, keys), existing)
    _refuse_doubles(found, definition.name)
    return Sealed(found, resealed, count)


def generated_values(secret: GeneratedSecret, existing: Mapping[str, bytes | None], in_cluster: Mapping[str, bytes]) -> dict[str, bytes]:
    """The values of a generated Secret: what is sealed already, else what the cluster has, else what is given or made up.

    ``existing`` are the sealed values, None for those that no key opens: they are never made up anew, since something may be encrypted with them.
    """
    values = {**in_cluster, **{name: value for name, value in existing.items() if value is not None}}
    lost = sorted(name for name in existing if name not in values)
    if lost:
        raise RefusedError(
            f"no key in the file opens the sealed value of {', '.join(lost)}, and the cluster does not have it",
            where=f"Secret {secret.namespace}/{secret.name}",
            hint="Restore the file of sealing keys from your backup. Or, to have new values made up, remove the SealedSecret's file.",
        )
    more = generate.missing(secret, dict.fromkeys(values, ""))
    return values | {name: base64.b64decode(value) for name, value in more.items()}


def _generated(secret: GeneratedSecret, component: str, existing: Mapping[str, Any] | None, there: There, keys: Sequence[KeyPair]) -> Wanted:
    opened = sealed_secret.opened(existing, keys)
    complete = all(opened.get(name) is not None for name in (*opened, *secret.values, *secret.generate))
    in_cluster = {} if complete else there.values(secret.namespace, secret.name)
    values = generated_values(secret, opened, in_cluster)
    return Wanted(secret.name, secret.namespace, values, labels={COMPONENT_LABEL: component}, notes=_KEPT)


def _wanted(item: Mapping[str, Any]) -> Wanted:
    """A rendered Secret. Annotations of helm are about its object, so they belong to the SealedSecret."""
    metadata = item["metadata"]
    annotations = metadata.get("annotations") or {}
    return Wanted(
        metadata["name"],
        metadata["namespace"],
        _values(item),
        type=str(item.get("type") or "Opaque"),
        labels=metadata.get("labels") or {},
        annotations={name: text for name, text in annotations.items() if not name.startswith(_HELM)},
        notes={name: text for name, text in annotations.items() if name.startswith(_HELM)},
        immutable=bool(item.get("immutable")),
    )


def _values(item: Mapping[str, Any]) -> dict[str, bytes]:
    try:
        values = {str(name): base64.b64decode("".join(str(text).split()), validate=True) for name, text in (item.get("data") or {}).items()}
    except (binascii.Error, ValueError) as error:
        raise InputError("its data is not base64", where=str(key_of(item)), hint="Write it so, or under stringData.") from error
    return values | {str(name): str(text).encode() for name, text in (item.get("stringData") or {}).items()}


def _refuse_doubles(objects: Sequence[Object], component: str) -> None:
    seen: set[Key] = set()
    for item in objects:
        if item["kind"] == sealed_secret.KIND and (key := key_of(item)) in seen:
            raise InputError(f"{key} comes from two Secrets", where=f"component {component}", hint="Name one of them differently.")
        seen.add(key_of(item))
