#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kube_quiesce
short_description: Bring what runs in a cluster to rest before all machines are switched off, and back
version_added: 1.0.0
description:
  - V(quiesced) cordons all nodes, hibernates the databases of CloudNativePG, ends every pod that has a volume, waits until no volume of Ceph is attached,
    and sets Ceph's flags C(noout), C(norebalance), C(nobackfill) and C(norecover). A node with a mounted volume of Ceph may hang when it is switched off.
  - V(resumed) takes back what a stop has done, and nothing that was so before. What it has done is marked in the cluster (C(trinode.platform/stop) on
    databases and the CephCluster, C(trinode.platform/rolling=stop) on nodes).
  - Pods are deleted, not evicted, since disruption budgets cannot hold when everything stops.
author:
  - trinode.platform contributors (@trinode)
options:
  state:
    description: What is wanted.
    type: str
    choices: [quiesced, resumed]
    required: true
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Bring the cluster to rest
  trinode.platform.kube_quiesce:
    kubeconfig: "{{ trinode_kubeconfig }}"
    state: quiesced
"""

RETURN = r"""
steps:
  description: What was (in check mode, would be) done.
  type: list
  elements: str
  returned: success
  sample: [node m1 takes no new pods, "pod grafana/grafana-0, which has a volume, goes"]
cordoned:
  description: Nodes that somebody else had cordoned before; V(resumed) leaves them so.
  type: list
  elements: str
  returned: success
  sample: [m3]
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.quiesce import settle
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["quiesced", "resumed"], "required": True},
    "timeout": {"type": "int", "default": 600},
}


def run(task: Task) -> Outcome:
    params = task.params
    deadline = Deadline(params["timeout"])
    client = connect(params["kubeconfig"], params["context"], deadline)
    try:
        steps, cordoned = settle(client, params["state"], check_mode=task.check_mode, deadline=deadline)
    finally:
        client.close()
    texts = [step.text for step in steps]
    diff = {"before": "", "after": "".join(f"{line}\n" for line in texts)} if texts else None
    return Outcome(changed=bool(texts), diff=diff, values={"steps": texts, "cordoned": list(cordoned)})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
