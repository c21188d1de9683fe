# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be on the server, made of documents and objects; and which of it is there already, as it was left by the last apply. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube import record
from ansible_collections.trinode.platform.plugins.module_utils.kube.applyset import PART_OF_LABEL, Place, place
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resources
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, without_nulls
from ansible_collections.trinode.platform.plugins.module_utils.kube.sources import Manifest
from ansible_collections.trinode.platform.plugins.module_utils.kube.waves import Kind, Wanted, defined_kinds, placed, wanted

Source = Manifest | Object  # pylint: disable=unsupported-binary-operation


@dataclass
class Sorted:
    """Every object once. ``order`` are all keys as given; ``send`` is what has to be sent, ``same`` what is on the server as it was left.

    ``documents`` says which objects a document holds, ``defined`` which kinds the definitions among ``send`` bring.
    """

    order: list[Key] = field(default_factory=list)
    send: dict[Key, Wanted] = field(default_factory=dict)
    same: dict[Key, record.Left] = field(default_factory=dict)
    documents: dict[str, tuple[Key, ...]] = field(default_factory=dict)
    defined: dict[Kind, bool] = field(default_factory=dict)

    def move(self, keys: Mapping[Key, Key]) -> None:
        """Objects have other keys than was thought: their namespace has become known."""
        self.order = [keys.get(key, key) for key in self.order]
        self.send = {keys.get(key, key): item for key, item in self.send.items()}
        self.documents = {name: tuple(keys.get(key, key) for key in held) for name, held in self.documents.items()}


@dataclass(frozen=True)
class Known:
    """What is there: the kinds that are served, what the last apply left, the set's members as they are now, and the set's id (empty for none)."""

    resources: Resources
    left: record.Record = field(default_factory=record.Record)
    members: Mapping[Place, Object] = field(default_factory=dict)
    part_of: str = ""

    def holds(self, key: Key) -> bool:
        """Whether the object is as it was left."""
        member, left = self.members.get(place(key)), self.left.objects.get(key)
        return member is not None and left is not None and left.holds(member["metadata"])


def sort(sources: Sequence[Source], namespace: str, known: Known) -> Sorted:
    """Which objects have to be sent. A document all of whose objects are as they were left is not parsed.

    ``namespace`` is for namespaced objects that name none. Raises InputError for an object that is there twice.
    """
    result = Sorted()
    parsed: list[tuple[str, tuple[Key, ...], tuple[Object, ...]]] = []
    for source in sources:
        if isinstance(source, Manifest):
            name = record.document(source.digest, namespace)
            held = known.left.documents.get(name, ())
            same = held and all(known.holds(key) for key in held)
            parsed.append((name, held, ()) if same else (name, (), tuple(source.objects)))
        else:
            parsed.append(("", (), (source,)))
    result.defined = defined_kinds(item for _name, _held, items in parsed for item in items)
    for name, held, items in parsed:
        for key in held:
            _take(result, key, known.left.objects[key])
        keys: tuple[Key, ...] = (*held, *(_sort_one(result, item, namespace, known) for item in items))
        if name and keys:
            result.documents[name] = keys
    return result


def _sort_one(result: Sorted, item: Object, namespace: str, known: Known) -> Key:
    kind = (item["apiVersion"], item["kind"])
    clean: Object = without_nulls(placed(item, known.resources.get(kind), result.defined.get(kind), namespace))
    if known.part_of:
        metadata = clean["metadata"]
        clean["metadata"] = {**metadata, "labels": {**(metadata.get("labels") or {}), PART_OF_LABEL: known.part_of}}
    there = wanted(clean)
    left = known.left.objects.get(there.key)
    same = left is not None and left.sent == record.digest(there.body) and known.holds(there.key)
    _take(result, there.key, left if left and same else there)
    return there.key


def _take(result: Sorted, key: Key, what: Wanted | record.Left) -> None:
    if key in result.send or key in result.same:
        raise InputError(f"{key} is there twice", hint="Keep one of them: the last one would win silently.")
    result.order.append(key)
    if isinstance(what, Wanted):
        result.send[key] = what
    else:
        result.same[key] = what
