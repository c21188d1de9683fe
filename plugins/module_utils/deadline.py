# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A point in time that is passed down, so that nested waits share one limit."""

from __future__ import annotations

import time

from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded


class Deadline:
    """``seconds`` from now, on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the deadline was set."""
        return time.monotonic() - self._started

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.seconds - self.elapsed)

    @property
    def expired(self) -> bool:
        return self.remaining <= 0

    def at_most(self, seconds: float) -> Deadline:
        """A deadline for one step: ``seconds`` from now, but never later than this one."""
        return Deadline(min(seconds, self.remaining))

    def pause(self, seconds: float) -> None:
        """Wait between two looks where nothing can be watched; never past the deadline."""
        time.sleep(min(seconds, self.remaining))

    def check(self, what: str, *, where: str = "", hint: str = "") -> None:
        """Raise DeadlineExceeded when no time is left. ``what`` names the thing that did not happen."""
        if self.expired:
            raise DeadlineExceeded(f"{what} within {self.seconds:.0f} s", where=where, hint=hint)
