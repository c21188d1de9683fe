#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_osd
short_description: Remove OSDs from Ceph without risk to data
version_added: 1.0.0
description:
  - Takes an OSD out, waits until Ceph says that nothing is on it that is not elsewhere, takes its disk out of the CephCluster, stops it, removes it from Ceph
    and deletes its Deployment. Several disks one after another.
  - Refuses when a pool would have fewer places than copies, or when what is left would be too full, with the numbers.
  - What was interrupted goes on with the next run. OSDs that are gone are no error.
  - It does not look at the rest of the cluster; M(trinode.platform.gate) does that before and after, as playbooks/osd_remove.yml has it.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
options:
  state:
    description: OSDs are made by Rook, from the disks that the CephCluster names; here they can only be removed.
    type: str
    choices: [absent]
    default: absent
  osds:
    description: Numbers of OSDs.
    type: list
    elements: int
    default: []
  disks:
    description: Serial numbers of disks, all of whose OSDs are meant.
    type: list
    elements: str
    default: []
  failed:
    description:
      - The disks have failed, so that their OSDs are down for good. Refused for an OSD that is up.
      - Where the copies that were on it have no place to be made anew, as with one disk on each of three hosts, the OSD is removed without waiting for that,
        as long as all data can be used.
    type: bool
    default: false
  settle:
    description: Seconds for which Ceph has to go on saying that an OSD may be destroyed.
    type: float
    default: 10
  stall:
    description: Seconds after which a wait is given up in which nothing moves.
    type: int
    default: 900
  timeout:
    description: Seconds after which the task gives up, all its waits together. Terabytes take hours.
    default: 86400
attributes:
  check_mode:
    support: full
    details: It looks, and returns the steps that it would take as RV(steps). It is refused as the real run is.
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: trinode.platform.ceph_info
  - module: trinode.platform.gate
  - module: trinode.platform.talos_disk_wipe
"""

EXAMPLES = r"""
- name: Remove an OSD
  trinode.platform.ceph_osd:
    kubeconfig: "{{ trinode_kubeconfig }}"
    osds: [3]

- name: Remove what was on a disk that has failed
  trinode.platform.ceph_osd:
    kubeconfig: "{{ trinode_kubeconfig }}"
    disks: [S4EWNX0R700001]
    failed: true
"""

RETURN = r"""
steps:
  description: What was done, in order; in check mode what would be done.
  type: list
  elements: str
  returned: success
  sample:
    - take osd.3 of m1 (disk S4EWNX0R700001) out, so that its data is copied elsewhere
    - wait until nothing is on osd.3 that is not elsewhere (33 placement groups now)
    - take /dev/disk/by-id/ata-Samsung_SSD_870_S4EWNX0R700001 of m1 out of the CephCluster
    - stop rook-ceph-osd-3
    - remove osd.3 from Ceph for good
    - delete rook-ceph-osd-3
removed:
  description: The OSDs that were removed, or would be, as M(trinode.platform.ceph_info) returns them.
  type: list
  elements: dict
  returned: success
refusals:
  description: Why an OSD must not be removed.
  type: list
  elements: str
  returned: when it is refused
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.ceph import removal, remove
from ansible_collections.trinode.platform.plugins.module_utils.ceph.remove import Removal
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Osd
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks.ceph import name_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import connect
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["absent"], "default": "absent"},
    "osds": {"type": "list", "elements": "int", "default": []},
    "disks": {"type": "list", "elements": "str", "default": []},
    "failed": {"type": "bool", "default": False},
    "settle": {"type": "float", "default": 10},
    "stall": {"type": "int", "default": 900},
    "timeout": {"type": "int", "default": 86400},
}


def run(task: Task) -> Outcome:
    params = task.params
    deadline = Deadline(params["timeout"])
    client = connect(params["kubeconfig"], params["context"], deadline)
    try:
        work = remove.start(client, deadline, failed=params["failed"], settle=params["settle"], stall=params["stall"])
        first = work.look()
        groups = removal.find(first, params["osds"], params["disks"])
        # Each may be dispensable, and not all of them.
        work.refuse([number for group in groups for number in group], first)
        if task.check_mode:
            steps, removed = _predicted(work, groups)
        else:
            removed = [osd for group in groups for osd in work.remove(group)]
            steps = work.done
    finally:
        client.close()
    values = {"steps": steps, "removed": [osd.as_values() for osd in removed]}
    return Outcome(changed=bool(steps), message=_message(groups), diff=_diff(first.ceph.osds, groups), values=values)


def _predicted(work: Removal, groups: list[tuple[int, ...]]) -> tuple[list[str], list[Osd]]:
    steps, removed = [], []
    for group in groups:
        look = work.look(group)
        steps += [step.text for step in work.plan(group, look)]
        removed += [osd for osd in look.ceph.osds if osd.id in group]
    return steps, removed


def _message(groups: list[tuple[int, ...]]) -> str:
    names = ", ".join(f"osd.{number}" for group in groups for number in group)
    return names or "none of these OSDs is there"


def _diff(osds: tuple[Osd, ...], groups: list[tuple[int, ...]]) -> dict[str, str]:
    gone = {number for group in groups for number in group}
    before, after = ("".join(f"{name_of(osd)}\n" for osd in osds if osd.id not in without) for without in (set(), gone))
    return {"before": before, "after": after, "before_header": "OSDs", "after_header": "OSDs"}


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC, required_one_of=[("osds", "disks")])


if __name__ == "__main__":
    main()
