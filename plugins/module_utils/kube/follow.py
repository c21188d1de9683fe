# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A collection followed by list and watch in a thread of its own; what it sees goes into a queue."""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json, WatchStream

_PAUSE_SECONDS = 1.0
# Servers behind the API server's may only list, as that of metrics: they are asked again and again.
_CANNOT_BE_WATCHED = 405
# Each API server learns of a definition by itself: for this long it may not serve what another does.
_SPREAD_SECONDS = 10.0


@dataclass(frozen=True, order=True)
class Collection:
    """What one watch covers: ``path`` as in "/apis/apps/v1/namespaces/x/deployments", narrowed by a label or field selector."""

    path: str
    label_selector: str = ""
    field_selector: str = ""

    @property
    def params(self) -> dict[str, str]:
        named = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True)
class Seen:
    """News of a collection: after a list (``complete``) all its items, after an event one item, changed or (``gone``) deleted. Or why following it ended."""

    collection: Collection
    items: tuple[Json, ...] = ()
    complete: bool = False
    gone: bool = False
    error: Exception | None = None


@dataclass
class Follower:
    """Follows ``collection`` until ``stop`` or the deadline. A dropped connection or an expired version does not lose anything: it lists or watches again."""

    client: Client
    collection: Collection
    deadline: Deadline
    news: queue.SimpleQueue[Seen]
    _stopped: threading.Event = field(default_factory=threading.Event)
    _stream: WatchStream | None = None
    _unserved_since: float | None = None

    def start(self) -> Follower:
        self._thread = threading.Thread(target=self._run, name=f"watch {self.collection.path}", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ask the thread to end; ``join`` waits for it."""
        self._stopped.set()
        if (stream := self._stream) is not None:
            stream.close()

    def join(self, seconds: float = 5.0) -> None:
        self._thread.join(timeout=seconds)

    def _run(self) -> None:
        while not self._stopped.is_set() and not self.deadline.expired:
            try:
                items, version = self.client.list(self.collection.path, self.collection.params, deadline=self.deadline)
                self._unserved_since = None
                self.news.put(Seen(self.collection, tuple(items), complete=True))
                while not self._stopped.is_set():
                    version = self._watch(version)
            except DeadlineExceeded:
                return
            except ApiUnreachable:
                self._stopped.wait(_PAUSE_SECONDS)
            except ApiError as error:
                if error.code == _CANNOT_BE_WATCHED:
                    self._stopped.wait(_PAUSE_SECONDS)
                    continue
                if error.not_found:
                    self._unserved()
                    continue
                if not (error.expired or error.temporary):
                    self.news.put(Seen(self.collection, error=error))
                    return
                self._stopped.wait(0 if error.expired else max(_PAUSE_SECONDS, error.retry_after))
            except Exception as error:  # noqa: BLE001  a thread must not die in silence: whoever waits raises it
                self.news.put(Seen(self.collection, error=error))
                return

    def _unserved(self) -> None:
        """The kind is not served: its definition is gone, and so its objects; or this API server has not learned of a new one yet."""
        now = time.monotonic()
        self._unserved_since = self._unserved_since or now
        if now - self._unserved_since > _SPREAD_SECONDS:
            self.news.put(Seen(self.collection, complete=True))
        self._stopped.wait(_PAUSE_SECONDS)

    def _watch(self, version: str) -> str:
        """Pass on events until the stream ends; returns the version to go on from."""
        with self.client.open_watch(self.collection.path, version, self.deadline, self.collection.params) as stream:
            self._stream = stream
            if self._stopped.is_set():
                return version
            for kind, item in stream:
                version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    self.news.put(Seen(self.collection, (item,), gone=kind == "DELETED"))
        return version
