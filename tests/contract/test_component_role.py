# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role component as a component's own role calls it: ansible-playbook against a real API server, with two components of which one needs the other."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import component_cluster
import pytest
import yaml
from both_ways import PLAYBOOK, surroundings
from component_charts import build, served
from component_cluster import Cluster
from test_helm_template import find_helm

from ansible_collections.trinode.platform.tests.contract import api_server

pytestmark = pytest.mark.slow

DEPLOY = """\
- name: Deploy it
  ansible.builtin.include_role:
    name: trinode.platform.component
  vars:
    component_definition: "{{ NAME_component }}"
"""
VERIFY = """\
- name: Its settings are what they should be
  ansible.builtin.assert:
    that: NAME_component.title == 'NAME' and NAME_fails is false
    fail_msg: it does not do its job
"""
RESOURCES = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\ndata: {needs: '{{ NAME_needs | join }}'}\n"
# As playbooks/platform.yml does it, for roles that are not in the collection.
PLAY = """\
- hosts: components
  connection: local
  strategy: ansible.builtin.free
  gather_facts: false
  tasks:
    - name: Component
      block:
        - name: Deploy the component
          ansible.builtin.include_role:
            name: "{{ inventory_hostname }}"
      rescue:
        - name: Tell the others that it failed
          trinode.platform.component_report:
            component: "{{ inventory_hostname }}"
            state: failed
            reason: "{{ ansible_failed_result.msg | default('') }}"
            run_directory: "{{ lookup('trinode.platform.run_directory') }}"
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if api_server.find_hyper() is None:
        pytest.skip("no kube-apiserver: run `tests/lab/lab build`, or set TRINODE_HYPER")
    with component_cluster.running(tmp_path_factory.mktemp("api")) as started:
        yield started


@dataclass
class Site:
    directory: Path

    def run(self, *arguments: str, code: int = 0) -> str:
        answer = subprocess.run(
            [PLAYBOOK, "-i", "hosts.yml", "play.yml", "--diff", *arguments],
            cwd=self.directory,
            env={**surroundings(self.directory), "ANSIBLE_ROLES_PATH": str(self.directory / "roles")},
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert answer.returncode == code, answer.stdout[-4000:] + answer.stderr[-2000:]
        return answer.stdout

    def set(self, **variables: Any) -> None:
        (self.directory / "group_vars").mkdir(exist_ok=True)
        (self.directory / "group_vars" / "all.yml").write_text(yaml.safe_dump(variables))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Site]:
    helm = find_helm()
    if helm is None:
        pytest.skip("no helm: run `tests/lab/lab build`, or set TRINODE_HELM")
    directory = tmp_path_factory.mktemp("site")
    charts = directory / "charts"
    charts.mkdir()
    build(charts, helm)
    for name, chart, needs in (("base", "plain", []), ("top", "hooked", ["base"])):
        _role(directory / "roles" / name, name, chart, needs)
    (directory / "play.yml").write_text(PLAY)
    (directory / "password").write_text("hunter2hunter2\n")
    with served(charts) as url:
        pins = {chart: {"chart": chart, "repository": url, "version": "1.0.0"} for chart in ("plain", "hooked")}
        variables = {
            "trinode_cluster_name": "test",
            "trinode_directory": str(directory / "cluster"),
            "trinode_kubeconfig": str(cluster.kubeconfig),
            "trinode_chart_cache": str(directory / "cache"),
            "trinode_charts": pins,
            "trinode_helm": helm,
            "component_servers": [],
        }
        groups = {"machines": {"hosts": {"m1": {"machine_address": "192.0.2.1"}}}, "components": {"hosts": {"base": {}, "top": {}}}}
        (directory / "hosts.yml").write_text(json.dumps({"all": {"vars": variables, "children": groups}}))
        yield Site(directory)


def _role(directory: Path, name: str, chart: str, needs: list[str]) -> None:
    definition = {
        "name": name,
        "title": name,
        "namespace": name,
        "namespaces": [{"name": name}],
        "needs": f"{{{{ {name}_needs }}}}",
        "charts": [{"pin": chart, "version": f"{{{{ {name}_version }}}}", "values": {"password": "correct horse"}}],
        "resources": "{{ lookup('ansible.builtin.template', 'resources.yml.j2') }}",
    }
    files = {
        "defaults/main.yml": yaml.safe_dump({f"{name}_needs": needs, f"{name}_version": "1.0.0", f"{name}_fails": False}),
        "vars/main.yml": yaml.safe_dump({f"{name}_component": definition}),
        "meta/main.yml": yaml.safe_dump({"dependencies": [{"role": "trinode.platform.trinode"}]}),
        "tasks/main.yml": DEPLOY.replace("NAME", name),
        "tasks/verify.yml": VERIFY.replace("NAME", name),
        "templates/resources.yml.j2": RESOURCES.replace("NAME", name),
    }
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)


VAULT = ("--vault-password-file", "password")


def changed(output: str) -> dict[str, int]:
    """The number of changes by host, as the recap has it."""
    recap = [line.split() for line in output.partition("PLAY RECAP")[2].splitlines() if "changed=" in line]
    return {words[0]: int(next(word for word in words if word.startswith("changed="))[8:]) for words in recap}


def test_from_nothing_to_nothing(site: Site, cluster: Cluster) -> None:
    """One after the other, since each step is what the next one begins with. What changes is rendered, published and delivered."""
    predicted = site.run("--check", *VAULT)
    assert changed(predicted) == {"base": 3, "top": 3}
    assert "it does not do its job" not in predicted
    assert not (site.directory / "cluster" / "platform").exists()

    installed = site.run(*VAULT)
    assert changed(installed) == {"base": 3, "top": 3}
    assert "correct horse" not in installed
    assert cluster.get("/api/v1/namespaces/top/configmaps/own")["data"] == {"needs": "base"}
    assert sorted(path.name for path in (site.directory / "cluster" / "platform").iterdir()) == ["base", "top"]

    assert changed(site.run(*VAULT)) == {"base": 0, "top": 0}

    site.set(top_version="1.1.0")
    upgraded = site.run(*VAULT)
    assert changed(upgraded) == {"base": 0, "top": 3}
    assert "+  version: 1.1.0" in upgraded

    site.set(top_version="1.1.0", base_fails=True)
    failed = site.run(*VAULT, code=2)
    assert "it does not do its job" in failed
    site.set(top_version="1.1.0")

    refused = site.run(*VAULT, "--limit", "base", "-e", "component_state=absent", code=2)
    assert "component base: it is not uninstalled, since top needs it. Uninstall top first." in refused
    assert changed(site.run(*VAULT)) == {"base": 0, "top": 0}

    assert changed(site.run(*VAULT, "--limit", "top", "-e", "component_state=absent")) == {"top": 3}
    assert changed(site.run(*VAULT, "--limit", "base", "-e", "component_state=absent")) == {"base": 3}
    assert not {"base", "top"} & set(cluster.names("/api/v1/namespaces"))
    assert list((site.directory / "cluster" / "platform").iterdir()) == []
    assert changed(site.run(*VAULT, "-e", "component_state=absent")) == {"base": 0, "top": 0}


def test_a_secret_needs_a_vault_password(site: Site) -> None:
    refused = site.run("--check", code=2)
    assert "component base: Secret base/plain would be written in clear. Give the run a vault password" in refused
