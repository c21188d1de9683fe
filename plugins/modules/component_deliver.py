#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: component_deliver
short_description: Install, upgrade or uninstall a component of the platform
version_added: 1.0.0
description:
  - Applies the files that M(trinode.platform.component_render) has written, runs the hooks of their charts, removes what is no longer among them, and waits
    until all is ready. Only then the cluster notes the component as installed, in the ConfigMap C(trinode-component-NAME) of C(kube-system).
  - With O(state=absent) it uninstalls the component, unless others need it or it holds data.
author:
  - trinode.platform contributors (@trinode)
options:
  definition:
    description: The component, as for M(trinode.platform.component_render).
    type: dict
    required: true
  path:
    description: The directory with the component's files. Required with O(state=present).
    type: path
  state:
    description: Whether the component is to be there.
    type: str
    choices: [present, absent]
    default: present
  destroy_data:
    description: Name of the component, to uninstall it although it holds data, and to delete that data.
    type: str
    default: ""
  by:
    description:
      - Who changes the cluster. With V(argo_cd), a component that M(trinode.platform.argocd_handover) has handed over is delivered by Argo CD from the
        repository, and waited for; one that has not is applied. V(direct) always applies.
    type: str
    choices: [argo_cd, direct]
    default: direct
  commit:
    description: The commit that Argo CD must have reached, as M(trinode.platform.git_publish) returns it.
    type: str
    default: ""
  repository:
    description: The bare repository that tells whether a commit contains another.
    type: path
    default: ""
  servers:
    description: Addresses of all API servers, to spread the work. Empty means the one in O(kubeconfig).
    type: list
    elements: str
    default: []
  vault_password:
    description: Password of Ansible Vault for Secrets among the files.
    type: str
    default: ""
  ready:
    description:
      - What M(trinode.platform.component_report) takes as C(versions) and C(routes), to report the component as ready as soon as it is delivered.
        Empty leaves that to a task after its verification.
    type: dict
    default: {}
  run_directory:
    description: Directory that lives as long as the run, from the lookup P(trinode.platform.run_directory#lookup).
    type: path
    default: ""
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
attributes:
  check_mode:
    support: full
    details:
      - The API server itself predicts, by dry runs of the same requests. Hooks that would run are named.
      - Where O(kubeconfig) does not exist, or the API server does not answer, the cluster is taken not to exist yet, and everything is predicted as created.
  diff_mode:
    support: full
    details: By object. Values of Secrets are hidden.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Deliver cert-manager
  trinode.platform.component_deliver:
    definition: "{{ cert_manager_component }}"
    path: "{{ rendered.path }}"
    kubeconfig: "{{ trinode_kubeconfig }}"
    servers: "{{ trinode_endpoints }}"

- name: Uninstall Redis Operator
  trinode.platform.component_deliver:
    definition: "{{ redis_operator_component }}"
    state: absent
    kubeconfig: "{{ trinode_kubeconfig }}"
"""

RETURN = r"""
objects:
  description: How many objects came to what.
  type: dict
  returned: success
  sample: {created: 53}
hooks:
  description: The hooks that ran, or in check mode would run, in their order.
  type: list
  elements: str
  returned: success
  sample: ["post-install: Job cert-manager/cert-manager-startupapicheck"]
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd import commits
from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import Applications
from ansible_collections.trinode.platform.plugins.module_utils.component import contents, deliver, handed_over, remove
from ansible_collections.trinode.platform.plugins.module_utils.component import definition as definitions
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import Definition
from ansible_collections.trinode.platform.plugins.module_utils.component.result import Result
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog
from ansible_collections.trinode.platform.plugins.module_utils.component.secrets import hidden_values, shown_params
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "definition": {"type": "dict", "required": True},
    "path": {"type": "path"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "destroy_data": {"type": "str", "default": ""},
    "by": {"type": "str", "choices": ["argo_cd", "direct"], "default": "direct"},
    "commit": {"type": "str", "default": ""},
    "repository": {"type": "path", "default": ""},
    "servers": {"type": "list", "elements": "str", "default": []},
    "vault_password": {"type": "str", "default": "", "no_log": True},
    "ready": {"type": "dict", "default": {}},
    "run_directory": {"type": "path", "default": ""},
}


def run(task: Task) -> Outcome:
    params = task.params
    definition = definitions.read(params["definition"])
    found = contents.read(params["path"], password=params["vault_password"]) if params["path"] else None
    result = _result(task, definition, found)
    for warning in result.warnings:
        task.warn(warning)
    if params["ready"]:
        RunLog(params["run_directory"]).record(definition.name, "ready", "", params["ready"])
    return Outcome(
        changed=result.changed,
        message=result.message,
        diff=result.diff(),
        values={"objects": dict(result.counts), "hooks": [f"{event}: {key}" for event, key in result.hooks]},
    )


def _result(task: Task, definition: Definition, found: contents.Contents | None) -> Result:
    params = task.params
    deadline = Deadline(params["timeout"])
    log = RunLog(params["run_directory"])
    try:
        client = connect(params["kubeconfig"], params["context"], deadline, params["servers"])
        if task.check_mode:
            client.get("/version")
    except (MissingKubeconfigError, ApiUnreachable) as error:
        if not task.check_mode:
            raise
        if isinstance(error, ApiUnreachable):
            task.warn(f"{error} Everything is predicted as on a cluster that does not exist yet.")
        return deliver.predicted(definition, found) if params["state"] == "present" and found else Result()
    try:
        if params["state"] == "absent":
            return remove.absent(client, definition, found, log, deadline, destroy_data=params["destroy_data"], check=task.check_mode)
        if found is None:
            raise InputError("path is missing", hint="Give the directory that component_render has written.")
        if params["by"] == "argo_cd":
            knows = commits.containing(params["commit"], params["repository"], deadline)
            if delivered := handed_over.present(Applications(client, deadline), definition, found, log, knows, check=task.check_mode):
                return delivered
        return deliver.present(client, definition, found, log, deadline, check=task.check_mode)
    finally:
        client.close()


def main() -> None:
    run_module(
        run,
        argument_spec=ARGUMENT_SPEC,
        required_if=[("state", "present", ("path",))],
        hide=lambda params: hidden_values(params["definition"]),
        show=shown_params,
    )


if __name__ == "__main__":
    main()
