# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and places of variables: unknown ones with the name that was meant, and settings of the cluster that not every host sees."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Inventory
from ansible_collections.trinode.platform.plugins.module_utils.preflight.settings import PREFIXES, SETTINGS

_ALIKE = 0.66
_ALIKE_UNDER_OTHER_PREFIX = 0.85
_ALIKE_WITHOUT_PREFIX = 0.85


def check_names(inventory: Inventory) -> Iterator[Finding]:
    """Variables that nothing reads: with our prefixes and unknown, or with others and so like a known one that it must have been meant."""
    known = sorted({*SETTINGS, *inventory.declared})
    for host in inventory.hosts:
        for name, entry in host.variables.items():
            if entry.origin is None or name in known:
                continue
            meant = suggest(name, known)
            if not name.startswith(PREFIXES) and meant is None:
                continue
            hint = f"Did you mean {meant}?" if meant else "docs/settings.md lists what there is; a variable of your own needs another prefix."
            yield Finding("no such setting", hint, entry.origin, (host.name,) if host is not inventory.cluster else (), name)


def suggest(name: str, known: list[str]) -> str | None:
    """The known name that was most likely meant: one spelled alike, or the same after another prefix of ours."""
    prefix, rest = _split(name)
    if not prefix:
        alike = difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE_WITHOUT_PREFIX)
        return alike[0] if alike else None
    # Prefixes make all names alike, so only what follows is compared.
    for other in (prefix, *PREFIXES):
        names = {_split(candidate)[1]: candidate for candidate in known if candidate.startswith(other)}
        alike = difflib.get_close_matches(rest, names, n=1, cutoff=_ALIKE if other == prefix else _ALIKE_UNDER_OTHER_PREFIX)
        if alike:
            return names[alike[0]]
    return None


def _split(name: str) -> tuple[str, str]:
    """Our prefix, or nothing, and what follows."""
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), "")
    return prefix, name.removeprefix(prefix)


def check_scope(inventory: Inventory) -> Iterator[Finding]:
    """Settings of the cluster that some hosts see otherwise than the run as a whole, since they do not stand in group_vars/all."""
    for host in (*inventory.machines, *inventory.components):
        for name, entry in host.variables.items():
            setting = SETTINGS.get(name)
            if setting is None or setting.scope != "cluster" or entry.origin is None:
                continue
            common = inventory.cluster.variables.get(name)
            if common is None or common.origin != entry.origin:
                yield Finding(
                    "it has one value for the whole cluster, and is set for some hosts only", "Set it in group_vars/all.", entry.origin, (host.name,), name
                )
