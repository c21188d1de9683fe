#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: ceph_layout
short_description: Plan a Ceph cluster's storage on the machines' disks
version_added: 1.0.0
description:
  - From the disks that the inventory gives to Ceph, a policy and what runs already, works out the storage section of Rook's C(CephCluster), and what it means,
    that is, how much fits, what is lost with one disk or one machine, and whether memory and processors suffice.
  - It asks nobody and changes nothing. With C(--diff) it shows how the storage section differs from the one that runs, and reports that as a change.
  - Disks that run and are not named any more stay in the section. An OSD is removed by C(playbooks/osd_remove.yml), and then its disk leaves the section.
author:
  - trinode.platform contributors (@trinode)
options:
  machines:
    description:
      - The machines, as the filter P(trinode.platform.disk_machines#filter) makes them of an inventory. Looked at are C(name), C(hostname) (of its node),
        and without O(judged) C(osd_disks).
      - C(cpus), C(memory) (such as C(32Gi)) and C(addresses) may be given too; by default they are those of its node in O(objects).
    type: list
    elements: dict
    required: true
  disks:
    description:
      - The machines' disks as M(trinode.platform.disk_contract) returns them, all of them. Those with C(use) V(osd) become OSDs, those with V(metadata) hold
        the databases of OSDs whose C(metadata) names them.
    type: list
    elements: dict
    default: []
  judged:
    description: Whether O(disks) is what the machines reported. If not, disks are taken as the machines' C(osd_disks) name them, by link, unseen.
    type: bool
    default: true
  objects:
    description: The C(Node) objects, and the C(CephCluster) where there is one, as M(trinode.platform.kube_info) returns them. Others are ignored.
    type: list
    elements: dict
    default: []
  running:
    description: What M(trinode.platform.ceph_info) returned of the running cluster. Empty when nothing is known.
    type: dict
    default: {}
  policy:
    description: How storage is to be laid out.
    type: dict
    suboptions:
      osds_per_device:
        description: OSDs on each disk that does not say another number.
        type: int
        default: 1
      encrypted:
        description: Whether new OSDs are encrypted.
        type: bool
        default: false
      database_size:
        description: What each new OSD gets on the disk for its database, such as C(60Gi). Empty chooses 4 % of the data, 30 GiB at least, or an equal share.
        type: str
        default: ""
      failure_domain:
        description: Copies of one datum lie on different machines (V(host)) or only on different OSDs (V(osd)).
        type: str
        choices: [host, osd]
        default: host
      copies:
        description: Copies of everything. V(0) means one a machine with disks, three at most.
        type: int
        default: 0
      erasure_coded:
        description: Chunks of the data of buckets, C(data) and C(coding), such as 2 and 1. Empty means copies.
        type: dict
        default: {}
      device_class:
        description: Pools use disks of this class only. Empty means all.
        type: str
        default: ""
      balance_tolerance:
        description: By which share the smallest machine may be below the largest.
        type: float
        default: 0.25
      imbalance:
        description: What happens past that.
        type: str
        choices: [warn, refuse]
        default: warn
      full_ratios:
        description: C(near_full), C(backfill_full) and C(full) as shares. By default 0.85, 0.90 and 0.95.
        type: dict
        default: {}
      network:
        description: C(public), networks in which clients reach Ceph, and C(cluster), those of OSDs among themselves. Empty means the pods' network.
        type: dict
        default: {}
      osd_memory:
        description: Memory of each OSD.
        type: str
        default: 4Gi
      reserved_memory:
        description: What Talos, etcd, the control plane and Ceph's other daemons take of a machine's memory.
        type: str
        default: 6Gi
      reserved_cpus:
        description: What they take of its processors.
        type: int
        default: 2
      monitors:
        description: Monitors at most; one a machine, and an odd number of them.
        type: int
        default: 3
      managers:
        description: Managers at most; one a machine.
        type: int
        default: 2
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_platform
attributes:
  diff_mode:
    support: full
    details: The storage section as it runs, and as it is planned.
seealso:
  - module: trinode.platform.disk_contract
  - module: trinode.platform.ceph_info
"""

EXAMPLES = r"""
- name: What would Ceph look like
  trinode.platform.ceph_layout:
    machines:
      - {name: m1, osd_disks: [{by_id: ata-Samsung_SSD_870_EVO_2TB_S4X9NF0M}]}
      - {name: m2, osd_disks: [{by_id: ata-Samsung_SSD_870_EVO_2TB_S4X9NF0N}]}
      - {name: m3, osd_disks: [{by_id: ata-Samsung_SSD_870_EVO_2TB_S4X9NF0P}]}
    judged: false
  register: layout

- name: Show it
  ansible.builtin.debug:
    msg: "{{ layout.lines }}"
"""

RETURN = r"""
storage:
  description: The storage section of the C(CephCluster).
  type: dict
  returned: success
  sample:
    useAllNodes: false
    useAllDevices: false
    nearFullRatio: 0.85
    backfillFullRatio: 0.9
    fullRatio: 0.95
    nodes:
      - name: m1
        devices:
          - name: /dev/disk/by-id/ata-Samsung_SSD_870_EVO_2TB_S4X9NF0M
network:
  description: The network section. Empty for the pods' network.
  type: dict
  returned: success
  sample: {}
pools:
  description: What the specs of pools have of it, C(replicated) for those with copies, C(bulk) for the data of buckets.
  type: dict
  returned: success
  sample:
    replicated: {failureDomain: host, replicated: {size: 3, requireSafeReplicaSize: true}}
    bulk: {failureDomain: host, erasureCoded: {dataChunks: 2, codingChunks: 1}}
monitors:
  description: How many monitors.
  type: int
  returned: success
  sample: 3
managers:
  description: How many managers.
  type: int
  returned: success
  sample: 2
osds:
  description: How many OSDs the named disks get.
  type: int
  returned: success
  sample: 6
capacity:
  description: Bytes on the disks (C(raw)), of data that fits (C(usable)), where Ceph warns (C(warns)) and takes no more (C(stops)), and what no data can use
    (C(idle)). Empty where disks were not judged.
  type: dict
  returned: success
  sample: {raw: 12000000000000, usable: 4000000000000, warns: 3400000000000, stops: 3800000000000, idle: 0}
kept:
  description: What runs and stays although the inventory does not name it.
  type: list
  elements: dict
  returned: success
  sample:
    - {host: m2, device: /dev/disk/by-id/wwn-0x5002538e40c3a5d2, osds: [3]}
consequences:
  description: How much fits, and what is lost with what, as lines of text.
  type: list
  elements: str
  returned: success
cautions:
  description: What is possible and should be known.
  type: list
  elements: str
  returned: success
  sample: ["Two copies are not safe: while one is away, writes go to a single disk, and its failure then loses them. Three machines allow three."]
lines:
  description: All of it for a person to read.
  type: list
  elements: str
  returned: success, and when the layout is refused
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.ceph import layout_input, layout_storage, layout_text
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout import Layout, plan, refuse
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

POLICY: dict[str, dict[str, Any]] = {
    "osds_per_device": {"type": "int", "default": 1},
    "encrypted": {"type": "bool", "default": False},
    "database_size": {"type": "str", "default": ""},
    "failure_domain": {"type": "str", "choices": ["host", "osd"], "default": "host"},
    "copies": {"type": "int", "default": 0},
    "erasure_coded": {"type": "dict", "default": {}},
    "device_class": {"type": "str", "default": ""},
    "balance_tolerance": {"type": "float", "default": 0.25},
    "imbalance": {"type": "str", "choices": ["warn", "refuse"], "default": "warn"},
    "full_ratios": {"type": "dict", "default": {}},
    "network": {"type": "dict", "default": {}},
    "osd_memory": {"type": "str", "default": "4Gi"},
    "reserved_memory": {"type": "str", "default": "6Gi"},
    "reserved_cpus": {"type": "int", "default": 2},
    "monitors": {"type": "int", "default": 3},
    "managers": {"type": "int", "default": 2},
}
ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "machines": {"type": "list", "elements": "dict", "required": True},
    "disks": {"type": "list", "elements": "dict", "default": []},
    "judged": {"type": "bool", "default": True},
    "objects": {"type": "list", "elements": "dict", "default": []},
    "running": {"type": "dict", "default": {}},
    "policy": {"type": "dict", "options": POLICY, "apply_defaults": True},
}


