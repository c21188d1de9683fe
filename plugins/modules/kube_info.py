#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kube_info
short_description: Read Kubernetes objects, and ask questions of them
version_added: 1.0.0
description:
  - Reads objects of one or several kinds, by name or by selectors, and answers a JMESPath query over all of them.
author:
  - trinode.platform contributors (@trinode)
options:
  api_version:
    description: The objects' apiVersion. Use it with O(kind), or O(resources) instead.
    type: str
    default: v1
  kind:
    description: The objects' kind.
    type: str
    default: ""
  namespace:
    description: The objects' namespace. Empty means all, and is right for kinds that have none. Entries of O(resources) that name none get it too.
    type: str
    default: ""
  name:
    description: Name of one object. That it is not there is no error; RV(objects) is empty then.
    type: str
    default: ""
  label_selector:
    description: Only objects with these labels, as in C(app=web,tier!=cache).
    type: str
    default: ""
  field_selector:
    description: Only objects with these fields, as in C(status.phase=Running), for the few fields that the API server selects by.
    type: str
    default: ""
  resources:
    description: Several of these at once.
    type: list
    elements: dict
    default: []
    suboptions:
      api_version:
        description: The objects' apiVersion.
        type: str
        default: v1
      kind:
        description: The objects' kind.
        type: str
        required: true
      namespace:
        description: The objects' namespace.
        type: str
        default: ""
      name:
        description: Name of one object.
        type: str
        default: ""
      label_selector:
        description: Only objects with these labels.
        type: str
        default: ""
      field_selector:
        description: Only objects with these fields.
        type: str
        default: ""
  query:
    description: JMESPath over C({"items":[…]}), all objects that were read. Its answer is RV(result).
    type: str
    default: ""
  ignore_unserved:
    description: A kind that the cluster does not serve has no objects, instead of failing the task.
    type: bool
    default: false
  reveal_secrets:
    description: Return the values of Secrets. They are base64 in C(data). Use it with C(no_log).
    type: bool
    default: false
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_kubernetes
requirements:
  - jmespath (Python package), for O(query)
attributes:
  check_mode:
    details:
      - It only reads.
      - In check mode, where O(kubeconfig) does not exist or the API server does not answer, there are no objects, as on a cluster that does not exist yet.
"""

EXAMPLES = r"""
- name: Which pods do not run
  trinode.platform.kube_info:
    kubeconfig: "{{ trinode_kubeconfig }}"
    kind: Pod
    query: "items[?status.phase != 'Running' && status.phase != 'Succeeded'].[metadata.namespace, metadata.name, status.phase]"
  register: pods

- name: Ceph's health and the disruption budgets, in one question
  trinode.platform.kube_info:
    kubeconfig: "{{ trinode_kubeconfig }}"
    namespace: rook-ceph
    resources:
      - {api_version: ceph.rook.io/v1, kind: CephCluster, name: rook-ceph}
      - {api_version: policy/v1, kind: PodDisruptionBudget}
    query: "{health: items[?kind == 'CephCluster'].status.ceph.health | [0], budgets: items[?kind == 'PodDisruptionBudget'].metadata.name}"
"""

RETURN = r"""
objects:
  description: The objects, in the order of what was asked for, and by namespace and name within a kind. Without C(metadata.managedFields).
  type: list
  elements: dict
  returned: success
  sample:
    - {apiVersion: v1, kind: Namespace, metadata: {name: kube-system}, status: {phase: Active}}
result:
  description: What O(query) found.
  type: raw
  returned: success, with O(query)
  sample: [[monitoring, loki-0, Pending]]
unserved:
  description: The kinds that the cluster does not serve, with O(ignore_unserved).
  type: list
  elements: str
  returned: success
  sample: []
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import listing, query
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource
from ansible_collections.trinode.platform.plugins.module_utils.kube.kinds import Kinds
from ansible_collections.trinode.platform.plugins.module_utils.kube.targets import OPTIONS, Target
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    **OPTIONS,
    "resources": {"type": "list", "elements": "dict", "default": [], "options": {**OPTIONS, "kind": {"type": "str", "required": True}}},
    "query": {"type": "str", "default": ""},
    "ignore_unserved": {"type": "bool", "default": False},
    "reveal_secrets": {"type": "bool", "default": False},
}


def run(task: Task) -> Outcome:
    params = task.params
    question = query.compile(params["query"], option="query") if params["query"] else None
    targets = [Target.of(params), *(Target.of({**item, "namespace": item["namespace"] or params["namespace"]}) for item in params["resources"])]
    deadline = Deadline(params["timeout"])
    try:
        client = connect(params["kubeconfig"], params["context"], deadline)
        try:
            wanted, unserved = _served(client, [target for target in targets if target.kind], deadline, lenient=params["ignore_unserved"])
            found = listing.read_all(client, wanted, deadline)
        finally:
            client.close()
    except (MissingKubeconfigError, ApiUnreachable) as error:
        if not task.check_mode:
            raise
        task.warn(f"{error} There are no objects, as on a cluster that does not exist yet.")
        found, unserved = [], []
    items = [listing.shown(item, secrets=params["reveal_secrets"]) for item in found]
    values: dict[str, Any] = {"objects": items, "unserved": unserved}
    if question is not None:
        values["result"] = question.search({"items": items})
    return Outcome(message=f"{len(items)} objects", values=values)


def _served(client: Client, targets: list[Target], deadline: Deadline, *, lenient: bool) -> tuple[list[tuple[Target, Resource]], list[str]]:
    """The targets with their paths, and the kinds that nobody serves."""
    kinds = Kinds(client, deadline)
    wanted, unserved = [], []
    for target in targets:
        resource = kinds.find(target.api_version, target.kind) if lenient else kinds.require(target.api_version, target.kind)
        if resource is None:
            unserved.append(f"{target.kind} ({target.api_version})")
        else:
            wanted.append((target, resource))
    return wanted, unserved


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC, required_one_of=[("kind", "resources")])


if __name__ == "__main__":
    main()
