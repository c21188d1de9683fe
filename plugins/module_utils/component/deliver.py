# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivering a component: its files to the cluster, hooks at their moments, and at the end the note that it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.component import generate, hook_run, hooks, installed, jobs, sealed_owners
from ansible_collections.trinode.platform.plugins.module_utils.component.access import Access
from ansible_collections.trinode.platform.plugins.module_utils.component.contents import Contents
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import Definition
from ansible_collections.trinode.platform.plugins.module_utils.component.hooks import Hook
from ansible_collections.trinode.platform.plugins.module_utils.component.result import Result
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube import apply, applyset
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of, reference
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Applied, ApplySet, Request
from ansible_collections.trinode.platform.plugins.module_utils.kube.sources import Manifest
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.sealing.sealed_secret import KIND as SEALED


@dataclass(frozen=True)
class Moment:
    """What is there, and what follows: ``installed`` is what the cluster notes of the component (empty before its first success)."""

    noted: Mapping[str, str]
    revision: str

    @property
    def step(self) -> str:
        """install, upgrade, or nothing where the cluster has this revision. An upgrade that did not end is gone on with, or taken back."""
        known = self.noted.get("revision", "")
        if not known:
            return "install"
        return "" if known == self.revision and installed.BEGUN not in self.noted else "upgrade"


def present(client: Client, definition: Definition, contents: Contents, log: RunLog, deadline: Deadline, *, check: bool) -> Result:
    """Install the component, upgrade it, or find it as it should be. With ``check`` nothing is done, and the result is what would be."""
    return _Delivery(Access(client, definition.namespace, deadline, check=check), definition, contents, log, check=check).present()


def apply_set(component: str, data: Mapping[str, str] | None = None) -> ApplySet:
    """The set of a component's objects. ``data`` is what the cluster notes of it."""
    return ApplySet(installed.parent_name(component), installed.NAMESPACE, data or {}, {installed.COMPONENT_LABEL: component})


def note(definition: Definition, revision: str) -> dict[str, str]:
    """What the cluster keeps of a component: see installed.py, which reads it."""
    versions = " ".join(f"{pin}={version}" for pin, version in sorted(definition.versions.items()))
    return {"revision": revision, "versions": versions, "needs": " ".join(definition.needs)}


def predicted(definition: Definition, contents: Contents) -> Result:
    """What installing would do on a cluster that does not exist yet."""
    result = Result(apply.predict_all_created(contents.applied))
    result.hooks = [(event, hook.key) for event in ("pre-install", "post-install") for hook in hooks.at(event, contents.hooks)]
    result.applied.append(_noted(definition, {}, note(definition, contents.revision)))
    return result


