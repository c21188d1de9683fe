# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All objects of an apply in flight together, each as soon as what it needs is through."""

from __future__ import annotations

import queue
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Applied
from ansible_collections.trinode.platform.plugins.module_utils.kube.sender import Sender
from ansible_collections.trinode.platform.plugins.module_utils.kube.served import Prober, Served, Unserved
from ansible_collections.trinode.platform.plugins.module_utils.kube.waves import BUILT_IN, DEFINITION, Kind, Step, Token, Wanted, defined_kinds

# Definitions keep API servers busy for long, and the rest is not to be held up behind them. But the sooner all are there, the more of them the servers'
# controllers take together: 106 cost three servers 42 to 49 processor seconds when sent four at a time, 30 to 45 with sixteen and more.
_DEFINITIONS = 16
_OTHERS = 16


@dataclass
class Landed:
    """What became of the steps: applied, refused for good, or put off because something does not answer yet (``deferred``) or is not served (``held``)."""

    applied: dict[Key, Applied] = field(default_factory=dict)
    errors: dict[Key, PlatformError] = field(default_factory=dict)
    deferred: dict[Key, PlatformError] = field(default_factory=dict)
    held: list[Wanted] = field(default_factory=list)


@dataclass(frozen=True)
class _Sent:
    step: Step
    result: Applied | BaseException


class Flight:
    """For one call of ``fly``. In a dry run nothing waits for kinds: those that are not served are predicted by the sender."""

    def __init__(self, client: Client, sender: Sender, steps: Sequence[Step], deadline: Deadline, *, dry_run: bool) -> None:
        self._sender = sender
        self._steps = steps
        self._dry_run = dry_run
        self._landed = Landed()
        self._news: queue.SimpleQueue[_Sent | Served | Unserved | BaseException] = queue.SimpleQueue()
        self._prober = Prober(client, self._news.put, deadline)
        self._kinds_of = {step.wanted.key: tuple(defined_kinds([step.wanted.item])) for step in steps if step.wanted.key.kind == DEFINITION}
        self._definition_of = {kind: key for key, kinds in self._kinds_of.items() for kind in kinds}
        self._open: Counter[Token] = Counter(token for step in steps for token in step.gives)
        self._waiting: dict[Token, list[Step]] = {}
        self._missing: dict[Key, set[Token]] = {}
        self._in_flight = 0
        self._looked_for: set[Kind] = set()
        # Kinds that nothing waits for, by definition: looked for at the end, when most are served, so that the servers are not asked all the time.
        self._for_nobody: dict[Kind, str] = {}
        self._definitions = ThreadPoolExecutor(max_workers=_DEFINITIONS, thread_name_prefix="definition")
        self._others = ThreadPoolExecutor(max_workers=_OTHERS, thread_name_prefix="object")

    def fly(self) -> Landed:
        """Send every step; returns when none is left but those that are put off."""
        try:
            for step in self._steps:
                self._admit(step)
            while self._in_flight or self._looked_for or self._for_nobody:
                if not (self._in_flight or self._looked_for):
                    self._look_for(self._for_nobody)
                    self._for_nobody = {}
                self._hear(self._news.get())
        finally:
            self._prober.stop()
            self._definitions.shutdown(cancel_futures=True)
            self._others.shutdown(cancel_futures=True)
        self._landed.held += [step.wanted for step in self._steps if step.wanted.key in self._missing]
        return self._landed

    def _admit(self, step: Step) -> None:
        missing = {token for token in step.after if not self._through(token)}
        if not missing:
            self._launch(step)
            return
        self._missing[step.wanted.key] = missing
        for token in missing:
            self._waiting.setdefault(token, []).append(step)

    def _through(self, token: Token) -> bool:
        if token[0] != "kind":
            return not self._open[token]
        kind = (token[1], token[2])
        return self._dry_run or (kind in self._sender.resources and kind not in self._definition_of)

    def _launch(self, step: Step) -> None:
        self._in_flight += 1
        (self._definitions if step.wanted.key in self._kinds_of else self._others).submit(self._send, step)

    def _send(self, step: Step) -> None:
        try:
            self._news.put(_Sent(step, self._sender.send(step.wanted)))
        except Exception as error:  # noqa: BLE001  a thread must not die in silence: what is no refusal, the main thread raises
            self._news.put(_Sent(step, error))

    def _hear(self, news: _Sent | Served | Unserved | BaseException) -> None:
        match news:
            case _Sent():
                self._in_flight -= 1
                self._take(news.step, news.result)
            case Served():
                self._sender.resources = {**self._sender.resources, **news.resources}
                self._looked_for -= set(news.resources)
                for kind in news.resources:
                    self._release(("kind", *kind))
            case Unserved():
                self._looked_for -= set(news.kinds)
                for kind in news.kinds:
                    self._landed.errors.setdefault(self._definition_of[kind], news.error)
                    self._fail(kind)
            case _:
                raise news

    def _take(self, step: Step, result: Applied | BaseException) -> None:
        key = step.wanted.key
        if isinstance(result, Applied):
            self._landed.applied[key] = result
        elif isinstance(result, PlatformError):
            (self._landed.deferred if may_pass(result) else self._landed.errors)[key] = result
        else:
            raise result
        for token in step.gives:
            # What waits for something that is put off is put off too; webhook configurations only want to be last.
            self._open[token] -= 1 if key not in self._landed.deferred or token == BUILT_IN else 0
            if not self._open[token]:
                self._release(token)
        if key in self._kinds_of:
            self._after_definition(key, sent=isinstance(result, Applied))

    def _after_definition(self, key: Key, *, sent: bool) -> None:
        """Its kinds are there when the server lists them; after a refusal, if they were there before."""
        kinds = self._kinds_of[key]
        if self._dry_run:
            return
        if sent:
            self._sender.defined(kinds)
            awaited = {kind: key.name for kind in kinds if ("kind", *kind) in self._waiting}
            self._for_nobody.update({kind: key.name for kind in kinds if kind not in awaited})
            self._look_for(awaited)
            return
        for kind in kinds:
            if kind in self._sender.resources:
                self._release(("kind", *kind))
            elif key in self._landed.errors:
                self._fail(kind)

    def _look_for(self, kinds: dict[Kind, str]) -> None:
        if kinds:
            self._looked_for |= set(kinds)
            self._prober.look_for(kinds)

    def _release(self, token: Token) -> None:
        for step in self._waiting.pop(token, []):
            missing = self._missing.get(step.wanted.key, set())
            missing.discard(token)
            if not missing and self._missing.pop(step.wanted.key, None) is not None:
                self._launch(step)

    def _fail(self, kind: Kind) -> None:
        """What waits for this kind will not go."""
        for step in self._waiting.pop(("kind", *kind), []):
            if self._missing.pop(step.wanted.key, None) is not None:
                self._take(step, PlatformError(f"the kind {kind[1]} ({kind[0]}) is not served, since its definition failed"))


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed once something else is up."""
    return isinstance(error, ApiUnreachable) or (isinstance(error, ApiError) and error.temporary)
