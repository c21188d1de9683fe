#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: gate
short_description: Let a play go on only when the cluster is well
version_added: 1.0.0
description:
  - Runs all checks at once, and passes when nothing is wrong and stayed so for O(stable_for). Otherwise it looks again, until O(timeout).
  - What cannot be read counts as wrong. What is not installed has nothing wrong with it.
  - Each check has its own part of the time, and each finding says in a line what is wrong, where, and what to do.
  - In check mode it looks once, and reports what it found without failing or waiting; O(commands) and O(jobs) are not run.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_talos
options:
  checks:
    description:
      - What to look at.
      - V(machines) - every machine is running and ready, and its services are healthy.
      - V(etcd) - all control planes are voters, agree on a leader and are not far behind; no alarm; room up to the quota; the quorum stays without
        O(planned_loss).
      - V(nodes) - every node of O(nodes) is there and Ready, and none is cordoned but those of O(allowed_cordoned).
      - V(network) - the agent of Cilium (or Calico, Flannel) is ready on each node, and the API server of each control plane is ready and reaches the
        ClusterIP of the services that serve APIs, such as metrics-server's.
      - V(ceph) - health, monitors, OSDs, placement groups, flags and disruption budgets; the data stays usable without O(planned_loss).
      - V(databases) - clusters of CloudNativePG have all instances ready, a primary, and replicas that are close behind; none has its only instance on
        O(planned_loss). The StatefulSets of the OT Redis operator are ready.
      - V(webhooks) - every admission webhook that refuses when nobody answers has a ready pod, and one on another node than O(planned_loss).
      - V(certificates) - the client certificates in O(talosconfig) and O(kubeconfig), what API servers and machines show, and cert-manager's are ready and
        valid for some time.
      - V(budgets) - no disruption budget would hold up draining O(planned_loss).
      - V(gitops) - Argo CD's Applications of the platform are Synced and Healthy, and none is in the middle of a sync.
    type: list
    elements: str
    choices: [machines, etcd, nodes, network, ceph, databases, webhooks, certificates, budgets, gitops]
    default: [machines, etcd, nodes, network, ceph, databases, webhooks, certificates, budgets, gitops]
  commands:
    description:
      - Checks of your own, run on this computer when all others pass. They only look; they may be run several times.
      - They have O(kubeconfig) and O(talosconfig) in C(KUBECONFIG) and C(TALOSCONFIG), and the address of O(planned_loss) in C(TRINODE_GATE_PLANNED_LOSS).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: A name for the table.
        type: str
        required: true
      argv:
        description: The program and its arguments. No shell. An exit code other than 0 closes the gate; the last lines of its standard error say why.
        type: list
        elements: str
        required: true
      timeout:
        description: Seconds after which it counts as failed.
        type: float
        default: 60
  jobs:
    description: Checks of your own that run in the cluster as Jobs, when all others pass. Each is made for the time of the check and removed after.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: A name for the table. By RFC 1123, since the Job's name begins with it.
        type: str
        required: true
      namespace:
        description: Where to run it.
        type: str
        default: default
      manifest:
        description:
          - The Job. Its name and namespace are replaced; C(backoffLimit) is 0 unless it says otherwise.
          - One that fails closes the gate; the last lines of its pod's log say why.
        type: dict
        required: true
      timeout:
        description: Seconds after which it counts as failed.
        type: float
        default: 120
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
        can be used while its OSDs are stopped; databases, webhooks and disruption budgets are judged without it, too.
    type: str
    default: ""
  allowed_cordoned:
    description: Names of nodes that may be cordoned. The machine that is about to be disrupted always may.
    type: list
    elements: str
    default: []
  allowed:
    description:
      - Findings that are known and only warn, as patterns C(CHECK/WHERE) such as V(webhooks/my-policies*) or V(databases/Cluster shop/orders).
    type: list
    elements: str
    default: []
  stable_for:
    description: Seconds for which everything must stay well.
    type: float
    default: 0
  wait:
    description: Whether to look until the gate is open. V(false) looks once, and reports what it found without failing.
    type: bool
    default: true
  certificate_warn:
    description:
      - Warn of certificates that expire within so many days, or with less than a quarter of their life left if that is later. Certificates that live a day
        and are renewed twice in it are no reason to warn.
    type: float
    default: 30
  certificate_refuse:
    description: Days that a certificate has to be valid yet, or a tenth of its life if that is less.
    type: float
    default: 7
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
  gone:
    description:
      - Names of nodes whose machines are dead. What follows from that alone is allowed then in V(etcd), V(nodes) and V(ceph), as long as etcd keeps its quorum
        and all data can be used; so is that their members and nodes are removed already.
      - O(machines), O(endpoints) and O(nodes) leave them out.
    type: list
    elements: str
    default: []
  talosconfig:
    description: File with the client certificate for the machines. Needed for the checks V(machines), V(etcd) and V(certificates).
    type: path
    default: ""
  kubeconfig:
    description: File with the credentials for the Kubernetes API. Needed for all other checks.
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

