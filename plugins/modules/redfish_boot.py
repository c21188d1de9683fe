#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: redfish_boot
short_description: Boot a machine through its BMC
version_added: 1.0.0
description:
  - Switches a machine off and on through its BMC (Redfish), booting it once from an image in a virtual drive, from the network or from its disk.
  - A machine that is in maintenance mode or a member of the cluster already (O(talos)) is left alone. One that is on and is neither is not rebooted without
    its serial number in O(confirm_serial).
  - Before anything is done, the machine that the BMC reports is compared with O(serial), O(uuid) and O(macs).
  - Calls are made one at a time with a pause between them, since some BMCs freeze otherwise. Calls that read are tried again; a login is tried once.
  - A virtual drive that does not take the image is emptied and tried again.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_platform
options:
  address:
    description: The BMC's name, address or URL. Without a scheme it is reached by https.
    type: str
    required: true
  username:
    description: User of the BMC. It needs the right to operate power, boot source and virtual media.
    type: str
    required: true
  password:
    description: The user's password.
    type: str
    required: true
  ca_file:
    description: File with the authority that signed the BMC's certificate, in PEM. Without it, and without a fingerprint, public authorities are trusted.
    type: path
    default: ""
  certificate_fingerprint:
    description:
      - SHA-256 fingerprint of the BMC's certificate in hexadecimal, as C(openssl x509 -fingerprint -sha256) prints it. Only this one is accepted then, whoever
        signed it.
    type: str
    default: ""
  validate_certs:
    description: Whether the BMC's certificate is verified. Switched off, anyone in between learns the password.
    type: bool
    default: true
  system:
    description: Which machine is meant, by path, id, name or UUID, where the BMC has several.
    type: str
    default: ""
  name:
    description: What the machine is called in progress lines. Empty takes O(address).
    type: str
    default: ""
  state:
    description:
      - V(booted) boots it once from O(boot_source), switching it off first if it is on.
      - V(on) and V(off) switch it. To switch off a machine that is not in maintenance mode, O(confirm_serial) is needed.
      - V(ejected) empties the virtual drives, those with O(image) alone where that is given, and leaves the power as it is.
    type: str
    choices: [booted, "on", "off", ejected]
    default: booted
  boot_source:
    description: The virtual drive, the network, or the disk.
    type: str
    choices: [cd, pxe, hdd]
    default: cd
  image:
    description: URL of the image for the virtual drive, which the BMC itself fetches.
    type: str
    default: ""
  talos:
    description:
      - What is known of the machine from its Talos API. V(maintenance) and V(member) need no boot.
    type: str
    choices: [unknown, maintenance, member]
    default: unknown
  may_be_installed:
    description: The machine may be a member of the cluster that is off, so that booting it from elsewhere needs O(confirm_serial).
    type: bool
    default: false
  running:
    description:
      - What becomes of a machine that is on and runs something unknown, when O(confirm_serial) is not given. V(leave) leaves it alone and says so in RV(left).
    type: str
    choices: [refuse, leave]
    default: refuse
  confirm_serial:
    description: Serial number of the machine, as the BMC reports it, to reboot it whatever it runs. Another one is refused.
    type: str
    default: ""
  serial:
    description: Serial number that the machine has to have.
    type: str
    default: ""
  uuid:
    description: UUID that the machine has to have.
    type: str
    default: ""
  macs:
    description: Hardware addresses of the machine's links. Where the BMC reports any, one of them has to be there.
    type: list
    elements: str
    default: []
  pause:
    description: Seconds between two calls.
    type: float
    default: 0.5
  media_timeout:
    description: Seconds after which a virtual drive that does not take the image is emptied and tried again.
    type: float
    default: 60
  timeout:
    description: Seconds after which the task gives up, all its waits together.
    type: int
    default: 600
requirements:
  - sushy >= 5.7 (Python package)
attributes:
  check_mode:
    support: full
    details: It looks, and returns the steps that it would take. It is refused as the real run is.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: By O(talos). V(on), V(off) and V(ejected) are so by themselves.
seealso:
  - module: trinode.platform.boot_image
  - module: trinode.platform.talos_machine_info
"""

EXAMPLES = r"""
- name: Look whether it is in maintenance mode already
  trinode.platform.talos_machine_info:
    address: 192.0.2.11
    gather: [status]
  register: look

- name: Boot it from an image otherwise
  trinode.platform.redfish_boot:
    address: 192.0.2.101
    username: operator
    password: "{{ bmc_password }}"
    ca_file: bmc-ca.pem
    serial: ABC1234
    image: https://factory.talos.dev/image/376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba/v1.13.8/metal-amd64.iso
    talos: "{{ 'maintenance' if look.machine.trust == 'maintenance' else 'unknown' }}"
