# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single values against the schema: types, choices, constraints. What passes is what the other checks look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.preflight.constraints import Problem, kernel_disk
from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding, Origin
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Entry, Host, Inventory
from ansible_collections.trinode.platform.plugins.module_utils.preflight.settings import SETTINGS, Setting

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
_TYPE_NAMES = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list", "dict": "a mapping"}
_EXAMPLES = {
    "str": 'Write text, in quotes where it looks like a number: "1.13".',
    "int": "Write a whole number, such as 600.",
    "float": "Write a number, such as 0.5.",
    "bool": "Write true or false.",
    "list": "Write a list: one entry a line, each after a hyphen, or [a, b].",
    "dict": "Write a mapping: {key: value}.",
}
_LIST_EXAMPLES = {"trinode_pod_cidrs": "10.244.0.0/16", "trinode_service_cidrs": "10.96.0.0/12", "trinode_machine_cidrs": "192.0.2.0/24"}


@dataclass(frozen=True)
class Values:
    """The valid values of one host by setting, converted to their type; what was wrong, or is encrypted, is missing."""

    host: Host
    valid: Mapping[str, Any]

    def get(self, name: str) -> Any:
        """The value, or None when there is none that could be judged."""
        return self.valid.get(name)

    def origin(self, name: str) -> Origin:
        """Where the value was written; for a default, where the inventory names the host."""
        entry = self.host.variables.get(name)
        return entry.origin if entry and entry.origin else self.host.origin


def cluster_values(inventory: Inventory) -> tuple[Values, list[Finding]]:
    """The cluster's settings. One that stands where only some hosts see it is read from there; scope.py reports the place."""
    variables = dict(inventory.cluster.variables)
    for host in (*inventory.machines, *inventory.components):
        for name, entry in host.variables.items():
            if (
                name in SETTINGS
                and SETTINGS[name].scope == "cluster"
                and (name not in variables or variables[name].origin is None)
                and entry.origin is not None
            ):
                variables[name] = entry
    values, findings = _judge(Host(inventory.cluster.name, variables, Origin(inventory.source)), ("cluster", "anywhere"), hosts=())
    # A default that cannot be worked out, or is wrong, follows from another setting's finding.
    return values, [finding for finding in findings if finding.variable not in variables or variables[finding.variable].origin]


def machine_values(inventory: Inventory) -> tuple[list[Values], list[Finding]]:
    values: list[Values] = []
    findings: list[Finding] = []
    for machine in inventory.machines:
        judged, problems = _judge(machine, ("machine",), hosts=(machine.name,))
        values.append(judged)
        findings += problems
    return values, findings


def _failed(name: str, entry: Entry, hosts: tuple[str, ...], fallback: Origin) -> Finding:
    return Finding(f"its value cannot be worked out: {entry.error}", "Correct the expression, or define what it uses.", entry.origin or fallback, hosts, name)


def _judge(host: Host, scopes: tuple[str, ...], hosts: tuple[str, ...]) -> tuple[Values, list[Finding]]:
    valid: dict[str, Any] = {}
    findings: list[Finding] = []
    for setting in SETTINGS.values():
        if setting.scope not in scopes:
            continue
        entry = host.variables.get(setting.name)
        if entry is None or (setting.required and entry.readable and entry.value in (None, "")):
            if setting.required:
                origin = entry.origin if entry and entry.origin else host.origin
                findings.append(Finding("it is required and has no value", f"Set it in group_vars/all: {setting.description}", origin, hosts, setting.name))
            continue
        if entry.error:
            findings.append(_failed(setting.name, entry, hosts, host.origin))
        elif not entry.withheld:
            value, problem = conform(setting, entry.value)
            if problem:
                findings.append(Finding(problem.what, problem.hint, entry.origin or host.origin, hosts, setting.name))
            else:
                valid[setting.name] = value
    return Values(host, valid), findings


def conform(setting: Setting, value: Any) -> tuple[Any, Problem | None]:
    """The value in the setting's type, or what is wrong with it. Converts text to numbers and booleans as Ansible's argument specs do."""
    converted = _convert(setting.type, value)
    if converted is None:
        return None, _wrong_type(setting, value)
    if setting.choices and converted not in setting.choices:
        return None, Problem(f"{converted!r} is not a choice", f"Use {' or '.join(setting.choices)}.")
    if setting.type == "list" and (problem := _elements(setting, converted)):
        return None, problem
    empty_is_default = converted == "" and setting.default == ""
    if setting.constraint and not empty_is_default and (problem := setting.constraint(converted)):
        return None, problem
    return converted, None


def _elements(setting: Setting, values: list[Any]) -> Problem | None:
    for number, element in enumerate(values, start=1):
        if setting.elements in ("str", "dict") and _convert(setting.elements, element) is None:
            if setting.elements == "dict" and isinstance(element, str) and (problem := kernel_disk(element)):
                return problem
            return Problem(f"entry {number} is {element!r}, which is not {_TYPE_NAMES[setting.elements]}", _EXAMPLES[setting.elements])
        if setting.element_constraint and (problem := setting.element_constraint(element)):
            return problem
    return None


def _wrong_type(setting: Setting, value: Any) -> Problem:
    if value is None:
        return Problem("it is empty", "Leave the line out to get the default, or give a value.")
    if setting.type == "dict" and isinstance(value, str) and (problem := kernel_disk(value)):
        return problem
    hint = _EXAMPLES[setting.type]
    if setting.type == "list" and isinstance(value, str) and value:
        hint = f'Write a list: ["{value}"].'
    elif setting.name in _LIST_EXAMPLES:
        hint = f'Write a list: ["{_LIST_EXAMPLES[setting.name]}"].'
    return Problem(f"it is {value!r}, which is not {_TYPE_NAMES[setting.type]}", hint)


def _convert(type_: str, value: Any) -> Any:
    """The value in this type, or None when it is not one."""
    if type_ == "str":
        # A version written without quotes is a number to YAML and has lost digits (1.10 is 1.1), so numbers are not taken for text.
        return str(value) if isinstance(value, str) else None
    if type_ == "bool":
        return _boolean(value)
    if type_ in ("int", "float"):
        return _number(value, type_)
    wanted = list if type_ == "list" else dict
    return value if isinstance(value, wanted) else None


def _boolean(value: Any) -> bool | None:
    text = str(value).lower() if isinstance(value, (bool, str, int)) else ""
    return True if text in _TRUE else False if text in _FALSE else None


def _number(value: Any, type_: str) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if type_ == "float":
        return number
    return int(number) if number.is_integer() else None
