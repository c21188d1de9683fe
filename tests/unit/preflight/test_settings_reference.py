# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema is the truth: role defaults, argument specs and docs/settings.md say the same. Run this file to write docs/settings.md anew."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest
import yaml

from ansible_collections.trinode.platform.plugins.module_utils.preflight.settings import SETTINGS, Setting
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import conform

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
ROLE = os.path.join(ROOT, "roles", "trinode")
REFERENCE = os.path.join(ROOT, "docs", "settings.md")

HEAD = """# Settings

All settings of the collection. They are inventory variables; `inventory/example` shows where they go. Preflight refuses a variable with one of
the prefixes `trinode_`, `machine_` and `component_` that is neither here nor declared by a role. This page follows from the schema in
`plugins/module_utils/preflight/settings.py`; a test keeps it so.
"""
SECTIONS = {
    "cluster": "## The cluster\n\nOne value for all: in `group_vars/all.yml`.",
    "anywhere": "## The run\n\nIn `group_vars/all.yml`, or for some hosts only.",
    "machine": "## A machine\n\nOne value for each: in `host_vars/NAME.yml`, or in `group_vars/machines.yml`.",
}


def reference() -> str:
    """The text of docs/settings.md."""
    parts = [HEAD]
    for scope, heading in SECTIONS.items():
        rows = [_row(setting) for setting in SETTINGS.values() if setting.scope == scope]
        parts.append("\n".join([heading, "", "| setting | type | default | what it is |", "| --- | --- | --- | --- |", *rows, ""]))
    return "\n".join(parts)


def _row(setting: Setting) -> str:
    type_ = f"{setting.type} of {setting.elements}" if setting.elements in ("str", "dict") else setting.type
    kind = " or ".join(f"`{choice}`" for choice in setting.choices) or type_
    default = (
        "*required*" if setting.required else f"`{setting.default if isinstance(setting.default, str) and setting.default else json.dumps(setting.default)}`"
    )
    return f"| `{setting.name}` | {kind} | {default.replace('|', chr(92) + '|')} | {setting.description} |"


def _yaml(*path: str) -> Any:
    with open(os.path.join(ROLE, *path), encoding="utf-8") as file:
        return yaml.safe_load(file)


def test_defaults_are_the_schemas() -> None:
    assert _yaml("defaults", "main.yml") == {setting.name: setting.default for setting in SETTINGS.values() if not setting.required}


def test_required_settings_stand_in_the_defaults_as_a_comment() -> None:
    with open(os.path.join(ROLE, "defaults", "main.yml"), encoding="utf-8") as file:
        text = file.read()
    assert all(f"# {setting.name} " in text for setting in SETTINGS.values() if setting.required)


def test_argument_specs_are_the_schemas() -> None:
    def option(setting: Setting) -> dict[str, Any]:
        wanted = {"description": setting.description, "type": setting.type}
        wanted |= {"elements": setting.elements} if setting.elements else {}
        wanted |= {"choices": list(setting.choices)} if setting.choices else {}
        return wanted | ({"required": True} if setting.required else {"default": setting.default})

    specs = _yaml("..", "preflight", "meta", "argument_specs.yml")["argument_specs"]
    assert specs["settings"]["options"] == {setting.name: option(setting) for setting in SETTINGS.values()}


def test_the_reference_is_the_schemas() -> None:
    with open(REFERENCE, encoding="utf-8") as file:
        assert file.read() == reference(), f"write it anew: PYTHONPATH=.collections python {os.path.relpath(__file__, ROOT)}"


@pytest.mark.parametrize(
    "setting", [setting for setting in SETTINGS.values() if not setting.required and "{{" not in str(setting.default)], ids=lambda s: s.name
)
def test_every_default_passes_its_own_constraint(setting: Setting) -> None:
    assert conform(setting, setting.default) == (setting.default, None)


if __name__ == "__main__":
    with open(REFERENCE, "w", encoding="utf-8") as output:
        output.write(reference())
    sys.exit()
