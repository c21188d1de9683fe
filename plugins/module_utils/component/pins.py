# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a component's charts and files of manifests come from: its definition, the pins, and the mirror. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component.definition import ChartUse, Definition
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.helm.chart import Chart
from ansible_collections.trinode.platform.plugins.module_utils.helm.manifest_file import ManifestFile

Origin = Chart | ManifestFile  # pylint: disable=unsupported-binary-operation


def resolve(definition: Definition, pins: Mapping[str, Any], mirror: str) -> tuple[list[tuple[ChartUse, Origin]], list[str]]:
    """Each chart of the definition with where it comes from, and what is wrong with the pins that it names."""
    found: list[tuple[ChartUse, Origin]] = []
    problems: list[str] = []
    for use in definition.charts:
        pin = pins.get(use.pin)
        if not isinstance(pin, Mapping):
            alike = difflib.get_close_matches(use.pin, pins, n=1)
            problems.append(f"pin {use.pin}: there is none of that name" + (f", did you mean {alike[0]}?" if alike else ""))
            continue
        try:
            found.append((use, _origin(use, pin, mirror)))
        except PlatformError as error:
            problems.append(f"pin {use.pin}: {error.what}")
    return found, problems


def _origin(use: ChartUse, pin: Mapping[str, Any], mirror: str) -> Origin:
    # The digest is that of the pinned version's file; another version has another one.
    digest = str(pin.get("digest") or "") if use.version == pin.get("version") else ""
    origin: Origin
    if pin.get("url"):
        origin = ManifestFile(use.pin, str(pin["url"]), use.version, digest).mirrored(mirror)
    else:
        origin = Chart(str(pin.get("chart") or ""), str(pin.get("repository") or ""), use.version, digest).mirrored(mirror)
    origin.validate()
    return origin
