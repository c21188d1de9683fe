# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From which version to which Talos may go: adjacent minor releases, upwards, and within the compatibility matrix. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ansible_collections.trinode.platform.plugins.module_utils.compatibility import rules
from ansible_collections.trinode.platform.plugins.module_utils.compatibility.rules import Objection
from ansible_collections.trinode.platform.plugins.module_utils.compatibility.version import Version
from ansible_collections.trinode.platform.plugins.module_utils.rolling.target import Target


def step(product: str, running: str, wanted: str) -> Objection | None:
    """Why a machine cannot go from one version to the other in one step, and the way it can; None where it can, or where it has arrived."""
    found, target = Version.parse(running), Version.parse(wanted)
    if found is None or target is None:
        return Objection(f"{running or 'an unknown version'} and {wanted or 'an unknown version'} cannot be compared", "Versions are written like v1.13.8.")
    if order(target) < order(found):
        return Objection(
            f"{product} would go back from {running} to {wanted}",
            "Downgrades are not carried out: what a newer release has written, an older one may not read. Correct the wanted version.",
        )
    if target.major != found.major:
        return Objection(f"{product} {wanted} is another major release than {running}", "There is no known path.")
    if target.minor - found.minor > 1:
        between = [f"v{found.major}.{minor}" for minor in range(found.minor + 1, target.minor)]
        path = " → ".join([running, *(f"{release}.x (its newest)" for release in between), wanted])
        return Objection(f"{product} cannot skip minor releases", f"Take them one after another, a run each: {path}.")
    return None


def order(version: Version) -> tuple[tuple[int, int, int], tuple[bool, list[tuple[int, int | str]]]]:
    """Sorts versions: pre-releases come before their release, and rc.10 after rc.9."""
    pieces: list[tuple[int, int | str]] = [(0, int(piece)) if piece.isdigit() else (1, piece) for piece in re.findall(r"\d+|[A-Za-z]+", version.suffix)]
    return version.numbers, (not version.suffix, pieces)


def goes_with(targets: Sequence[Target], kubernetes: Sequence[str]) -> list[Objection]:
    """What the compatibility matrix has against the wanted versions of Talos, with the Kubernetes versions that the nodes run."""
    objections: dict[str, Objection] = {}
    for wanted in dict.fromkeys(target.version for target in targets if target.version):
        version = Version.parse(wanted)
        if version is None:
            continue
        others = [{"kubernetes": found} for found in (Version.parse(text) for text in dict.fromkeys(kubernetes)) if found is not None]
        for objection in (rules.denied("talos", version), *(rules.unsupported("talos", version, other) for other in others or [{}])):
            if objection is not None:
                objections[objection.what] = objection
    return list(objections.values())
