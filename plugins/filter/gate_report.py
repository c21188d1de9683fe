# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's result as lines for a person."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gate_report
short_description: The result of the gate as lines for a person
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes the result of M(trinode.platform.gate) and returns its table, a line for each finding with what to do, and the machines.
positional: _input
options:
  _input:
    description: Result of M(trinode.platform.gate).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Say what the gate sees
  ansible.builtin.debug:
    msg: "{{ gate_result | trinode.platform.gate_report }}"
"""

RETURN = r"""
_value:
  description: Lines.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding


def gate_report(result: Mapping[str, Any]) -> list[str]:
    """Lines for a person; see DOCUMENTATION."""
    findings, warned = result.get("findings", []), result.get("warned", [])
    lines = [f"The gate is {'open' if result.get('passed') else 'closed'}.", "", *result.get("table", [])]
    for title, listed in (("Findings:", findings), ("Warnings, which do not close it:", warned)):
        if listed:
            lines += ["", title, *(f"  {Finding(**item).line()}" for item in listed)]
    machines = result.get("machines", [])
    return [*lines, *(["", *machines] if machines else [])]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gate_report": gate_report}
