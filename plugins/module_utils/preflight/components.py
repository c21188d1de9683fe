# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The components as a graph: each has a role, needs only what is there, and no two wait for each other."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Component, Inventory
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import Values


def check_components(inventory: Inventory) -> Iterator[Finding]:
    """Unknown components, needs that nothing meets, cycles, and fewer workers than components that may wait for each other."""
    components = {component.name: component for component in inventory.components}
    for component in components.values():
        if not component.role:
            yield Finding(f"there is no component {component.name!r}", "docs/components lists them.", component.origin, (component.name,))
        yield from _unmet(component, components)
    yield from _cycle(components)
    if 0 < inventory.forks < len(components):
        yield Finding(
            f"Ansible works on {inventory.forks} hosts at once, and {len(components)} components may wait for each other",
            f"Set forks in ansible.cfg, or run with --forks {len(components)}.",
        )


def check_storage(inventory: Inventory, cluster: Values, machines: Sequence[Values]) -> Iterator[Finding]:
    """Ceph without a disk would come up and then keep every claim waiting. Machines that are containers have none to name."""
    ceph = next((component for component in inventory.components if component.name == "rook_ceph"), None)
    if ceph and cluster.get("trinode_talos_platform") == "metal" and not any(machine.get("machine_osd_disks") for machine in machines):
        yield Finding(
            "no machine names a disk for storage",
            'Name them by serial, wwid or by_id, as `talosctl get disks --insecure` shows them: [{serial: "S4X9NF0M"}]; or take rook_ceph out.',
            ceph.origin,
            ("rook_ceph",),
            "machine_osd_disks",
        )


def _unmet(component: Component, components: Mapping[str, Component]) -> Iterator[Finding]:
    for name in component.needs:
        if name not in components:
            alike = difflib.get_close_matches(name, components, n=1)
            hint = f"Did you mean {alike[0]}?" if alike else f"Add {name} to the group components, or take {component.name} out."
            yield Finding(f"it needs {name}, which is not in the inventory", hint, component.origin, (component.name,), f"{component.name}_needs")


def _cycle(components: Mapping[str, Component]) -> Iterator[Finding]:
    graph = {name: [other for other in (*component.needs, *component.uses) if other in components] for name, component in components.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = list(reversed(error.args[1]))
        yield Finding(
            f"components wait for each other: {' needs '.join(circle)}",
            "Take one of them out of the other's needs or uses.",
            components[circle[0]].origin,
            (circle[0],),
            f"{circle[0]}_needs",
        )
