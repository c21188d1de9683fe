# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found about the disks of a machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or with ``warning`` only to be known. ``machine`` is the inventory name, ``variable`` the setting that it is about.

    ``what`` names the disk and has no closing dot; ``hint`` is a sentence that says what would be right.
    """

    machine: str
    variable: str
    what: str
    hint: str
    warning: bool = False

    def __str__(self) -> str:
        return ": ".join(part for part in (self.machine, self.variable, self.what) if part) + f". {self.hint}"
