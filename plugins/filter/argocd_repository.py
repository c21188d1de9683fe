# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Argo CD needs to reach the user's repository: objects, and values of its chart."""

from __future__ import annotations

DOCUMENTATION = r"""
name: argocd_repository
short_description: What Argo CD needs to reach the user's repository
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes the variable C(trinode_git) and returns the Secret with the repository's credentials, and values of Argo CD's chart that say whom to trust.
  - Both are empty where there is no GitOps.
positional: _input
options:
  _input:
    description: A dictionary with C(url), C(username), C(token), C(ssh_key), C(known_hosts) and C(ca).
    type: dict
    required: true
  namespace:
    description: Argo CD's namespace.
    type: str
    required: true
  enabled:
    description: Whether Argo CD is to read the repository.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Show the values
  ansible.builtin.debug:
    msg: "{{ (trinode_git | trinode.platform.argocd_repository(namespace='argocd')).values }}"
"""

RETURN = r"""
_value:
  description: C(objects), a list, and C(values), a dictionary.
  type: dict
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd import credentials


def argocd_repository(git: Mapping[str, Any], *, namespace: str, enabled: bool = True) -> dict[str, Any]:
    """See DOCUMENTATION."""
    if not enabled:
        return {"objects": [], "values": {}}
    url = str(git["url"])
    secret = credentials.repository_secret(url, username=str(git["username"]), token=str(git["token"]), ssh_key=str(git["ssh_key"]))
    secret["metadata"]["namespace"] = namespace
    return {"objects": [secret], "values": credentials.trust_values(url, known_hosts=str(git["known_hosts"]), ca=str(git["ca"]))}


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"argocd_repository": argocd_repository}
