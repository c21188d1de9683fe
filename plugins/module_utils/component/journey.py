# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the components of a run came to, how long each took, and which chain of needs took longest. Pure: records in, journeys out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import FINAL, Record


@dataclass(frozen=True)
class Journey:
    """One component. Times in seconds since the epoch.

    ``free`` is when all that it waited for was ready, ``ended`` its last record. ``state`` is one of FINAL, or where it was
    when the run ended.
    """

    component: str
    state: str
    detail: str
    free: float
    ended: float
    waited_for: tuple[str, ...]
    versions: Mapping[str, str]
    routes: Sequence[Mapping[str, str]]

    @property
    def own_seconds(self) -> float:
        """Without the time in which it waited for others."""
        return self.ended - self.free


def journeys(records: Iterable[Record]) -> dict[str, Journey]:
    """The journey of each component, in the order in which they ended."""
    by_component: dict[str, list[Record]] = {}
    for record in records:
        by_component.setdefault(record.component, []).append(record)
    ready = {name: steps[-1].time for name, steps in by_component.items() if steps[-1].state in FINAL}
    found = {}
    for name, steps in sorted(by_component.items(), key=lambda item: item[1][-1].time):
        needs = tuple(need for step in steps for need in step.values.get("needs", ()))
        last = steps[-1]
        free = max([steps[0].time, *(ready[need] for need in needs if need in ready)])
        found[name] = Journey(
            component=name,
            state=last.state,
            detail=last.detail,
            free=min(free, last.time),
            ended=last.time,
            waited_for=needs,
            versions=last.values.get("versions") or {},
            routes=last.values.get("routes") or (),
        )
    return found


def critical_path(found: Mapping[str, Journey]) -> list[Journey]:
    """The chain of needs behind the component that ended last: what would have to be faster for the whole to be faster. First to last."""
    done = {name: journey for name, journey in found.items() if journey.state in FINAL}
    if not done:
        return []
    chain = [max(done.values(), key=lambda journey: journey.ended)]
    while before := [done[name] for name in chain[0].waited_for if name in done]:
        chain.insert(0, max(before, key=lambda journey: journey.ended))
    return chain
