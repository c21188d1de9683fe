#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: membership_plan
short_description: Plan how machines come into a cluster, leave it, or are replaced
version_added: 1.0.0
description:
  - Looks at who answers at each machine's address, at etcd, the nodes and Ceph, and says what is left to do. An operation that was interrupted goes on from
    there, since nothing else is remembered.
  - Everything that is in the way is said at once, and the task fails. Another machine that is out, a quorum that would be lost, an even number of control
    planes, copies or monitors of Ceph that would have no place, and a machine that is said to be dead and is not.
author:
  - trinode.platform contributors (@trinode)
options:
  operation:
    description:
      - V(add) brings in all machines that the cluster does not know.
      - V(remove) takes O(machine) out, whether it lives or is dead.
      - V(replace) puts the machine that the inventory describes in the place of the one that bore its name. One that lives is taken for the old one when its
        UUID or serial number differs from the one that is described.
    type: str
    choices: [add, remove, replace]
    required: true
  machine:
    description: Name in the inventory of the machine that is removed or replaced.
    type: str
    default: ""
  machines:
    description: All machines of the inventory.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name in the inventory.
        type: str
        required: true
      address:
        description: Address of the machine.
        type: str
        required: true
      node:
        description: Name of its node. By default O(machines[].name).
        type: str
        default: ""
      role:
        description: What the machine is in the cluster.
        type: str
        choices: [controlplane, worker]
        default: controlplane
      uuid:
        description: UUID of the machine. Empty where it is not known.
        type: str
        default: ""
      serial:
        description: Serial number of the machine. Empty where it is not known.
        type: str
        default: ""
  endpoint:
    description: URL of the Kubernetes API. A machine that it leads to cannot be taken away.
    type: str
    default: ""
  even:
    description: An even number of control planes may be left.
    type: bool
    default: false
  report:
    description: Only tell how everything is. Nothing in the way fails the task.
    type: bool
    default: false
  talosconfig:
    description: File with the client certificate for the machines.
    type: path
    required: true
  talosctl:
    description: The program C(talosctl).
    type: str
    default: talosctl
  timeout:
    description: Seconds after which the task gives up. The pod through which Ceph is asked may have to start on another machine first.
    type: int
    default: 420
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_talos
requirements:
  - talosctl
seealso:
  - module: trinode.platform.rolling_plan
  - module: trinode.platform.talos_etcd_member
  - module: trinode.platform.ceph_osd
"""

EXAMPLES = r"""
- name: What it takes to replace m3
  trinode.platform.membership_plan:
    operation: replace
    machine: m3
    machines: "{{ groups['machines'] | trinode.platform.membership_machines(hostvars) }}"
    talosconfig: cluster/talosconfig
    kubeconfig: cluster/kubeconfig
"""

RETURN = r"""
steps:
  description: What is left to do, in order.
  type: list
  elements: str
  returned: success
  sample:
    - remove the member m3 (6f1a2b3c4d5e6f70) from etcd
    - delete the node m3 from Kubernetes
    - remove osd.2, osd.5 of m3, which are lost, from Ceph
    - configure m3, which joins the cluster, and give its disks to Ceph
standing:
  description:
    - Who answers at the address of O(machine). V(member), the described machine, as one of the cluster's; V(old), another one of the cluster's; V(bare), the
      described one in maintenance mode; V(retired), another one in maintenance mode; V(absent), nobody; V(foreign), one of another cluster.
    - Empty without O(machine).
  type: str
  returned: always
  sample: bare
stage:
  description: Stage of O(machine) in Talos's own word, or empty.
  type: str
  returned: success
  sample: maintenance
leave:
  description: Whether the machine lives, and is to be drained and reset first.
  type: bool
  returned: success
  sample: false
member_id:
  description: Id of a member of etcd that is to be removed, or empty.
  type: str
  returned: success
  sample: 6f1a2b3c4d5e6f70
osds:
  description: OSDs that are to be removed. Those of a machine that is dead have failed.
  type: list
  elements: int
  returned: success
  sample: [2, 5]
delete_node:
  description: Whether its node is to be deleted.
  type: bool
  returned: success
  sample: true
new:
  description: Names of machines that are to join.
  type: list
  elements: str
  returned: success
  sample: []
begun:
  description: Those of RV(new) that have their configuration already.
  type: list
  elements: str
  returned: success
  sample: []
absent:
  description: Names of machines that do not answer.
  type: list
  elements: str
  returned: always
  sample: []
