# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths of fields in objects, and taking such fields out. Pure.

A path is names with dots between them; ``[*]`` after a name means every item of the list: ``webhooks[*].clientConfig.caBundle``. A name that has dots itself
stands in brackets and quotes: ``metadata.annotations["example.org/checksum"]``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_EVERY = None
_PART = re.compile(r"""\.?([A-Za-z_][\w-]*)|\["([^"]+)"\]|\['([^']+)'\]|(\[\*\])""")


def valid(path: str) -> bool:
    """Whether the text is a path as above."""
    return bool(_split(path))


def remove(item: Any, path: str) -> int:
    """Take the field out of the object, in place. Returns how often it was there."""
    return _remove(item, _split(path))


def _split(path: str) -> list[str | None]:
    parts: list[str | None] = []
    position = 0
    while position < len(path):
        match = _PART.match(path, position)
        if match is None or (position == 0 and path.startswith(".")):
            return []
        parts.append(_EVERY if match[4] else match[1] or match[2] or match[3])
        position = match.end()
    return parts


def _remove(item: Any, parts: Sequence[str | None]) -> int:
    [part, *rest] = parts or [""]
    if part is _EVERY:
        entries = item if isinstance(item, list) else []
        if rest:
            return sum(_remove(entry, rest) for entry in entries)
        count = len(entries)
        entries.clear()
        return count
    if not isinstance(item, dict) or part not in item:
        return 0
    if rest:
        return _remove(item[part], rest)
    del item[part]
    return 1
