# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting until kinds are served. An API server's listing of kinds cannot be watched: it is small, and asked again and again while something is missing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import readiness
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resources, discover
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.waves import Kind
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_LOOK_SECONDS = 0.1
_LOOK_SECONDS_EACH = 0.005
_LONGEST_LOOK_SECONDS = 0.5
# A definition that is not served after this long may have been refused: its conditions tell.
_DOUBT_SECONDS = 3.0
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True)
class Served:
    """These kinds are served now; ``resources`` is the whole listing that shows it."""

    kinds: tuple[Kind, ...]
    resources: Resources


@dataclass(frozen=True)
class Unserved:
    """These kinds will not be served, or were not in time."""

    kinds: tuple[Kind, ...]
    error: PlatformError


@dataclass
class _Wish:
    definition: str
    asked: float


class Prober:
    """Looks for kinds in a thread of its own, and gives news of each once. Other threads add kinds."""

    def __init__(self, client: Client, tell: Callable[[Served | Unserved | BaseException], None], deadline: Deadline) -> None:
        self._client = client
        self._tell = tell
        self._deadline = deadline
        self._lock = threading.Lock()
        self._wishes: dict[Kind, _Wish] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def look_for(self, kinds: Iterable[Kind], definition: str) -> None:
        """Look for kinds that the CustomResourceDefinition of this name brings."""
        with self._lock:
            self._wishes.update({kind: _Wish(definition, self._deadline.elapsed) for kind in kinds})
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="served kinds", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        pause, shown = _LOOK_SECONDS, 0
        while not self._stopped.wait(pause):
            with self._lock:
                wishes = dict(self._wishes)
            if not wishes:
                continue
            try:
                found, left = self._look(wishes)
            except PlatformError as error:
                self._say(Unserved(tuple(wishes), error))
            except Exception as error:  # noqa: BLE001  a thread must not die in silence: whoever listens raises it
                self._tell(error)
                return
            else:
                # While very many are missing the servers are busy with them, and news of one does not help much.
                pause = min(_LONGEST_LOOK_SECONDS, max(_LOOK_SECONDS, left * _LOOK_SECONDS_EACH) if found else pause * 1.5)
                if left and left != shown:
                    progress(f"waiting until {left} new kinds are served")
                shown = left

    def _look(self, wishes: Mapping[Kind, _Wish]) -> tuple[int, int]:
        """One look: how many kinds are served now, and how many are not yet."""
        late = next(iter(wishes))
        if self._deadline.expired:
            raise DeadlineExceeded(f"{late[1]} ({late[0]}) was not served within {self._deadline.seconds:.0f} s", where=self._client.server)
        resources = retried(lambda: discover(self._client), self._deadline, self._client.server)
        served = tuple(kind for kind in wishes if kind in resources)
        if served:
            self._say(Served(served, resources))
        missing = [kind for kind in wishes if kind not in resources]
        doubtful = [kind for kind in missing if self._deadline.elapsed - wishes[kind].asked > _DOUBT_SECONDS]
        if doubtful:
            self._doubt(min(doubtful, key=lambda kind: wishes[kind].asked), wishes)
        return len(served), len(missing)

    def _doubt(self, kind: Kind, wishes: Mapping[Kind, _Wish]) -> None:
        """Ask the definition why its kind is not served; give it up when it never will be."""
        wish = wishes[kind]
        wish.asked = self._deadline.elapsed
        try:
            state = readiness.readiness(self._client.get(f"{_DEFINITIONS}/{wish.definition}", deadline=self._deadline))
        except ApiError as refusal:
            if not refusal.not_found:
                return
            state = readiness.Readiness("failed", "its definition was deleted")
        if state.state == "failed":
            error = PlatformError(f"{kind[1]} ({kind[0]}) is not served: {state.reason}", where=f"CustomResourceDefinition {wish.definition}")
            self._say(Unserved((kind,), error))

    def _say(self, news: Served | Unserved) -> None:
        with self._lock:
            for kind in news.kinds:
                self._wishes.pop(kind, None)
        self._tell(news)
