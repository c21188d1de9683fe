#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kube_drain
short_description: Drain a Kubernetes node, or find out what would keep it from being drained
version_added: 1.0.0
description:
  - Cordons a node, evicts its pods through the Eviction API, so that disruption budgets are respected, and returns when they are gone.
  - Static pods and pods of DaemonSets stay. Pods that nobody would bring back, and pods that would lose an C(emptyDir), are not touched unless you say so;
    then the task fails before anything is done.
  - Pods that come meanwhile are evicted too. A drained node is left as it is.
author:
  - trinode.platform contributors (@trinode)
options:
  node:
    description: Name of the node. Only a simulation may go without; it is about every node then.
    type: str
  state:
    description:
      - V(drained), it takes no new pods, and those that can leave have left.
      - V(cordoned), it takes no new pods.
      - V(uncordoned), it takes new pods again.
    type: str
    choices: [drained, cordoned, uncordoned]
    default: drained
  reason:
    description:
      - Why the node is cordoned. It is written onto the node as the annotation C(trinode.platform/rolling), in the request that cordons it, so that a later run
        knows a node that an interrupted one has left. A node that is cordoned already gets no such mark.
      - With O(state=uncordoned), a node that somebody else has cordoned, which bears no such mark, stays cordoned.
    type: str
    default: ""
  simulate:
    description:
      - Touch nothing, and say which pods would have to leave, which may not be taken away unasked, and which disruption budgets would be in the way (see
        RV(blockers)). The task does not fail, whatever it finds.
    type: bool
    default: false
  grace_period:
    description: Seconds that pods get to end. V(-1) leaves it to each pod.
    type: int
    default: -1
  delete_empty_dir_data:
    description: Evict pods with C(emptyDir) volumes too, whose content is lost.
    type: bool
    default: false
  delete_unmanaged:
    description: Evict pods too that have no controller, which nobody brings back.
    type: bool
    default: false
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
attributes:
  check_mode:
    support: full
    details: The same reads and the same refusals; RV(evicted) has the pods that would be evicted, and RV(blockers) what would be in the way.
  diff_mode:
    support: full
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Take the pods off a node, before it is upgraded
  trinode.platform.kube_drain:
    kubeconfig: "{{ trinode_kubeconfig }}"
    node: m1
    delete_empty_dir_data: true
    timeout: 900

- name: Let pods come back
  trinode.platform.kube_drain:
    kubeconfig: "{{ trinode_kubeconfig }}"
    node: m1
    state: uncordoned

- name: Would anything keep any node from being drained
  trinode.platform.kube_drain:
    kubeconfig: "{{ trinode_kubeconfig }}"
    simulate: true
    delete_empty_dir_data: true
  register: simulation
  failed_when: simulation.blockers | selectattr('verdict', 'equalto', 'never') | list
"""

RETURN = r"""
evicted:
  description: The pods that were evicted, in the order in which their eviction was granted; in check mode and in a simulation those that would be.
  type: list
  elements: str
  returned: success
  sample: [monitoring/grafana-6d5f-abcde]
left:
  description: The pods that stay, with the reason.
  type: dict
  returned: success
  sample: {"kube-system/cilium-x7k2p": "it belongs to the DaemonSet cilium"}
refused:
  description: The pods that may not be taken away unasked, with the reason.
  type: dict
  returned: with O(simulate), or failure for that reason
  sample: {"default/shell": "has no controller, so nobody would bring it back"}
blockers:
  description: The disruption budgets that are in the way.
  type: list
  elements: dict
  returned: with O(simulate) or in check mode
  contains:
    budget:
      description: Namespace and name of the budget.
      type: str
    node:
      description: The node.
      type: str
    pods:
      description: The pods on the node that it holds.
      type: list
      elements: str
    verdict:
      description: V(never), waiting does not help; V(now), until something is repaired or finished; V(later), it slows the drain down.
      type: str
    why:
      description: The reason.
      type: str
    fix:
      description: What to do.
      type: str
  sample:
    - budget: shop/web
      node: m1
      pods: [shop/web-0]
      verdict: never
      why: "minAvailable: 1 with 1 pods lets none of them go, ever"
      fix: "Run 2 replicas or more, or remove the budget: it cannot protect a single pod."
remaining:
  description: The pods that are still there.
  type: list
  elements: str
  returned: when the time is over
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import drain
from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import Blocker, label
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.drain_plan import Options
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "node": {"type": "str"},
    "state": {"type": "str", "choices": ["drained", "cordoned", "uncordoned"], "default": "drained"},
    "reason": {"type": "str", "default": ""},
    "simulate": {"type": "bool", "default": False},
    "grace_period": {"type": "int", "default": -1},
    "delete_empty_dir_data": {"type": "bool", "default": False},
    "delete_unmanaged": {"type": "bool", "default": False},
}


