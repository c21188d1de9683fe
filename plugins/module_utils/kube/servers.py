# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API servers of a cluster: which of them answer, and whose turn it is."""

from __future__ import annotations

import queue
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

PORT = 6443
HEALTH_SECONDS = 5.0
# Once one server has answered, the others get this long: a machine that is off must not cost every task seconds.
_STRAGGLER_SECONDS = 0.5
# A server that did not answer is left alone for this long, then tried again.
_REST_SECONDS = 10.0


def urls(addresses: Iterable[str]) -> list[str]:
    """Addresses, with or without scheme and port, as URLs of API servers, each once: "192.0.2.11" is https://192.0.2.11:6443, an IPv6 address too."""
    found = []
    for address in addresses:
        text = address.strip().rstrip("/")
        if not text:
            continue
        if "://" not in text:
            text = f"https://[{text}]" if text.count(":") > 1 and not text.startswith("[") else f"https://{text}"
        found.append(text if urlsplit(text).port else f"{text}:{PORT}")
    return list(dict.fromkeys(found))


class Servers:
    """The servers to ask, in turn. Those that did not answer are left out for a while, as long as another is there. Safe to use from several threads."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._all = list(addresses)
        self._out: dict[str, float] = {}
        self._turn = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._all)

    def pick(self, tried: Iterable[str] = (), affinity: str = "") -> str:
        """The next server, or with an ``affinity`` always the same one for it; one of those not ``tried`` yet, if there is one."""
        with self._lock:
            now = time.monotonic()
            able = [server for server in self._all if self._out.get(server, 0.0) <= now] or self._all
            fresh = [server for server in able if server not in set(tried)] or able
            if affinity:
                return fresh[zlib.crc32(affinity.encode()) % len(fresh)]
            self._turn += 1
            return fresh[self._turn % len(fresh)]

    def failed(self, server: str) -> None:
        """It did not answer."""
        with self._lock:
            self._out[server] = time.monotonic() + _REST_SECONDS

    def keep_healthy(self, healthy: Callable[[str], bool]) -> list[str]:
        """Ask all at once and leave out those that are not healthy; returns those. When none is, all stay: they may come back while there is time."""
        if len(self._all) < 2:
            return []
        answers: queue.SimpleQueue[tuple[str, bool]] = queue.SimpleQueue()
        for server in self._all:
            # Daemons: nobody waits for a machine that is off.
            threading.Thread(target=lambda asked=server: answers.put((asked, healthy(asked))), name=f"health of {server}", daemon=True).start()
        well: list[str] = []
        end = time.monotonic() + HEALTH_SECONDS
        for _server in self._all:
            try:
                server, is_well = answers.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if is_well:
                end = min(end, time.monotonic() + _STRAGGLER_SECONDS) if not well else end
                well.append(server)
        out = [server for server in self._all if server not in well]
        if well:
            self._all = [server for server in self._all if server in well]
            return out
        return []