"""

RETURN = r"""
steps:
  description: What was done, in order; in check mode what would be done.
  type: list
  elements: str
  returned: success
  sample:
    - put https://factory.talos.dev/image/3765.../v1.13.8/metal-amd64.iso into /redfish/v1/Managers/1/VirtualMedia/Cd
    - boot once from Cd
    - switch it on
left:
  description: Why the machine is left as it is although it is not known to be what is wanted. Empty otherwise.
  type: str
  returned: success
needs_confirmation:
  description: Whether it is left for want of O(confirm_serial).
  type: bool
  returned: success
power:
  description: The machine's power at the end; in check mode before.
  type: str
  returned: success
  sample: "On"
serial:
  description: Serial number that the BMC reports, as O(confirm_serial) takes it.
  type: str
  returned: success, or refused for want of a confirmation
  sample: ABC1234
uuid:
  description: UUID that the BMC reports.
  type: str
  returned: success
manufacturer:
  description: Who made the machine.
  type: str
  returned: success
model:
  description: What the maker calls it.
  type: str
  returned: success
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.redfish import bmc
from ansible_collections.trinode.platform.plugins.module_utils.redfish.connection import Access, normalized_url
from ansible_collections.trinode.platform.plugins.module_utils.redfish.identity import check_identity
from ansible_collections.trinode.platform.plugins.module_utils.redfish.plan import Desired, plan, shown
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "address": {"type": "str", "required": True},
    "username": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "ca_file": {"type": "path", "default": ""},
    "certificate_fingerprint": {"type": "str", "default": ""},
    "validate_certs": {"type": "bool", "default": True},
    "system": {"type": "str", "default": ""},
    "name": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["booted", "on", "off", "ejected"], "default": "booted"},
    "boot_source": {"type": "str", "choices": ["cd", "pxe", "hdd"], "default": "cd"},
    "image": {"type": "str", "default": ""},
    "talos": {"type": "str", "choices": ["unknown", "maintenance", "member"], "default": "unknown"},
    "may_be_installed": {"type": "bool", "default": False},
    "running": {"type": "str", "choices": ["refuse", "leave"], "default": "refuse"},
    "confirm_serial": {"type": "str", "default": ""},
    "serial": {"type": "str", "default": ""},
    "uuid": {"type": "str", "default": ""},
    "macs": {"type": "list", "elements": "str", "default": []},
    "pause": {"type": "float", "default": 0.5},
    "media_timeout": {"type": "float", "default": 60},
    "timeout": {"type": "int", "default": 600},
}


def run(task: Task) -> Outcome:
    """Look, plan, act. What needs no boot is not even asked."""
    params = task.params
    if params["state"] == "booted" and params["talos"] != "unknown":
        return Outcome(
            message="nothing to boot",
            values={"steps": [], "left": "", "needs_confirmation": False, "power": "On", "serial": "", "uuid": "", "manufacturer": "", "model": ""},
        )
    if params["state"] == "booted" and params["boot_source"] == "cd" and not params["image"]:
        raise InputError("there is no image to boot from", where="image", hint="Give the URL of an image that the BMC can fetch.")
    deadline = Deadline(params["timeout"])
    options = ("username", "password", "ca_file", "certificate_fingerprint", "validate_certs", "pause")
    access = Access(normalized_url(params["address"]), **{name: params[name] for name in options})
    desired = Desired(
        state=params["state"],
        source=params["boot_source"],
        image=params["image"],
        talos=params["talos"],
        confirm_serial=params["confirm_serial"],
        may_be_installed=params["may_be_installed"],
        leave_running=params["running"] == "leave",
    )
    label = params["name"] or params["address"]
    where = f"{label} ({access.url})"
    with bmc.machine(access, label, deadline, system=params["system"], media_seconds=params["media_timeout"]) as machine:
        observed = machine.observe(macs=bool(params["macs"]))
        check_identity(observed, serial=params["serial"], uuid_=params["uuid"], macs=params["macs"], where=where)
        wanted = plan(desired, observed, where=where)
        if not task.check_mode:
            machine.perform(wanted.steps)
    after = wanted.after or observed
    return Outcome(
        changed=bool(wanted.steps),
        message=wanted.left or "; ".join(step.text for step in wanted.steps) or "nothing to do",
        diff={"before": shown(observed), "after": shown(after), "before_header": where, "after_header": where},
        values={
            "steps": [step.text for step in wanted.steps],
            "left": wanted.left,
            "needs_confirmation": wanted.needs_confirmation,
            "power": observed.power if task.check_mode else after.power,
            "serial": observed.serial,
            "uuid": observed.uuid,
            "manufacturer": observed.manufacturer,
            "model": observed.model,
        },
    )


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
