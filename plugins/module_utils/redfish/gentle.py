# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport of calls to one BMC: each after a pause, none past the deadline, again only where nothing can have happened.

It imports requests, which comes with sushy, so it is imported only where a BMC is called.
"""

from __future__ import annotations

import time
from typing import Any

from requests import PreparedRequest, Response, exceptions
from requests.adapters import HTTPAdapter

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
# Before the second, third, ... try of a call.
PAUSES = (1.0, 2.0, 4.0, 8.0)
# Answers that say: not now, and nothing was done.
BUSY = (429, 503)
# What a reading call may be asked again for, beside that.
FAILED = (500, 502, 504)


class Gentle(HTTPAdapter):  # type: ignore[misc]
    """For one BMC. ``fingerprint``: SHA-256 of the only certificate that is accepted; ``pause``: seconds between two calls; ``pauses``: before retries."""

    def __init__(self, url: str, *, fingerprint: str, pause: float, deadline: Deadline, pauses: tuple[float, ...] = PAUSES) -> None:
        self.url = url
        self.fingerprint = fingerprint
        self.pause = pause
        self.pauses = pauses
        self.deadline = deadline
        self.read_seconds = READ_SECONDS
        self._last_end = 0.0
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> Any:
        """With the certificate pinned, where one is named."""
        pinned = {"assert_fingerprint": self.fingerprint} if self.fingerprint else {}
        return super().init_poolmanager(*arguments, **options, **pinned)

    def send(self, request: PreparedRequest, **options: Any) -> Response:
        """One call, with its further tries, as far as there is time for them."""
        for pause in self.pauses:
            failure: Exception | None = None
            try:
                answer = self._send_once(request, options)
            except exceptions.SSLError:
                raise
            except (exceptions.ConnectionError, exceptions.Timeout) as error:
                if not bears_another_try(request.method or "", error):
                    raise
                failure, problem = error, "does not answer"
            else:
                if answer.status_code not in BUSY and not (request.method in ("GET", "HEAD") and answer.status_code in FAILED):
                    return answer
                problem = f"answers with HTTP {answer.status_code}"
            progress(f"the BMC {self.url} {problem}; trying again in {pause:.0f} s")
            self.deadline.pause(pause)
            if failure is not None and self.deadline.expired:
                raise failure
        return self._send_once(request, options)

    def _send_once(self, request: PreparedRequest, options: dict[str, Any]) -> Response:
        time.sleep(min(max(0.0, self._last_end + self.pause - time.monotonic()), self.deadline.remaining))
        if self.deadline.expired:
            what = f"The BMC was not done within {self.deadline.seconds:.0f} s"
            raise DeadlineExceeded(what, where=self.url, hint="See the BMC's own log; a restart of the BMC may help.")
        options["timeout"] = (min(CONNECT_SECONDS, self.deadline.remaining), min(self.read_seconds, self.deadline.remaining))
        try:
            return super().send(request, **options)
        finally:
            self._last_end = time.monotonic()


def bears_another_try(method: str, error: Exception) -> bool:
    """A call that only reads, or one that never reached the BMC; and no name that does not resolve."""
    text = repr(error)
    if "NameResolutionError" in text:
        return False
    return method in ("GET", "HEAD") or isinstance(error, exceptions.ConnectTimeout) or "NewConnectionError" in text
