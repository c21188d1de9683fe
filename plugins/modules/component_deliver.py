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
  servers:
    description: Addresses of all API servers, to spread the work. Empty means the one in O(kubeconfig).
    type: list
    elements: str
    default: []
  vault_password:
    description: Password of Ansible Vault for Secrets among the files.
    type: str
    default: ""
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
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component import contents, deliver
from ansible_collections.trinode.platform.plugins.module_utils.component import definition as definitions
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog
from ansible_collections.trinode.platform.plugins.module_utils.component.secrets import hidden_values
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import diff
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import connect
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "definition": {"type": "dict", "required": True},
    "path": {"type": "path"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "destroy_data": {"type": "str", "default": ""},
    "servers": {"type": "list", "elements": "str", "default": []},
    "vault_password": {"type": "str", "default": "", "no_log": True},
    "run_directory": {"type": "path", "default": ""},
}


def run(task: Task) -> Outcome:
    params = task.params
    deadline = Deadline(params["timeout"])
    definition = definitions.read(params["definition"])
    found = contents.read(params["path"], password=params["vault_password"])
    client = connect(params["kubeconfig"], params["context"], deadline)
    try:
        delivery = deliver.Delivery(client, definition, found, RunLog(params["run_directory"]), task.check_mode, deadline)
        result = delivery.present()
    finally:
        client.close()
    changed = [item for item in result.applied if item.action != "unchanged"]
    counts = deliver.summary(result.applied)
    return Outcome(
        changed=result.changed,
        message=", ".join(f"{number} {action}" for action, number in counts.items()),
        diff=[diff.difference(item.key, item.before, item.after) for item in changed],
        values={"objects": dict(counts)},
    )


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC, required_if=[("state", "present", ("path",))], hide=lambda params: hidden_values(params["definition"]))


if __name__ == "__main__":
    main()
