# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A SealedSecret from values: what is sealed already, with the newest key and with the same content, stays as it is. Pure but for chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.sealing import box
from ansible_collections.trinode.platform.plugins.module_utils.sealing.keys import KeyPair

API_VERSION = "bitnami.com/v1alpha1"
KIND = "SealedSecret"
_ANNOTATION = "sealedsecrets.bitnami.com/"
# On a Secret that is there already: its SealedSecret may take it over.
MANAGED = f"{_ANNOTATION}managed"
NOT_OURS = "not sealed with a key of ours for this Secret"

Object = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """A Secret as it is to come out. ``values`` are its data in clear; ``scope`` is one of box.SCOPES; ``notes`` are annotations of the SealedSecret itself."""

    name: str
    namespace: str
    values: Mapping[str, bytes]
    scope: str = "strict"
    type: str = "Opaque"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    immutable: bool = False


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
    there = _encrypted(existing)
    resealed: dict[str, str] = {}
    encrypted: dict[str, str] = {}
    for name, value in sorted(wanted.values.items()):
        reason = _reason(there.get(name), value, box.open_sealed(str(there[name]), privates, bound_to) if name in there else None)
        if reason:
            resealed[name] = reason
        encrypted[name] = box.seal(value, privates[0].public_key(), bound_to) if reason else str(there[name])
    return Sealed(_item(wanted, encrypted), resealed)


def opened(item: Mapping[str, Any] | None, keys: Sequence[KeyPair]) -> dict[str, bytes | None]:  # pylint: disable=unsupported-binary-operation
    """The values of a SealedSecret of any scope, by name; None for one that none of the keys opens."""
    metadata = (item or {}).get("metadata") or {}
    bound_to = box.label(_scope(metadata), str(metadata.get("namespace")), str(metadata.get("name")))
    privates = [pair.private for pair in keys]
    found = {name: box.open_sealed(str(text), privates, bound_to) for name, text in _encrypted(item).items()}
    return {name: value[0] if value else None for name, value in found.items()}


def shown(item: Mapping[str, Any], resealed: Mapping[str, str]) -> str:
    """The object for a person, without its long texts, which say nothing and differ each time."""
    names = {name: f"<sealed: {resealed[name]}>" if name in resealed else "<sealed>" for name in _encrypted(item)}
    return yaml.safe_dump({**item, "spec": {**(item.get("spec") or {}), "encryptedData": names}}, sort_keys=True, width=160)


def _encrypted(item: Mapping[str, Any] | None) -> Mapping[str, Any]:  # pylint: disable=unsupported-binary-operation
    spec = (item or {}).get("spec")
    found = spec.get("encryptedData") if isinstance(spec, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _scope(metadata: Mapping[str, Any]) -> str:
    annotations = metadata.get("annotations") or {}
    return next((scope for scope in ("cluster-wide", "namespace-wide") if annotations.get(f"{_ANNOTATION}{scope}") == "true"), "strict")


def _reason(sealed: object, value: bytes, found: tuple[bytes, int] | None) -> str:  # pylint: disable=unsupported-binary-operation
    if sealed is None:
        return "new"
    if found is None:
        return NOT_OURS
    if found[0] != value:
        return "changed"
    return "sealed with an old key" if found[1] else ""


def _item(wanted: Wanted, encrypted: Mapping[str, str]) -> Object:
    scope = {} if wanted.scope == "strict" else {f"{_ANNOTATION}{wanted.scope}": "true"}
    metadata: Object = {"name": wanted.name, "namespace": wanted.namespace}
    template: Object = {"type": wanted.type, "metadata": {**metadata}}
    if wanted.immutable:
        template["immutable"] = True
    for part, values in (("labels", wanted.labels), ("annotations", {**wanted.annotations, **scope})):
        if values:
            template["metadata"][part] = dict(values)
    if notes := {**wanted.notes, **scope}:
        metadata["annotations"] = notes
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": {"encryptedData": dict(encrypted), "template": template}}
