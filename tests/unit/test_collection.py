"""What the parts of the collection owe each other: routes, groups, documentation, licence headers, imports."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.trinode.platform.plugins.doc_fragments.render import ModuleDocFragment as Render
from ansible_collections.trinode.platform.plugins.module_utils.talos.render_options import RENDER_OPTIONS

CHECKOUT = Path(__file__).resolve().parents[2]
MODULES = sorted(path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py"))
PYTHON = sorted(path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "plugins").rglob("*.py"))
HEADER = "# Copyright: trinode.platform contributors\n# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)\n"
ATTRIBUTES = {"check_mode", "diff_mode", "idempotent"}


@pytest.fixture(scope="module")
def runtime() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CHECKOUT / "meta" / "runtime.yml").read_text())
    return content


def documentation(module: str) -> dict[str, Any]:
    loaded = importlib.import_module(f"ansible_collections.trinode.platform.plugins.modules.{module}")
    content: dict[str, Any] = yaml.safe_load(loaded.DOCUMENTATION)
    return content


def group_of(module: str) -> str:
    """The action group of a module. A group holds what takes its common option, so that module_defaults can set that option for all of the group."""
    loaded = importlib.import_module(f"ansible_collections.trinode.platform.plugins.modules.{module}")
    return next((group for option, group in (("talosconfig", "talos"), ("kubeconfig", "kubernetes")) if option in loaded.ARGUMENT_SPEC), "platform")


@pytest.mark.parametrize("module", MODULES)
def test_every_module_is_routed_and_grouped(runtime: dict[str, Any], module: str) -> None:
    routing = runtime["plugin_routing"]
    action = f"{module}: {{redirect: trinode.platform.in_process}}"
    plugin = f"{module}: {{action_plugin: trinode.platform.in_process}}"
    assert routing["action"].get(module) == {"redirect": "trinode.platform.in_process"}, f"meta/runtime.yml, plugin_routing.action: add `{action}`"
    assert routing["modules"].get(module) == {"action_plugin": "trinode.platform.in_process"}, f"meta/runtime.yml, plugin_routing.modules: add `{plugin}`"
    homes = [name for name, members in runtime["action_groups"].items() if module in members]
    assert homes == [group_of(module)], f"meta/runtime.yml, action_groups: add `- {module}` to {group_of(module)}, and to no other"


def test_nothing_is_routed_that_is_not_there(runtime: dict[str, Any]) -> None:
    routing = runtime["plugin_routing"]
    grouped = [name for members in runtime["action_groups"].values() for name in members if isinstance(name, str)]
    assert sorted(routing["action"]) == sorted(routing["modules"]) == sorted(grouped) == MODULES


def test_platform_holds_the_other_groups(runtime: dict[str, Any]) -> None:
    extended = next(entry["metadata"]["extend_group"] for entry in runtime["action_groups"]["platform"] if isinstance(entry, dict))
    assert sorted(["platform", *extended]) == sorted(runtime["action_groups"])


@pytest.mark.parametrize("module", MODULES)
def test_every_module_documents_what_it_supports(module: str) -> None:
    content = documentation(module)
    fragments = content.get("extends_documentation_fragment", [])
    documented = set(content.get("attributes", {}))
    if "trinode.platform.attributes.info" in fragments:
        documented |= ATTRIBUTES
    assert documented >= ATTRIBUTES, f"document the attributes {sorted(ATTRIBUTES - documented)}"
    for fragment in ("trinode.platform.attributes", f"trinode.platform.attributes.actiongroup_{group_of(module)}"):
        assert fragment in fragments, f"extends_documentation_fragment: add `- {fragment}`"


@pytest.mark.parametrize("path", PYTHON)
def test_every_file_has_the_licence_and_imports(path: str) -> None:
    text = (CHECKOUT / path).read_text()
    assert not text or HEADER in text[:300], "the licence header is missing"
    importlib.import_module("ansible_collections.trinode.platform." + path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


def documented_like(spec: dict[str, Any], documented: dict[str, Any], place: str) -> None:
    assert sorted(spec) == sorted(documented), place
    for name, option in spec.items():
        content = documented[name]
        for key, default in (("type", "str"), ("required", False), ("default", None), ("choices", None), ("elements", None)):
            assert option.get(key, default) == content.get(key, default), f"{place}.{name}: {key}"
        documented_like(option.get("options", {}), content.get("suboptions", {}), f"{place}.{name}")


def test_render_options_are_documented_as_they_are() -> None:
    documented_like(RENDER_OPTIONS, yaml.safe_load(Render.DOCUMENTATION)["options"], "render")
    documented_like(RENDER_OPTIONS, yaml.safe_load(Render.SUBOPTION)["options"]["render"]["suboptions"], "render")


def test_versions_agree() -> None:
    galaxy = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())
    project = re.search(r'^version = "(.+)"$', (CHECKOUT / "pyproject.toml").read_text(), re.MULTILINE)
    assert project
    assert project[1] == galaxy["version"]
