# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role component as a component's own role calls it: ansible-playbook against a real API server, with two components of which one needs the other.

Then playbooks/upgrade_components.yml with them, and a stand-in for the gate.
"""

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
from both_ways import CHECKOUT, PLAYBOOK, surroundings
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
NEEDS_SETTINGS = "dependencies: [{role: trinode.platform.trinode}]\n"
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
  strategy: ansible.builtin.linear
  gather_facts: false
  tasks:
    - name: Prepare keys and files
      ansible.builtin.include_role:
        name: trinode.platform.component
        tasks_from: prepare.yml
        rolespec_validate: false
        apply: {run_once: true}
      run_once: true

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
# Notes what it was asked, and is closed for all but etcd while there is a file of that name.
GATE = """\
- name: Look
  ansible.builtin.shell: "echo '{{ gate_checks | join(' ') }}' >> gate.log; test ! -e closed || test '{{ gate_checks | join }}' = etcd"
  args: {chdir: "{{ inventory_dir }}"}
  changed_when: false
  check_mode: false
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

    def run(self, *arguments: str, playbook: str = "play.yml", code: int = 0) -> str:
        answer = subprocess.run(
            [PLAYBOOK, "-i", "hosts.yml", playbook, "--diff", *arguments],
            cwd=self.directory,
            env={**surroundings(self.directory), "ANSIBLE_ROLES_PATH": str(self.directory / "roles")},
            capture_output=True,
            text=True,
            check=False,
            timeout=150,
        )
        assert answer.returncode == code, answer.stdout[-4000:] + answer.stderr[-2000:]
        return answer.stdout

    def upgrade(self, *arguments: str, code: int = 0) -> tuple[str, list[str]]:
        """What the playbook printed, and what the gate was asked, in order."""
        log = self.directory / "gate.log"
        log.write_text("")
        output = self.run(*VAULT, *arguments, playbook="upgrade.yml", code=code)
        return output, ["etcd" if line == "etcd" else "all" for line in log.read_text().splitlines()]

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
    (directory / "upgrade.yml").write_text(_upgrade_playbook())
    for path, text in {"tasks/main.yml": GATE, "defaults/main.yml": 'gate_checks: "{{ trinode_gate_checks }}"\n', "meta/main.yml": NEEDS_SETTINGS}.items():
        (directory / "roles" / "gate" / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / "roles" / "gate" / path).write_text(text)
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


def _upgrade_playbook() -> str:
    """playbooks/upgrade_components.yml as it is, but for preflight, for roles that are not in the collection, and for the gate, which needs machines."""
    _preflight, *plays = yaml.safe_load((CHECKOUT / "playbooks" / "upgrade_components.yml").read_text())
    text = json.dumps(plays)
    for ours, theirs in (("trinode.platform.{{ inventory_hostname }}", "{{ inventory_hostname }}"), ("trinode.platform.gate", "gate")):
        assert ours in text
        text = text.replace(ours, theirs)
    return text


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
        "meta/main.yml": NEEDS_SETTINGS,
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

    settled = site.run(*VAULT)
    assert changed(settled) == {"base": 0, "top": 0}
    assert "Wait for what it needs" not in settled
    assert "Publish it" not in settled.partition("Deploy the component")[2]
    assert settled.count("Its settings are what they should be") == 2

    cluster.client.request("DELETE", "/api/v1/namespaces/top/configmaps/own")
    assert changed(site.run(*VAULT)) == {"base": 0, "top": 1}
    assert cluster.get("/api/v1/namespaces/top/configmaps/own")["data"] == {"needs": "base"}

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


def test_upgrades_one_after_another(site: Site, cluster: Cluster) -> None:
    """One after the other, since each step is what the next one begins with."""

    def installed(name: str) -> dict[str, str]:
        data: dict[str, str] = cluster.get(f"/api/v1/namespaces/kube-system/configmaps/trinode-component-{name}")["data"]
        return data

    def versions() -> list[str]:
        return [installed(name)["versions"] for name in ("base", "top")]

    old, new = ["plain=1.0.0", "hooked=1.0.0"], ["plain=1.1.0", "hooked=1.1.0"]
    site.set()
    nothing, asked = site.upgrade()
    assert (changed(nothing), asked) == ({"base": 0, "top": 0}, [])
    assert "nothing is to be upgraded" in nothing
    assert "-     base       -          1.0.0  not installed" in nothing
    site.run(*VAULT)

    assert changed(site.upgrade()[0]) == {"base": 0, "top": 0}

    site.set(base_version="1.1.0", top_version="1.1.0")
    predicted, asked = site.upgrade("--check")
    assert asked == ["all"]
    assert changed(predicted) == {"base": 3, "top": 3}
    assert "1     base       1.0.0      1.1.0  plain 1.0.0 → 1.1.0" in predicted
    assert "2     top        1.0.0      1.1.0  hooked 1.0.0 → 1.1.0" in predicted
    assert predicted.count("+  version: 1.1.0") == 6, "of each the file, the commit and the object"
    assert versions() == old

    site.set(base_version="1.1.0", top_version="1.1.0", base_fails=True)
    stopped, asked = site.upgrade(code=2)
    assert asked == ["all"]
    assert "base: the upgrade has stopped here, and no other component was begun with." in stopped
    assert "it does not do its job" in stopped
    assert versions() == [new[0], old[1]]

    site.set(base_version="1.1.0", top_version="1.1.0")
    (site.directory / "closed").touch()
    assert site.upgrade(code=2)[1] == ["all"]
    assert versions() == [new[0], old[1]]
    (site.directory / "closed").unlink()
    went_on, asked = site.upgrade()
    assert (changed(went_on), asked) == ({"base": 0, "top": 3}, ["all", "all"])
    assert versions() == new
    again, asked = site.upgrade()
    assert (changed(again), asked) == ({"base": 0, "top": 0}, [])
    assert "nothing is to be upgraded" in again

    site.set(base_version="1.0.0", top_version="1.0.0")
    refused, asked = site.upgrade(code=2)
    assert asked == []
    assert "base: plain would go back from 1.1.0 to 1.0.0" in refused
    assert "top: hooked would go back from 1.1.0 to 1.0.0" in refused
    assert changed(site.upgrade("--limit", "top", "-e", "upgrade_components_downgrade=top")[0]) == {"top": 3}
    assert versions() == [new[0], old[1]]

    site.set(base_version="9.9.9", top_version="1.1.0")
    refused, asked = site.upgrade(code=2)
    assert asked == []
    assert "base: cannot be rendered, see above. Nothing was begun." in refused
    assert versions() == [new[0], old[1]]


def test_an_upgrade_that_was_interrupted_goes_on_before_the_gate_opens(site: Site, cluster: Cluster) -> None:
    """Half done, the cluster may not be well before it is done."""
    site.set(base_version="1.1.0", top_version="1.1.0")
    site.run(*VAULT)
    path = "/api/v1/namespaces/kube-system/configmaps/trinode-component-top"
    cluster.client.request("PATCH", path, {"data": {"begun": "r2"}}, content_type="application/merge-patch+json")
    (site.directory / "closed").touch()
    try:
        stopped, asked = site.upgrade(code=2)
    finally:
        (site.directory / "closed").unlink()
    assert asked == ["etcd", "all"]
    assert "half done, goes back" in stopped
    assert "begun" not in cluster.get(path)["data"]
    assert changed(site.upgrade()[0]) == {"base": 0, "top": 0}
