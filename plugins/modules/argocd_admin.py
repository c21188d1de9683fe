#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: argocd_admin
short_description: Give Argo CD's user admin the password of a Secret
version_added: 1.0.0
description:
  - Sets the password of C(admin) by Argo CD's own API, reached through the API server, and deletes C(argocd-initial-admin-secret), which has the first one.
  - Where the Secret's password is accepted already, nothing is done.
  - Where neither that one nor the first one is accepted, as after the Secret was made anew or somebody has set another password, Argo CD makes a first
    password again. For this its hash is taken out of C(argocd-secret), and one server is started anew.
author:
  - trinode.platform contributors (@trinode)
options:
  namespace:
    description: Argo CD's namespace.
    type: str
    default: argocd
  secret:
    description: Name of the Secret with the password, in the same namespace. It is waited for.
    type: str
    required: true
  key:
    description: Its key. The password has 8 to 32 characters.
    type: str
    default: password
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
attributes:
  check_mode:
    support: full
    details:
      - Argo CD is asked which password it accepts; nothing is set.
      - Where O(kubeconfig) does not exist, or the API server does not answer, the cluster is taken not to exist yet.
  diff_mode:
    support: none
    details: There is nothing to show but secrets.
  idempotent:
    support: full
seealso:
  - module: trinode.platform.component_deliver
"""

EXAMPLES = r"""
- name: Set the admin's password
  trinode.platform.argocd_admin:
    kubeconfig: "{{ trinode_kubeconfig }}"
    secret: argocd-admin
"""

RETURN = r"""
steps:
  description:
    - What was done, or in check mode would be done. V(reset) made Argo CD write a first password, V(set) put the Secret's in its place, V(forget) deleted
      the Secret of the first one.
  type: list
  elements: str
  returned: success
  sample: [set, forget]
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd import admin
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "namespace": {"type": "str", "default": "argocd"},
    "secret": {"type": "str", "required": True, "no_log": False},
    "key": {"type": "str", "default": "password", "no_log": False},
}

# In check mode nobody starts the server meanwhile.
_CHECK_SECONDS = 30


def run(task: Task) -> Outcome:
    """See which password is accepted, and make it the Secret's."""
    steps = _steps(task)
    return Outcome(changed=bool(steps), message=f"admin's password: {', '.join(steps)}" if steps else "admin has this password", values={"steps": steps})


def _steps(task: Task) -> list[admin.Step]:
    params = task.params
    deadline = Deadline(min(params["timeout"], _CHECK_SECONDS) if task.check_mode else params["timeout"])
    place = admin.Place(params["namespace"], params["secret"], params["key"])
    try:
        client = connect(params["kubeconfig"], params["context"], deadline)
        try:
            if task.check_mode:
                client.get("/version")
            return admin.ensure(client, place, deadline, check=task.check_mode)
        finally:
            client.close()
    except (MissingKubeconfigError, ApiUnreachable):
        if not task.check_mode:
            raise
        return admin.plan("first", first_is_there=True)


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
