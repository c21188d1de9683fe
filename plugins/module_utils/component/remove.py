# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uninstalling a component: custom resources while their controllers are there, then the rest, then namespaces and definitions that nobody else uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.trinode.platform.plugins.module_utils.component import deliver, generate, hook_run, hooks, installed, standing
from ansible_collections.trinode.platform.plugins.module_utils.component.access import Access
from ansible_collections.trinode.platform.plugins.module_utils.component.contents import Contents
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import Definition
from ansible_collections.trinode.platform.plugins.module_utils.component.result import Result
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import applyset, prune, removal
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of, reference
from ansible_collections.trinode.platform.plugins.module_utils.kube.prune import protected
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Applied
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.sealing.sealed_secret import KIND as SEALED

_PARALLEL = 16
_DEFINITION = "CustomResourceDefinition"
_CONTAINERS = ("Namespace", _DEFINITION)
_WEBHOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")


def absent(
    client: Client, definition: Definition, contents: Contents | None, log: RunLog, deadline: Deadline, *, destroy_data: str = "", check: bool = False
) -> Result:
    """Uninstall the component, as far as it is there. ``contents`` are needed for its hooks. Raises RefusedError when others need it or it holds data.

    With ``check`` nothing is done, and the result is what would be.
    """
    access = Access(client, definition.namespace, deadline, check=check)
    return _Removal(access, definition, contents, log, confirmed=destroy_data == definition.name, check=check).absent(destroy_data)


