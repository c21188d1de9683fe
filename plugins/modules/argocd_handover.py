#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: argocd_handover
short_description: Hand the platform over to Argo CD
version_added: 1.0.0
description:
  - Makes an Application for each component that Argo CD does not deliver yet, without automation, and lets Argo CD compare it with the cluster. Only when
    it finds no difference it takes over. Where it would change something, the task fails with the differences, object by object, and nothing is handed over.
  - Then the fields that we have applied become those of Argo CD's field manager, so that it can remove them later; the automation is switched on; and the
    cluster notes in the component's ConfigMap that Argo CD delivers it.
  - At the end comes the root Application, and all are waited for until they are Synced and Healthy, the root at O(revision).
  - A run that was killed is completed by the next one. Components that were delivered directly after the handover are Argo CD's again.
author:
  - trinode.platform contributors (@trinode)
options:
  applications:
    description: The components' Applications, as they are in Git.
    type: list
    elements: dict
    required: true
  others:
    description: What they and the user's applications need besides, as projects and sets of Applications. Once the root Application is there these are Git's.
    type: list
    elements: dict
    default: []
  root:
    description: The root Application, as it is in Git.
    type: dict
    required: true
  tree:
    description: Directory with the rendered components, which Git has too. Differences are shown from it.
    type: path
    required: true
extends_documentation_fragment:
  - trinode.platform.argocd
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
attributes:
  check_mode:
    support: partial
    details:
      - It only reads, and says what would be handed over. Whether Argo CD finds differences is only known once it has compared.
      - Where O(kubeconfig) does not exist, or the API server does not answer, everything would be handed over.
  diff_mode:
    support: none
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Hand the platform over to Argo CD
  trinode.platform.argocd_handover:
    kubeconfig: "{{ trinode_kubeconfig }}"
    applications: "{{ gitops_applications }}"
    others: "{{ gitops_projects }}"
    root: "{{ gitops_root }}"
    tree: "{{ trinode_tree }}"
    revision: "{{ published.commit }}"
    repository: "{{ trinode_git_repository }}"
    timeout: 1800
"""

RETURN = r"""
applications:
  description: What became of each Application.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the Application.
      type: str
      sample: cert-manager
    step:
      description: Whether it was handed over, moved to another repository, or nothing was to be done.
      type: str
      sample: hand over
    objects:
      description: How many objects had fields that became Argo CD's.
      type: int
      sample: 53
  sample: [{name: cert-manager, step: hand over, objects: 53}]
written:
  description: What else was written.
  type: list
  elements: str
  returned: success
  sample: [AppProject platform, ConfigMap trinode-component-cert-manager]
differences:
  description: By object, what Argo CD would change.
  type: list
  elements: dict
  returned: when there are some, on failure
  contains:
    application:
      description: Name of the Application.
      type: str
      sample: cert-manager
    object:
      description: Kind, namespace and name of the object.
      type: str
      sample: Deployment cert-manager/cert-manager
    difference:
      description: Unified diff from the cluster to Git, or a sentence. Values of Secrets are hidden.
      type: str
      sample: it is not in the cluster
  sample: [{application: cert-manager, object: Deployment cert-manager/cert-manager, difference: it is not in the cluster}]
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd import commits, handover
from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import Applications
from ansible_collections.trinode.platform.plugins.module_utils.argocd.handover import Handed, Wanted
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import manifests
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "applications": {"type": "list", "elements": "dict", "required": True},
    "others": {"type": "list", "elements": "dict", "default": []},
    "root": {"type": "dict", "required": True},
    "tree": {"type": "path", "required": True},
    "revision": {"type": "str", "default": ""},
    "repository": {"type": "path", "default": ""},
    "namespace": {"type": "str", "default": "argocd"},
}
_WOULD = {"hand over": "would be handed over", "move": "would move to another repository"}


def run(task: Task) -> Outcome:
    params = task.params
    wanted = Wanted(
        manifests.normalise(params["applications"], source="applications"),
        manifests.normalise(params["others"], source="others"),
        manifests.normalise([params["root"]], source="root")[0],
        params["tree"],
    )
    found = _handed(task, wanted)
    applications = [{"name": name, "step": step, "objects": found.objects.get(name, 0)} for name, step in found.steps.items()]
    would = [f"{name} {_WOULD[step]}" for name, step in found.steps.items() if step in _WOULD]
    message = "; ".join([*would, *(f"{name} would be written" for name in found.written)]) if task.check_mode else ""
    return Outcome(changed=found.changed, message=message, values={"applications": applications, "written": found.written})


def _handed(task: Task, wanted: Wanted) -> Handed:
    params = task.params
    deadline = Deadline(params["timeout"])
    try:
        client = connect(params["kubeconfig"], params["context"], deadline)
        try:
            knows = commits.containing(params["revision"], params["repository"], deadline)
            return handover.execute(Applications(client, deadline, params["namespace"]), wanted, knows=knows, check=task.check_mode)
        finally:
            client.close()
    except (MissingKubeconfigError, ApiUnreachable) as error:
        if not task.check_mode:
            raise
        if isinstance(error, ApiUnreachable):
            task.warn(f"{error} Everything is predicted as on a cluster that does not exist yet.")
        return Handed(handover.plan([*wanted.applications, wanted.root], {}))


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
