# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has drifted from what it is to be, and how it is told. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from ansible_collections.trinode.platform.plugins.module_utils.table import aligned

Part = Literal["machine", "cluster", "git"]


@dataclass(frozen=True)
class Drift:
    """One thing that is not as it is to be, or cannot be read: where, what, and what to do about it. The last two are sentences."""

    part: Part
    where: str
    problem: str
    advice: str

    def as_values(self) -> dict[str, str]:
        """The finding as a return value."""
        return asdict(self)


def sentence(text: str) -> str:
    """On one line, with a full stop."""
    plain = " ".join(text.split()).rstrip()
    return plain if plain.endswith((".", "!", "?")) else f"{plain}."


def lines(found: Sequence[Drift], compared: Sequence[str]) -> list[str]:
    """A table, a line for each finding; or that there is none. ``compared`` says what was looked at."""
    looked = f"Compared: {'; '.join(compared)}." if compared else "Nothing was compared."
    if not found:
        return ["No drift.", looked]
    rows = [("PART", "WHERE", "WHAT, AND WHAT TO DO"), *((item.part, item.where, f"{sentence(item.problem)} {sentence(item.advice)}") for item in found)]
    return [f"Drift: {len(found)} finding{'s' if len(found) != 1 else ''}.", "", *aligned(rows), "", looked]
