# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an apply leaves in its set's parent, so that the next one need not send again what is as it was. Pure.

An object is as we left it when its resourceVersion is; or, since status writes change that, when its generation and our own entry in managedFields are.
Whoever changes, removes or takes over a field that we own takes it out of that entry, or (under our own name) renews the entry's time.
Kinds without a generation count by their resourceVersion alone. Secrets are not recorded: a digest of a short secret could be guessed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import FIELD_MANAGER

_FORMAT = 1
_DIGITS = 20


@dataclass(frozen=True)
class Left:
    """How an object was left: digest of what was sent, and from the server's answer resourceVersion, generation (None where the kind has none), own entry."""

    sent: str
    version: str
    generation: int | None
    owned: str

    def holds(self, metadata: Mapping[str, Any]) -> bool:
        """Whether an object with this metadata is still as it was left, in every field that we own."""
        if metadata.get("deletionTimestamp"):
            return False
        if metadata.get("resourceVersion") == self.version:
            return True
        return self.generation is not None and metadata.get("generation") == self.generation and bool(self.owned) and owned(metadata) == self.owned


@dataclass
class Record:
    """By object what was left, and by document (its digest) which objects it holds."""

    objects: dict[Key, Left] = field(default_factory=dict)
    documents: dict[str, tuple[Key, ...]] = field(default_factory=dict)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def document(digest_of_text: str, namespace: str) -> str:
    """The digest of a document whose namespaced objects go to ``namespace`` unless they say otherwise."""
    return digest(f"{digest_of_text} {namespace}".encode())


def left(sent: bytes, metadata: Mapping[str, Any]) -> Left:
    """After an apply that sent ``sent`` and was answered with this metadata."""
    return Left(digest(sent), str(metadata.get("resourceVersion", "")), metadata.get("generation"), owned(metadata))


def owned(metadata: Mapping[str, Any]) -> str:
    """A digest of our own entry in managedFields; empty where there is none."""
    for entry in metadata.get("managedFields") or []:
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource"):
            return digest(json.dumps(entry, separators=(",", ":"), sort_keys=True).encode())
    return ""


def encode(record: Record) -> str:
    """As text for a ConfigMap's binaryData."""
    keys = sorted(record.objects)
    number = {key: index for index, key in enumerate(keys)}
    rows = [[*_parts(key), left.sent, left.version, left.generation, left.owned] for key in keys if (left := record.objects[key])]
    documents = {name: [number[key] for key in held] for name, held in sorted(record.documents.items()) if all(key in number for key in held)}
    text = json.dumps({"format": _FORMAT, "objects": rows, "documents": documents}, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def decode(text: str) -> Record:
    """What was recorded; an empty record where it is missing, broken or of another format, which costs a full apply and nothing else."""
    try:
        content = json.loads(zlib.decompress(base64.b64decode(text)))
        if content["format"] != _FORMAT:
            return Record()
        keys = [Key(*row[:4]) for row in content["objects"]]
        objects = {key: Left(*row[4:]) for key, row in zip(keys, content["objects"], strict=True)}
        return Record(objects, {name: tuple(keys[index] for index in held) for name, held in content["documents"].items()})
    except (ValueError, KeyError, TypeError, IndexError, zlib.error, binascii.Error):
        return Record()


def recordable(keys: Iterable[Key]) -> bool:
    return all(key.kind != "Secret" for key in keys)


def _parts(key: Key) -> Sequence[str]:
    return key.api_version, key.kind, key.namespace, key.name
