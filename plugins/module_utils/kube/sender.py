# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Server-side apply of one object, and what the server's answer means."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube import diff, record
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.applyset import PART_OF_LABEL
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resources
from ansible_collections.trinode.platform.plugins.module_utils.kube.existing import Existing
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import FIELD_MANAGER, Applied, Request
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.waves import DEFINITION, Kind, Wanted, defined_kinds, may_be_custom

_APPLY = "application/apply-patch+yaml"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_TRIES = 4
# Each API server learns of a definition by itself: for this long, a kind or a field that is not known yet may be so a moment later.
_SPREAD_SECONDS = 10.0


class Sender:
    """Applies objects one by one, from any thread. ``left`` collects what the record needs to know of each.

    ``definitions`` are those of the same call: a dry run, which changes none, takes the fields that they add for granted.
    """

    def __init__(
        self, client: Client, request: Request, resources: Resources, existing: Existing, deadline: Deadline, *, definitions: Iterable[Wanted] = ()
    ) -> None:
        self.resources = resources
        self.left: dict[Key, record.Left] = {}
        self._client = client
        self._request = request
        self._existing = existing
        self._deadline = deadline
        self._new_kinds: dict[Kind, float] = {}
        self._definitions = {kind: definition for definition in definitions for kind in defined_kinds([definition.item])} if request.dry_run else {}

    def defined(self, kinds: Iterable[Kind]) -> None:
        """The server has just been given the definitions of these kinds."""
        now = time.monotonic()
        self._new_kinds.update(dict.fromkeys(kinds, now))

    def send(self, wanted: Wanted) -> Applied:
        """Apply it. Temporary refusals are tried again a few times and then raised: the caller may have something better to do meanwhile."""
        resource = self.resources.get(wanted.kind)
        if resource is None:
            return Applied(wanted.key, "created", None, wanted.item)  # a dry run, and nobody serves the kind yet
        before = self._existing.read(wanted.key)
        self._require_member(wanted, before)
        if self._request.dry_run and before is None and resource.namespaced and wanted.key.namespace not in self._existing.namespaces:
            return Applied(wanted.key, "created", None, wanted.item)
        try:
            after = self._patch(wanted, resource.path(wanted.key.namespace, wanted.key.name), new=before is None)
        except ApiError as error:
            if self._request.dry_run and before is None and (error.not_found or error.webhook_unanswered):
                return Applied(wanted.key, "created", None, wanted.item)
            if error.unknown_field and self._is_redefined(wanted.kind):
                return Applied(wanted.key, "changed" if before else "created", before, _overlaid(before or {}, wanted.item))
            raise
        if not self._request.dry_run:
            self.left[wanted.key] = record.left(wanted.body, after["metadata"])
        if before is None:
            return Applied(wanted.key, "created", None, after)
        # By content, not by resourceVersion: a dry run keeps it, and a controller may write the status in between.
        return Applied(wanted.key, "unchanged" if diff.essence(before) == diff.essence(after) else "changed", before, after)

    def _is_redefined(self, kind: Kind) -> bool:
        """Whether the definition of the kind that goes with this dry run is another one than the server's."""
        return kind in self._definitions and self.send(self._definitions[kind]).action != "unchanged"

    def _patch(self, wanted: Wanted, path: str, *, new: bool) -> Object:
        # The answer to a new definition would be all of it, which is what was sent.
        short = new and wanted.key.kind == DEFINITION
        params = {"fieldManager": FIELD_MANAGER, "force": str(self._request.force).lower(), "fieldValidation": "Strict"}
        if self._request.dry_run:
            params["dryRun"] = "All"

        # Each API server makes what it needs to serve a custom kind at the first request for it, which is dear.
        affinity = wanted.key.api_version if wanted.kind in self._new_kinds else ""

        def ask() -> Object:
            accept = _METADATA if short else "application/json"
            return self._client.request(
                "PATCH", path, wanted.body, content_type=_APPLY, params=params, deadline=self._deadline, accept=accept, affinity=affinity
            )

        answer = self._settled(wanted, ask)
        return {**wanted.item, "metadata": answer["metadata"]} if short else answer

    def _settled(self, wanted: Wanted, ask: Callable[[], Object]) -> Object:
        """The answer; asked again while an API server has not learned of a definition that this call has sent, or that an operator has just made."""
        pause = 0.05
        while True:
            try:
                return retried(ask, self._deadline, str(wanted.key), tries=_TRIES)
            except ApiError as error:
                if not (error.kind_missing or (error.unknown_field and may_be_custom(wanted.kind) and wanted.kind not in self._definitions)):
                    raise
                since = self._new_kinds.setdefault(wanted.kind, time.monotonic())
                if time.monotonic() - since > _SPREAD_SECONDS or self._deadline.expired:
                    raise
            self._deadline.pause(pause)
            pause = min(1.0, pause * 2)

    def _require_member(self, wanted: Wanted, before: Mapping[str, Any] | None) -> None:
        ours = (wanted.item["metadata"].get("labels") or {}).get(PART_OF_LABEL)
        theirs = ((before or {}).get("metadata", {}).get("labels") or {}).get(PART_OF_LABEL)
        if ours and theirs and ours != theirs and not self._request.force:
            raise RefusedError(
                f"it is part of another ApplySet ({theirs})",
                where=str(wanted.key),
                hint="Take it out of the one or the other, or set force_conflicts to take it over.",
            )


def _overlaid(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> Object:
    """About what the server would make of it: what is wanted over what is there."""
    result = dict(before)
    for key, value in wanted.items():
        there = result.get(key)
        result[key] = _overlaid(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return result
