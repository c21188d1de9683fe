#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: postgres_switchover
short_description: Move the primaries of CloudNativePG's databases off a node
version_added: 1.0.0
description:
  - For each database whose primary is on the node, has a ready replica on another node that takes pods take over, and waits until it has. It asks for it as
    C(kubectl cnpg promote) does.
  - A database with a single instance is left alone, since its primary has nowhere to go; whether its budget lets it be drained is for
    M(trinode.platform.kube_drain) to say. So is a database of which no replica can take over, with a warning.
  - Where CloudNativePG is not installed, there is nothing to do.
author:
  - trinode.platform contributors (@trinode)
options:
  node:
    description: Name of the node.
    type: str
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
seealso:
  - module: trinode.platform.kube_drain
"""

EXAMPLES = r"""
- name: Before the node is drained
  trinode.platform.postgres_switchover:
    kubeconfig: "{{ trinode_kubeconfig }}"
    node: m1
"""

RETURN = r"""
switchovers:
  description: The databases whose primary has moved, or would.
  type: list
  elements: dict
  returned: success
  contains:
    namespace:
      description: Namespace of the database.
      type: str
    cluster:
      description: Name of the database.
      type: str
    primary:
      description: The instance that was the primary.
      type: str
    target:
      description: The instance that takes over.
      type: str
  sample:
    - namespace: shop
      cluster: orders
      primary: orders-1
      target: orders-2
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import postgres
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import connect
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "node": {"type": "str", "required": True},
}


def run(task: Task) -> Outcome:
    params = task.params
    deadline = Deadline(params["timeout"])
    client = connect(params["kubeconfig"], params["context"], deadline)
    try:
        found = postgres.find(client, params["node"], deadline)
        moves = [move for move in found if move.target]
        for move in found:
            if not move.target:
                task.warn(f"The database {move.namespace}/{move.cluster} keeps its primary {move.primary} on {params['node']}: {move.why}.")
        if not task.check_mode:
            postgres.switch(client, moves, deadline)
    finally:
        client.close()
    values = [{"namespace": move.namespace, "cluster": move.cluster, "primary": move.primary, "target": move.target} for move in moves]
    diff = {
        "before_header": "primaries",
        "after_header": "primaries",
        "before": "".join(f"{move.namespace}/{move.primary}\n" for move in moves),
        "after": "".join(f"{move.namespace}/{move.target}\n" for move in moves),
    }
    message = "; ".join(move.text for move in moves) or f"no primary has to leave {params['node']}"
    return Outcome(changed=bool(moves), message=message, diff=diff if moves else None, values={"switchovers": values})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
