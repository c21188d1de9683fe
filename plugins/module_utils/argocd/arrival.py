# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting until Argo CD has delivered a commit, or until an Application is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from ansible_collections.trinode.platform.plugins.module_utils.argocd import status
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import ROOT
from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import Applications, version
from ansible_collections.trinode.platform.plugins.module_utils.argocd.attention import SILENCE_SECONDS, Attention
from ansible_collections.trinode.platform.plugins.module_utils.argocd.commits import Knows
from ansible_collections.trinode.platform.plugins.module_utils.argocd.status import Contains
from ansible_collections.trinode.platform.plugins.module_utils.argocd.transfer import managed_by
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube import wait
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import discover
from ansible_collections.trinode.platform.plugins.module_utils.kube.goals import Goal, Known, Pursuit
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, reference
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import READY, Readiness, progressing
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_CASCADE = "resources-finalizer.argocd.argoproj.io"
_GONE = progressing("it is not there")
Judge = Callable[[Json], Readiness]


@dataclass(frozen=True)
class Arrived:
    """What became of the wait. ``waiting_for`` is filled in check mode only."""

    changed: bool
    revision: str = ""
    waiting_for: str = ""
    warnings: tuple[str, ...] = ()


def present(access: Applications, name: str, knows: Knows, *, check: bool = False, silence: float = SILENCE_SECONDS) -> Arrived:
    """Return when the Application is Synced and Healthy at a revision that contains the commit.

    Asks Argo CD to look when it is not so yet, and starts a sync where Argo CD has given up. Raises PlatformError with the sync's own error, or as waits do.
    """
    known = lru_cache(maxsize=None)(knows)
    item = access.read(name)
    state = judge(item, lambda revision: known(revision) is True)
    if state.ready and item is not None:
        return Arrived(changed=False, revision=status.revision(item), warnings=tuple(status.warnings(item)))
    if check:
        return Arrived(changed=_outdated(item, lambda revision: known(revision) is True), revision=status.revision(item or {}), waiting_for=state.reason)

    # Once Argo CD has looked at the branch anew, a commit that is not known here is a later one than ours: the branch only grows.
    def contained(revision: str) -> bool:
        return known(revision) is not False

    earlier = _begin(access, name, item, lambda revision: known(revision) is True)
    attention = Attention(access, silence=silence)
    _pursue(access, name, _Trust(access, name, contained, earlier).judge, "synced", attention)
    found = access.read(name) or {}
    changed = bool(status.started(found)) and status.started(found) != earlier
    if changed or not status.healthy(found).ready:
        _await_objects(access, found)
        _pursue(access, name, lambda later: judge(later, contained, earlier), "healthy", attention)
        found = access.read(name) or {}
    return Arrived(changed=changed, revision=status.revision(found), warnings=tuple(status.warnings(found)))


def _outdated(item: Object | None, contains: Contains) -> bool:
    """Whether a sync is to be expected. One that has the commit may be unhealthy, or not comparable at the moment; that alone changes nothing."""
    if item is None:
        return True
    return not (status.synced(item, contains).ready or (status.condition(item) and contains(status.revision(item))))


def absent(access: Applications, name: str, *, check: bool = False) -> Arrived:
    """Return when the root Application has deleted the Application, whose file is no longer in Git. What it had delivered stays.

    Refused where deleting it would delete all that.
    """
    item = access.read(name)
    if item is None:
        return Arrived(changed=False)
    if any(finalizer.startswith(_CASCADE) for finalizer in item["metadata"].get("finalizers") or []):
        raise RefusedError(
            "with it everything that it has delivered would be deleted",
            where=f"Application {access.namespace}/{name}",
            hint=f"It has the finalizer {_CASCADE}, which none of ours has: take it off.",
        )
    if check:
        return Arrived(changed=True, waiting_for="it is there")
    if not item["metadata"].get("deletionTimestamp"):
        if access.read(ROOT) is None:
            raise InputError(
                "nobody deletes it: there is no root Application",
                where=f"Application {access.namespace}/{name}",
                hint="Hand the cluster over to Argo CD first, or delete the Application with kubectl: what it has delivered stays.",
            )
        access.refresh(ROOT)
    collection = access.collection()

    def judged(known: Known) -> Readiness:
        items = known.items(collection)
        if (access.namespace, name) not in items:
            return READY
        root = items.get((access.namespace, ROOT), {})
        state = status.synced(root, status.any_revision)
        return progressing(f"it is there; the root Application: {'synced' if state.ready else state.reason}")

    goal = Goal(f"Application {access.namespace}/{name}", collection, judged)
    Pursuit(access.client, [goal], access.deadline, aim="gone", observer=Attention(access)).run()
    return Arrived(changed=True)