def run(task: Task) -> Outcome:
    """Plan, and tell."""
    params = task.params
    policy = layout_input.read_policy(params["policy"])
    if not all(machine.get("name") for machine in params["machines"]):
        raise InputError("a machine has no name", where="machines", hint="Write it like {name: m1, hostname: m1}.")
    hosts = layout_input.read_hosts(params["disks"], params["machines"], params["objects"], policy, judged=params["judged"])
    layout = plan(hosts, policy, layout_input.read_running(params["running"], params["objects"]))
    lines = layout_text.lines(layout, judged=params["judged"])
    refuse(layout, {"lines": lines})
    before, after = layout_storage.comparable(layout.running.storage), layout.storage.section
    diff = {
        "before_header": "the CephCluster's storage, as it runs",
        "after_header": "the CephCluster's storage, as planned",
        "before": _text(before),
        "after": _text(after),
    }
    return Outcome(changed=before != after, diff=diff if before != after else None, values=_values(layout, lines))


def _values(layout: Layout, lines: list[str]) -> dict[str, Any]:
    return {
        "storage": layout.storage.section,
        "network": dict(layout.network),
        "pools": layout.pools.as_values(layout.policy),
        "monitors": layout.monitors,
        "managers": layout.managers,
        "osds": layout.osds,
        "capacity": asdict(layout.capacity) if layout.capacity else {},
        "kept": [asdict(kept) for kept in layout.storage.kept],
        "consequences": layout_text.consequences(layout),
        "cautions": list(layout.warnings),
        "lines": lines,
    }


def _text(section: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(section), sort_keys=True, default_flow_style=False) if section else ""


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
