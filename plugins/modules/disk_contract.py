#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: disk_contract
short_description: Judge every disk of every machine before anything is written
version_added: 1.0.0
description:
  - Asks all machines at once for their disks and what Talos finds on them, and judges them against what the inventory says. Reads only.
  - A disk that the inventory claims is refused when it is missing, ambiguous, claimed twice, the system disk, too small, read-only, removable, there over
    two paths, in use, or when it holds anything that is not this cluster's. Disks that nothing claims are told, never refused.
  - Talos looks at the beginning of a disk. It does not recognise software RAID that is not running, and not the copies of a BlueStore label further in.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.disks
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_talos
options:
  machines:
    description: The machines, as the filter P(trinode.platform.disk_machines#filter) makes them of an inventory.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name in the inventory.
        type: str
        required: true
      hostname:
        description: Name of its node. Empty means O(machines[].name).
        type: str
        default: ""
      address:
        description: Address of the machine, without a port.
        type: str
        required: true
      install_disk:
        description: The setting C(machine_install_disk).
        type: raw
        default: {}
      osd_disks:
        description: The setting C(machine_osd_disks).
        type: list
        elements: raw
        default: []
      wipe_disks:
        description: The setting C(machine_wipe_disks).
        type: list
        elements: str
        default: []
  enforce:
    description: Fail when anything is refused, all findings at once. Else they are only told.
    type: bool
    default: true
  talosctl:
    description: The program C(talosctl), as a path or a name to look for in E(PATH).
    type: str
    default: talosctl
  talosconfig:
    description: File with the client certificate for the machines. Machines in maintenance mode are reached without it.
    type: path
  timeout:
    description: Seconds that the machines have to answer.
    type: int
    default: 30
requirements:
  - talosctl
  - jmespath (Python package), for disks that are chosen by C(match)
seealso:
  - module: trinode.platform.talos_disk_wipe
"""

EXAMPLES = r"""
- name: Judge the disks
  trinode.platform.disk_contract:
    talosconfig: "{{ trinode_talosconfig }}"
    machines: "{{ groups['machines'] | trinode.platform.disk_machines(hostvars) }}"

- name: Judge the disks of one machine, named by hand
  trinode.platform.disk_contract:
    machines:
      - name: m1
        address: 192.0.2.11
        install_disk: {serial: S4X9NF0M}
        osd_disks:
          - {match: "transport == 'nvme' && size > `1000000000000`", count: 2}
    enforce: false
"""

RETURN = r"""
disks:
  description:
    - All disks. Facts are C(name), C(path), C(by_id), C(serial), C(wwid), C(model), C(size) in bytes, C(transport), C(rotational), C(readonly), C(removable)
      (on USB), C(system) (Talos is installed there).
    - Of the judgement are C(machine), C(use) (V(install), V(osd), V(metadata) or empty), C(contents) (V(empty), V(ours), V(bluestore), V(lvm), V(partitions),
      V(filesystem), V(raid), V(encrypted), V(talos), V(swap), V(unknown)), C(detail), C(findings), C(warnings), C(wipe) (it will be wiped, as permitted),
      C(link) (its path below C(/dev/disk/by-id)), and C(device_class), C(osds_per_device) and C(metadata) (the link of that disk) where they are set.
  type: list
  elements: dict
  returned: success
  sample:
    - name: sdb
      path: /dev/sdb
      by_id: [/dev/disk/by-id/ata-SSD_870_S4X9NF0M]
      serial: S4X9NF0M
      wwid: naa.5002538e40000000
      model: SSD 870
      size: 1000204886016
      transport: sata
      rotational: false
      readonly: false
      removable: false
      system: false
      machine: m1
      use: osd
      contents: empty
      detail: ""
      findings: []
      warnings: []
      wipe: false
      link: /dev/disk/by-id/ata-SSD_870_S4X9NF0M
      device_class: ssd
table:
  description: The disks with their verdicts for a person, a line each, and then the findings.
  type: list
  elements: str
  returned: success
suggestions:
  description: By machine, lines for its C(host_vars), where its settings lead to no disk.
  type: dict
  returned: success
  sample:
    m1:
      - 'machine_install_disk: {serial: "S3Z1NB0K"}  # sda now: SSD 870, 465.8 GiB'
findings:
  description: How many findings refuse a disk.
  type: int
  returned: always
wipes:
  description: Claimed disks that are not empty and may be wiped, each with C(machine), C(hostname), C(address), C(serial) (or wwid), C(path)
    and C(use).
  type: list
  elements: dict
  returned: success
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks.ask import ask
from ansible_collections.trinode.platform.plugins.module_utils.disks.judge import Judgement, judge
from ansible_collections.trinode.platform.plugins.module_utils.disks.membership import OURS_OPTION, membership_from
from ansible_collections.trinode.platform.plugins.module_utils.disks.show import suggestions, table
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "machines": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "hostname": {"type": "str", "default": ""},
            "address": {"type": "str", "required": True},
            "install_disk": {"type": "raw", "default": {}},
            "osd_disks": {"type": "list", "elements": "raw", "default": []},
            "wipe_disks": {"type": "list", "elements": "str", "default": []},
        },
    },
    "ours": OURS_OPTION,
    "enforce": {"type": "bool", "default": True},
    "talosctl": {"type": "str", "default": "talosctl"},
    "talosconfig": {"type": "path"},
    "timeout": {"type": "int", "default": 30},
}


def run(task: Task) -> Outcome:
    """Ask, judge, tell; or refuse."""
    params = task.params
    machines, silent = ask(params["machines"], talosctl=params["talosctl"], talosconfig=params["talosconfig"], deadline=Deadline(params["timeout"]))
    judged = judge(machines, membership_from(params["ours"], machines))
    judgement = Judgement(judged.disks, [*silent, *judged.findings])
    refusals = judgement.refusals
    if params["enforce"] and refusals:
        lines = "\n".join(str(finding) for finding in refusals)
        count = f"{len(refusals)} finding{'s' if len(refusals) > 1 else ''} about disks"
        raise RefusedError(f"{count}; nothing was written", hint=f"\n{lines}", details={"findings": len(refusals)})
    # Without enforce they are told by the table alone.
    for warning in judgement.warnings if params["enforce"] else ():
        task.warn(str(warning))
    addresses = {entry["name"]: entry["address"] for entry in params["machines"]}
    wipes = [
        {
            "machine": entry.machine.name,
            "hostname": entry.machine.hostname or entry.machine.name,
            "address": addresses[entry.machine.name],
            "serial": entry.disk.serial or entry.disk.wwid,
            "path": entry.disk.path,
            "use": entry.use,
        }
        for entry in judgement.disks
        if entry.wipe
    ]
    return Outcome(
        message=f"Judged {len(judgement.disks)} disks of {len(machines)} machines: {len(refusals)} refused.",
        values={
            "disks": [entry.as_values() for entry in judgement.disks],
            "table": table(judgement),
            "suggestions": suggestions(machines, judgement),
            "findings": len(refusals),
            "wipes": wipes,
        },
    )


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
