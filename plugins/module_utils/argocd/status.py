# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an Application's status says, in plain words. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.kube.states import READY, Json, Readiness, failed, part, progressing, stuck

Contains = Callable[[str], bool]
"""Whether a revision of the repository contains what is waited for."""

REFRESH = "argocd.argoproj.io/refresh"
_SHOWN = 3
# These stand in the way of a comparison or a sync. Most pass: a repository is out of reach, a server of repositories starts.
_CONDITIONS = ("InvalidSpecError", "ComparisonError", "UnknownError", "DeletionError")
_PATIENCE = 1.5
# What an API server says of an object that it will never take, and Argo CD of a file that is none.
_FOR_GOOD = re.compile(
    r"is invalid: |field is immutable|failed to create typed patch object|strict decoding error|is not permitted in project|Failed to unmarshal"
)
_BEHIND = re.compile(r"repo-server|:8081\b|rpc error: code = Unavailable|redis", re.IGNORECASE)


def any_revision(_revision: str) -> bool:
    """For those who do not wait for a commit."""
    return True


def automated(item: Json) -> bool:
    """Whether Argo CD syncs the Application by itself."""
    found = part(item, "spec", "syncPolicy").get("automated")
    return isinstance(found, Mapping) and found.get("enabled") is not False


def synced(item: Json, contains: Contains, earlier: str = "") -> Readiness:
    """Whether the Application is as Git has it, at a revision that is far enough, and nothing is going on.

    ``earlier`` is the start of the operation that was the last one before the wait: its failure says nothing any more.
    """
    sync = part(item, "status", "sync")
    if REFRESH in part(item, "metadata", "annotations"):
        return progressing("Argo CD has not looked at it anew yet")
    if broken := condition(item):
        return failed(broken) if _FOR_GOOD.search(broken) else stuck(broken, _PATIENCE)
    if not sync.get("status"):
        return progressing("Argo CD has not looked at it yet")
    if in_progress(item):
        return _going_on(part(item, "status", "operationState"))
    if not _compared(item) or not contains(revision(item)):
        return progressing(f"it is at {short(revision(item))} still")
    return READY if sync.get("status") == "Synced" else _standing_still(item, contains, earlier)


def healthy(item: Json) -> Readiness:
    """Whether all that the Application has delivered is healthy, as Argo CD judges it."""
    health = part(item, "status", "health")
    state = str(health.get("status") or "")
    if state == "Healthy":
        return READY
    if not state:
        return progressing("Argo CD has not judged its health yet")
    culprits = "; ".join(_first(_unhealthy(item)))
    return progressing(f"it is {state}" + (f": {culprits or health.get('message')}" if culprits or health.get("message") else ""))


def in_progress(item: Json) -> bool:
    """Whether a sync is asked for or under way.

    Between two tries of a sync there is an end of the last one, and the Application still asks for it. Where it does not, Argo CD has overwritten the phase
    of a sync that has ended with an older one, and leaves it so until the next sync.
    """
    state = part(item, "status", "operationState")
    return bool(item.get("operation")) or (state.get("phase") in ("Running", "Terminating") and not state.get("finishedAt"))


def started(item: Json) -> str:
    """When the last operation began; "" where there was none."""
    return str(part(item, "status", "operationState").get("startedAt") or "")


def revision(item: Json) -> str:
    return str(part(item, "status", "sync").get("revision") or "")


def operation_failure(item: Json, contains: Contains, earlier: str = "") -> str:
    """Why the last operation failed, if it was one for a revision that is far enough."""
    operation = part(item, "status", "operationState")
    if operation.get("phase") not in ("Failed", "Error") or (earlier and started(item) == earlier):
        return ""
    return failure(operation) if contains(_revision_of(operation)) else ""


def failure(operation: Json) -> str:
    """An operation's own error text, with what is said of each resource that failed."""
    message = re.sub(r"\s+", " ", str(operation.get("message") or "the sync failed")).strip().rstrip(".")
    lines = [line for line in _first(_failed_resources(operation)) if line not in message]
    return "; ".join([message, *lines])


def condition(item: Json) -> str:
    """What stands in the way of a comparison, in Argo CD's words; "" where nothing does."""
    return _condition(item, *_CONDITIONS)


