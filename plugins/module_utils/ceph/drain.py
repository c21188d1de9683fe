# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the data of OSDs that are out has been copied elsewhere, how fast that goes, and whether it goes on at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Ceph
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_TOLD_SECONDS = 10.0
_MINUTE = 60.0


class Drain:
    """``stall`` is how many seconds nothing may move. ``text`` says where it stands."""

    def __init__(self, osds: Sequence[int], stall: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._osds = osds
        self._stall = stall
        self._clock = clock
        self._moved = self._began = clock()
        self._told = self._began - _TOLD_SECONDS
        self._least: tuple[int, int] | None = None
        self._most = 0
        self.text = ""

    def tell(self, ceph: Ceph) -> None:
        """Report a look, now and then. Raises DeadlineExceeded when nothing has moved for too long."""
        now = self._clock()
        groups = sum(osd.placement_groups for osd in ceph.osds if osd.id in self._osds)
        copies = ceph.groups.degraded + ceph.groups.misplaced
        self._most = max(self._most, copies)
        if self._least is None or (groups, copies) < self._least or ceph.groups.recovering_bytes:
            self._moved = now
        self._least = min(self._least or (groups, copies), (groups, copies))
        self.text = self._described(ceph, groups, copies, now)
        full = ceph.groups.matching("backfill_toofull", "recovery_toofull")
        if now - self._moved >= self._stall:
            reason = f"{full} placement groups find their new OSD too full" if full else self.text
            raise DeadlineExceeded(
                f"nothing has moved for {self._stall / _MINUTE:.0f} min: {reason}",
                where="Ceph",
                hint="`ceph health detail` in the toolbox says more; `ceph osd in` takes the OSD back, and running this again goes on.",
            )
        if now - self._told >= _TOLD_SECONDS:
            progress(self.text)
            self._told = now

    def _described(self, ceph: Ceph, groups: int, copies: int, now: float) -> str:
        names = ", ".join(f"osd.{number}" for number in self._osds)
        parts = [f"{groups} placement groups left on {names}"]
        if ceph.groups.inactive:
            parts.append(f"{ceph.groups.inactive} not active at the moment")
        if copies:
            parts.append(f"{copies} copies to make or move")
        if ceph.groups.recovering_bytes:
            parts.append(f"{ceph.groups.recovering_bytes / 1024**2:.1f} MiB/s")
        done, elapsed = self._most - copies, now - self._began
        if done > 0 and elapsed > 0:
            parts.append(f"about {copies / (done / elapsed) / _MINUTE:.0f} min to go")
        return ", ".join(parts)
