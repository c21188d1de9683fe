#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_machine_info
short_description: What a Talos machine is and in which state it is
version_added: 0.1.0
description:
  - Looks who answers at an address, and reads what Talos tells about the machine. Reads only.
  - A machine that is off, unreachable or foreign is a result, not a failure. RV(machine.trust) and RV(machine.problem) tell.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.talos
  - trinode.platform.talos.first_contact
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_talos
options:
  gather:
    description: What to read. Less is faster; V(status) alone is one call.
    type: list
    elements: str
    choices: [status, version, identity, image, network, disks, etcd]
    default: [status, version, identity, image, network, disks, etcd]
  gather_in_maintenance:
    description: What to read besides from a machine in maintenance mode, as for O(gather).
    type: list
    elements: str
    choices: [status, version, identity, image, network, disks, etcd]
    default: []
  wait:
    description: Wait until the machine answers in maintenance mode or as one of the cluster. In check mode it looks once.
    type: bool
    default: false
  wait_hint:
    description: What to tell a person when the machine does not come within O(timeout).
    type: str
    default: ""
  name:
    description: What the machine is called in progress lines and messages. Empty takes O(address).
    type: str
    default: ""
  timeout:
    default: 30
seealso:
  - module: trinode.platform.talos_apply
"""

EXAMPLES = r"""
- name: Look at a machine that was just booted
  trinode.platform.talos_machine_info:
    address: 192.0.2.11
  register: result

- name: The disks to choose from
  ansible.builtin.debug:
    msg: "{{ result.machine.disks | map(attribute='serial') }}"
"""

RETURN = r"""
machine:
  description: The machine. What cannot be read is empty.
  type: dict
  returned: success
  contains:
    address:
      description: The address that was asked.
      type: str
      sample: 192.0.2.11
    reachable:
      description: Whether anything answers on the Talos API's port.
      type: bool
    trust:
      description:
        - V(ours) when the certificate is signed by the authority in the talosconfig, V(maintenance) for a machine without a configuration,
          V(foreign) for anything else that speaks TLS, V(unreachable) when nothing answers.
      type: str
      sample: maintenance
    problem:
      description: Why the machine cannot be used, in words. Empty when it can.
      type: str
    fingerprint:
      description: Fingerprint of the certificate that it shows (base64), as O(certificate_fingerprint) takes it.
      type: str
    stage:
      description: Talos's own word for what the machine is doing.
      type: str
      sample: running
    ready:
      description: Whether Talos calls it ready.
      type: bool
    unmet:
      description: What keeps it from being ready.
      type: list
      elements: str
    version:
      description: Version of Talos.
      type: str
      sample: v1.13.8
    schematic:
      description: Id of the image factory's schematic. Empty for an image that is not from there.
      type: str
    extensions:
      description: System extensions.
      type: list
      elements: str
    hostname:
      description: Host name.
      type: str
    platform:
      description: Platform that Talos runs on.
      type: str
      sample: metal
    uuid:
      description: UUID of the hardware.
      type: str
    serial_number:
      description: Serial number of the hardware.
      type: str
    manufacturer:
      description: Who made the hardware.
      type: str
    product:
      description: What the maker calls it.
      type: str
    addresses:
      description: Addresses with prefix length.
      type: list
      elements: str
      sample: [192.0.2.11/24]
    links:
      description: Network links with C(name), C(hardware_address), C(up), C(speed_mbit), C(driver), C(bus_path).
      type: list
      elements: dict
    disks:
      description:
        - Disks with C(name), C(path), C(size) (bytes), C(model), C(serial), C(wwid), C(uuid), C(transport), C(rotational), C(readonly),
          C(bus_path), C(by_id) (links below C(/dev/disk/by-id)), C(system) (Talos is installed there), C(removable), C(used_by) (devices made of it), and
          C(contents) with C(detail) (see M(trinode.platform.disk_contract)).
      type: list
      elements: dict
    system_disk:
      description: Path of the disk that Talos is installed on. Empty before.
      type: str
    etcd_member_id:
      description: Id of the machine's etcd member. Empty when it has none.
      type: str
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.talos.arrival import await_arrival
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import ALL_SUBJECTS, Machine, observe
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "address": {"type": "str", "required": True},
    "talosconfig": {"type": "path"},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 30},
    "certificate_fingerprint": {"type": "str", "default": ""},
    "wait": {"type": "bool", "default": False},
    "wait_hint": {"type": "str", "default": ""},
    "name": {"type": "str", "default": ""},
    "gather": {"type": "list", "elements": "str", "choices": list(ALL_SUBJECTS), "default": list(ALL_SUBJECTS)},
    "gather_in_maintenance": {"type": "list", "elements": "str", "choices": list(ALL_SUBJECTS), "default": []},
}


def run(task: Task) -> Outcome:
    """Observe, and tell."""
    params = task.params
    machine = Machine(params["address"], talosctl=params["talosctl"], talosconfig=params["talosconfig"], fingerprint=params["certificate_fingerprint"])
    deadline = Deadline(params["timeout"])
    label, subjects, in_maintenance = params["name"] or params["address"], params["gather"], params["gather_in_maintenance"]
    if params["wait"] and not task.check_mode:
        state = await_arrival(machine, label, subjects=subjects, in_maintenance=in_maintenance, hint=params["wait_hint"], deadline=deadline)
    else:
        state = observe(machine, subjects=subjects, in_maintenance=in_maintenance, deadline=deadline)
    return Outcome(values={"machine": state.as_values()})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
