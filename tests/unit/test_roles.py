# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every component's role has the same shape: one task, settings with equal argument specs, a page, names that begin with its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jmespath
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
# A role whose variables define a component is one; the others are phases of a run.
ROLES = sorted(path.parents[1].name for path in ROOT.glob("roles/*/vars/main.yml") if f"{path.parents[1].name}_component:" in path.read_text())
every_role = pytest.mark.parametrize("name", ROLES)

PINS = yaml.safe_load((ROOT / "roles" / "trinode" / "vars" / "main" / "pins.yml").read_text())["trinode_pins"]
SETTINGS = yaml.safe_load((ROOT / "roles" / "preflight" / "meta" / "argument_specs.yml").read_text())["argument_specs"]["settings"]["options"]
DERIVED = yaml.safe_load((ROOT / "roles" / "trinode" / "vars" / "main" / "derived.yml").read_text())


def load(name: str, *parts: str) -> Any:
    return yaml.safe_load((ROOT / "roles" / name).joinpath(*parts).read_text())


def options(name: str) -> dict[str, Any]:
    return load(name, "meta", "argument_specs.yml")["argument_specs"]["main"]["options"]


@every_role
def test_argument_specs_are_equal_to_the_defaults(name: str) -> None:
    assert {option: spec["default"] for option, spec in options(name).items()} == load(name, "defaults", "main.yml")


@every_role
def test_every_setting_is_described_and_typed(name: str) -> None:
    types = {"str": str, "int": int, "bool": bool, "list": list, "dict": dict, "float": (int, float)}
    for option, spec in options(name).items():
        assert spec.get("description"), option
        templated = isinstance(spec["default"], str) and "{{" in spec["default"]
        assert templated or isinstance(spec["default"], types[spec["type"]]), f"{option}: the default {spec['default']!r} is no {spec['type']}"
        assert spec["type"] != "list" or spec.get("elements"), f"{option}: a list needs elements"
        chosen = spec["default"] if spec["type"] == "list" else [spec["default"]]
        assert "choices" not in spec or set(chosen) <= set(spec["choices"]), option


@every_role
def test_it_has_the_settings_that_every_component_has(name: str) -> None:
    defaults = load(name, "defaults", "main.yml")
    assert {f"{name}_{setting}" for setting in ("needs", "uses", "version", "namespace", "timeout")} - set(defaults) == set()
    pinned = re.findall(r"trinode_pins\['([^']+)'\]", defaults[f"{name}_version"])
    assert pinned, f"{name}_version comes from trinode_pins"
    assert set(pinned) <= set(PINS)


@every_role
def test_variables_begin_with_the_roles_name(name: str) -> None:
    for part in ("defaults", "vars"):
        assert [variable for variable in load(name, part, "main.yml") if not variable.startswith(f"{name}_")] == []


@every_role
def test_it_is_deployed_by_role_component(name: str) -> None:
    tasks = load(name, "tasks", "main.yml")
    if name == "argo_cd":
        # A password of which it keeps a hash only can be set when it runs.
        assert "trinode.platform.argocd_admin" in tasks.pop()
    *before, task = tasks
    # What Ceph gets depends on disks that are looked at first; the controller of sealed secrets reads its keys when it starts.
    first = {"rook_ceph": ["plan.yml", "look.yml", "wipe.yml"], "sealed_secrets": ["keys.yml"]}
    assert [step.get("ansible.builtin.import_tasks") or step["ansible.builtin.include_tasks"] for step in before] == first.get(name, [])
    assert task.pop("name").startswith("Deploy ")
    # Not public: variables of all components would be looked through for each task of any.
    imported = {"name": "trinode.platform.component", "public": False, "rolespec_validate": False}
    assert task == {"ansible.builtin.import_role": imported, "vars": {"component_definition": f"{{{{ {name}_component }}}}"}}
    assert load(name, "meta", "main.yml")["dependencies"] == [{"role": "trinode.platform.trinode"}]


def steps(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks, those in blocks too."""
    return [step for task in tasks for step in (steps(task["block"]) if "block" in task else [task])]


@every_role
def test_verification_changes_nothing(name: str) -> None:
    tasks = steps(load(name, "tasks", "verify.yml"))
    assert tasks, "a component proves that it does its job"
    for task in tasks:
        assert not {"trinode.platform.kube_apply", "kubernetes.core.k8s", "ansible.builtin.command", "ansible.builtin.shell"} & set(task), task["name"]


def expressions(node: Any) -> list[str]:
    """What is JMESPath anywhere below, with a number where Ansible would put something in."""
    if isinstance(node, list):
        return [found for item in node for found in expressions(item)]
    if not isinstance(node, dict):
        return []
    own = [value for key, value in node.items() if key in {"condition", "expect", "query"} and isinstance(value, str) and not value.startswith("{{")]
    return [re.sub(r"\{\{.*?\}\}", "1", text) for text in own] + expressions(list(node.values()))


@every_role
def test_its_questions_are_jmespath(name: str) -> None:
    for expression in expressions(load(name, "tasks", "verify.yml")):
        jmespath.compile(expression)


@every_role
def test_it_reads_settings_that_exist(name: str) -> None:
    known = set(SETTINGS) | set(DERIVED) | {"trinode_pins"}
    for path in sorted((ROOT / "roles" / name).rglob("*")):
        if path.is_file():
            used = set(re.findall(r"\btrinode_[a-z_]+\b", path.read_text()))
            assert used - known == set(), path


@every_role
def test_it_has_a_page_that_tells_its_settings(name: str) -> None:
    page = (ROOT / "docs" / "components" / f"{name}.md").read_text()
    common = {f"{name}_{setting}" for setting in ("needs", "uses", "version", "namespace", "timeout", "values")}
    assert [option for option in options(name) if option not in common and option not in page] == []
