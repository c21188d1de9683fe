# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exception tree. Everything that goes wrong on purpose is one of these; task.py turns them into a failed task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class PlatformError(Exception):
    """Something is wrong in a way we can explain.

    ``what`` says what is wrong, ``where`` names the host, file, field or object, ``hint`` says what to do.
    ``details`` are further return values of the failed task (JSON types, no secrets).
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "", details: Mapping[str, Any] | None = None) -> None:
        self.what = what.rstrip(". ")
        self.where = where
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}." if self.where else f"{self.what}."
        return f"{text} {self.hint}" if self.hint else text


class InputError(PlatformError):
    """The user's input is wrong; nothing was touched."""


class RefusedError(PlatformError):
    """The request is understood and would be unsafe, so it was not carried out."""


class CommandError(PlatformError):
    """A program that we called failed, or is missing."""


class ConnectionFailed(PlatformError):
    """A machine or an API server does not answer, or is not the one we were told to expect."""


class DeadlineExceeded(PlatformError):
    """What was waited for did not happen in time."""
