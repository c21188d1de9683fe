#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: rolling_plan
short_description: Plan work that takes one machine after another out of the cluster
version_added: 1.0.0
description:
  - Reads every machine, its member of etcd and its node, simulates the drains, and says which machines need the work and in which order. A machine that an
    earlier run has left half done comes first (M(trinode.platform.kube_drain) has marked its node), the leader of etcd last, and what is up to date is left
    out.
  - Everything that is in the way is said at once, and the task fails. An upgrade that skips a minor release, a downgrade, a version that does not go with the
    Kubernetes that runs, a machine that is out, a node that somebody else has cordoned, a pod that would be lost, and a disruption budget that never lets go.
  - Machines that need nothing are no reason to fail, whatever their state.
author:
  - trinode.platform contributors (@trinode)
options:
  machines:
    description: All machines of the cluster.
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
      image:
        description: The installer image that it is to run, whose tag is the version. Empty where the work is no upgrade.
        type: str
        default: ""
      reason:
        description: Why it needs other work, in words. Empty where it needs none.
        type: str
        default: ""
  report:
    description: Only tell how everything is. Nothing in the way fails the task.
    type: bool
    default: false
  delete_empty_dir_data:
    description: Pods with C(emptyDir) volumes may be evicted.
    type: bool
    default: false
  delete_unmanaged:
    description: Pods that have no controller may be evicted.
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
    description: Seconds after which the task gives up.
    type: int
    default: 60
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_talos
requirements:
  - talosctl
seealso:
  - module: trinode.platform.gate
  - module: trinode.platform.kube_drain
  - module: trinode.platform.talos_upgrade
"""

EXAMPLES = r"""
- name: Which machines would be upgraded, and in which order
  trinode.platform.rolling_plan:
    machines:
      - name: m1
        address: 192.0.2.11
        image: factory.talos.dev/metal-installer/376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba:v1.13.9
    delete_empty_dir_data: true
    talosconfig: cluster/talosconfig
    kubeconfig: cluster/kubeconfig
"""

RETURN = r"""
work:
  description: Names of the machines to work on, in order.
  type: list
  elements: str
  returned: success
  sample: [m2, m3, m1]
recover:
  description: Names of the machines that an earlier run has left half done, and that come first.
  type: list
  elements: str
  returned: success
  sample: []
nodes:
  description: Names of the nodes of RV(recover).
  type: list
  elements: str
  returned: success
  sample: []
reasons:
  description: What each machine of RV(work) needs.
  type: dict
  returned: success
  sample: {"m2": "v1.13.8 → v1.13.9"}
findings:
  description: What is in the way.
  type: list
  elements: str
  returned: always
  sample: []
table:
  description: The plan, as lines of text.
  type: list
  elements: str
  returned: always
  sample:
    - STEP  MACHINE  ADDRESS     TALOS    SCHEMATIC  STATE    ETCD    NODE   WHAT
    - 1     m2       192.0.2.12  v1.13.8  none       running          Ready  v1.13.8 → v1.13.9
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.drain_plan import Options
from ansible_collections.trinode.platform.plugins.module_utils.rolling import observe, show, target
from ansible_collections.trinode.platform.plugins.module_utils.rolling.plan import Machine, plan
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "machines": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "node": {"type": "str", "default": ""},
            "image": {"type": "str", "default": ""},
            "reason": {"type": "str", "default": ""},
        },
    },
    "report": {"type": "bool", "default": False},
    "delete_empty_dir_data": {"type": "bool", "default": False},
    "delete_unmanaged": {"type": "bool", "default": False},
    "talosconfig": {"type": "path", "required": True},
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 60},
}


def run(task: Task) -> Outcome:
    """Read, plan, tell."""
    params = task.params
    options = Options(params["delete_empty_dir_data"], params["delete_unmanaged"])
    access = observe.Access(params["talosctl"], params["talosconfig"], params["kubeconfig"], params["context"], options)
    found = observe.read(_machines(params["machines"]), access, Deadline(params["timeout"]))
    made = plan(found)
    table = show.table(found, made)
    findings = [str(finding) for finding in made.objections]
    if findings and not params["report"]:
        raise RefusedError(
            f"nothing was begun, since {len(findings)} things are in the way:\n  " + "\n  ".join(findings) + "\n" + "\n".join(table),
            details={"findings": findings, "table": table},
        )
    for warning in made.warnings:
        task.warn(str(warning))
    nodes = {machine.name: machine.node for machine in found}
    values = {
        "work": list(made.work),
        "recover": list(made.recover),
        "nodes": [nodes[name] for name in made.recover],
        "reasons": dict(made.reasons),
        "findings": findings,
        "table": table,
    }
    message = "nothing to do" if made.empty else f"{len(made.work)} of {len(found)} machines, one after another: {', '.join(made.work) or 'none'}"
    return Outcome(message=message, values=values)


def _machines(given: list[dict[str, Any]]) -> list[Machine]:
    machines, problems = [], []
    for item in given:
        try:
            wanted = target.read(item["image"], where=item["name"]) if item["image"] else target.Target()
        except InputError as error:
            problems.append(str(error))
            continue
        machines.append(Machine(item["name"], item["address"], item["node"] or item["name"], wanted, item["reason"]))
    if problems:
        raise InputError("; ".join(problems))
    return machines


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
