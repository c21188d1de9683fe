# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A SealedSecret from values: what is sealed already, with the newest key and with the same content, stays as it is. Pure but for chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.sealing import box
from ansible_collections.trinode.platform.plugins.module_utils.sealing.keys import KeyPair

_API_VERSION = "bitnami.com/v1alpha1"
_ANNOTATION = "sealedsecrets.bitnami.com/"

Object = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """A Secret as it is to come out. ``values`` are its data in clear; ``scope`` is one of box.SCOPES."""

    name: str
    namespace: str
    values: Mapping[str, str]
    scope: str = "strict"
    type: str = "Opaque"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sealed:
    """``item`` is the SealedSecret; ``resealed`` says why values of it are sealed anew, by their names: new, changed, old key, or not ours."""

    item: Object
    resealed: Mapping[str, str]


def seal(wanted: Wanted, existing: Mapping[str, Any] | None, keys: Sequence[KeyPair]) -> Sealed:  # pylint: disable=unsupported-binary-operation
    """The SealedSecret for ``wanted``. ``existing`` is the one that is there; ``keys`` has the newest pair first, and that one seals.

    A value counts as unchanged when opening what is there gives it, so nothing about it needs to be stored in clear.
    """
    bound_to = box.label(wanted.scope, wanted.namespace, wanted.name)
    privates = [pair.private for pair in keys]
    there = ((existing or {}).get("spec") or {}).get("encryptedData") or {}
    resealed: dict[str, str] = {}
    encrypted: dict[str, str] = {}
    for name, value in sorted(wanted.values.items()):
        reason = _reason(there.get(name), value.encode(), box.open_sealed(str(there[name]), privates, bound_to) if name in there else None)
        if reason:
            resealed[name] = reason
        encrypted[name] = box.seal(value.encode(), privates[0].public_key(), bound_to) if reason else str(there[name])
    return Sealed(_item(wanted, encrypted), resealed)


def _reason(sealed: object, value: bytes, opened: tuple[bytes, int] | None) -> str:  # pylint: disable=unsupported-binary-operation
    if sealed is None:
        return "new"
    if opened is None:
        return "not sealed with a key of ours for this Secret"
    if opened[0] != value:
        return "changed"
    return "sealed with an old key" if opened[1] else ""


def _item(wanted: Wanted, encrypted: Mapping[str, str]) -> Object:
    scope = {} if wanted.scope == "strict" else {f"{_ANNOTATION}{wanted.scope}": "true"}
    metadata: Object = {"name": wanted.name, "namespace": wanted.namespace}
    template: Object = {"type": wanted.type, "metadata": {**metadata}}
    for part, values in (("labels", wanted.labels), ("annotations", {**wanted.annotations, **scope})):
        if values:
            template["metadata"][part] = dict(values)
    if scope:
        metadata["annotations"] = scope
    return {"apiVersion": _API_VERSION, "kind": "SealedSecret", "metadata": metadata, "spec": {"encryptedData": dict(encrypted), "template": template}}