def warnings(item: Json) -> list[str]:
    """Conditions that are worth a look and stop nothing: objects that two Applications want, or that the settings exclude."""
    conditions = part(item, "status").get("conditions") or []
    return [_plain(str(entry.get("message"))) for entry in conditions if str(entry.get("type", "")).endswith("Warning")]


def out_of_sync(item: Json) -> str:
    """Which resources differ from Git."""
    names = _first(_differing(item))
    return f"out of sync: {', '.join(names)}" if names else f"its state is {part(item, 'status', 'sync').get('status')}"


def differing(item: Json) -> list[Mapping[str, Any]]:
    """The resources that make the Application out of sync; those that are kept although Git has them no more do not."""
    return [entry for entry in _resources(item) if entry.get("status") == "OutOfSync"]


def behind_the_scenes(text: str) -> bool:
    """Whether an error is about Argo CD's own parts and not about what they work on."""
    return bool(_BEHIND.search(text))


def short(commit: object) -> str:
    text = str(commit or "")
    return text[:8] if text else "no revision"


def _standing_still(item: Json, contains: Contains, earlier: str) -> Readiness:
    """Out of sync, and nothing is going on (yet)."""
    if text := operation_failure(item, contains, earlier):
        return failed(text)
    if refusal := _condition(item, "SyncError"):
        return stuck(refusal, _PATIENCE)
    if not automated(item):
        return failed(f"{out_of_sync(item)}; and its automation is off")
    return progressing(out_of_sync(item))


def _going_on(operation: Json) -> Readiness:
    message = _plain(str(operation.get("message") or ""))
    # A try that has failed has an end although the operation goes on.
    if operation.get("finishedAt") and operation.get("phase") == "Running":
        text = failure(operation)
        return failed(text) if _FOR_GOOD.search(text) else progressing(text)
    return progressing(f"it is being synced{f': {message}' if message else ''}")


def _condition(item: Json, *kinds: str) -> str:
    found = {str(entry.get("type")): str(entry.get("message") or "") for entry in part(item, "status").get("conditions") or []}
    return next((f"{kind}: {_plain(found[kind])}" for kind in kinds if kind in found), "")


def _compared(item: Json) -> bool:
    """Whether the comparison is of the Application as it is now."""
    source, compared = part(item, "spec", "source"), part(item, "status", "sync", "comparedTo", "source")
    return not compared or all(source.get(name) == compared.get(name) for name in ("repoURL", "path", "targetRevision"))


def _revision_of(operation: Json) -> str:
    asked = part(operation, "operation", "sync").get("revision")
    return str(part(operation, "syncResult").get("revision") or asked or "")


def _failed_resources(operation: Json) -> Iterator[str]:
    for entry in part(operation, "syncResult").get("resources") or []:
        if entry.get("status") == "SyncFailed" or entry.get("hookPhase") in ("Failed", "Error"):
            yield f"{_name(entry)}: {_plain(str(entry.get('message') or 'it failed'))}"


def _differing(item: Json) -> Iterator[str]:
    for entry in differing(item):
        yield f"{_name(entry)} (Git has it no more)" if entry.get("requiresPruning") else _name(entry)


def _unhealthy(item: Json) -> Iterator[str]:
    for entry in _resources(item):
        health = part(entry, "health")
        if health.get("status") and health.get("status") not in ("Healthy", "Missing"):
            said = health.get("message")
            yield f"{_name(entry)} is {health['status']}" + (f" ({_plain(str(said))})" if said else "")


def _resources(item: Json) -> list[Mapping[str, Any]]:
    return list(part(item, "status").get("resources") or [])


def _name(entry: Json) -> str:
    place = f"{entry['namespace']}/{entry.get('name')}" if entry.get("namespace") else entry.get("name")
    return f"{entry.get('kind')} {place}"


def _first(lines: Iterator[str]) -> list[str]:
    found = list(lines)
    return [*found[:_SHOWN], f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else found


def _plain(text: str) -> str:
    """On one line, without what gRPC puts before the words."""
    return re.sub(r"\s+", " ", re.sub(r"rpc error: code = (?!Unavailable)\w+ desc = ", "", text)).strip().rstrip(".")
