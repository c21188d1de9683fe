#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_power
short_description: Switch a Talos machine off, restart it, or wait until it is on
version_added: 1.0.0
description:
  - Asks Talos to end everything on the machine in order and to switch it off or restart it, and waits until that is so.
  - Switching a machine on is its BMC's or somebody's; V(on) waits until it answers.
  - It knows nothing of etcd, Ceph or other machines. Ask M(trinode.platform.gate) first, or use playbooks/stop.yml.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.talos
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_talos
options:
  talosconfig:
    required: true
  state:
    description: What is wanted. A machine that is to be V(off) and does not answer counts as off. V(rebooted) restarts it at each run.
    type: str
    choices: ["on", "off", rebooted]
    required: true
  confirm:
    description: The machine's host name, as the machine itself tells it, for V(off) and V(rebooted). Anything else is refused.
    type: str
    default: ""
  drain:
    description: Have Talos cordon and drain the node before it is switched off.
    type: bool
    default: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: partial
    details: Not V(rebooted).
"""

EXAMPLES = r"""
- name: Switch a machine off
  trinode.platform.talos_power:
    address: 192.0.2.13
    state: "off"
    confirm: m3
    talosconfig: cluster/talosconfig
"""

RETURN = r"""
stage:
  description: The machine's stage at the end, V(off) where it does not answer. In check mode, the stage now.
  type: str
  returned: success
  sample: running
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_talosconfig import require_talosconfig
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine
from ansible_collections.trinode.platform.plugins.module_utils.talos.power import Request, settle
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "address": {"type": "str", "required": True},
    "talosconfig": {"type": "path", "required": True},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 600},
    "state": {"type": "str", "choices": ["on", "off", "rebooted"], "required": True},
    "confirm": {"type": "str", "default": ""},
    "drain": {"type": "bool", "default": True},
}


def run(task: Task) -> Outcome:
    """Switch, and wait."""
    params = task.params
    require_talosconfig(params["talosconfig"])
    machine = Machine(params["address"], talosctl=params["talosctl"], talosconfig=params["talosconfig"])
    request = Request(machine, params["state"], params["confirm"], params["drain"], task.check_mode)
    changed, stage = settle(request, deadline=Deadline(params["timeout"]))
    return Outcome(changed=changed, values={"stage": stage})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
