# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of one machine to its installer image, and the judgement of what it came back with. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ansible_collections.trinode.platform.plugins.module_utils.compatibility.version import Version
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.rolling import versions
from ansible_collections.trinode.platform.plugins.module_utils.rolling.target import Target, short

Step = Literal["pull", "install", "reboot"]

# Before this release there is one call for all of it (MachineService.Upgrade), after which the machine reboots on its own.
_SEPARATE_SINCE = (1, 13)


@dataclass(frozen=True)
class Running:
    """What a machine runs. ``pending``: something is installed that it has not booted yet. ``boot`` tells one boot from another."""

    version: str
    schematic: str
    pending: bool = False
    boot: str = ""
    images: Sequence[str] = ()


class RolledBack(PlatformError):
    """The machine came back with the system that it had before."""


class WrongSystem(PlatformError):
    """The machine came back with a system that is neither the one before nor the wanted one."""


def plan(target: Target, running: Running, *, pull_only: bool, where: str) -> tuple[Step, ...]:
    """What is left to do. RefusedError for a step that Talos does not support."""
    if not target.differs(running.version, running.schematic):
        return ()
    objection = versions.step("Talos", running.version, target.version)
    if objection is not None:
        raise RefusedError(objection.what, where=where, hint=objection.hint)
    pulled = target.image in running.images
    if pull_only:
        return () if pulled else ("pull",)
    # Installing once more over what waits for its boot would overwrite the system that runs, and leave nothing to go back to.
    if running.pending:
        return ("reboot",)
    return ("install", "reboot") if pulled else ("pull", "install", "reboot")


def reboots_on_its_own(version: str) -> bool:
    """Whether installing is followed by a reboot that nobody has to ask for."""
    parsed = Version.parse(version)
    return parsed is not None and parsed.release < _SEPARATE_SINCE


def check(target: Target, before: Running, after: Running, *, where: str) -> None:
    """Raise unless the machine runs what it was to run."""
    differs = target.differs(after.version, after.schematic)
    if not differs:
        return
    details = {"version": after.version, "schematic": after.schematic}
    if (after.version, after.schematic) == (before.version, before.schematic):
        raise RolledBack(
            f"the machine has rolled back: it rebooted and runs {after.version} (schematic {short(after.schematic)}) as before, not {target.version} "
            f"(schematic {short(target.schematic)})",
            where=where,
            hint="Talos goes back to the system before when the new one does not come up. The console or `talosctl dmesg` of that boot says why: most often a "
            "missing extension, kernel argument or driver in the image. Correct that, or the wanted version, and run again; the machine works meanwhile.",
            details=details,
        )
    raise WrongSystem(
        f"the machine came back with something else than was wanted: {differs}",
        where=where,
        hint=f"Look at what the image {target.image} holds; a mirror may serve another one under this name.",
        details=details,
    )
