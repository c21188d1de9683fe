# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook as a user runs it: what an inventory's mistakes look like on the screen. Programs are stand-ins, machines are loopback addresses."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.lookup import settings as lookup
from ansible_collections.trinode.platform.plugins.module_utils.talos import vault

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = "playbooks/preflight.yml"

HOSTS = """\
all:
  vars: {ansible_connection: local}
  children:
    machines:
      hosts:
        m1: {machine_address: 127.0.0.11}
        m2: {machine_address: 127.0.0.12}
        m3: {machine_address: 127.0.0.13}
    components:
      hosts:
        cilium:
        gateway_api:
        prometheus_operator_crds:
"""
GOOD = """\
trinode_cluster_name: trial
trinode_machine_cidrs: [127.0.0.0/24]
trinode_talos_platform: container
"""
BROKEN = """\
trinode_cluster_name: trial
trinode_talos_platform: container

trinode_pod_cdirs: ["10.244.0.0/16"]
trinode_machine_timeout: ten minutes
trinode_kubernetes_version: v1.37.0
trinode_kubeconfig: "{{ somewhere }}/kubeconfig"
trinode_vip: 127.0.0.12
"""


class Trial:
    """An inventory in a directory of its own, and stand-ins for talosctl and helm."""

    def __init__(self, directory: Path) -> None:
        self.inventory = directory / "inventory"
        self.programs = directory / "bin"
        self.programs.mkdir()
        self.program("talosctl", 'printf "Client:\\n\\tTag:         v1.13.8\\n"')
        self.program("helm", "echo v3.22.0")
        self.write("hosts.yml", HOSTS)

    def write(self, name: str, text: str) -> None:
        path = self.inventory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def program(self, name: str, body: str) -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (self.programs / name).chmod(0o700)

    def run(self, *arguments: str, playbook: str = PLAYBOOK, inventory: Path | None = None) -> tuple[int, str]:
        """Exit code and everything that was printed."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment |= {"PATH": f"{self.programs}:{os.environ['PATH']}", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
        command = [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), playbook, "-i", str(inventory or self.inventory), *arguments]
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
        return result.returncode, result.stdout + result.stderr

    def finding(self, name: str, text: str) -> str:
        return f"{self.inventory / name}{text}"


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


@pytest.mark.parametrize("arguments", [(), ("--check", "--limit", "m3"), ("--limit", "cilium")])
def test_all_findings_at_once_with_file_line_host_and_variable(trial: Trial, arguments: tuple[str, ...]) -> None:
    trial.write("group_vars/all.yml", BROKEN)
    trial.write("host_vars/m2.yml", "---\n\nmachine_role: worker\nmachine_hostname: Node_2\n")
    trial.write("host_vars/cilium.yml", "cilium_timeout: soon\n")
    trial.program("talosctl", 'printf "Client:\\n\\tTag:         v1.12.0\\n"')
    code, output = trial.run(*arguments)
    assert code != 0
    all_yml = "group_vars/all.yml"
    expected = [
        trial.finding(all_yml, ":4: all: trinode_pod_cdirs: no such setting. Did you mean trinode_pod_cidrs?"),
        trial.finding(all_yml, ":5: all: trinode_machine_timeout: it is 'ten minutes', which is not a whole number. Write a whole number, such as 600."),
        trial.finding(all_yml, ":6: all: trinode_kubernetes_version: Talos 1.13 does not go with Kubernetes 1.37.0. It needs Kubernetes 1.31 to 1.36."),
        trial.finding(all_yml, ":7: all: trinode_kubeconfig: its value cannot be worked out: 'somewhere' is undefined. "),
        trial.finding(all_yml, ":8: all: trinode_vip: the virtual address 127.0.0.12 is the address of m2. "),
        trial.finding("host_vars/cilium.yml", ":1: cilium: cilium_timeout: argument 'cilium_timeout' is of type str and we were unable to convert to int"),
        trial.finding("host_vars/m2.yml", ":4: m2: machine_hostname: 'Node_2' is not a name by RFC 1123. "),
        trial.finding("", ": all: machine_role: 2 control planes cannot outvote one another (m1, m3). "),
        trial.finding("", ": all: trinode_talosctl: talosctl 1.12.0 is older than Talos 1.13.8. "),
    ]
    missing = [line for line in expected if line not in output]
    assert not missing, output
    assert f"{len(expected)} findings; nothing was touched." in output
    assert "Look at the machine" not in output, "no machine is asked before the settings are right"


def test_the_platform_alone_refuses_what_its_components_do_not_take(trial: Trial) -> None:
    trial.write("group_vars/all.yml", GOOD)
    trial.write("group_vars/components.yml", "cilium_timeout: soon\ngateway_api_needs: {}\n")
    code, output = trial.run("--limit", "cilium", playbook="playbooks/platform.yml")
    assert code != 0
    assert "2 findings; nothing was touched." in output
    assert trial.finding("group_vars/components.yml", ":1: cilium: cilium_timeout: argument") in output
    assert trial.finding("group_vars/components.yml", ":2: gateway_api: gateway_api_needs: ") in output
    assert "Prepare keys and files" not in output


def test_machines_that_do_not_answer_are_told_together(trial: Trial) -> None:
    trial.write("group_vars/all.yml", GOOD)
    code, output = trial.run("--limit", "m1,m3")
    assert code != 0
    assert "Checked 3 machines and 3 components: settings, names" in output
    assert "2 findings; nothing was touched." in output
    assert trial.finding("hosts.yml", ":6: m1: machine_address: the machine does not answer at 127.0.0.11") in output
    assert trial.finding("hosts.yml", ":8: m3: machine_address: the machine does not answer at 127.0.0.13") in output


def test_a_failed_preflight_ends_the_run_also_for_localhost(trial: Trial, tmp_path: Path) -> None:
    trial.write("group_vars/all.yml", BROKEN)
    playbook = tmp_path / "site.yml"
    playbook.write_text(
        textwrap.dedent(f"""\
        - import_playbook: {ROOT / PLAYBOOK}
        - hosts: localhost
          gather_facts: false
          tasks: [{{ansible.builtin.debug: {{msg: went on}}}}]
        """)
    )
    code, output = trial.run(playbook=str(playbook))
    assert code != 0
    assert "went on" not in output


def static_playbook(directory: Path) -> str:
    """The first half of the playbook, which asks no machine."""
    path = directory / "static.yml"
    path.write_text("- {hosts: all, connection: local, gather_facts: false, tasks: [{ansible.builtin.import_role: {name: trinode.platform.preflight}}]}\n")
    return str(path)


def test_the_example_inventory_passes(trial: Trial, tmp_path: Path) -> None:
    code, output = trial.run(playbook=static_playbook(tmp_path), inventory=ROOT / "inventory" / "example")
    assert code == 0, output
    assert "Checked 3 machines and 20 components: settings, names" in output


def test_values_may_use_what_follows_from_the_inventory(trial: Trial, tmp_path: Path) -> None:
    trial.write(
        "group_vars/all.yml", GOOD + 'trinode_cluster_endpoint: "https://{{ trinode_endpoints | last }}:{{ 6440 + 3 }}"\ncilium_values: {a: "{{ later }}"}\n'
    )
    code, output = trial.run(playbook=static_playbook(tmp_path))
    assert code == 0, output


def test_encrypted_values_stay_unseen(trial: Trial, tmp_path: Path) -> None:
    secret = "kL9-hidden-serial"
    block = textwrap.indent(vault.encrypt(secret, "opensesame"), "  ")
    trial.write("group_vars/all.yml", GOOD)
    trial.write("host_vars/m1.yml", f"---\nmachine_serial: !vault |\n{block}machine_patches:\n  - note: !vault |\n{textwrap.indent(block, '    ')}")
    trial.write("host_vars/m2.yml", vault.encrypt(f"machine_serial: {secret}\nmachine_hostname: Node_2\n", "opensesame"))
    trial.write("host_vars/m3.yml", 'machine_serial: "{{ hostvars.m1.machine_serial }}"\nmachine_patches: [{password: "x-{{ hostvars.m1.machine_serial }}"}]\n')
    (tmp_path / "password").write_text("opensesame\n")
    shown = tmp_path / "shown.yml"
    shown.write_text("- {hosts: m1, gather_facts: false, tasks: [{ansible.builtin.debug: {msg: \"{{ lookup('trinode.platform.settings') }}\"}}]}\n")
    password = ("--vault-password-file", str(tmp_path / "password"))
    for code, output in (trial.run("-vvvv", *password, playbook=static_playbook(tmp_path)), trial.run(*password, playbook=str(shown))):
        assert code == 0, output
        assert secret not in output
    assert output.count("withheld: true") == 5
    assert "127.0.0.11" in output, "what is not secret is there"


def test_a_password_in_clear_text_is_warned_of_and_one_that_is_looked_up_is_not(trial: Trial, tmp_path: Path) -> None:
    trial.write("group_vars/all.yml", GOOD + "machine_bmc_address: 192.0.2.1\nmachine_bmc_username: admin\n")
    trial.write("host_vars/m1.yml", "machine_bmc_password: \"{{ lookup('ansible.builtin.env', 'HOME') }}\"\n")
    trial.write("host_vars/m2.yml", "machine_bmc_password: in-clear-text\n")
    trial.write("host_vars/m3.yml", "machine_bmc_password: in-clear-text\n")
    code, output = trial.run(playbook=static_playbook(tmp_path))
    assert code == 0, output
    assert "m2, m3: machine_bmc_password stands in clear text" in " ".join(output.split())
    assert "m1, m2" not in output


def test_an_encrypted_value_without_password_is_a_finding(trial: Trial, tmp_path: Path) -> None:
    block = textwrap.indent(vault.encrypt("ABC1234", "opensesame"), "  ")
    trial.write("group_vars/all.yml", GOOD)
    trial.write("host_vars/m1.yml", f"---\nmachine_serial: !vault |\n{block}")
    code, output = trial.run(playbook=static_playbook(tmp_path))
    assert code != 0
    assert trial.finding("host_vars/m1.yml", ":2: m1: machine_serial: its value cannot be worked out: ") in output
    assert "1 finding; nothing was touched." in output


def test_variables_of_an_ini_inventory_and_of_the_command_line_have_an_origin(trial: Trial, tmp_path: Path) -> None:
    trial.write("group_vars/all.yml", GOOD)
    (trial.inventory / "hosts.yml").unlink()
    trial.write("hosts", "[machines]\nm1 machine_address=127.0.0.11 machine_rolle=worker\n")
    code, output = trial.run("-e", "trinode_vpi=127.0.0.10", playbook=static_playbook(tmp_path))
    assert code != 0
    assert "CLI option '-e': all: trinode_vpi: no such setting. Did you mean trinode_vip?" in output
    assert "m1: machine_rolle: no such setting. Did you mean machine_role?" in output
    assert str(trial.inventory / "hosts") in output


def test_without_origins_every_variable_counts_as_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "_ORIGIN", None)
    assert lookup._place({"trinode_vip": "192.0.2.10"}, "trinode_vip") == {"file": "inventory", "line": 0}
