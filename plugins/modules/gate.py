#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Let a play go on only when machines, etcd, nodes and Ceph are well
version_added: 1.0.0
description:
  - Reads everything at once, and passes when nothing is wrong and stayed so for O(stable_for). Otherwise it looks again, until O(timeout).
  - What cannot be read counts as wrong. Ceph is asked only where a CephCluster runs.
  - In check mode it looks once, and reports what it found without failing or waiting.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_talos
options:
  checks:
    description: What to look at.
    type: list
    elements: str
    choices: [machines, etcd, nodes, ceph]
    default: [machines, etcd, nodes, ceph]
  machines:
    description: Addresses of all machines.
    type: list
    elements: str
    required: true
  endpoints:
    description: Addresses of the control planes. All of them are expected to be voters of etcd.
    type: list
    elements: str
    required: true
  nodes:
    description: Names of the nodes that are expected.
    type: list
    elements: str
    default: []
  planned_loss:
    description:
      - Address of the machine that is about to be disrupted. etcd and Ceph's monitors must keep their quorum without it, and Ceph has to say that all data
        can be used while its OSDs are stopped.
    type: str
    default: ""
  allowed_cordoned:
    description: Names of nodes that may be cordoned. The machine that is about to be disrupted always may.
    type: list
    elements: str
    default: []
  stable_for:
    description: Seconds for which everything must stay well.
    type: float
    default: 0
  ceph_allowed:
    description:
      - Names of Ceph's health checks that may warn, beside those that say nothing of whether data is safe (V(AUTH_INSECURE_GLOBAL_ID_RECLAIM),
        V(AUTH_INSECURE_GLOBAL_ID_RECLAIM_ALLOWED), V(POOL_APP_NOT_ENABLED), V(POOL_TOO_FEW_PGS), V(POOL_TOO_MANY_PGS), V(RECENT_CRASH),
        V(RECENT_MGR_MODULE_CRASH), V(TELEMETRY_CHANGED)). What Ceph calls an error is never allowed.
    type: list
    elements: str
    default: []
  ceph_settle:
    description:
      - Seconds for which Ceph must stay well, where it runs. After the loss of an OSD its placement groups look well for a while, so one look is not enough.
    type: float
    default: 10
  ceph_osds:
    description: How many OSDs have to be up and in, at least.
    type: int
    default: 0
  ceph_without:
    description:
      - OSDs that are known to be missing, such as one whose disk has failed. What follows from that alone is allowed then, copies that are missing too, as
        long as all data can be used.
    type: list
    elements: int
    default: []
  talosconfig:
    description: File with the client certificate for the machines. Needed for the checks V(machines) and V(etcd).
    type: path
    default: ""
  kubeconfig:
    description: File with the credentials for the Kubernetes API. Needed for the checks V(nodes) and V(ceph).
    type: path
    default: ""
  talosctl:
    description: The program C(talosctl).
    type: str
    default: talosctl
  timeout:
    description: Seconds after which the gate counts as closed.
    type: int
    default: 300
requirements:
  - talosctl
  - kubernetes >= 31.0.0 (Python package)
seealso:
  - module: trinode.platform.ceph_info
  - module: trinode.platform.talos_etcd_info
  - module: trinode.platform.talos_machine_info
"""

EXAMPLES = r"""
- name: Go on only when losing m2 is safe
  trinode.platform.gate:
    machines: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    endpoints: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    nodes: [m1, m2, m3]
    planned_loss: 192.0.2.12
    stable_for: 10
    talosconfig: cluster/talosconfig
    kubeconfig: cluster/kubeconfig
"""

RETURN = r"""
passed:
  description: Whether nothing is wrong.
  type: bool
  returned: always
  sample: true
findings:
  description: What is wrong. Empty when the gate is open.
  type: list
  elements: dict
  returned: always
  contains:
    check:
      description: The check.
      type: str
      sample: etcd
    where:
      description: The machine, node, monitor or OSD, or V(cluster).
      type: str
      sample: 192.0.2.12
    problem:
      description: What is wrong.
      type: str
      sample: there are 2 voters, expected are 3
    advice:
      description: What to do.
      type: str
table:
  description: What was seen, as lines of text.
  type: list
  elements: str
  returned: when the gate is open, or in check mode
  sample:
    - MACHINE  ADDRESS     TALOS    STAGE    ETCD    NODE   KUBERNETES
    - m1       192.0.2.11  v1.13.8  running  leader  Ready  v1.36.3
    - "Ceph 20.2.4: HEALTH_OK, 3 of 3 monitors in quorum, 6 of 6 OSDs up and in, 33 of 33 placement groups active+clean, 9% used"
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.gate.ceph import ALLOWED, CephPolicy, judge_ceph
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import judge_etcd, judge_machines, judge_nodes
from ansible_collections.trinode.platform.plugins.module_utils.gate.gate import table, wait_until_open
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources, read
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, View
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

CHECKS = ["machines", "etcd", "nodes", "ceph"]

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "checks": {"type": "list", "elements": "str", "choices": CHECKS, "default": CHECKS},
    "machines": {"type": "list", "elements": "str", "required": True},
    "endpoints": {"type": "list", "elements": "str", "required": True},
    "nodes": {"type": "list", "elements": "str", "default": []},
    "planned_loss": {"type": "str", "default": ""},
    "allowed_cordoned": {"type": "list", "elements": "str", "default": []},
    "stable_for": {"type": "float", "default": 0},
    "ceph_allowed": {"type": "list", "elements": "str", "default": []},
    "ceph_settle": {"type": "float", "default": 10},
    "ceph_osds": {"type": "int", "default": 0},
    "ceph_without": {"type": "list", "elements": "int", "default": []},
    "talosconfig": {"type": "path", "default": ""},
    "kubeconfig": {"type": "path", "default": ""},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 300},
}


def run(task: Task) -> Outcome:
    """Look until the gate is open; in check mode once."""
    params = task.params
    deadline = Deadline(params["timeout"])
    sources = Sources(
        params["checks"],
        params["machines"],
        params["endpoints"],
        params["talosctl"],
        params["talosconfig"],
        params["kubeconfig"],
        planned_loss=params["planned_loss"],
    )

    def look() -> tuple[View, list[Finding]]:
        view = read(sources, Deadline(max(deadline.remaining, 1.0)))
        findings = judge_machines(view.machines)
        if "etcd" in params["checks"]:
            findings += judge_etcd(view.etcd, voters=len(params["endpoints"]), planned_loss=params["planned_loss"])
        if "nodes" in params["checks"]:
            findings += judge_nodes(view.nodes, view.nodes_problem, expected=params["nodes"], allowed_cordoned=(*params["allowed_cordoned"], view.planned_loss))
        policy = CephPolicy((*ALLOWED, *params["ceph_allowed"]), params["ceph_osds"], params["ceph_without"], view.planned_loss)
        return view, findings + judge_ceph(view.ceph, view.ceph_problem, policy)

    def stable_for(view: View) -> float:
        return float(max(params["stable_for"], params["ceph_settle"] if view.ceph else 0))

    if task.check_mode:
        view, findings = look()
    else:
        view, findings = wait_until_open(look, stable_for=stable_for, deadline=deadline), []
    return Outcome(values={"passed": not findings, "findings": [finding.as_values() for finding in findings], "table": table(view)})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
