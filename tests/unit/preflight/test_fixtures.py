# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each file in fixtures/ breaks a good inventory in one way, and names all findings that must follow.

A fixture has ``all`` (group_vars/all), ``hosts`` (host_vars; a further name is a further machine, null removes a machine), ``components``, ``unset``
(variables of the good inventory to leave out, by host or ``all``), ``observed`` (what talos_machine_info returns, merged into a good one) and ``expect``:
the findings as a person sees them, without file and line; those are asserted to be where the fixture has the variable.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ansible_collections.trinode.platform.plugins.module_utils.preflight.check import check
from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding, Origin
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Component, Entry, Host, Inventory
from ansible_collections.trinode.platform.plugins.module_utils.preflight.observed import check_observed
from ansible_collections.trinode.platform.plugins.module_utils.preflight.settings import SETTINGS

FIXTURES = os.path.join(os.path.dirname(__file__), "fixtures")
NAMES = sorted(name for name in os.listdir(FIXTURES) if name.endswith(".yml"))
SOURCE = "inventory"

GOOD_CLUSTER: dict[str, Any] = {"trinode_cluster_name": "trial", "trinode_vip": "192.0.2.10", "trinode_machine_cidrs": ["192.0.2.0/24"]}
GOOD_MACHINES: dict[str, dict[str, Any]] = {
    f"m{number}": {"machine_address": f"192.0.2.1{number}", "machine_install_disk": {"serial": f"S-{number}"}} for number in (1, 2, 3)
}


def good_observation(number: int) -> dict[str, Any]:
    return {
        "trust": "maintenance",
        "stage": "maintenance",
        "uuid": f"00000000-0000-4000-8000-00000000000{number}",
        "serial_number": f"SN{number}",
        "fingerprint": "A" * 43 + "=",
        "addresses": [f"192.0.2.1{number}/24", "127.0.0.1/8"],
        "disks": [
            {
                "name": "sda",
                "path": "/dev/sda",
                "serial": f"S-{number}",
                "wwid": f"naa.{number}",
                "size": 500 * 10**9,
                "model": "SSD",
                "transport": "sata",
                "contents": "empty",
            },
            {
                "name": "sdb",
                "path": "/dev/sdb",
                "serial": f"T-{number}",
                "wwid": f"naa.1{number}",
                "size": 500 * 10**9,
                "model": "SSD",
                "transport": "sata",
                "contents": "empty",
            },
        ],
    }


def load(name: str) -> tuple[dict[str, Any], dict[tuple[str, str], int]]:
    """The fixture, and the line of each variable by section or host and name."""
    with open(os.path.join(FIXTURES, name), encoding="utf-8") as file:
        text = file.read()
    root = yaml.compose(text)
    lines: dict[tuple[str, str], int] = {}
    for section, node in root.value:
        if section.value == "all":
            lines.update({("all", key.value): key.start_mark.line + 1 for key, _ in node.value})
        elif section.value in ("hosts", "components"):
            for host, variables in node.value:
                if isinstance(variables, yaml.MappingNode):
                    lines.update({(host.value, key.value): key.start_mark.line + 1 for key, _ in variables.value})
    return yaml.safe_load(text), lines


def build(name: str) -> Inventory:
    fixture, lines = load(name)
    unset = fixture.get("unset", {})

    def variables(host: str, good: dict[str, Any], overrides: dict[str, Any] | None) -> dict[str, Entry]:
        kept = {variable: Entry(value, origin=Origin(f"good/{host}.yml")) for variable, value in good.items() if variable not in unset.get(host, ())}
        return {**kept, **{variable: Entry(value, origin=Origin(name, lines[host, variable])) for variable, value in (overrides or {}).items()}}

    machines = {**{host: {} for host in GOOD_MACHINES}, **fixture.get("hosts", {})}
    return Inventory(
        cluster=_host("all", variables("all", GOOD_CLUSTER, fixture.get("all")), ("cluster", "anywhere")),
        machines=tuple(
            _host(host, variables(host, GOOD_MACHINES.get(host, {}), overrides), ("machine",)) for host, overrides in machines.items() if overrides is not None
        ),
        components=tuple(_component(host, variables(host, {}, overrides)) for host, overrides in fixture.get("components", {"cilium": {}}).items()),
        declared=frozenset({"machine_config_patches", "component_state", "cilium_version", "cilium_values"}),
        source=SOURCE,
    )


def _host(name: str, variables: dict[str, Entry], scopes: tuple[str, ...]) -> Host:
    templates = {"machine_address": name, "machine_hostname": name}
    defaults = {
        setting.name: Entry(templates.get(setting.name, setting.default))
        for setting in SETTINGS.values()
        if setting.scope in scopes and not setting.required and ("{{" not in str(setting.default) or setting.name in templates)
    }
    return Host(name, {**defaults, **variables}, Origin(f"{SOURCE}/hosts.yml"))


def _component(name: str, variables: dict[str, Entry]) -> Component:
    host = _host(name, variables, ())
    return Component(host.name, host.variables, host.origin, version={"rook_ceph": "v1.20.6"}.get(name, ""))


def findings_of(name: str) -> list[Finding]:
    """What the static checks find, or what the judgement on the machines does when the fixture has observations."""
    fixture, _ = load(name)
    inventory = build(name)
    static = check(inventory)
    if "observed" not in fixture:
        return static
    assert not static, "a fixture with observations is about these alone"
    observed = {machine.name: good_observation(int(machine.name[1:])) for machine in inventory.machines}
    for host, changes in copy.deepcopy(fixture["observed"]).items():
        observed[host].update(changes)
    return check_observed(inventory, observed)


def _without_origin(finding: Finding) -> str:
    return str(finding).removeprefix(f"{finding.origin}: ")


def test_there_are_enough_fixtures() -> None:
    assert len(NAMES) >= 40


@pytest.mark.parametrize("name", NAMES)
def test_fixture(name: str) -> None:
    fixture, lines = load(name)
    findings = findings_of(name)
    assert sorted(_without_origin(finding) for finding in findings) == sorted(fixture["expect"])
    for finding in findings:
        written = {lines[host, finding.variable] for host in (*finding.hosts, "all") if (host, finding.variable) in lines}
        if written:
            assert finding.origin.file == name
            assert finding.origin.line in written
        else:
            assert finding.origin.file, "every finding names a file"


@pytest.mark.parametrize("observed", [False, True])
def test_the_good_inventory_has_no_findings(observed: bool) -> None:
    machines = tuple(
        _host(name, {key: Entry(value, origin=Origin("good")) for key, value in values.items()}, ("machine",)) for name, values in GOOD_MACHINES.items()
    )
    cluster = _host("all", {key: Entry(value, origin=Origin("good")) for key, value in GOOD_CLUSTER.items()}, ("cluster", "anywhere"))
    inventory = Inventory(cluster, machines)
    assert check(inventory) == []
    if observed:
        assert check_observed(inventory, dict(_observations())) == []


def _observations() -> Iterator[tuple[str, dict[str, Any]]]:
    for number in (1, 2, 3):
        yield f"m{number}", good_observation(number)
