#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Refuse bad input, all findings at once
version_added: 1.0.0
description:
  - Judges an inventory before anything is touched, and fails with everything that is wrong, a line each with file, line, host, variable, and what would
    be right.
  - With O(phase=static) it judges the settings themselves (types, names, networks, addresses, disks, versions) and the controller (talosctl, helm, the
    password of the secrets file). With O(phase=components) it judges only whether components take the values of their settings. With O(phase=machines) it
    judges what was found at the machines' addresses.
  - It changes nothing.
author:
  - trinode.platform contributors (@trinode)
options:
  settings:
    description: What the lookup P(trinode.platform.settings#lookup) gathers.
    type: dict
    required: true
  phase:
    description: What is judged.
    type: str
    choices: [static, components, machines]
    default: static
  machines_observed:
    description: By inventory name, what M(trinode.platform.talos_machine_info) returned as C(machine). For O(phase=machines).
    type: dict
    default: {}
  absent:
    description: What becomes of machines that do not answer; V(later) leaves them out of what is judged, since they are booted first, and returns their names.
    type: str
    choices: [refuse, later]
    default: refuse
  vault_password:
    description: Password of Ansible Vault; looked at only when the secrets file is encrypted.
    type: str
    default: ""
  timeout:
    description: Seconds that the programs have to tell their version.
    type: int
    default: 60
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_platform
"""

EXAMPLES = r"""
- name: Judge the settings and the controller
  trinode.platform.preflight:
    settings: "{{ lookup('trinode.platform.settings') }}"
    vault_password: "{{ lookup('trinode.platform.vault_password') }}"

- name: Judge the machines
  trinode.platform.preflight:
    phase: machines
    settings: "{{ lookup('trinode.platform.settings') }}"
    machines_observed: "{{ observed }}"
"""

RETURN = r"""
msg:
  description: When it fails, how many findings there are, then a line each, sorted by file and line. Else what was checked.
  returned: always
  type: str
  sample: |-
    1 finding; nothing was touched.
    inventory/mine/group_vars/all.yml:12: all: trinode_pod_cidrs: '10.244.0.1/16' has host bits set. The network is 10.244.0.0/16.
findings:
  description: How many findings there are.
  returned: always
  type: int
  sample: 0
absent:
  description: Machines that do not answer and are to be booted and judged later.
  returned: success, with O(phase=machines)
  type: list
  elements: str
wipes:
  description: By machine, the install disk that is not empty and that C(machine_wipe_disks) permits to wipe, with C(serial) and C(path).
  returned: success, with O(phase=machines)
  type: dict
  sample:
    m1: {serial: S3Z1NB0K, path: /dev/sda}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks.judge import Judgement
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.preflight import inventory as inventories
from ansible_collections.trinode.platform.plugins.module_utils.preflight.arguments import check_arguments
from ansible_collections.trinode.platform.plugins.module_utils.preflight.check import check
from ansible_collections.trinode.platform.plugins.module_utils.preflight.controller import check_controller, credentials_pending
from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding, arrange, headline, lines
from ansible_collections.trinode.platform.plugins.module_utils.preflight.kernel_names import name_them
from ansible_collections.trinode.platform.plugins.module_utils.preflight.machines import boot_warnings
from ansible_collections.trinode.platform.plugins.module_utils.preflight.observed import absent, check_observed, first_contacts, judge_disks
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import cluster_values, machine_values
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "settings": {"type": "dict", "required": True},
    "phase": {"type": "str", "choices": ["static", "components", "machines"], "default": "static"},
    "machines_observed": {"type": "dict", "default": {}},
    "absent": {"type": "str", "choices": ["refuse", "later"], "default": "refuse"},
    "vault_password": {"type": "str", "default": "", "no_log": True},
    "timeout": {"type": "int", "default": 60},
}


def run(task: Task) -> Outcome:
    inventory = inventories.from_value(task.params["settings"])
    disks = None
    values: dict[str, Any] = {"findings": 0}
    if task.params["phase"] == "static":
        findings = _static(inventory, task)
        done = (
            f"Checked {_count(inventory.machines, 'machine')} and {_count(inventory.components, 'component')}: settings, names, networks, addresses, "
            f"disks, versions, talosctl, helm, secrets file."
        )
    elif task.params["phase"] == "components":
        findings = arrange(check_arguments(inventory))
        done = f"Checked the settings of {_count(inventory.components, 'component')}."
    else:
        observed = task.params["machines_observed"]
        cluster, _findings = cluster_values(inventory)
        later = absent(observed) if task.params["absent"] == "later" else []
        findings = check_observed(inventory, observed, credentials_pending=credentials_pending(cluster), absent_later=bool(later))
        disks = judge_disks(inventory, observed)
        done = _machines_done(observed, later, first_contacts(inventory, observed))
        values["absent"] = later
    if findings:
        raise InputError(headline(findings), hint="\n" + lines(findings), details={"findings": len(findings)})
    if task.params["phase"] == "static":
        for text in boot_warnings(machine_values(inventory)[0]):
            task.warn(text)
    for warning in disks.warnings if disks else ():
        task.warn(str(warning))
    return Outcome(message=done, values={**values, **({"wipes": _wipes(disks)} if disks else {})})


def _machines_done(observed: Mapping[str, Any], later: Sequence[str], contacts: Sequence[str]) -> str:
    """What was checked, who is to be booted yet, and what a person may compare at first contact."""
    there = len(observed) - len(later)
    done = f"Checked {_count(range(there), 'machine')}: reachable, of this cluster or in maintenance mode, the one that is meant, disks fit."
    if later:
        done += f" Booted first, and checked then: {', '.join(later)}."
    if contacts:
        done += "\n".join(["\nCompare with the consoles, since no certificate is pinned (machine_certificate_fingerprint):", *contacts])
    return done


def _wipes(disks: Judgement) -> dict[str, dict[str, str]]:
    """Install disks that are not empty and may be wiped, by machine."""
    return {
        judged.machine.name: {"serial": judged.disk.serial or judged.disk.wwid, "path": judged.disk.path}
        for judged in disks.disks
        if judged.wipe and judged.use == "install"
    }


def _static(inventory: inventories.Inventory, task: Task) -> list[Finding]:
    cluster, _findings = cluster_values(inventory)
    deadline = Deadline(task.params["timeout"])
    findings = name_them(check(inventory), inventory, cluster, deadline)
    return arrange([*findings, *check_controller(cluster, task.params["vault_password"], deadline)])


def _count(things: Any, name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
