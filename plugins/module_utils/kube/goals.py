# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for several things at once, each judged by objects that are watched: one watch for each collection, whatever is judged by it."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.follow import Collection, Follower, Seen
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import Readiness
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_MOST_LINES = 10
_PARTING_SECONDS = 0.5
_UNSEEN = Readiness("progressing", "not seen yet")

Name = tuple[str, str]
"""Namespace ("" for cluster-scoped objects) and name."""


class Known:
    """The objects of the watched collections, as they are now as far as we know."""

    def __init__(self) -> None:
        self._items: dict[Collection, dict[Name, Json]] = {}

    def listed(self, collection: Collection) -> bool:
        """Whether the collection was listed: only then is an object that is not known one that is not there."""
        return collection in self._items

    def items(self, collection: Collection) -> Mapping[Name, Json]:
        return self._items.get(collection, {})

    def learn(self, seen: Seen) -> set[Name]:
        """Take in news; returns the names of the objects that changed."""
        items = self._items.setdefault(seen.collection, {})
        touched = {name_of(item) for item in seen.items}
        if seen.complete:
            touched |= set(items)
            items.clear()
        for item in seen.items:
            if seen.gone:
                items.pop(name_of(item), None)
            else:
                items[name_of(item)] = item
        return touched


@dataclass(frozen=True, eq=False)
class Goal:
    """Something to wait for. ``what`` names it to people.

    ``judge`` is asked on news of the object ``name`` of the collection, or of any of its objects where there is none, and of the collections ``also``.
    ``observed``: the observer may give it up.
    """

    what: str
    collection: Collection
    judge: Callable[[Known], Readiness]
    name: Name | None = None
    also: tuple[Collection, ...] = ()
    observed: bool = False


class Observer(Protocol):
    """Looks beyond single goals: for what makes one hopeless, and for what explains it."""

    collections: Sequence[Collection]

    def hopeless(self, known: Known, pending: Mapping[Goal, Readiness], now: float) -> tuple[Goal, str] | None:
        """A goal that will not be reached, and why."""

    def next_look(self, now: float) -> float:
        """Seconds after which ``hopeless`` may answer otherwise without any news."""

    def remark(self, known: Known, goal: Goal) -> str:
        """A few words on why a goal is not reached, for the line about it; may be empty."""

    def explain(self, known: Known, goal: Goal, said: str) -> str:
        """What else is known of a goal that is not reached, beyond what was ``said``."""


class Pursuit:
    """Waits until every goal is reached. ``pending`` has those that are not, with what is missing. ``aim`` is what they are to be, in messages."""

    def __init__(self, client: Client, goals: Iterable[Goal], deadline: Deadline, *, aim: str = "ready", observer: Observer | None = None) -> None:
        self.pending: dict[Goal, Readiness] = dict.fromkeys(goals, _UNSEEN)
        self.known = Known()
        self._client = client
        self._deadline = deadline
        self._aim = aim
        self._observer = observer
        self._by_name: dict[tuple[Collection, Name], list[Goal]] = {}
        self._by_collection: dict[Collection, list[Goal]] = {}
        for goal in self.pending:
            if goal.name is None:
                self._by_collection.setdefault(goal.collection, []).append(goal)
            else:
                self._by_name.setdefault((goal.collection, goal.name), []).append(goal)
            for collection in goal.also:
                self._by_collection.setdefault(collection, []).append(goal)

    def run(self) -> None:
        """Return when all are reached.

        Raises PlatformError as soon as one will not be, DeadlineExceeded when the time is over, and what the API server refuses for good.
        """
        if not self.pending:
            return
        news: queue.SimpleQueue[Seen] = queue.SimpleQueue()
        collections = {collection for goal in self.pending for collection in (goal.collection, *goal.also)}
        collections.update(self._observer.collections if self._observer else ())
        followers = [Follower(self._client, collection, self._deadline, news).start() for collection in sorted(collections)]
        try:
            self._attend(news)
        finally:
            for follower in followers:
                follower.stop()
            end = Deadline(_PARTING_SECONDS)
            for follower in followers:
                follower.join(end.remaining)

    def _attend(self, news: queue.SimpleQueue[Seen]) -> None:
        while True:
            now = time.monotonic()
            self._give_up(now)
            if self._deadline.expired:
                raise self._late()
            look = self._observer.next_look(now) if self._observer else self._deadline.remaining
            try:
                seen = news.get(timeout=max(0.01, min(self._deadline.remaining, look)))
                self._learn(seen)
                while not news.empty():
                    self._learn(news.get())
            except queue.Empty:
                continue
            if not self.pending:
                return

    def _learn(self, seen: Seen) -> None:
        if seen.error is not None:
            raise seen.error
        touched = self.known.learn(seen)
        goals = list(self._by_collection.get(seen.collection, ()))
        if seen.complete:
            goals += [goal for goal in self.pending if goal.collection == seen.collection and goal.name is not None]
        else:
            goals += [goal for name in touched for goal in self._by_name.get((seen.collection, name), ())]
        for goal in goals:
            if goal in self.pending and self.known.listed(goal.collection):
                self._judge(goal)

    def _judge(self, goal: Goal) -> None:
        state = goal.judge(self.known)
        if state.ready:
            del self.pending[goal]
            progress(f"{goal.what} is {self._aim}")
        elif self.pending[goal] != state:
            self.pending[goal] = state
            progress(f"waiting for {goal.what}: {state.reason}")

    def _give_up(self, now: float) -> None:
        failed = next(((goal, state.reason) for goal, state in self.pending.items() if state.state == "failed"), None)
        if failed is None and self._observer is not None:
            failed = self._observer.hopeless(self.known, self.pending, now)
        if failed is None:
            return
        goal, reason = failed
        hint = self._observer.explain(self.known, goal, reason) if self._observer else ""
        raise PlatformError(f"it will not become {self._aim}: {reason}", where=goal.what, hint=hint)

    def _late(self) -> PlatformError:
        lines = []
        for goal, state in sorted(self.pending.items(), key=lambda pair: pair[0].what):
            remark = self._observer.remark(self.known, goal) if self._observer else ""
            lines.append(f"{goal.what}: {state.reason}" + (f" ({remark})" if remark else ""))
        shown = "; ".join(lines[:_MOST_LINES]) + (f"; and {len(lines) - _MOST_LINES} more" if len(lines) > _MOST_LINES else "")
        first = min(self.pending, key=lambda goal: goal.what)
        hint = self._observer.explain(self.known, first, shown) if self._observer else ""
        return DeadlineExceeded(f"not {self._aim} within {self._deadline.seconds:.0f} s: {shown}", where=self._client.server, hint=hint)


def name_of(item: Json) -> Name:
    metadata = item.get("metadata") or {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")