class _Trust:
    """Judges an Application that is waited for.

    After a comparison that failed, Argo CD (3.2, 3.4) may take the result of the one before for that of the commit. So it has to look once more then,
    which makes it compare all anew.
    """

    def __init__(self, access: Applications, name: str, contains: Contains, earlier: str) -> None:
        self._access = access
        self._name = name
        self._contains = contains
        self._earlier = earlier
        self._doubt = False
        self._asked = 0

    def judge(self, item: Json) -> Readiness:
        state = status.synced(item, self._contains, self._earlier)
        if status.condition(item):
            self._doubt = True
        elif state.ready and version(item) < self._asked:
            return progressing("Argo CD has not looked at it anew yet")
        elif state.ready and self._doubt:
            self._doubt = False
            self._asked = self._access.refresh(self._name)
            return progressing("it could not be compared a moment ago: it is looked at once more")
        return state


def judge(item: Json | None, contains: Contains, earlier: str = "") -> Readiness:
    """Synced, and healthy."""
    if item is None:
        return _GONE
    state = status.synced(item, contains, earlier)
    return status.healthy(item) if state.ready else state


def goal_of(access: Applications, name: str, judged: Judge, *, alone: bool) -> Goal:
    """To wait for one Application; ``alone`` watches no other."""
    collection = access.collection(name if alone else "")
    key = (access.namespace, name)

    def judge_known(known: Known) -> Readiness:
        item = known.items(collection).get(key)
        return _GONE if item is None else judged(item)

    return Goal(f"Application {access.namespace}/{name}", collection, judge_known, key)


def _begin(access: Applications, name: str, item: Object | None, contains: Contains) -> str:
    """Get Argo CD going. Returns the start of the operation that was the last one so far."""
    if item is None:
        root = access.read(ROOT)
        if root is None:
            raise InputError(
                "there is no such Application, and no root Application that could make it",
                where=f"Application {access.namespace}/{name}",
                hint="Hand the cluster over to Argo CD first (playbooks/platform.yml does), or deliver with -e component_delivery=direct.",
            )
        progress(f"Application {name} is not there yet: the root Application is told to look at the newest commit")
        access.refresh(ROOT)
        return ""
    earlier = status.started(item)
    if status.in_progress(item):
        # Its end has Argo CD look anew; but it may be about an older commit.
        access.refresh(name)
        return ""
    if status.operation_failure(item, contains):
        progress(f"Application {name} failed to sync before: it is synced again")
        access.sync(item, status.revision(item))
    elif not status.synced(item, contains).ready:
        access.refresh(name)
    return earlier


def _pursue(access: Applications, name: str, judged: Judge, aim: str, attention: Attention) -> None:
    goal = goal_of(access, name, judged, alone=True)
    Pursuit(access.client, [goal], access.deadline, aim=aim, observer=attention).run()


def _await_objects(access: Applications, item: Json) -> None:
    """Until what was delivered is ready by our own rules, which are stricter; and pods and events tell more of what is wrong than Argo CD does, and sooner."""
    resources = retried(lambda: discover(access.client), access.deadline, access.client.server)
    entries = (item.get("status") or {}).get("resources") or []
    objects = []
    for entry, (group, kind, namespace, name) in zip(entries, managed_by(entries), strict=True):
        if not (entry.get("hook") or entry.get("requiresPruning")):
            objects.append(reference(Key(f"{group}/{entry['version']}" if group else entry["version"], kind, namespace, name)))
    wait.until_ready(access.client, objects, resources, access.deadline)