class _Removal:
    def __init__(self, access: Access, definition: Definition, contents: Contents | None, log: RunLog, *, confirmed: bool, check: bool) -> None:
        self._access = access
        self._client = access.client
        self._deadline = access.deadline
        self._definition = definition
        self._hooks = list(contents.hooks) if contents else []
        self._log = log
        self._confirmed = confirmed
        self._check = check
        self._set = deliver.apply_set(definition.name)
        self._identity = applyset.identity(self._set)
        self._parent = reference(Key("v1", "ConfigMap", self._set.namespace, self._set.name))
        self._result = Result()

    def absent(self, destroy_data: str) -> Result:
        name = self._definition.name
        parent = applyset.read(self._client, self._set, self._deadline)
        if parent is None:
            return self._result
        members = list(applyset.members(self._client, self._set, parent.kinds, self._access.resources, self._deadline).values())
        # What is left of an uninstalled component are at most definitions and namespaces that others use.
        active = "revision" in parent.data or any(not protected(member) for member in members)
        if active:
            needed = standing.needed_by(name, installed.read(self._client))
            standing.refuse(self._definition, needed, [] if self._confirmed else self._data(members), destroy_data)
            self._log.record(name, "removing", f"{len(members)} objects")
            self._forget(parent)
            self._run("pre-delete")
        kept = self._remove(members)
        if active:
            self._run("post-delete")
        self._remove_by_products()
        kept = self._remove_containers(members) + kept
        self._result.applied += [Applied(key_of(member), "kept", member, member) for member in kept]
        self._close(parent, kept)
        return self._result

    def _forget(self, parent: applyset.Parent) -> None:
        """From here on it does not count as installed."""
        if "revision" in parent.data:
            self._access.merge(self._parent, {"data": {"revision": None}})

    def _run(self, event: str) -> None:
        found = hooks.at(event, self._hooks)
        self._result.hooks += [(event, hook.key) for hook in found]
        if not self._check:
            hook_run.run(self._access, event, found)

    def _data(self, members: Iterable[Object]) -> list[Object]:
        """Objects that hold data: members, claims in its namespaces, and what users made of its kinds."""
        found = {key_of(member): member for member in members if standing.holds_data(member)}
        claims = self._access.resources["v1", "PersistentVolumeClaim"]
        for member in members:
            more = self._list(claims, member["metadata"]["name"]) if member["kind"] == "Namespace" else []
            if member["kind"] == _DEFINITION:
                more = [item for item in self._instances(member) if standing.holds_data(item)]
            found |= {key_of(item): item for item in more}
        return list(found.values())

    def _remove(self, members: Sequence[Object]) -> list[Object]:
        """Custom resources, webhooks that would stand in the way, then its other objects but namespaces and definitions. Returns those that are kept."""
        own = [member for member in members if member["kind"] not in _CONTAINERS]
        sealed = {(SEALED, secret.namespace, secret.name) for secret in self._definition.generated_secrets}
        go = tuple(member for member in own if self._confirmed or not protected(member) or _named(member) in sealed)
        if self._confirmed:
            keys = {key_of(member) for member in members}
            made = [item for definition in self._definitions(members) for item in self._instances(definition) if key_of(item) not in keys]
            self._delete([item for item in made if not item["metadata"].get("ownerReferences")])
        self._result.applied += self._access.delete(item for item in self._leftovers() if item["kind"] in _WEBHOOKS)
        self._delete(go)
        return [member for member in own if member not in go]

    def _remove_by_products(self) -> None:
        """What its hooks left, what was generated for it, and what its programs made."""
        made = [self._access.place(hook) for hook in self._hooks]
        secrets = generate.there(self._access, self._definition.name, self._definition.generated_secrets)
        leftovers = [item for item in self._leftovers() if item["kind"] not in _CONTAINERS]
        self._result.applied += self._access.delete([*made, *secrets, *leftovers])

    def _remove_containers(self, members: Sequence[Object]) -> list[Object]:
        """Definitions of which no custom resource is left, and namespaces in which nothing of others is. Returns those that are kept."""
        # In check mode they are still there.
        gone = {key_of(member) for member in members} if self._check else set()
        definitions = self._definitions(members)
        namespaces = [member for member in members if member["kind"] == "Namespace"]
        unused = [item for item in definitions if self._confirmed or self._unused(item, gone)]
        empty = [item for item in namespaces if self._empty(item["metadata"]["name"])]
        self._delete([*unused, *empty])
        return [member for member in [*definitions, *namespaces] if member in members and member not in unused and member not in empty]

    def _close(self, parent: applyset.Parent, kept: Sequence[Object]) -> None:
        """The parent goes, unless it still has members."""
        if not kept:
            self._result.applied.append(Applied(key_of(self._parent), "pruned", {**self._parent, "data": dict(parent.data)}, None))
        if self._check:
            return
        if kept:
            kinds = frozenset(applyset.group_kind(member["apiVersion"], member["kind"]) for member in kept)
            current = applyset.read(self._client, self._set, self._deadline) or parent
            applyset.finish(self._client, self._set, current, applyset.Parent(kinds, current.namespaces, labels=current.labels), self._deadline)
        else:
            applyset.remove(self._client, self._set, self._deadline)

    def _delete(self, items: Sequence[Object]) -> None:
        self._result.applied += removal.delete(self._client, prune.all_of(items), self._access.resources, self._deadline, dry_run=self._check, gone=True)

    def _definitions(self, members: Iterable[Object]) -> list[Object]:
        """Its definitions: members, and those that its programs make."""
        ours = [member for member in members if member["kind"] == _DEFINITION]
        names = {member["metadata"]["name"] for member in ours}
        made = [item for item in self._leftovers() if item["kind"] == _DEFINITION and item["metadata"]["name"] not in names]
        return [*ours, *(found for item in made if (found := self._access.read(item)))]

    def _leftovers(self) -> list[Object]:
        return [
            reference(Key(leftovers.api_version, leftovers.kind, leftovers.namespace, name))
            for leftovers in self._definition.leftovers
            for name in leftovers.names
        ]

    def _instances(self, definition: Object) -> list[Object]:
        """The custom resources of a definition, in its served versions once each."""
        found = self._access.read(definition)
        spec = (found or {}).get("spec") or {}
        versions = [version["name"] for version in spec.get("versions") or [] if version.get("served")]
        kind = (spec.get("names") or {}).get("kind", "")
        resource = next((item for version in versions if (item := self._access.resources.get((f"{spec.get('group')}/{version}", kind)))), None)
        return self._list(resource, "") if resource else []

    def _unused(self, definition: Object, ours: set[Key]) -> bool:
        left = [item for item in self._instances(definition) if key_of(item) not in ours and not item["metadata"].get("deletionTimestamp")]
        if left:
            self._warn(f"{key_of(definition)} stays, since there are {len(left)} such objects: {_few(left)}")
        return not left

    def _empty(self, namespace: str) -> bool:
        """Whether nothing of others is in the namespace."""
        own = {(item["kind"], item["metadata"]["name"]) for item in [*self._leftovers(), *self._hooks]}
        # Each kind once, whatever its versions.
        kinds = {applyset.group_kind(item.api_version, item.kind): item for item in self._access.resources.values() if item.namespaced}
        with ThreadPoolExecutor(max_workers=_PARALLEL) as pool:
            items = [item for found in pool.map(lambda resource: self._list(resource, namespace), kinds.values()) for item in found]
        unowned = [item for item in items if (item["kind"], item["metadata"]["name"]) not in own]
        strangers = standing.strangers(unowned, self._identity, self._definition.name, destroy_data=self._confirmed)
        if strangers:
            self._warn(f"Namespace {namespace} stays, since others' objects are in it: {_few(strangers)}")
        return not strangers

    def _list(self, resource: Resource, namespace: str) -> list[Object]:
        """The metadata of all objects of a kind; none where there is no such list, or the server that an API service names does not answer."""

        def ask() -> Object:
            return self._client.request("GET", resource.path(namespace), accept=applyset.METADATA_LIST, deadline=self._deadline)

        try:
            answer = retried(ask, self._deadline, resource.plural, tries=3)
        except ApiError as error:
            if error.not_found or error.code in (405, 503):
                return []
            raise
        return [{"apiVersion": resource.api_version, "kind": resource.kind, "metadata": item["metadata"]} for item in answer.get("items") or []]

    def _warn(self, text: str) -> None:
        progress(text)
        self._result.warnings.append(text)


def _named(item: Object) -> tuple[str, str, str]:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _few(items: Sequence[Object]) -> str:
    shown = ", ".join(str(key_of(item)) for item in items[:5])
    return f"{shown} and {len(items) - 5} more" if len(items) > 5 else shown
