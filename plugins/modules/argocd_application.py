#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: argocd_application
short_description: Wait until Argo CD has delivered a commit
version_added: 1.0.0
description:
  - With O(state=present), returns when the Application is Synced and Healthy at a revision that contains O(revision). Where it is not so yet, Argo CD is told
    to look at the branch at once, and a sync that has failed before is started again.
  - What is not ready after the sync is watched as M(trinode.platform.kube_wait) does, with its pods and events, and given up as early.
  - A failed sync is reported with its own error text and with what is said of each resource. Where Argo CD itself does not react, the message says so.
  - With O(state=absent), returns when the Application is gone, after its file has been taken out of the repository. What it had delivered stays; an
    Application whose deletion would delete that is refused.
author:
  - trinode.platform contributors (@trinode)
options:
  name:
    description: Name of the Application.
    type: str
    required: true
  state:
    description: What to wait for.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - trinode.platform.argocd
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
attributes:
  check_mode:
    support: full
    details:
      - It only reads, and says in RV(waiting_for) what it would wait for.
      - Where O(kubeconfig) does not exist, or the API server does not answer, it says so.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: Where there is nothing to wait for, Argo CD is not even told to look.
"""

EXAMPLES = r"""
- name: Argo CD has delivered cert-manager
  trinode.platform.argocd_application:
    kubeconfig: "{{ trinode_kubeconfig }}"
    name: cert-manager
    revision: "{{ published.commit }}"
    repository: "{{ trinode_git_repository }}"

- name: The Application of Redis Operator is gone
  trinode.platform.argocd_application:
    kubeconfig: "{{ trinode_kubeconfig }}"
    name: redis-operator
    state: absent
"""

RETURN = r"""
revision:
  description: The commit that the Application is at.
  type: str
  returned: success
  sample: 3f1d9a0c6c2a6f5f0b8d1c7e4a9b2d3c4e5f6a7b
waited:
  description: Seconds that it took.
  type: float
  returned: success
  sample: 8.2
waiting_for:
  description: In check mode, what is not as wished yet.
  type: str
  returned: success
  sample: "it is at 3f1d9a0c still"
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd import arrival, commits
from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import Applications
from ansible_collections.trinode.platform.plugins.module_utils.argocd.arrival import Arrived
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "default": "argocd"},
    "revision": {"type": "str", "default": ""},
    "repository": {"type": "path", "default": ""},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def run(task: Task) -> Outcome:
    deadline = Deadline(task.params["timeout"])
    found = _arrived(task, deadline)
    for warning in found.warnings:
        task.warn(warning)
    message = f"would wait for Application {task.params['name']}: {found.waiting_for}" if found.waiting_for else ""
    values = {"revision": found.revision, "waited": 0.0 if task.check_mode else round(deadline.elapsed, 3), "waiting_for": found.waiting_for}
    return Outcome(changed=found.changed, message=message, values=values)


def _arrived(task: Task, deadline: Deadline) -> Arrived:
    params = task.params
    try:
        client = connect(params["kubeconfig"], params["context"], deadline)
        try:
            access = Applications(client, deadline, params["namespace"])
            if params["state"] == "absent":
                return arrival.absent(access, params["name"], check=task.check_mode)
            return arrival.present(access, params["name"], commits.containing(params["revision"], params["repository"], deadline), check=task.check_mode)
        finally:
            client.close()
    except (MissingKubeconfigError, ApiUnreachable) as error:
        if not task.check_mode:
            raise
        return Arrived(changed=params["state"] == "present", waiting_for=f"the cluster, which does not exist yet or does not answer: {error}")


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
