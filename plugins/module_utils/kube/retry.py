# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another try for what may succeed later, with jitter, until the deadline."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0

Answer = TypeVar("Answer")


def retried(call: Callable[[], Answer], deadline: Deadline, where: str, *, tries: int | None = None) -> Answer:
    """Call until it succeeds, is refused for good, or the deadline passes. Pauses grow from 0.2 s to 5 s, with jitter, or are what the server asks for.

    With ``tries``, the error itself is raised after so many, and at once when a webhook does not answer: that takes a service, not a moment.
    """
    pause, tried = FIRST_PAUSE, 0
    while True:
        try:
            return call()
        except (ApiError, ApiUnreachable) as error:
            tried += 1
            if isinstance(error, ApiError) and (not error.temporary or (tries is not None and error.webhook_unanswered)):
                raise
            if tried == tries:
                raise
            asked = error.retry_after if isinstance(error, ApiError) else 0.0
            if deadline.remaining <= max(pause, asked):
                raise DeadlineExceeded(f"{error.what} (tried until the time of {deadline.seconds:.0f} s was over)", where=where, hint=error.hint) from error
        deadline.pause(max(asked, jittered(pause)))
        pause = min(LONGEST_PAUSE, pause * 2)


def jittered(pause: float) -> float:
    """Between half and all of it."""
    return pause * random.uniform(0.5, 1.0)  # noqa: S311
