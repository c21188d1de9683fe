# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight finds, and how it is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """Where a value was written. ``file`` is shown as it is; ``line`` 0 means that it is not known."""

    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


NOWHERE = Origin()


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. ``what`` has no closing dot; ``hint`` is a sentence that says what would be right."""

    what: str
    hint: str
    origin: Origin = NOWHERE
    hosts: tuple[str, ...] = ()
    variable: str = ""

    @property
    def host(self) -> str:
        return ", ".join(self.hosts) or "all"

    def __str__(self) -> str:
        place = ": ".join(part for part in (str(self.origin), self.host, self.variable) if part)
        return f"{place}: {self.what}. {self.hint}"


def arrange(findings: Iterable[Finding]) -> list[Finding]:
    """The same finding about several hosts becomes one; sorted by file, line, variable, host."""
    merged: dict[Finding, dict[str, None]] = {}
    for finding in findings:
        merged.setdefault(dataclasses.replace(finding, hosts=()), {}).update(dict.fromkeys(finding.hosts))
    whole = [dataclasses.replace(finding, hosts=tuple(hosts)) for finding, hosts in merged.items()]
    return sorted(whole, key=lambda finding: (finding.origin.file, finding.origin.line, finding.variable, finding.hosts, finding.what))


def headline(findings: Sequence[Finding]) -> str:
    """How many findings there are."""
    return f"{len(findings)} finding{'s' if len(findings) != 1 else ''}; nothing was touched"


def lines(findings: Iterable[Finding]) -> str:
    """All findings for a person, a line each."""
    return "\n".join(str(finding) for finding in findings)
