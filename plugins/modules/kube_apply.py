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
  - Applies objects by server-side apply with the field manager C(trinode), many at a time. Namespaces and custom resource definitions go first; the rest
    follows as soon as the definitions are served.
  - Answers that are worth another try (a webhook that is not ready, too many requests, an API server that restarts) are retried until O(timeout).
  - Then waits until what was applied is ready (Deployments, DaemonSets, StatefulSets, Jobs, Pods, APIServices, definitions and custom resources), and gives
    up early when something will not become ready, such as an image that cannot be pulled, a container that keeps crashing, or a failed Job.
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
    description: Files with YAML text, on the controller.
    type: list
    elements: path
    default: []
  namespace:
    description: Namespace of the namespaced objects that name none. It is not created.
    type: str
    default: default
  force_conflicts:
    description: Take over fields that another field manager owns. Without it such fields are reported, and the object is left as it is.
    type: bool
    default: false
  wait:
    description: Wait until the objects are ready.
    type: bool
    default: true
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
"""

RETURN = r"""
objects:
  description: What happened to each object, in the order given.
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
      description: One of V(created), V(changed), V(unchanged).
      type: str
errors:
  description: The objects that could not be applied, when more than one was tried (C(kind), C(namespace), C(name), C(error)).
  type: list
  elements: dict
  returned: failure to apply
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube import apply, diff, manifests
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import MissingKubeconfigError, connect
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
}


def run(task: Task) -> Outcome:
    objects = _objects(task)
    return _outcome(_applied(task, objects))


def _objects(task: Task) -> list[manifests.Object]:
    documents: list[Any] = [*manifests.parse(task.params["manifests"]), *task.params["objects"]]
    for path in task.params["files"]:
        try:
            with open(path, encoding="utf-8") as file:
                documents += manifests.parse(file.read(), source=path)
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the file cannot be read: {error}", where=path) from error
    return manifests.normalise(documents)


def _applied(task: Task, objects: Sequence[manifests.Object]) -> list[apply.Applied]:
    if not objects:
        return []
    deadline = Deadline(task.params["timeout"])
    request = apply.Request(namespace=task.params["namespace"], force=task.params["force_conflicts"], dry_run=task.check_mode, wait=task.params["wait"])
    try:
        client = connect(task.params["kubeconfig"], task.params["context"], deadline)
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


def _outcome(results: Sequence[apply.Applied]) -> Outcome:
    counts = Counter(result.action for result in results)
    summary = ", ".join(f"{counts[action]} {action}" for action in ("created", "changed", "unchanged") if counts[action])
    changed = [result for result in results if result.action != "unchanged"]
    return Outcome(
        changed=bool(changed),
        message=f"{len(results)} objects: {summary or 'none'}",
        diff=[diff.difference(result.key, result.before, result.after) for result in changed],
        values={
            "objects": [
                {"api_version": item.key.api_version, "kind": item.key.kind, "namespace": item.key.namespace, "name": item.key.name, "action": item.action}
                for item in results
            ]
        },
    )


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC, required_one_of=[("manifests", "objects", "files")])


if __name__ == "__main__":
    main()
