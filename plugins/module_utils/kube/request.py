# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an apply is asked to do, and what it tells of each object.

The engine's interface for modules and for the delivery of components::

    objects = sources.read(paths)  # files and directories -> [Manifest]: text that is parsed only when it must be
    objects += sources.split(text)  # the same of a text; plain dictionaries may stand among them
    client = connect(kubeconfig, context, deadline, servers=("https://192.0.2.11:6443", ...))
    request = Request(apply_set=ApplySet("trinode-component-cilium", "kube-system", data={"revision": "..."}), prune=True)
    results = apply.apply(client, objects, request, deadline)  # [Applied], also for what was pruned
    results = removal.remove_set(client, request, deadline)  # the end of a set: every member, then its parent
    parent = applyset.read(client, request.apply_set)  # applyset.Parent, or None: its data, its members' kinds

With an ``apply_set``, an object that is on the server as it was last applied is not sent again; its ``Applied`` then has only apiVersion, kind and metadata.
Text (``Manifest``) of such objects is not even parsed, which is most of the time that a big re-apply would take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object

FIELD_MANAGER = "trinode"

Action = Literal["created", "changed", "unchanged", "pruned", "kept"]


@dataclass(frozen=True)
class ApplySet:
    """A set of objects after KEP-3659, named by its parent, a ConfigMap. ``namespace`` is the parent's.

    ``data`` and ``labels`` are the caller's own, for the parent: written once everything was applied, pruned and (if asked) has become ready.
    """

    name: str
    namespace: str
    data: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """How to apply.

    ``namespace`` is for namespaced objects that name none; ``force`` takes over fields that other managers own, and members of other sets;
    ``dry_run`` asks the server what would happen; ``wait`` until ready.
    ``await_kinds``: custom resources whose kind nobody serves yet are held until it is served, instead of being refused.
    ``prune``: members of ``apply_set`` that are not among the objects are deleted. Protected ones (see prune.py) are kept, but for those named in
    ``prune_protected`` by kind ("Namespace") or one by one ("PersistentVolumeClaim/databases/data-0", "Namespace/old").
    """

    namespace: str = "default"
    force: bool = False
    dry_run: bool = False
    wait: bool = True
    await_kinds: bool = False
    apply_set: ApplySet | None = None
    prune: bool = False
    prune_protected: tuple[str, ...] = ()


@dataclass(frozen=True)
class Applied:
    """What happened to one object, or in check mode would. ``before`` is None for an object that was not there, ``after`` for one that was pruned.

    ``kept`` is a member of the set that is not wanted any more and is protected.
    """

    key: Key
    action: Action
    before: Object | None
    after: Object | None
