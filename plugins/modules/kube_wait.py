#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kube_wait
short_description: Wait until Kubernetes objects are ready, there, gone, or as you say
version_added: 1.0.0
description:
  - Waits on list and watch, one per kind and namespace, and returns at the moment when the last object is as wished. Dropped connections, restarts of API
    servers and versions that are no longer kept lose nothing.
  - What is to be ready is given up early when it will not be, such as an image that cannot be pulled, a container that keeps crashing, a failed Job, a pod
    that no node can take, or a claim without a StorageClass. The message has what the object, its containers and the newest events say.
author:
  - trinode.platform contributors (@trinode)
options:
  api_version:
    description: The objects' apiVersion. Use it with O(kind), or O(targets) instead.
    type: str
    default: v1
  kind:
    description: The objects' kind.
    type: str
    default: ""
  namespace:
    description: The objects' namespace. Empty means all, and is right for kinds that have none. Entries of O(targets) that name none get it too.
    type: str
    default: ""
  name:
    description: Name of one object. Without it, every object that the selectors leave is meant, and unless it is to be gone there has to be one.
    type: str
    default: ""
  label_selector:
    description: Only objects with these labels, as in C(app=web,tier!=cache).
    type: str
    default: ""
  field_selector:
    description: Only objects with these fields, for the few fields that the API server selects by.
    type: str
    default: ""
  condition:
    description:
      - V(ready) as the object's kind has it; for kinds without a status, that it exists.
      - V(exists), and no more.
      - V(absent), none is there. A kind that is not served has no objects.
      - V(deleted), none of those is there that were there at first; others may have come in their place.
      - V(until), what O(until) says is true.
    type: str
    choices: [ready, exists, absent, deleted, until]
    default: ready
  until:
    description: JMESPath over each object, for O(condition=until). It is true unless it finds nothing, C(false), or something empty.
    type: str
    default: ""
  targets:
    description: Several waits at once. All have to come true.
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
      condition:
        description: As O(condition), which is the default.
        type: str
        choices: [ready, exists, absent, deleted, until]
      until:
        description: As O(until), which is the default.
        type: str
  grace:
    description:
      - Seconds that a container may be in a bad state before the wait is given up. Registries hiccup, and programs crash until what they need is there.
    type: int
    default: 30
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_kubernetes
requirements:
  - jmespath (Python package), for O(until)
attributes:
  check_mode:
    details:
      - In check mode it reads once, returns at once, and says in RV(waiting_for) what it would wait for.
      - Where O(kubeconfig) does not exist, or the API server does not answer, it says so in check mode.
"""

EXAMPLES = r"""
- name: Ceph is ready
  trinode.platform.kube_wait:
    kubeconfig: "{{ trinode_kubeconfig }}"
    api_version: ceph.rook.io/v1
    kind: CephCluster
    namespace: rook-ceph
    name: rook-ceph
    timeout: 1200

- name: Both operators run, and the migration's pods are gone
  trinode.platform.kube_wait:
    kubeconfig: "{{ trinode_kubeconfig }}"
    targets:
      - {api_version: apps/v1, kind: Deployment, namespace: cnpg-system, name: cnpg-cloudnative-pg}
      - {api_version: apps/v1, kind: Deployment, namespace: rook-ceph, label_selector: "operator=rook"}
      - {kind: Pod, namespace: shop, label_selector: "job=migration", condition: absent}

- name: The database has three instances that are ready
  trinode.platform.kube_wait:
    kubeconfig: "{{ trinode_kubeconfig }}"
    api_version: postgresql.cnpg.io/v1
    kind: Cluster
    namespace: databases
    name: shop
    condition: until
    until: status.readyInstances == `3`
"""

RETURN = r"""
waited:
  description: Seconds that it took.
  type: float
  returned: success
  sample: 12.4
waiting_for:
  description: In check mode, what is not as wished yet.
  type: list
  elements: str
  returned: success
  sample: ["Deployment shop/web: 1 of 2 replicas available"]
"""

from collections.abc import Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube import query, wishes
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.targets import OPTIONS, Target
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

_CONDITIONS = ["ready", "exists", "absent", "deleted", "until"]
ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    **OPTIONS,
    "condition": {"type": "str", "choices": _CONDITIONS, "default": "ready"},
    "until": {"type": "str", "default": ""},
    "targets": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **OPTIONS,
            "kind": {"type": "str", "required": True},
            "condition": {"type": "str", "choices": _CONDITIONS},
            "until": {"type": "str"},
        },
    },
    "grace": {"type": "int", "default": 30},
}


def run(task: Task) -> Outcome:
    wanted = _wishes(task.params)
    deadline = Deadline(task.params["timeout"])
    try:
        client = connect(task.params["kubeconfig"], task.params["context"], deadline)
        try:
            if task.check_mode:
                return _expected(wishes.unfulfilled(client, wanted, deadline))
            wishes.fulfil(client, wanted, deadline, grace=task.params["grace"])
        finally:
            client.close()
    except (MissingKubeconfigError, ApiUnreachable) as error:
        if not task.check_mode:
            raise
        return _expected([f"the cluster, which does not exist yet or does not answer: {error}"])
    return Outcome(values={"waited": round(deadline.elapsed, 3), "waiting_for": []})


def _wishes(params: Mapping[str, Any]) -> list[wishes.Wish]:
    found = [params] if params["kind"] else []
    for item in params["targets"]:
        inherited = {name: item[name] or params[name] for name in ("namespace", "condition", "until")}
        found.append({**item, **inherited})
    return [_wish(item) for item in found]


def _wish(item: Mapping[str, Any]) -> wishes.Wish:
    target = Target.of(item)
    if item["condition"] != "until":
        return wishes.Wish(target, item["condition"])
    if not item["until"]:
        raise InputError("the condition until needs an expression", where=str(target), hint="Set until.")
    return wishes.Wish(target, "until", query.compile(item["until"], option="until"))


def _expected(waiting_for: list[str]) -> Outcome:
    message = f"would wait for {'; '.join(waiting_for)}" if waiting_for else ""
    return Outcome(message=message, values={"waited": 0.0, "waiting_for": waiting_for})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC, required_one_of=[("kind", "targets")])


if __name__ == "__main__":
    main()
