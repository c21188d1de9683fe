#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kube_apply
short_description: Apply many Kubernetes objects at once and wait until they are ready
version_added: 0.1.0
description:
  - Applies objects by server-side apply with the field manager C(trinode), many at a time. Each object goes as soon as what it needs is there, which is its
    namespace and, for a custom resource, its kind. Whatever needs no new kind does not wait for custom resource definitions.
  - Answers that are worth another try (a webhook that does not answer, too many requests, an API server that restarts) are retried until O(timeout). Objects
    that a webhook holds up are put off. Everything else is applied, and what it brings is waited for meanwhile.
  - Then waits until what was applied is ready (Deployments, DaemonSets, StatefulSets, Jobs, Pods, APIServices, definitions and custom resources), and gives
    up early when something will not become ready, such as an image that cannot be pulled, a container that keeps crashing, or a failed Job.
  - Keys of maps that hold C(null) are left out, as server-side apply refuses them.
author:
  - trinode.platform contributors (@trinode)
options:
  manifests:
    description: YAML text with any number of documents.
    type: str
    default: ""
  objects:
    description: Objects as data.
    type: list
    elements: dict
    default: []
  files:
    description: Files with YAML text, on the controller. Of a directory, all files below it that end in C(.yaml), C(.yml) or C(.json).
    type: list
    elements: path
    default: []
  namespace:
    description: Namespace of the namespaced objects that name none. It is not created.
    type: str
    default: default
  force_conflicts:
    description:
      - Take over fields that another field manager owns, and objects that are members of another ApplySet. Without it such fields and objects are reported,
        and the object is left as it is.
    type: bool
    default: false
  wait:
    description: Wait until the objects are ready.
    type: bool
    default: true
  await_kinds:
    description:
      - Hold custom resources whose kind is neither served nor defined by one of the objects until somebody serves it, such as an operator that makes its
        definitions when it runs. Without it such objects are refused before anything is touched.
    type: bool
    default: false
  servers:
    description:
      - The cluster's API servers, as addresses or URLs, to spread the requests over. The trust and the credentials in O(kubeconfig) hold for them.
        Those that are not healthy are left out, and what one does not answer is asked of another. Empty asks the one server that O(kubeconfig) names.
    type: list
    elements: str
    default: []
  apply_set:
    description:
      - The objects are the members of this ApplySet (KEP-3659). Its parent is a ConfigMap, which is made when it is missing; members carry a label that
        names the set.
      - The parent also records how each object was left, so that an object that is still so need not be sent again. Secrets are always sent.
    type: dict
    suboptions:
      name:
        description: Name of the parent.
        type: str
        required: true
      namespace:
        description: Namespace of the parent. It may be one of the objects.
        type: str
        required: true
  prune:
    description:
      - Delete members of O(apply_set) that are not among the objects any more. Custom resource definitions, namespaces, volumes and their claims, and
        custom resources that hold data (of Rook Ceph, CloudNativePG and the Redis operator) are kept, and so is what has the annotation
        C(trinode.dev/prune=disabled), C(helm.sh/resource-policy=keep) or Argo CD's sync option C(Prune=false).
    type: bool
    default: false
  prune_protected:
    description:
      - Protected members that may be deleted all the same, by kind (V(CustomResourceDefinition)) or one by one (V(Namespace/old),
        V(PersistentVolumeClaim/databases/data-0)).
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
attributes:
  check_mode:
    support: full
    details:
      - The API server itself predicts, by dry runs of the same requests. Objects whose namespace or kind does not exist yet are predicted as created.
      - Where O(kubeconfig) does not exist, or the API server does not answer, the cluster is taken not to exist yet, and every object is predicted as created.
  diff_mode:
    support: full
    details: Without status and fields that only the server writes. Values of Secrets are hidden.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Apply a rendered chart and wait for it
  trinode.platform.kube_apply:
    kubeconfig: "{{ trinode_kubeconfig }}"
    manifests: "{{ rendered.manifests }}"
    namespace: kube-system
    timeout: 300

- name: A namespace
  trinode.platform.kube_apply:
    kubeconfig: "{{ trinode_kubeconfig }}"
    objects:
      - apiVersion: v1
        kind: Namespace
        metadata:
          name: monitoring
          labels:
            pod-security.kubernetes.io/enforce: privileged