class _Delivery:
    def __init__(self, access: Access, definition: Definition, contents: Contents, log: RunLog, *, check: bool) -> None:
        self._access = access
        self._client = access.client
        self._deadline = access.deadline
        self._definition = definition
        self._contents = contents
        self._log = log
        self._check = check
        # What was there before we made or changed something on the way to the apply; None for nothing.
        self._earlier: dict[Key, Object | None] = {}
        self._generated = () if definition.sealed else definition.generated_secrets

    def present(self) -> Result:
        definition, contents = self._definition, self._contents
        parent = applyset.read(self._client, apply_set(definition.name), self._deadline)
        moment = Moment(parent.data if parent else {}, contents.revision)
        result = Result()
        self._log.record(definition.name, "applying", moment.step or "comparing")
        before, after = (hooks.at(f"{when}-{moment.step}", contents.hooks) if moment.step else [] for when in ("pre", "post"))
        self._namespaces(make=bool(before or self._generated))
        begun = begin(self._access, definition, moment)
        moved = self._move_secrets() if moment.step else []
        result.applied += generate.ensure(self._access, definition.name, self._generated)
        if before:
            self._unseal_first()
        self._hooks(result, f"pre-{moment.step}", before)
        result.applied += _with_moved(self._applied(begun), moved)
        for item in result.applied:
            if item.action == "kept":
                progress(f"{item.key} is kept, though it is no longer part of {definition.title}: it may hold data")
        self._hooks(result, f"post-{moment.step}", after)
        result.applied.append(write_note(self._access, definition, moment))
        self._log.record(definition.name, "verifying")
        return result

    def _namespaces(self, *, make: bool) -> None:
        """Refuse those of another component; with ``make``, make those that are missing, for what comes before the apply."""
        ours = applyset.identity(apply_set(self._definition.name))
        for item in self._contents.of_kind("Namespace"):
            there = self._access.read(item)
            theirs = ((there or {}).get("metadata", {}).get("labels") or {}).get(applyset.PART_OF_LABEL, ours)
            if theirs != ours:
                raise RefusedError(
                    f"the namespace belongs to {self._owner(theirs)}",
                    where=str(key_of(item)),
                    hint="One component makes a namespace; others that live in it need that component and do not list it.",
                )
            if there is None and make:
                self._earlier[key_of(item)] = None
                self._access.apply(item)

    def _owner(self, identity: str) -> str:
        """The component with this set, as people call it."""
        items, _version = self._client.list(f"/api/v1/namespaces/{installed.NAMESPACE}/configmaps", {"labelSelector": f"{applyset.ID_LABEL}={identity}"})
        names = [(item["metadata"].get("labels") or {}).get(installed.COMPONENT_LABEL) for item in items]
        return f"component {names[0]}" if names and names[0] else "something else"

    def _move_secrets(self) -> list[Applied]:
        """Secrets that are sealed from now on, or no longer, change their owner before the apply, and keep their values."""
        sealed, plain = self._contents.of_kind(SEALED), self._contents.of_kind("Secret")
        generated = [generate.empty(secret, self._definition.name) for secret in self._generated]
        identity = applyset.identity(apply_set(self._definition.name))
        moved = sealed_owners.hand_over(self._access, self._definition.name, identity, sealed)
        return moved + sealed_owners.take_back(self._access, [*plain, *generated])

    def _unseal_first(self) -> None:
        """Hooks may need Secrets as much as what is applied after them."""
        sealed = [manifest for manifest in self._contents.applied if f"kind: {SEALED}\n" in manifest.text]
        if not sealed or self._check:
            return
        request = Request(namespace=self._definition.namespace, force=True, await_kinds=True)
        for item in apply.apply(self._client, sealed, request, self._deadline):
            if item.action != "unchanged":
                self._earlier[item.key] = item.before

    def _hooks(self, result: Result, event: str, found: list[Hook]) -> None:
        result.hooks += [(event, hook.key) for hook in found]
        if found and not self._check:
            self._log.record(self._definition.name, "applying", f"{event} hooks")
            hook_run.run(self._access, event, found)

    def _applied(self, moment: Moment) -> list[Applied]:
        """Apply the files, replace Jobs, delete what is no longer among the files, and wait until all is ready."""
        request = Request(
            namespace=self._definition.namespace,
            force=True,
            dry_run=self._check,
            await_kinds=True,
            apply_set=apply_set(self._definition.name, moment.noted),
            prune=True,
            # No longer sealed: the Secrets are independent of them now.
            prune_protected=tuple(f"{SEALED}/{secret.namespace}/{secret.name}" for secret in self._generated),
        )
        sources = list(self._contents.applied)
        plain = self._contents.of_kind("Job")
        replaced: dict[Key, Object] = {}
        if moment.step and plain:
            replaced = jobs.to_replace(self._access, plain)
            self._access.delete(replaced.values())
        elif plain:
            sources = self._without(sources, jobs.done(self._access, plain))
        if self._check:
            # A server's dry run refuses what would have been deleted before.
            sources = self._without(sources, set(replaced))
        self._log.record(self._definition.name, "applying", f"{len(sources)} objects")
        results = [item for item in apply.apply(self._client, sources, request, self._deadline) if not (item.action == "pruned" and item.key in replaced)]
        return self._as_one_step(results, replaced)

    def _without(self, sources: list[Manifest], keys: set[Key]) -> list[Manifest]:
        if not keys:
            return sources
        return [source for source in sources if not any(key_of(self._access.place(item)) in keys for item in source.objects)]

    def _as_one_step(self, results: list[Applied], replaced: Mapping[Key, Object]) -> list[Applied]:
        """The results as if nothing had been made or deleted before the apply."""
        found = []
        for result in results:
            if result.key in replaced:
                found.append(Applied(result.key, "changed", replaced[result.key], result.after))
            elif result.key in self._earlier:
                before = self._earlier[result.key]
                found.append(Applied(result.key, "changed" if before else "created", before, result.after))
            else:
                found.append(result)
        if self._check and replaced:
            wanted = {key_of(item): item for job in self._contents.of_kind("Job") for item in [self._access.place(job)]}
            found += [Applied(key, "changed", before, wanted[key]) for key, before in replaced.items()]
        return found


def _with_moved(applied: list[Applied], moved: list[Applied]) -> list[Applied]:
    """The results of an apply and of Secrets that change their owner: as a dry run does not know of it, it prunes them, or finds them as they were."""
    keys = {item.key for item in moved}
    return [item for item in applied if not (item.key in keys and item.action in ("pruned", "unchanged"))] + [
        item for item in moved if item.key not in {other.key for other in applied if other.action in ("created", "changed")}
    ]


def begin(access: Access, definition: Definition, moment: Moment) -> Moment:
    """Write down that an upgrade begins, until write_note ends it: what is interrupted in between is neither the old nor the new."""
    if moment.step != "upgrade":
        return moment
    begun = {installed.BEGUN: moment.revision}
    if moment.noted.get(installed.BEGUN) != moment.revision:
        access.merge(reference(_parent(definition)), {"data": begun})
    return Moment({**moment.noted, **begun}, moment.revision)


def write_note(access: Access, definition: Definition, moment: Moment) -> Applied:
    """Write down what is installed, now that it is. Who delivers the component stays noted."""
    kept = {key: moment.noted[key] for key in (installed.DELIVERY,) if key in moment.noted}
    wanted = {**note(definition, moment.revision), **kept}
    change = _noted(definition, moment.noted, wanted)
    if change.action != "unchanged":
        access.merge(change.after or {}, {"data": {**dict.fromkeys((*moment.noted, installed.BEGUN)), **wanted}})
        progress(f"{definition.title} is installed")
    return change


def _noted(definition: Definition, before: Mapping[str, str], after: Mapping[str, str]) -> Applied:
    key = _parent(definition)
    objects = [{**reference(key), "data": dict(data)} if data else None for data in (before, after)]
    return Applied(key, "unchanged" if before == after else "changed" if before else "created", objects[0], objects[1])


def _parent(definition: Definition) -> Key:
    return Key("v1", "ConfigMap", installed.NAMESPACE, installed.parent_name(definition.name))
