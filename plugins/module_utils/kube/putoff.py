# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that could not be applied yet: a webhook that guards them does not answer, or nobody serves their kind. Tried again until they can."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import discover
from ansible_collections.trinode.platform.plugins.module_utils.kube.flight import Landed, may_pass
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Applied
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import jittered
from ansible_collections.trinode.platform.plugins.module_utils.kube.sender import Sender
from ansible_collections.trinode.platform.plugins.module_utils.kube.waves import Wanted, placed, wanted
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_FIRST_PAUSE = 0.3
_LONGEST_PAUSE = 2.0
_PARALLEL = 8


class PutOff:
    """Tries in a thread of its own, so that the caller can wait for what these objects may be waiting for.

    ``reasons`` says why each is still left. ``moved`` are those whose namespace was not known before their kind was served, by the key they had.
    ``namespace`` is for namespaced objects that name none.
    """

    def __init__(self, client: Client, sender: Sender, items: Sequence[Wanted], landed: Landed, deadline: Deadline, *, namespace: str) -> None:
        self._client = client
        self._sender = sender
        self._deadline = deadline
        self._left = list(items)
        self._namespace = namespace
        self._stopped = threading.Event()
        self._broken: BaseException | None = None
        self.applied: dict[Key, Applied] = {}
        self.errors: dict[Key, PlatformError] = {}
        self.moved: dict[Key, Key] = {}
        self.reasons: dict[Key, str] = {item.key: _reason(item, landed) for item in items}
        for key, reason in sorted(self.reasons.items()):
            progress(f"{key} is put off: {reason}")
        self._thread = threading.Thread(target=self._run, name="put off", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Try no more."""
        self._stopped.set()
        self._thread.join()

    def result(self) -> None:
        """Wait until each is applied or refused for good; those left at the deadline are errors too."""
        self._thread.join()
        if self._broken is not None:
            raise self._broken
        for item in self._left:
            what = f"{self.reasons[item.key]} (tried until the time of {self._deadline.seconds:.0f} s was over)"
            self.errors[item.key] = DeadlineExceeded(what, where=str(item.key))

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        try:
            with ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="put off") as pool:
                while self._left and not self._deadline.expired and not self._stopped.wait(min(jittered(pause), self._deadline.remaining)):
                    before = len(self._left)
                    self._round(pool)
                    pause = _FIRST_PAUSE if len(self._left) < before else min(_LONGEST_PAUSE, pause * 1.5)
        except Exception as error:  # noqa: BLE001  raised where the result is asked for
            self._broken = error

    def _round(self, pool: ThreadPoolExecutor) -> None:
        if any(item.kind not in self._sender.resources for item in self._left):
            try:
                self._sender.resources = discover(self._client)
            except PlatformError as error:
                if not (may_pass(error) or isinstance(error, DeadlineExceeded)):
                    raise
                return
            self._left = [self._placed(item) for item in self._left]
        able = [item for item in self._left if item.kind in self._sender.resources]
        for item, result in zip(able, pool.map(self._try, able), strict=True):
            if isinstance(result, Applied):
                self.applied[item.key] = result
                progress(f"{item.key} is {result.action}")
            elif isinstance(result, DeadlineExceeded):
                continue  # the reason before that says more
            elif self._may_pass(item, result):
                self.reasons[item.key] = result.what
                continue
            else:
                self.errors[item.key] = result
            self._left.remove(item)

    def _placed(self, item: Wanted) -> Wanted:
        """Now that its kind is served it is known whether the object has a namespace."""
        resource = self._sender.resources.get(item.kind)
        there = wanted(placed(item.item, resource, None, self._namespace))
        if there.key != item.key:
            self.moved[item.key] = there.key
            self.reasons[there.key] = self.reasons.pop(item.key)
        return there

    def _try(self, item: Wanted) -> Applied | PlatformError:
        try:
            return self._sender.send(item)
        except PlatformError as error:
            return error

    def _may_pass(self, item: Wanted, error: PlatformError) -> bool:
        """Also where its namespace is put off itself."""
        namespaces = {other.key.name for other in self._left if other.key.kind == "Namespace"}
        if isinstance(error, ApiError) and error.not_found and item.key.namespace in namespaces:
            return True
        return may_pass(error)


def _reason(item: Wanted, landed: Landed) -> str:
    if item.key in landed.deferred:
        return landed.deferred[item.key].what
    return f"what it needs is not there yet (its kind {item.key.kind} of {item.key.api_version} is not served, or an object that is put off)"
