# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which components are upgraded one after another, in which order, and what is in the way. Pure: from what was rendered and what the cluster notes.

A component differs when what is rendered now is not what was delivered last, be it another version or other values. One whose upgrade was interrupted is
half done (installed.py), and comes first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from ansible_collections.trinode.platform.plugins.module_utils.compatibility.matrix import ADJACENT, COMPONENT_PRODUCTS, NAMES, PIN_PRODUCTS
from ansible_collections.trinode.platform.plugins.module_utils.compatibility.version import Version
from ansible_collections.trinode.platform.plugins.module_utils.component.installed import Installed
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.rolling import versions
from ansible_collections.trinode.platform.plugins.module_utils.rolling.plan import Finding
from ansible_collections.trinode.platform.plugins.module_utils.table import aligned

_OTHER = "other values or objects"


@dataclass(frozen=True)
class Wanted:
    """A component as it was rendered: ``versions`` by pin."""

    name: str
    revision: str
    versions: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """By name: ``work``, the components to upgrade, in order; ``reasons``, what becomes of each; ``half_done``, those of which an upgrade did not end.

    ``installed`` are all that the cluster has. With objections nothing is done.
    """

    work: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    half_done: tuple[str, ...] = ()
    installed: tuple[str, ...] = ()
    objections: tuple[Finding, ...] = ()


def plan(wanted: Sequence[Wanted], installed: Mapping[str, Installed], downgrade: Collection[str] = ()) -> Plan:
    """The plan, with all objections at once. ``downgrade`` names the components that may go back. Raises InputError where components wait for each other."""
    there = {item.name: installed[item.name] for item in wanted if item.name in installed}
    half_done = [name for name, known in there.items() if known.begun]
    reasons = {item.name: reason for item in wanted if item.name in there and (reason := _reason(item, there[item.name]))}
    return Plan(
        work=tuple(_order(wanted, installed, reasons, half_done)),
        reasons=reasons,
        half_done=tuple(half_done),
        installed=tuple(there),
        objections=tuple(
            finding
            for item in wanted
            if item.name in reasons
            for finding in (*_steps(item, there[item.name], allowed=item.name in downgrade), *_unmet(item, installed))
        ),
    )


def table(wanted: Sequence[Wanted], installed: Mapping[str, Installed], made: Plan) -> list[str]:
    """One line a component, in the order in which they are upgraded, those that need nothing last."""
    by_name = {item.name: item for item in wanted}
    rows = [("STEP", "COMPONENT", "INSTALLED", "ASKED", "WHAT")]
    steps = {name: str(number) for number, name in enumerate(made.work, 1)}
    for name in [*made.work, *(name for name in by_name if name not in steps)]:
        asked, known = by_name[name].versions, installed.get(name)
        before = _versions({**{pin: known.versions[pin] for pin in asked if pin in known.versions}, **known.versions}) if known else "-"
        what = made.reasons.get(name) or ("nothing to do" if known else "not installed")
        rows.append((steps.get(name, "-"), name, before, _versions(asked), what))
    return aligned(rows)


def _reason(item: Wanted, known: Installed) -> str:
    """What an upgrade would change, in words; empty where it would change nothing."""
    if item.revision == known.revision and dict(item.versions) == dict(known.versions) and not known.begun:
        return ""
    # Charts that go together are one change.
    changes: dict[str, list[str]] = {}
    for pin in dict.fromkeys((*item.versions, *known.versions)):
        before, after = known.versions.get(pin), item.versions.get(pin)
        if before != after:
            step = f"{before} → {after}" if before and after else f"{after}, new" if after else "no longer"
            changes.setdefault(step, []).append(pin)
    what = "; ".join(f"{', '.join(pins)} {step}" for step, pins in changes.items())
    if not known.begun:
        return what or _OTHER
    if item.revision == known.revision:
        return "half done, goes back"
    return f"half done, goes on: {what or _OTHER}"


def _versions(found: Mapping[str, str]) -> str:
    return ", ".join(dict.fromkeys(found.values())) or "none"


def _order(wanted: Sequence[Wanted], installed: Mapping[str, Installed], work: Collection[str], half_done: Sequence[str]) -> list[str]:
    """Those to work on, each after what it needs or uses, also through others that need no work. What is half done goes first, with what that stands on."""
    # The order of the inventory, where needs leave a choice.
    graph = {item.name: (*item.needs, *item.uses) for item in wanted}
    graph |= {name: known.needs for name, known in installed.items() if name not in graph}
    sorter = TopologicalSorter(dict.fromkeys(graph, ()))
    for name, needs in graph.items():
        sorter.add(name, *needs)
    try:
        order = list(sorter.static_order())
    except CycleError as error:
        circle = " needs ".join(reversed(error.args[1]))
        raise InputError(f"components wait for each other: {circle}", hint="Take one of them out of the other's needs or uses.") from error
    first: set[str] = set()
    for name in reversed(order):
        if name in half_done or any(name in graph.get(other, ()) for other in first):
            first.add(name)
    return [name for name in order if name in work and name in first] + [name for name in order if name in work and name not in first]


def _steps(item: Wanted, known: Installed, *, allowed: bool) -> list[Finding]:
    """Versions that this component cannot go to from those that are installed."""
    found = []
    for pin, after in item.versions.items():
        before = known.versions.get(pin)
        if before is None or before == after:
            continue
        old, new = Version.parse(before), Version.parse(after)
        if old is None or new is None or versions.order(new) < versions.order(old):
            what = "would go back" if old and new else "may go back: these versions cannot be compared:"
            if not allowed:
                hint = f"An older release may not read what a newer one wrote. Correct it, or confirm: -e upgrade_components_downgrade={item.name}"
                found.append(Finding(item.name, f"{pin} {what} from {before} to {after}", hint))
            continue
        product = PIN_PRODUCTS.get(pin)
        if product in ADJACENT and product == COMPONENT_PRODUCTS.get(item.name) and (objection := versions.step(NAMES[product], before, after)):
            found.append(Finding(item.name, objection.what, objection.hint))
    return found


def _unmet(item: Wanted, installed: Mapping[str, Installed]) -> list[Finding]:
    missing = [name for name in item.needs if name not in installed]
    if not missing:
        return []
    hint = f"Install first what is missing: playbooks/platform.yml --limit {','.join(missing)}"
    return [Finding(item.name, f"it needs {', '.join(missing)}, which the cluster does not have", hint)]
