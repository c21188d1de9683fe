# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server-side apply of many objects at once: what is wanted is sent unless it is there already, and the server says what changed.

request.py shows how it is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import applyset, prune, record, removal, wait
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resources, discover
from ansible_collections.trinode.platform.plugins.module_utils.kube.existing import Existing
from ansible_collections.trinode.platform.plugins.module_utils.kube.flight import Flight, Landed
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of, reference
from ansible_collections.trinode.platform.plugins.module_utils.kube.putoff import PutOff
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Applied, ApplySet, Request
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.sender import Sender
from ansible_collections.trinode.platform.plugins.module_utils.kube.sources import Manifest, parse_ahead
from ansible_collections.trinode.platform.plugins.module_utils.kube.wanted import Known, Sorted, Source, sort
from ansible_collections.trinode.platform.plugins.module_utils.kube.waves import DEFINITION, plan
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress


def apply(client: Client, objects: Sequence[Source], request: Request, deadline: Deadline) -> list[Applied]:
    """Apply all objects, each as soon as what it needs is there. Returns one entry per object, in the order given, then what was pruned or kept.

    Every object is tried even when others fail. Raises InputError for a kind that is neither served nor defined by one of the objects (before anything is
    sent; unless kinds are awaited), and PlatformError with all refusals in one message.
    """
    return _Run(client, request, deadline).apply(objects)


def predict_all_created(objects: Iterable[Source]) -> list[Applied]:
    """What applying would do on a cluster that does not exist yet. Without a server the scope of a kind is not known: namespaces are as written."""
    items = [item for source in objects for item in (source.objects if isinstance(source, Manifest) else [source])]
    return [Applied(key_of(item), "created", None, item) for item in items]


