#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: drift_report
short_description: Say what has drifted in machines, cluster and Git
version_added: 1.0.0
description:
  - Judges what earlier tasks found out about the machines and the Git repository, reads the cluster, and returns all findings at once.
  - In the cluster, components that Argo CD delivers are as it says of their Applications. Of all others the rendered files are compared with the live
    objects, as M(trinode.platform.component_deliver) would find them. Of the user's own Applications it is said which directory and file is wrong.
  - What cannot be read is a finding too. Nothing is changed, and no finding fails the task.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_kubernetes
options:
  machines:
    description:
      - The machines, each with the C(result) of M(trinode.platform.talos_apply) in check mode. One without a result is a finding. The filter
        P(trinode.platform.machine_results#filter) gives them.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      result:
        description: The result.
        type: dict
        default: {}
  git:
    description: The result of M(trinode.platform.git_publish) with C(state=inspected).
    type: dict
    required: true
  gitops:
    description: Whether the repository has to hold the platform.
    type: bool
    default: false
  repository:
    description: The local repository, to find the file that an error is about.
    type: path
    default: ""
  branch:
    description: Its branch.
    type: str
    default: main
  components:
    description: The components of the inventory, each with the namespace for its objects that name none.
    type: dict
    default: {}
  tree:
    description: Directory with one directory of rendered files for each component.
    type: path
    required: true
  argo_namespace:
    description: Argo CD's namespace.
    type: str
    default: argocd
  servers:
    description: Addresses of all API servers, to spread the work. Empty means the one in O(kubeconfig).
    type: list
    elements: str
    default: []
  vault_password:
    description: Password of Ansible Vault for Secrets among the files.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: See what has drifted
  trinode.platform.drift_report:
    machines: "{{ groups['machines'] | trinode.platform.machine_results(hostvars, 'machine_config_drift') }}"
    git: "{{ inspected }}"
    components: {cert_manager: cert-manager}
    tree: "{{ trinode_tree }}"
    kubeconfig: "{{ trinode_kubeconfig }}"
  register: drift

- name: Fail where there is any
  ansible.builtin.assert:
    that: not drift.drifted
"""

RETURN = r"""
drifted:
  description: Whether there is any finding.
  type: bool
  returned: success
  sample: true
findings:
  description: What is not as it is to be, or cannot be read.
  type: list
  elements: dict
  returned: success
  contains:
    part:
      description: V(machine), V(cluster) or V(git).
      type: str
      sample: cluster
    where:
      description: The machine, the component, the Application, or the file.
      type: str
      sample: user/shop/broken.yaml
    problem:
      description: What is wrong.
      type: str
      sample: 'user/shop (user-shop) does not become what Argo CD can apply: ComparisonError: Failed to unmarshal "broken.yaml"'
    advice:
      description: What to do.
      type: str
      sample: "It is the user's: correct user/shop/broken.yaml and push."
lines:
  description: The same for a person.
  type: list
  elements: str
  returned: success
  sample: ["No drift.", "Compared: 3 machines; 20 components by Argo CD; Git at 3f2a9c0e."]
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import connect
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module
from ansible_collections.trinode.platform.plugins.module_utils.verify import git, look, machines
from ansible_collections.trinode.platform.plugins.module_utils.verify.drift import Drift, lines
from ansible_collections.trinode.platform.plugins.module_utils.verify.look import Component, Looked, Sources

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "machines": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": {"type": "str", "required": True}, "result": {"type": "dict", "default": {}}},
    },
    "git": {"type": "dict", "required": True},
    "gitops": {"type": "bool", "default": False},
    "repository": {"type": "path", "default": ""},
    "branch": {"type": "str", "default": "main"},
    "components": {"type": "dict", "default": {}},
    "tree": {"type": "path", "required": True},
    "argo_namespace": {"type": "str", "default": "argocd"},
    "servers": {"type": "list", "elements": "str", "default": []},
    "vault_password": {"type": "str", "default": "", "no_log": True},
}


def run(task: Task) -> Outcome:
    """Look, judge, tell."""
    params = task.params
    looked = _cluster(task)
    found = [*machines.judge(params["machines"]), *looked.found, *git.judge(params["git"], gitops=params["gitops"])]
    compared = [*machines.compared(params["machines"]), *looked.compared, *([f"Git at {params['git']['head'][:8]}"] if params["git"].get("head") else [])]
    values = {"drifted": bool(found), "findings": [item.as_values() for item in found], "lines": lines(found, compared)}
    return Outcome(message=f"{len(found)} findings" if found else "no drift", values=values)


def _cluster(task: Task) -> Looked:
    params, deadline = task.params, Deadline(task.params["timeout"])
    sources = Sources(
        components=[Component(str(name), str(namespace)) for name, namespace in params["components"].items()],
        tree=params["tree"],
        vault_password=params["vault_password"],
        repository=params["repository"],
        branch=params["branch"],
        head=str(params["git"].get("head") or ""),
        argo_namespace=params["argo_namespace"],
    )
    try:
        client = connect(params["kubeconfig"], params["context"], deadline, params["servers"])
        try:
            return look.cluster(client, sources, deadline)
        finally:
            client.close()
    except PlatformError as error:
        return Looked([Drift("cluster", "API server", f"It cannot be asked: {error}", "Until then nobody knows what differs in the cluster")], [])


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