def run(task: Task) -> Outcome:
    params = task.params
    deadline = Deadline(params["timeout"])
    grace = params["grace_period"]
    options = Options(params["delete_empty_dir_data"], params["delete_unmanaged"], grace if grace >= 0 else None)
    client = connect(params["kubeconfig"], params["context"], deadline)
    try:
        if params["simulate"]:
            return _simulate(client, params["node"], options, deadline)
        if params["state"] == "drained":
            return _predict(client, params["node"], options, deadline) if task.check_mode else _drain(client, params, options, deadline)
        return _cordon(client, params, deadline, check=task.check_mode)
    finally:
        client.close()


def _drain(client: Client, params: Mapping[str, Any], options: Options, deadline: Deadline) -> Outcome:
    done = drain.drain(client, params["node"], options, deadline, params["reason"])
    return _drained(params["node"], cordoned=done.cordoned, evicted=done.evicted, left=done.left)


def _predict(client: Client, node: str, options: Options, deadline: Deadline) -> Outcome:
    cordoned = not drain.is_cordoned(drain.read_node(client, node, deadline))
    plan, blockers = drain.simulate(client, [node], options, deadline)[node]
    plan.check(node)
    return _drained(node, cordoned=cordoned, evicted=[label(pod) for pod in plan.evict], left=plan.leave, blockers=_listed(blockers))


def _drained(node: str, *, cordoned: bool, evicted: list[str], left: dict[str, str], **more: Any) -> Outcome:
    message = f"{node}: {'cordoned' if cordoned else 'was cordoned'}, {len(evicted)} pods evicted, {len(left)} stay"
    before = "".join(f"{name}\n" for name in sorted(evicted))
    difference = {**_difference(node, before=not cordoned, after=True), "before": _text(not cordoned) + before}
    changed = cordoned or bool(evicted)
    return Outcome(changed=changed, message=message, diff=difference if changed else None, values={"evicted": evicted, "left": left, **more})


def _simulate(client: Client, node: str | None, options: Options, deadline: Deadline) -> Outcome:
    if node:
        drain.read_node(client, node, deadline)
    names = [node] if node else sorted(item["metadata"]["name"] for item in client.list("/api/v1/nodes")[0])
    found = drain.simulate(client, names, options, deadline)
    blockers = [blocker for name in names for blocker in found[name][1]]
    never = sum(blocker.verdict == "never" for blocker in blockers)
    message = f"{len(names)} nodes: {len(blockers)} budgets are in the way, {never} of them for ever"
    values = {
        "evicted": [label(pod) for plan, _blockers in found.values() for pod in plan.evict],
        "left": {name: why for plan, _blockers in found.values() for name, why in plan.leave.items()},
        "refused": {name: why for plan, _blockers in found.values() for name, why in plan.refuse.items()},
        "blockers": _listed(blockers),
    }
    return Outcome(message=message, values=values)


def _listed(blockers: list[Blocker]) -> list[dict[str, Any]]:
    return [{**asdict(blocker), "pods": list(blocker.pods)} for blocker in blockers]


def _cordon(client: Client, params: Mapping[str, Any], deadline: Deadline, *, check: bool) -> Outcome:
    node, cordoned = params["node"], params["state"] == "cordoned"
    found = drain.read_node(client, node, deadline)
    before, mark = drain.is_cordoned(found), drain.mark_of(found)
    nothing: dict[str, Any] = {"evicted": [], "left": {}}
    if before and not cordoned and params["reason"] and not mark:
        return Outcome(message=f"{node} was cordoned by somebody else, and stays so", values=nothing)
    # A mark that outlived its cordon (somebody took that back by hand) would claim the next one, whoever makes it.
    if before == cordoned and (cordoned or not mark):
        return Outcome(message=f"{node} is {'cordoned' if cordoned else 'not cordoned'}", values=nothing)
    if not check:
        drain.set_cordon(client, node, deadline, cordoned=cordoned, reason=params["reason"])
    message = f"{node}: {'cordoned' if cordoned else 'uncordoned'}"
    return Outcome(changed=True, message=message, diff=_difference(node, before=before, after=cordoned), values=nothing)


def _difference(node: str, *, before: bool, after: bool) -> dict[str, str]:
    return {"before_header": f"node {node}", "after_header": f"node {node}", "before": _text(before), "after": _text(after)}


def _text(cordoned: bool) -> str:
    return f"cordoned: {str(cordoned).lower()}\n"


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC, required_if=[("simulate", False, ("node",))])


if __name__ == "__main__":
    main()