- name: Everything in a directory, and nothing that is not there any more
  trinode.platform.kube_apply:
    kubeconfig: "{{ trinode_kubeconfig }}"
    servers: "{{ trinode_endpoints }}"
    files: [rendered/monitoring]
    apply_set:
      name: monitoring
      namespace: monitoring
    prune: true
"""

RETURN = r"""
objects:
  description: What happened to each object, in the order given; then the members of the set that were not among them.
  type: list
  elements: dict
  returned: success
  contains:
    api_version:
      description: Its apiVersion.
      type: str
    kind:
      description: Its kind.
      type: str
    namespace:
      description: Its namespace; empty for cluster-scoped objects.
      type: str
    name:
      description: Its name.
      type: str
    action:
      description: One of V(created), V(changed), V(unchanged), V(pruned), and V(kept) for a protected member that is not wanted any more.
      type: str
errors:
  description: The objects that could not be applied, when more than one was tried (C(kind), C(namespace), C(name), C(error)).
  type: list
  elements: dict
  returned: failure to apply
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import apply, diff, manifests, sources
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Action, Applied, ApplySet, Request
from ansible_collections.trinode.platform.plugins.module_utils.kube.wanted import Source
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "manifests": {"type": "str", "default": ""},
    "objects": {"type": "list", "elements": "dict", "default": []},
    "files": {"type": "list", "elements": "path", "default": []},
    "namespace": {"type": "str", "default": "default"},
    "force_conflicts": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
    "await_kinds": {"type": "bool", "default": False},
    "servers": {"type": "list", "elements": "str", "default": []},
    "apply_set": {"type": "dict", "options": {"name": {"type": "str", "required": True}, "namespace": {"type": "str", "required": True}}},
    "prune": {"type": "bool", "default": False},
    "prune_protected": {"type": "list", "elements": "str", "default": []},
}


def run(task: Task) -> Outcome:
    objects = _objects(task)
    return _outcome(task, _applied(task, objects))


def _objects(task: Task) -> list[Source]:
    texts = [*sources.split(task.params["manifests"]), *sources.read(task.params["files"])]
    return [*texts, *manifests.normalise(task.params["objects"], source="objects")]


def _applied(task: Task, objects: Sequence[Source]) -> list[Applied]:
    if not objects and not task.params["apply_set"]:
        return []
    deadline = Deadline(task.params["timeout"])
    request = _request(task)
    try:
        client = connect(task.params["kubeconfig"], task.params["context"], deadline, task.params["servers"])
        if task.check_mode:
            client.get("/version")
    except MissingKubeconfigError:
        if not task.check_mode:
            raise
        return apply.predict_all_created(objects)
    except ApiUnreachable as error:
        task.warn(f"{error} All objects are predicted as created, as on a cluster that does not exist yet.")
        return apply.predict_all_created(objects)
    try:
        return apply.apply(client, objects, request, deadline)
    finally:
        client.close()


def _request(task: Task) -> Request:
    params = task.params
    wanted = params["apply_set"]
    return Request(
        namespace=params["namespace"],
        force=params["force_conflicts"],
        dry_run=task.check_mode,
        wait=params["wait"],
        await_kinds=params["await_kinds"],
        apply_set=ApplySet(wanted["name"], wanted["namespace"]) if wanted else None,
        prune=params["prune"],
        prune_protected=tuple(params["prune_protected"]),
    )


def _outcome(task: Task, results: Sequence[Applied]) -> Outcome:
    counts = Counter(result.action for result in results)
    summary = ", ".join(f"{counts[action]} {action}" for action in get_args(Action) if counts[action])
    changed = [result for result in results if result.action not in ("unchanged", "kept")]
    kept = [str(result.key) for result in results if result.action == "kept"]
    if kept:
        task.warn(f"Not wanted any more, and protected from being pruned: {', '.join(kept)}. Name them in prune_protected to have them deleted.")
    return Outcome(
        changed=bool(changed),
        message=f"{len(results)} objects: {summary or 'none'}",
        diff=[diff.difference(result.key, result.before, result.after) for result in changed] if task.diff_mode else None,
        values={
            "objects": [
                {"api_version": item.key.api_version, "kind": item.key.kind, "namespace": item.key.namespace, "name": item.key.name, "action": item.action}
                for item in results
            ]
        },
    )


def main() -> None:
    run_module(
        run,
        argument_spec=ARGUMENT_SPEC,
        required_one_of=[("manifests", "objects", "files", "apply_set")],
        required_if=[("prune", True, ["apply_set"])],
    )


if __name__ == "__main__":
    main()
