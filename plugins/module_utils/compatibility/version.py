# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions that can be compared: v1.13.8, 1.19.4, v20.2.0-20250101, 1.13."""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")


@dataclass(frozen=True)
class Version:
    """A version of up to three numbers; ``suffix`` is what follows a hyphen (a pre-release, or a build's date)."""

    major: int
    minor: int
    patch: int = 0
    suffix: str = ""

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """The version that ``text`` is, or None."""
        match = _VERSION.fullmatch(text.strip())
        if match is None:
            return None
        major, minor, patch, suffix = match.groups()
        return cls(int(major), int(minor), int(patch or 0), suffix or "")

    @property
    def numbers(self) -> tuple[int, int, int]:
        return self.major, self.minor, self.patch

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor number."""
        return self.major, self.minor

    def __str__(self) -> str:
        return ".".join(str(number) for number in self.numbers) + (f"-{self.suffix}" if self.suffix else "")


def release_text(release: tuple[int, int]) -> str:
    return f"{release[0]}.{release[1]}"
