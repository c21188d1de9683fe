# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run with marked secrets as talkative as it gets: none of them is in what it prints, in the rendered files, or in anything else that it leaves."""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import both_ways
import pytest
import yaml
from component_charts import build, served
from test_helm_template import find_helm

from ansible_collections.trinode.platform.plugins.module_utils.sealing import keys, sealed_secret
from ansible_collections.trinode.platform.plugins.module_utils.talos import vault

pytestmark = pytest.mark.slow

PASSWORD = "run-password-of-vault"
MARKS = {name: f"MARKED-{name}-correct-horse" for name in ("chart", "resource", "encoded", "given", "sealed")}


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A chart with a Secret, where there is helm; else all but that is tried."""
    helm = find_helm()
    if helm is None:
        yield {}
        return
    directory = tmp_path_factory.mktemp("charts")
    build(directory, helm)
    with served(directory) as url:
        pins = {"plain": {"chart": "plain", "repository": url, "version": "1.0.0"}}
        values = {"password": "{{ marks.chart }}"}
        yield {"helm": helm, "pins": pins, "charts": [{"pin": "plain", "version": "1.0.0", "values": values}]}


def playbook(directory: Path, chart: dict[str, Any], check: bool) -> list[dict[str, Any]]:
    secret = {"apiVersion": "v1", "kind": "Secret"}
    definition = {
        "name": "probe",
        "title": "Probe",
        "namespace": "probe",
        "charts": chart.get("charts", []),
        "resources": [
            {**secret, "metadata": {"name": "resource"}, "stringData": {"password": "{{ marks.resource }}"}},
            {**secret, "metadata": {"name": "encoded"}, "data": {"file": "{{ marks.encoded | b64encode }}"}},
        ],
        "generated_secrets": [{"name": "admin", "values": {"password": "{{ marks.given }}"}, "generate": {"key": 32}}],
    }
    common = {"vault_password": "{{ vault_password }}"}
    key_file = str(directory / "sealing-keys.yaml")
    rendering = {
        **common,
        "definition": definition,
        "pins": chart.get("pins", {}),
        **({"helm": chart["helm"]} if chart else {}),
        "cache": str(directory / "cache"),
        "tree": str(directory / "tree"),
        "run_directory": str(directory / "run"),
        "kubernetes_version": "v1.36.3",
        "sealing_keys": key_file,
    }
    sealing = {**common, "path": str(directory / "tree" / "user.yaml"), "keys_file": key_file, "namespace": "shop", "name": "database"}
    tasks = [
        {"trinode.platform.sealing_keys": {**common, "path": key_file}, "check_mode": False},
        {"trinode.platform.component_render": rendering, "register": "rendered"},
        {"ansible.builtin.debug": {"var": "rendered"}},
        {"trinode.platform.sealed_secret": {**sealing, "values": {"password": "{{ marks.sealed }}"}}, "register": "sealed"},
        {"ansible.builtin.debug": {"var": "sealed"}},
    ]
    return [{"hosts": "all", "gather_facts": False, "check_mode": check, "vars_files": [str(directory / "secrets.yml")], "tasks": tasks}]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A directory for temporary files whose path is short: sockets of Ansible's lie in it, and their paths have a limit."""
    with tempfile.TemporaryDirectory(prefix="t") as directory:
        yield Path(directory)


@pytest.mark.parametrize("way", both_ways.WAYS)
def test_no_secret_is_anywhere_in_clear(tmp_path: Path, temporary: Path, chart: dict[str, Any], way: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "secrets.yml").write_text(vault.encrypt(yaml.safe_dump({"marks": MARKS, "vault_password": PASSWORD}), PASSWORD))
    environment = {**both_ways.surroundings(temporary), "TMPDIR": str(temporary)}
    inventory = {"all": {"hosts": {"here": {"ansible_connection": "local", "trinode_in_process": way == "in_process"}}}}
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    printed = ""
    # Made, found unchanged, and what would be made from other values: with what differs shown.
    for check in (True, False, False):
        (tmp_path / "play.json").write_text(json.dumps(playbook(tmp_path, chart, check)))
        argv = [str(both_ways.PLAYBOOK), "-vvv", "--diff", "-i", "inventory.json", "--vault-password-file", "password", "play.json"]
        answer = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
        printed += answer.stdout + answer.stderr
        assert answer.returncode == 0, printed
    assert "<sealed: new>" in printed
    sought = {PASSWORD.encode(), *generated(tmp_path)}
    for mark in MARKS.values():
        sought |= {mark.encode(), base64.b64encode(mark.encode())}
    found = [f"{text!r} in the output" for text in sought if text in printed.encode()]
    for path in sorted([*tmp_path.rglob("*"), *temporary.rglob("*")]):
        if path.is_file() and path != tmp_path / "password":
            content = path.read_bytes()
            found += [f"{text!r} in {path}" for text in sought if text in content]
    assert found == []
    tree = {path.name for path in (tmp_path / "tree").rglob("*.yaml")}
    assert {f"sealedsecret-probe-{name}.yaml" for name in ("admin", "resource", "encoded", *(["plain"] if chart else []))} | {"user.yaml"} <= tree


def generated(directory: Path) -> set[bytes]:
    """The values that were made up, and the private keys."""
    pairs = keys.read(str(directory / "sealing-keys.yaml"), PASSWORD)
    item = yaml.safe_load((directory / "tree" / "probe" / "sealedsecret-probe-admin.yaml").read_text())
    values = sealed_secret.opened(item, pairs)
    assert values["key"]
    return {values["key"], base64.b64encode(values["key"]), *(pair.key.splitlines()[5].encode() for pair in pairs)}