class _Run:
    """One call: what the server has, the decision what to send, and what became of it."""

    def __init__(self, client: Client, request: Request, deadline: Deadline) -> None:
        self._client = client
        self._request = request
        self._deadline = deadline
        self._set = request.apply_set

    def apply(self, objects: Sequence[Source]) -> list[Applied]:
        resources, found = self._observe(objects)
        parent = found or applyset.Parent()
        members = applyset.members(self._client, self._set, parent.kinds, resources, self._deadline) if self._set else {}
        known = Known(resources, parent.record, members, applyset.identity(self._set) if self._set else "")
        work = sort(objects, self._request.namespace, known)
        self._require_kinds(work, resources)
        progress(
            f"{'comparing' if self._request.dry_run else 'applying'} {len(work.send)} objects" + (f", {len(work.same)} are as they were" if work.same else "")
        )
        existing = Existing(self._client, work.send, resources, self._deadline)
        definitions = [wanted for wanted in work.send.values() if wanted.key.kind == DEFINITION]
        sender = Sender(self._client, self._request, resources, existing, self._deadline, definitions=definitions)
        early: dict[Key, Applied] = {}
        if self._set and not self._request.dry_run:
            early = self._require_namespace(self._set, work, sender, existing)
            parent = applyset.announce(self._client, self._set, found, self._deadline, kinds=_kinds(work.order), namespaces=_namespaces(work.order))
        steps = plan([wanted for key, wanted in work.send.items() if key not in early], resources, work.defined)
        landed = Flight(self._client, sender, steps, self._deadline, dry_run=self._request.dry_run).fly()
        landed.applied |= early
        return self._settle(work, landed, sender, parent, members)

    def _observe(self, objects: Sequence[Source]) -> tuple[Resources, applyset.Parent | None]:
        """What the server serves, and the set's parent, at once."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            served = pool.submit(retried, lambda: discover(self._client), self._deadline, self._client.server)
            parent = self._parent()
            if parent is None:
                # Nothing was applied before, so all has to be parsed: as much as there is time for, while the server answers.
                parse_ahead((source for source in objects if isinstance(source, Manifest)), served.done)
            return served.result(), parent

    def _parent(self) -> applyset.Parent | None:
        return applyset.read(self._client, self._set, self._deadline) if self._set else None

    def _require_kinds(self, work: Sorted, resources: Resources) -> None:
        unknown = sorted({wanted.kind for wanted in work.send.values()} - set(resources) - set(work.defined))
        if unknown and not self._request.dry_run and not self._request.await_kinds:
            names = ", ".join(f"{kind} ({api_version})" for api_version, kind in unknown)
            raise InputError(
                f"the cluster does not serve {names}, and no CustomResourceDefinition among the objects defines it",
                hint="Install the component that brings the definition first, or correct apiVersion and kind.",
            )

    def _require_namespace(self, wanted: ApplySet, work: Sorted, sender: Sender, existing: Existing) -> dict[Key, Applied]:
        """The parent is the first object of a set; its namespace, if it is among the objects and new, has to be there before."""
        key = Key("v1", "Namespace", "", wanted.namespace)
        if key not in work.send or existing.read(key) is not None:
            return {}
        return {key: retried(lambda: sender.send(work.send[key]), self._deadline, str(key))}

    def _settle(self, work: Sorted, landed: Landed, sender: Sender, parent: applyset.Parent, members: Mapping[applyset.Place, Object]) -> list[Applied]:
        """After the flight: what was put off, prune, record, wait."""
        put_off = [work.send[key] for key in [*landed.deferred, *(wanted.key for wanted in landed.held)]]
        dry_run = self._request.dry_run
        if dry_run and landed.deferred:
            landed.errors |= landed.deferred
        if landed.errors:
            sound = {key: result for key, result in landed.applied.items() if key not in landed.errors}
            self._record(work, sound, sender, parent, kept=(), complete=False)
            raise _summary(landed.errors, work.order, self._client.server)
        if dry_run:
            return self._results(work, landed.applied, self._prune(work, landed.applied, sender.resources, members))
        pruned: list[Applied] = [] if put_off else self._prune(work, landed.applied, sender.resources, members)
        if put_off or self._request.wait:
            parent = self._record(work, landed.applied, sender, parent, kept=pruned, complete=not put_off)
        later = PutOff(self._client, sender, put_off, landed, self._deadline, namespace=self._request.namespace) if put_off else None
        self._wait(work, landed.applied, sender.resources, later)
        if later is not None:
            later.result()
            landed.applied |= later.applied
            work.move(later.moved)
            if later.errors:
                self._record(work, landed.applied, sender, parent, kept=(), complete=False)
                raise _summary(later.errors, work.order, self._client.server)
            pruned = self._prune(work, landed.applied, sender.resources, members)
            self._wait(Sorted(), later.applied, sender.resources, None, definitions=True)
        self._record(work, landed.applied, sender, parent, kept=pruned, complete=True, data=True)
        return self._results(work, landed.applied, pruned)

    def _prune(self, work: Sorted, applied: Mapping[Key, Applied], resources: Resources, members: Mapping[applyset.Place, Object]) -> list[Applied]:
        if not self._request.prune:
            return []
        uids = {str(uid) for result in applied.values() if result.after and (uid := result.after["metadata"].get("uid"))}
        leaving = prune.leaving(members, work.order, uids, self._request.prune_protected)
        return removal.delete(self._client, leaving, resources, self._deadline, dry_run=self._request.dry_run, gone=False)

    def _wait(self, work: Sorted, applied: Mapping[Key, Applied], resources: Resources, later: PutOff | None, *, definitions: bool = False) -> None:
        """Until all is ready. Definitions are, since their kinds are served, but for those that were put off.

        What is put off goes on meanwhile, and is told of when this fails.
        """
        if not self._request.wait:
            return
        objects = [*(reference(key) for key in work.same), *(result.after for result in applied.values() if result.after is not None)]
        try:
            wait.until_ready(self._client, [item for item in objects if definitions or item["kind"] != DEFINITION], resources, self._deadline)
        except PlatformError as error:
            if later is None:
                raise
            later.stop()
            waiting = "; ".join(f"{key}: {later.reasons[key]}" for key in sorted(later.reasons) if key not in later.applied)
            text = f"{error.what}; not applied yet: {waiting}" if waiting else error.what
            raise type(error)(text, where=error.where, hint=error.hint) if not isinstance(error, ApiError) else error from error

    def _record(
        self,
        work: Sorted,
        applied: Mapping[Key, Applied],
        sender: Sender,
        parent: applyset.Parent,
        *,
        kept: Iterable[Applied],
        complete: bool,
        data: bool = False,
    ) -> applyset.Parent:
        """Write down how each object was left. Kinds and namespaces shrink to the real ones only when the set is ``complete`` and was pruned."""
        if self._set is None or self._request.dry_run:
            return parent
        objects = {**work.same, **{key: sender.left[key] for key in applied if key in sender.left}}
        objects = {key: left for key, left in objects.items() if record.recordable([key])}
        documents = {name: keys for name, keys in work.documents.items() if all(key in objects for key in keys)}
        kinds, namespaces = parent.kinds | _kinds(work.order), parent.namespaces | _namespaces(work.order)
        if complete and self._request.prune:
            present = [*work.order, *(result.key for result in kept if result.action == "kept")]
            kinds, namespaces = frozenset(_kinds(present)), frozenset({self._set.namespace, *_namespaces(present)})
        final = applyset.Parent(
            kinds,
            namespaces,
            record.Record(objects, documents),
            {**self._set.data} if data else parent.data,
            {**parent.labels, **self._set.labels} if data else parent.labels,
        )
        return applyset.finish(self._client, self._set, parent, final, self._deadline)

    def _results(self, work: Sorted, applied: Mapping[Key, Applied], pruned: Sequence[Applied]) -> list[Applied]:
        return [applied[key] if key in applied else Applied(key, "unchanged", reference(key), reference(key)) for key in work.order] + list(pruned)


def _kinds(keys: Iterable[Key]) -> set[applyset.GroupKind]:
    return {applyset.group_kind(key.api_version, key.kind) for key in keys}


def _namespaces(keys: Iterable[Key]) -> set[str]:
    return {key.namespace for key in keys if key.namespace}


def _summary(found: Mapping[Key, PlatformError], order: Sequence[Key], server: str) -> PlatformError:
    """One error for all refusals, in the order of the objects; conflicts by field and owner."""
    errors = {key: found[key] for key in order if key in found}
    lines = []
    for key, error in errors.items():
        conflicts = error.field_conflicts if isinstance(error, ApiError) else []
        lines += [f"{key}: {conflict.field} is owned by {conflict.owner}" for conflict in conflicts] or [f"{key}: {error.what}"]
    conflicting = any(isinstance(error, ApiError) and error.field_conflicts for error in errors.values())
    hint = "Take the field out of the object, or set force_conflicts to take it over." if conflicting else next(iter(errors.values())).hint
    shown = "; ".join(lines[:10]) + (f"; and {len(lines) - 10} more" if len(lines) > 10 else "")
    what = f"{len(errors)} of the objects could not be applied: {shown}" if len(errors) > 1 else shown
    details = {"errors": [{"kind": key.kind, "namespace": key.namespace, "name": key.name, "error": error.what} for key, error in errors.items()]}
    late = all(isinstance(error, DeadlineExceeded) for error in errors.values())
    return (DeadlineExceeded if late else PlatformError)(what, where=server, hint=hint, details=details)
