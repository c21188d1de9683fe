# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting until kinds are served.

Whether they are is read from the small documents of their groups' versions, again and again while something is missing. Nothing better can be watched:
every event of a definition carries all of it, a hundred kilobytes several times over, and the whole listing of kinds is made anew for each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import readiness
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resources, group_version
from ansible_collections.trinode.platform.plugins.module_utils.kube.waves import Kind
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_LOOK_SECONDS = 0.1
_LONGEST_LOOK_SECONDS = 0.5
# When no kind has come for this long, a definition may have been refused: its conditions tell.
_DOUBT_SECONDS = 3.0
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True)
class Served:
    """These kinds are served now."""

    resources: Resources


@dataclass(frozen=True)
class Unserved:
    """These kinds will not be served, or were not in time."""

    kinds: tuple[Kind, ...]
    error: PlatformError


class Prober:
    """Looks for kinds in a thread of its own, and gives news of each once. Other threads add kinds."""

    def __init__(self, client: Client, tell: Callable[[Served | Unserved | BaseException], None], deadline: Deadline) -> None:
        self._client = client
        self._tell = tell
        self._deadline = deadline
        self._lock = threading.Lock()
        self._wishes: dict[Kind, str] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def look_for(self, kinds: Mapping[Kind, str]) -> None:
        """Look for kinds, each with the name of the CustomResourceDefinition that brings it."""
        with self._lock:
            self._wishes.update(kinds)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="served kinds", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        pause, shown, news = _LOOK_SECONDS, 0, self._deadline.elapsed
        while not self._stopped.wait(pause):
            with self._lock:
                wishes = dict(self._wishes)
            if not wishes:
                news = self._deadline.elapsed
                continue
            try:
                found = self._look(wishes)
                if found:
                    news, pause = self._deadline.elapsed, _LOOK_SECONDS
                elif self._deadline.elapsed - news > _DOUBT_SECONDS:
                    self._doubt(*next(iter(wishes.items())))
                    news = self._deadline.elapsed
            except PlatformError as error:
                self._say(Unserved(tuple(wishes), error))
            except Exception as error:  # noqa: BLE001  a thread must not die in silence: whoever listens raises it
                self._tell(error)
                return
            else:
                pause = min(_LONGEST_LOOK_SECONDS, pause * 1.5)
                left = len(wishes) - found
                if left and left != shown:
                    progress(f"waiting until {left} new kinds are served")
                shown = left

    def _look(self, wishes: Mapping[Kind, str]) -> int:
        """One look: how many of the kinds are served now."""
        late = next(iter(wishes))
        if self._deadline.expired:
            raise DeadlineExceeded(f"{late[1]} ({late[0]}) was not served within {self._deadline.seconds:.0f} s", where=self._client.server)
        versions = dict.fromkeys(api_version for api_version, _kind in wishes)
        found = {(version, kind): resource for version in versions for kind, resource in group_version(self._client, version, self._deadline).items()}
        served = {kind: found[kind] for kind in wishes if kind in found}
        if served:
            self._say(Served(served))
        return len(served)

    def _doubt(self, kind: Kind, definition: str) -> None:
        """Ask the definition why its kind is not served; give it up when it never will be. The next doubt is about another."""
        with self._lock:
            self._wishes[kind] = self._wishes.pop(kind, definition)
        try:
            state = readiness.readiness(self._client.get(f"{_DEFINITIONS}/{definition}", deadline=self._deadline))
        except ApiError as refusal:
            if not refusal.not_found:
                return
            state = readiness.Readiness("failed", "its definition was deleted")
        if state.state == "failed":
            self._say(Unserved((kind,), PlatformError(f"{kind[1]} ({kind[0]}) is not served: {state.reason}", where=f"CustomResourceDefinition {definition}")))

    def _say(self, news: Served | Unserved) -> None:
        with self._lock:
            for kind in news.resources if isinstance(news, Served) else news.kinds:
                self._wishes.pop(kind, None)
        self._tell(news)
