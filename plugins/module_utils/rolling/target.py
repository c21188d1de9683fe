# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is to run, as its installer image says it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.schematic import EMPTY_SCHEMATIC

_IMAGE = re.compile(r"(?P<name>[A-Za-z0-9][^\s@]*?):(?P<version>v\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)(?:@sha256:[0-9a-f]{64})?")
_SCHEMATIC = re.compile(r"installer(?:-secureboot)?/(?P<schematic>[0-9a-f]{64})$")


@dataclass(frozen=True)
class Target:
    """``schematic`` is empty where the image is not one of an image factory: what is in it is not known then, and not compared."""

    image: str = ""
    version: str = ""
    schematic: str = ""

    def differs(self, version: str, schematic: str) -> str:
        """In what a machine with this version and schematic differs, in words; empty where it runs this."""
        found = []
        if self.version and version != self.version:
            found.append(f"{version or 'unknown'} → {self.version}")
        if self.schematic and not _same(schematic, self.schematic):
            found.append(f"schematic {short(schematic)} → {short(self.schematic)}")
        return ", ".join(found)


def read(image: str, *, where: str) -> Target:
    """The version and the schematic in the reference of an installer image. InputError where it names no version."""
    match = _IMAGE.fullmatch(image)
    if match is None:
        raise InputError(
            f"the installer image {image!r} does not name its version",
            where=where,
            hint="Its tag has to be the version of Talos in it, like FACTORY/metal-installer/SCHEMATIC:v1.13.8, so that what runs afterwards can be compared.",
        )
    schematic = _SCHEMATIC.search(match["name"])
    return Target(image, match["version"], schematic["schematic"] if schematic else "")


def short(schematic: str) -> str:
    """For people: the identifier's first digits."""
    if schematic in ("", EMPTY_SCHEMATIC):
        return "none"
    return schematic[:8]


def _same(running: str, wanted: str) -> bool:
    # Images that are not a factory's, like ghcr.io/siderolabs/installer, name no schematic, and hold nothing beyond Talos itself.
    return (running or EMPTY_SCHEMATIC) == wanted
