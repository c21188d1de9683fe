# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user wrote, as the lookup ``settings`` gathered it: values, errors and origins, by host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import NOWHERE, Origin


@dataclass(frozen=True)
class Entry:
    """One variable of one host.

    ``error`` is why its template fails (then there is no value); ``withheld`` says that the value is encrypted with Ansible Vault and
    stays unseen; ``origin`` is None for a default.
    """

    value: Any = None
    error: str = ""
    withheld: bool = False
    origin: Origin | None = None

    @property
    def readable(self) -> bool:
        return not self.error and not self.withheld


@dataclass(frozen=True)
class Host:
    """A host of the inventory with its variables of our prefixes. ``origin`` is where the inventory names it."""

    name: str
    variables: Mapping[str, Entry]
    origin: Origin = NOWHERE


@dataclass(frozen=True)
class Component(Host):
    """A component.

    ``role`` says whether there is a role of its name; ``needs`` must be there, ``uses`` is waited for when it is; ``version`` is the user's or the pinned one.
    ``spec`` is what the role's argument spec says of the variables that the user set.
    """

    role: bool = True
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    version: str = ""
    spec: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Inventory:
    """All that the static checks look at.

    ``cluster`` holds what the whole run sees (group_vars/all and the defaults). ``declared`` are the variables that this collection's
    roles declare besides the settings. ``source`` is the inventory as the user named it; ``forks`` how many hosts Ansible works on at once (0: not known).
    """

    cluster: Host
    machines: tuple[Host, ...] = ()
    components: tuple[Component, ...] = ()
    declared: frozenset[str] = field(default_factory=frozenset)
    source: str = ""
    forks: int = 0

    @property
    def hosts(self) -> tuple[Host, ...]:
        return (self.cluster, *self.machines, *self.components)


def from_value(value: Mapping[str, Any]) -> Inventory:
    """The inventory from what the lookup returns: cluster, machines, components (each host with name, origin, variables), declared, source."""
    return Inventory(
        cluster=_host(value["cluster"]),
        machines=tuple(_host(host) for host in value.get("machines", ())),
        components=tuple(_component(host) for host in value.get("components", ())),
        declared=frozenset(value.get("declared", ())),
        source=value.get("source", ""),
        forks=value.get("forks", 0),
    )


def _host(value: Mapping[str, Any]) -> Host:
    variables = {name: _entry(entry) for name, entry in value.get("variables", {}).items()}
    return Host(name=value["name"], variables=variables, origin=_origin(value.get("origin")) or NOWHERE)


def _component(value: Mapping[str, Any]) -> Component:
    host = _host(value)
    needs, uses = (tuple(value.get(key) or ()) for key in ("needs", "uses"))
    version, spec = str(value.get("version") or ""), value.get("spec") or {}
    return Component(host.name, host.variables, host.origin, role=value.get("role", True), needs=needs, uses=uses, version=version, spec=spec)


def _entry(value: Mapping[str, Any]) -> Entry:
    return Entry(value=value.get("value"), error=value.get("error", ""), withheld=value.get("withheld", False), origin=_origin(value.get("origin")))


def _origin(value: Mapping[str, Any] | None) -> Origin | None:
    return Origin(file=value["file"], line=value.get("line", 0)) if value else None