- name: The same, with a check of my own, and where it is known that a database is away meanwhile
  trinode.platform.gate:
    machines: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    endpoints: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    planned_loss: 192.0.2.12
    allowed: [databases/Cluster shop/orders]
    commands:
      - name: shop
        argv: [curl, --fail, --silent, --show-error, --max-time, "5", https://shop.example.org/health]
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
      description: The machine, node, monitor, OSD or object, or V(cluster).
      type: str
      sample: 192.0.2.12
    problem:
      description: What is wrong.
      type: str
      sample: there are 2 voters, expected are 3
    advice:
      description: What to do.
      type: str
    severity:
      description: V(error).
      type: str
      sample: error
warned:
  description: What is not as it should be and does not close the gate, with V(warning) as its severity.
  type: list
  elements: dict
  returned: always
checks:
  description: The checks that were run.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: The check; of your own with V(command) or V(job) before the name.
      type: str
      sample: etcd
    result:
      description: V(passed), V(failed) or V(not run).
      type: str
      sample: passed
    seconds:
      description: How long it took.
      type: float
      sample: 0.35
    seen:
      description: What was seen.
      type: str
      sample: 3 of 3 members answer, leader 192.0.2.11, database 25 MB of 2.0 GiB, 48% of it in use
table:
  description: A line for each check.
  type: list
  elements: str
  returned: always
  sample:
    - CHECK     RESULT  TOOK   SEEN
    - machines  passed  0.4 s  3 of 3 running and ready, Talos v1.13.8
    - gitops    passed  0.1 s  not installed
machines:
  description: A line for each machine, from the checks V(machines), V(etcd) and V(nodes).
  type: list
  elements: str
  returned: always
  sample:
    - MACHINE  ADDRESS     TALOS    STAGE    ETCD    NODE   KUBERNETES
    - m1       192.0.2.11  v1.13.8  running  leader  Ready  v1.36.3
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.gate.gate import values, wait_until_open
from ansible_collections.trinode.platform.plugins.module_utils.gate.look import Result, findings_of, look
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources
from ansible_collections.trinode.platform.plugins.module_utils.gate.registry import NAMES
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Policy
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

if TYPE_CHECKING:
    from ansible_collections.trinode.platform.plugins.module_utils.gate.user_checks import UserChecks

_TEXTS: dict[str, Any] = {"type": "list", "elements": "str"}

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "checks": {**_TEXTS, "choices": list(NAMES), "default": list(NAMES)},
    "commands": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "argv": {**_TEXTS, "required": True},
            "timeout": {"type": "float", "default": 60},
        },
    },
    "jobs": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "default": "default"},
            "manifest": {"type": "dict", "required": True},
            "timeout": {"type": "float", "default": 120},
        },
    },
    "machines": {**_TEXTS, "required": True},
    "endpoints": {**_TEXTS, "required": True},
    "nodes": {**_TEXTS, "default": []},
    "planned_loss": {"type": "str", "default": ""},
    "allowed_cordoned": {**_TEXTS, "default": []},
    "allowed": {**_TEXTS, "default": []},
    "stable_for": {"type": "float", "default": 0},
    "wait": {"type": "bool", "default": True},
    "certificate_warn": {"type": "float", "default": 30},
    "certificate_refuse": {"type": "float", "default": 7},
    "ceph_allowed": {**_TEXTS, "default": []},
    "ceph_settle": {"type": "float", "default": 10},
    "ceph_osds": {"type": "int", "default": 0},
    "ceph_without": {"type": "list", "elements": "int", "default": []},
    "gone": {**_TEXTS, "default": []},
    "talosconfig": {"type": "path", "default": ""},
    "kubeconfig": {"type": "path", "default": ""},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 300},
}


def run(task: Task) -> Outcome:
    """Look until the gate is open; in check mode, or when told not to wait, once."""
    params = task.params
    policy, deadline = _policy(params), Deadline(params["timeout"])
    own = _own_checks(params, allowed=not task.check_mode)

    def one_look() -> list[Result]:
        sources = Sources(policy, talosctl=params["talosctl"], talosconfig=params["talosconfig"], kubeconfig=params["kubeconfig"])
        try:
            results = look(params["checks"], sources, Deadline(max(deadline.remaining, 1.0)))
            wrong, _warnings = findings_of(results)
            return results + (own.look(sources, deadline, others_pass=not wrong) if own else [])
        finally:
            sources.close()

    def stable_for(results: Sequence[Result]) -> float:
        has_ceph = any(result.check == "ceph" and result.view is not None and result.view.ceph for result in results)
        return float(max(params["stable_for"], params["ceph_settle"] if has_ceph else 0))

    once = task.check_mode or not params["wait"]
    results = one_look() if once else wait_until_open(one_look, stable_for=stable_for, deadline=deadline)
    return Outcome(values=values(results))


def _policy(params: Mapping[str, Any]) -> Policy:
    return Policy(
        machines=params["machines"],
        endpoints=params["endpoints"],
        nodes=params["nodes"],
        planned_loss=params["planned_loss"],
        allowed_cordoned=params["allowed_cordoned"],
        allowed=params["allowed"],
        certificate_warn_days=params["certificate_warn"],
        certificate_refuse_days=params["certificate_refuse"],
        ceph_allowed=params["ceph_allowed"],
        ceph_osds=params["ceph_osds"],
        ceph_without=params["ceph_without"],
        gone=params["gone"],
    )


def _own_checks(params: Mapping[str, Any], *, allowed: bool) -> UserChecks | None:
    """The user's checks, which most do not have."""
    if not params["commands"] and not params["jobs"]:
        return None
    from ansible_collections.trinode.platform.plugins.module_utils.gate.user_checks import Command, Job, UserChecks  # noqa: PLC0415

    commands = [Command(item["name"], item["argv"], item["timeout"]) for item in params["commands"]]
    jobs = [Job(item["name"], item["namespace"], item["manifest"], item["timeout"]) for item in params["jobs"]]
    return UserChecks([*commands, *jobs], allowed=allowed)


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