swap:
  description: What a person has to do before it can go on, or empty.
  type: str
  returned: success
  sample: ""
note:
  description: What is worth knowing, or empty.
  type: str
  returned: success
  sample: ""
findings:
  description: What is in the way.
  type: list
  elements: str
  returned: always
  sample: []
table:
  description: How everything is, as lines of text.
  type: list
  elements: str
  returned: always
  sample:
    - MACHINE  ADDRESS     ROLE           STATE        ETCD                NODE      OSDS
    - m1       192.0.2.11  control plane  running      voter               Ready     0, 3
    - m3       192.0.2.13  control plane  maintenance  voter, not healthy  NotReady  2 down, 5 down
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.rolling import membership, membership_observe
from ansible_collections.trinode.platform.plugins.module_utils.rolling.membership import Cluster, Machine, Plan
from ansible_collections.trinode.platform.plugins.module_utils.rolling.observe import Access
from ansible_collections.trinode.platform.plugins.module_utils.rolling.plan import Finding
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "operation": {"type": "str", "choices": ["add", "remove", "replace"], "required": True},
    "machine": {"type": "str", "default": ""},
    "machines": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "node": {"type": "str", "default": ""},
            "role": {"type": "str", "choices": ["controlplane", "worker"], "default": "controlplane"},
            "uuid": {"type": "str", "default": ""},
            "serial": {"type": "str", "default": ""},
        },
    },
    "endpoint": {"type": "str", "default": ""},
    "even": {"type": "bool", "default": False},
    "report": {"type": "bool", "default": False},
    "talosconfig": {"type": "path", "required": True},
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 420},
}


def run(task: Task) -> Outcome:
    """Read, plan, tell."""
    params = task.params
    machines = [_machine(item) for item in params["machines"]]
    listed = any(machine.name == params["machine"] for machine in machines)
    if params["operation"] != "add" and not listed:
        # What is not in the inventory any more may be gone from the cluster, too.
        if params["operation"] == "replace" or not params["machine"]:
            names = ", ".join(machine.name for machine in machines)
            raise InputError(f"{params['machine']!r} is none of the machines of the inventory", where="machine", hint=f"They are {names}.")
        machines.append(Machine(params["machine"], "", params["machine"]))
    access = Access(params["talosctl"], params["talosconfig"], params["kubeconfig"], params["context"])
    cluster = membership_observe.read(machines, urlsplit(params["endpoint"]).hostname or "", access, Deadline(params["timeout"]))
    target = cluster.machine(params["machine"])
    made = _plan(cluster, target, params, listed=listed)
    table = membership.table(cluster)
    findings = [str(finding) for finding in made.objections]
    absent = [machine.name for machine in cluster.machines if machine.standing == "absent" and machine.address]
    if findings and not params["report"]:
        raise RefusedError(
            f"nothing was begun, since {len(findings)} {'thing is' if len(findings) == 1 else 'things are'} in the way:\n  "
            + "\n  ".join(findings)
            + "\n"
            + "\n".join(table)
            + "\n",
            details={"findings": findings, "table": table, "standing": made.standing, "absent": absent},
        )
    values = {
        "steps": list(made.steps),
        "standing": made.standing,
        "stage": target.observed.stage if target else "",
        "leave": made.leave,
        "member_id": made.member_id,
        "osds": list(made.osds),
        "delete_node": made.delete_node,
        "new": list(made.new),
        "begun": [machine.name for machine in cluster.machines if machine.name in made.new and machine.observed.trust == "ours"],
        "absent": absent,
        "swap": made.swap,
        "note": made.note,
        "findings": findings,
        "table": table,
    }
    return Outcome(message="; ".join(made.steps) or "nothing is left to do", values=values)


def _machine(item: Mapping[str, Any]) -> Machine:
    return Machine(item["name"], item["address"], item["node"] or item["name"], item["role"] == "controlplane", item["uuid"], item["serial"])


def _plan(cluster: Cluster, machine: Machine | None, params: Mapping[str, Any], *, listed: bool) -> Plan:
    if params["operation"] == "add" or machine is None:
        return membership.add(cluster)
    if params["operation"] == "replace":
        return membership.substitute(cluster, machine)
    made = membership.remove(cluster, machine, even=params["even"])
    if made.steps and not listed:
        why = Finding(machine.name, "the cluster knows it, and the inventory does not", "Put it back there until it is removed: its address has to be known.")
        return Plan(standing=made.standing, objections=(why,))
    return made


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
