# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of an object as a rule judges it, and what rules read it from. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["ready", "progressing", "failed"]


@dataclass(frozen=True)
class Readiness:
    """``reason`` says in a few words what is missing or what failed; empty when ready.

    ``patience`` is for a state that seldom heals but may: how many times the usual grace it may last before it counts as failed.
    """

    state: State
    reason: str = ""
    patience: float = math.inf

    @property
    def ready(self) -> bool:
        return self.state == "ready"


READY = Readiness("ready")
UNSEEN_VERSION = Readiness("progressing", "its controller has not seen the newest version yet")

Json = Mapping[str, Any]
Rule = Callable[[Json], Readiness]
"""Judges a whole object that is not being deleted."""


def progressing(reason: str) -> Readiness:
    return Readiness("progressing", reason)


def failed(reason: str) -> Readiness:
    return Readiness("failed", reason)


def stuck(reason: str, patience: float = 4.0) -> Readiness:
    """Failed, unless the controller's next try goes better."""
    return Readiness("progressing", reason, patience)


def part(item: Json, *names: str) -> Json:
    """The map at this path; an empty one where there is none."""
    value: Any = item
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def condition(status: Json, name: str) -> Json:
    """The condition of this type; an empty map where there is none."""
    return next((found for found in status.get("conditions") or [] if found.get("type") == name), {})


def said(found: Json, otherwise: str) -> str:
    """What a condition says, in words."""
    return str(found.get("message") or found.get("reason") or otherwise).strip()


def number(values: Json, name: str, default: int = 0) -> int:
    value = values.get(name)
    return default if value is None else int(value)


def outdated(item: Json, found: Json) -> bool:
    """Whether a condition is about an earlier version of the object."""
    observed = found.get("observedGeneration")
    return observed is not None and int(observed) < number(part(item, "metadata"), "generation")
