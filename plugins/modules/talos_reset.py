#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_reset
short_description: Reset a Talos machine to maintenance mode
version_added: 0.1.0
description:
  - Wipes a machine's configuration and data, and waits until it is back in maintenance mode. B(All data on the machine is lost.)
  - A machine in maintenance mode is left alone, and so is one that is not this cluster's.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.talos
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_talos
options:
  talosconfig:
    required: true
  confirm:
    description: The machine's host name, as the machine itself tells it. Anything else is refused.
    type: str
    required: true
  graceful:
    description: Drain the Kubernetes node and leave etcd first. Switch it off for a machine whose cluster is broken or goes altogether.
    type: bool
    default: true
  wipe:
    description: Which disks are wiped, the one that Talos is installed on, the others, or all.
    type: str
    choices: [all, system-disk, user-disks]
    default: system-disk
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Reset a machine
  trinode.platform.talos_reset:
    address: 192.0.2.13
    confirm: m3
    talosconfig: cluster/talosconfig
"""

RETURN = r"""
stage:
  description: The machine's stage at the end.
  type: str
  returned: success, unless check mode predicts a reset
  sample: maintenance
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine
from ansible_collections.trinode.platform.plugins.module_utils.talos.reset import ResetRequest, reset
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "address": {"type": "str", "required": True},
    "talosconfig": {"type": "path", "required": True},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 600},
    "confirm": {"type": "str", "required": True},
    "graceful": {"type": "bool", "default": True},
    "wipe": {"type": "str", "choices": ["all", "system-disk", "user-disks"], "default": "system-disk"},
}


def run(task: Task) -> Outcome:
    """Reset unless it is bare already."""
    params = task.params
    machine = Machine(params["address"], talosctl=params["talosctl"], talosconfig=params["talosconfig"])
    request = ResetRequest(machine, params["confirm"], params["graceful"], params["wipe"], task.check_mode)
    changed = reset(request, deadline=Deadline(params["timeout"]))
    # In check mode a machine that would be reset still runs.
    return Outcome(changed=changed, values={"stage": "maintenance"} if not (changed and task.check_mode) else {})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
