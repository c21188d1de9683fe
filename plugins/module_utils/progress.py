# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress lines for the person who watches a long step. Silent unless somebody listens (the in-process action does)."""

from __future__ import annotations

from collections.abc import Callable

_listener: Callable[[str], None] | None = None


def listen(listener: Callable[[str], None] | None) -> None:
    """Send progress lines to ``listener`` from now on; None silences them."""
    global _listener  # noqa: PLW0603  one listener per process is the point
    _listener = listener


def progress(line: str) -> None:
    """Report one line: what is happening now, in the present tense, without secrets."""
    if _listener is not None:
        _listener(line)
