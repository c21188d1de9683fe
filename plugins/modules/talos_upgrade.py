#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_upgrade
short_description: Have a machine run the Talos of an installer image
version_added: 1.0.0
description:
  - Pulls the image, installs it beside the system that runs, reboots, waits until the machine is back, and looks whether it runs that version and that
    schematic. A machine that has silently gone back to the system before fails the task.
  - A machine that runs the version and the schematic of the image is left alone. What an interrupted run has begun is gone on with; a system that is installed
    and waits for its boot is booted, not installed once more, so that the present one stays there to go back to.
  - Refused are a downgrade and a version more than one minor release ahead.
  - It neither drains the node nor asks whether the cluster can do without the machine. The role C(trinode.platform.rolling) does both.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.talos
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_talos
options:
  talosconfig:
    required: true
  name:
    description: Name of the machine in messages. By default its address.
    type: str
    default: ""
  image:
    description:
      - Reference of the installer image, with the version as its tag, as M(trinode.platform.image_schematic) returns it.
      - The schematic is compared where the image is one of an image factory.
    type: str
    required: true
  state:
    description: V(upgraded), it runs the image's Talos; V(pulled), it has the image, and nothing else is done.
    type: str
    choices: [upgraded, pulled]
    default: upgraded
  reboot_mode:
    description: How to reboot. V(powercycle) goes through the machine's firmware, for hardware that does not come up again from C(kexec).
    type: str
    choices: [default, powercycle]
    default: default
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: trinode.platform.image_schematic
  - module: trinode.platform.rolling_plan
"""

EXAMPLES = r"""
- name: Upgrade Talos on a machine whose node is drained
  trinode.platform.talos_upgrade:
    address: 192.0.2.12
    image: factory.talos.dev/metal-installer/376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba:v1.13.9
    talosconfig: cluster/talosconfig
    timeout: 1200
"""

RETURN = r"""
steps:
  description: What was done, in order; in check mode what would be done.
  type: list
  elements: str
  returned: success
  sample: [pull, install, reboot]
version:
  description: The version that runs at the end; after a failure for that reason the one that it came back with.
  type: str
  returned: success, unless check mode predicts an upgrade
  sample: v1.13.9
schematic:
  description: The schematic that runs at the end, empty where the image named none.
  type: str
  returned: success, unless check mode predicts an upgrade
  sample: 376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.rolling import target
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine
from ansible_collections.trinode.platform.plugins.module_utils.talos.upgrade import Request, Upgraded, upgrade
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "address": {"type": "str", "required": True},
    "talosconfig": {"type": "path", "required": True},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 600},
    "name": {"type": "str", "default": ""},
    "image": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["upgraded", "pulled"], "default": "upgraded"},
    "reboot_mode": {"type": "str", "choices": ["default", "powercycle"], "default": "default"},
}


def run(task: Task) -> Outcome:
    """Upgrade, or pull, unless that has been done."""
    params = task.params
    label = params["name"] or params["address"]
    wanted = target.read(params["image"], where=label)
    machine = Machine(params["address"], talosctl=params["talosctl"], talosconfig=params["talosconfig"])
    request = Request(machine, label, wanted, params["state"] == "pulled", params["reboot_mode"], task.check_mode)
    done = upgrade(request, deadline=Deadline(params["timeout"]))
    values: dict[str, Any] = {"steps": list(done.steps)}
    if not done.steps or not task.check_mode:
        values |= {"version": done.after.version, "schematic": done.after.schematic}
    message = f"{label}: {', '.join(done.steps)}" if done.steps else f"{label} runs {done.after.version}" if not request.pull_only else f"{label} has it"
    return Outcome(changed=bool(done.steps), message=message, diff=_diff(label, wanted, done) if done.steps else None, values=values)


def _diff(label: str, wanted: target.Target, done: Upgraded) -> dict[str, str]:
    header = {"before_header": label, "after_header": label}
    if "reboot" not in done.steps:
        return {**header, "before": "", "after": f"image: {wanted.image}\n"}
    schematic = wanted.schematic or done.after.schematic
    return {**header, "before": _text(done.before.version, done.before.schematic), "after": _text(wanted.version, schematic)}


def _text(version: str, schematic: str) -> str:
    return f"version: {version}\nschematic: {target.short(schematic)}\n"


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
