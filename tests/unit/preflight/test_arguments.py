# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.preflight.arguments import check_arguments
from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Origin
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Component, Entry, Host, Inventory

SPEC = {
    "loki_replicas": {"type": "int"},
    "loki_mode": {"type": "str", "choices": ["single", "simple"]},
    "loki_hosts": {"type": "list", "elements": "dict", "options": {"name": {"type": "str", "required": True}}},
}
HERE = Origin("host_vars/loki.yml", 3)


def found(variables: dict[str, Entry], common: dict[str, Entry] | None = None) -> list[str]:
    loki = Component("loki", variables, spec=SPEC)
    return [str(finding) for finding in check_arguments(Inventory(Host("all", common or {}), components=(loki, Component("cilium", {}))))]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("loki_replicas", 3, ""),
        ("loki_replicas", "3", ""),
        ("loki_replicas", "three", "unable to convert to int"),
        ("loki_mode", "single", ""),
        ("loki_mode", "triple", "value of loki_mode must be one of: single, simple, got: triple"),
        ("loki_hosts", [{"name": "a"}], ""),
        ("loki_hosts", [{}], "missing required arguments: name found in loki_hosts"),
        ("loki_hosts", [{"name": "a", "port": 1}], "port. Supported parameters include: name"),
    ],
)
def test_values(name: str, value: Any, error: str) -> None:
    findings = found({name: Entry(value, origin=HERE)})
    assert len(findings) == bool(error)
    if error:
        assert findings[0].startswith(f"host_vars/loki.yml:3: loki: {name}: ")
        assert error in findings[0]
        assert findings[0].endswith("docs/components/loki.md tells what it takes.")


def test_what_stands_for_all_hosts_is_judged_where_the_component_has_none_of_its_own() -> None:
    wrong = Entry("three", origin=Origin("group_vars/all.yml", 7))
    assert found({}, {"loki_replicas": wrong})[0].startswith("group_vars/all.yml:7: loki: loki_replicas: ")
    assert found({"loki_replicas": Entry(3, origin=HERE)}, {"loki_replicas": wrong}) == []


@pytest.mark.parametrize("entry", [Entry(withheld=True, origin=HERE), Entry(error="'x' is undefined", origin=HERE), Entry("three")])
def test_what_cannot_be_seen_is_not_judged(entry: Entry) -> None:
    assert found({"loki_replicas": entry}) == []
