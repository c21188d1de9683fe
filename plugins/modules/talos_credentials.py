#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_credentials
short_description: Administrator's credentials for the machines and for Kubernetes
version_added: 0.1.0
description:
  - Derives the talosconfig from the cluster's secrets bundle, and fetches the kubeconfig from a control plane.
  - Both are written anew when they are missing, when less than O(renew_below) of their certificate's life is left, or when they do not match the
    bundle's authorities or the addresses. Otherwise they are left alone.
  - Files have mode 0600 and are replaced in one step.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_talos
options:
  secrets_file:
    description: File with the cluster's secrets bundle; encrypted with Ansible Vault or in the clear.
    type: path
    required: true
  vault_password:
    description: Password of Ansible Vault for the secrets file. Empty when the file is not encrypted.
    type: str
    default: ""
  cluster_name:
    description: Name of the cluster, which becomes the name of the talosconfig's context.
    type: str
    required: true
  cluster_endpoint:
    description: URL of the Kubernetes API as everybody reaches it.
    type: str
    required: true
  endpoints:
    description: Addresses of the control planes, which become the talosconfig's endpoints. Never the virtual address, which lives only while etcd does.
    type: list
    elements: str
    required: true
  nodes:
    description: Addresses that C(talosctl) talks to when no C(--nodes) is given. Empty takes O(endpoints).
    type: list
    elements: str
    default: []
  talosconfig:
    description: Where the talosconfig is.
    type: path
    required: true
  kubeconfig:
    description: Where the kubeconfig is. Without it, only the talosconfig is looked after.
    type: path
  merge_kubeconfig:
    description: Another kubeconfig that the cluster, its user and context are merged into. Its current context stays. Empty leaves it alone.
    type: path
    default: ""
  renew:
    description: Write both anew now, whatever is left of their certificates' lives. The old certificates stay valid until they expire.
    type: bool
    default: false
  renew_below:
    description: Renew when less than this share of a certificate's life is left.
    type: float
    default: 0.5
  talosctl:
    description: The program C(talosctl), as a path or a name to look for in E(PATH).
    type: str
    default: talosctl
  timeout:
    description: Seconds after which the task gives up.
    type: int
    default: 300
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The files hold secrets.
  idempotent:
    support: full
    details: Not with O(renew).
requirements:
  - talosctl
"""

EXAMPLES = r"""
- name: Credentials for machines and cluster
  trinode.platform.talos_credentials:
    secrets_file: cluster/secrets.yaml
    vault_password: "{{ lookup('trinode.platform.vault_password') }}"
    cluster_name: example
    cluster_endpoint: https://192.0.2.10:6443
    endpoints: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    talosconfig: cluster/talosconfig
    kubeconfig: cluster/kubeconfig
"""

RETURN = r"""
talosconfig:
  description: The talosconfig.
  type: dict
  returned: success
  contains:
    path:
      description: The file.
      type: str
    changed:
      description: Whether it was written (in check mode, would be).
      type: bool
    reason:
      description: Why. Empty when it was left alone.
      type: str
      sample: it does not exist
kubeconfig:
  description: The kubeconfig.
  type: dict
  returned: when O(kubeconfig) is given
  contains:
    path:
      description: The file.
      type: str
    changed:
      description: Whether it was written (in check mode, would be).
      type: bool
    reason:
      description: Why. Empty when it was left alone.
      type: str
      sample: it does not exist
merged_into:
  description: Whether O(merge_kubeconfig) was changed (in check mode, would be).
  type: bool
  returned: when O(merge_kubeconfig) is given
"""

import datetime as dt
import os
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos import credentials, secrets
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_plan import (
    Wanted,
    authorities,
    kubeconfig_outdated,
    talosconfig_outdated,
)
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "secrets_file": {"type": "path", "required": True},
    "vault_password": {"type": "str", "no_log": True, "default": ""},
    "cluster_name": {"type": "str", "required": True},
    "cluster_endpoint": {"type": "str", "required": True},
    "endpoints": {"type": "list", "elements": "str", "required": True},
    "nodes": {"type": "list", "elements": "str", "default": []},
    "talosconfig": {"type": "path", "required": True},
    "kubeconfig": {"type": "path"},
    "merge_kubeconfig": {"type": "path", "default": ""},
    "renew": {"type": "bool", "default": False},
    "renew_below": {"type": "float", "default": 0.5},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 300},
}


def run(task: Task) -> Outcome:
    """Look after the talosconfig, then the kubeconfig, then the merged one."""
    params = task.params
    if not 0 <= params["renew_below"] < 1:
        raise InputError(f"{params['renew_below']} is not a share of a certificate's life", where="renew_below", hint="Give a number from 0 up to 1.")
    if task.check_mode and not os.path.exists(params["secrets_file"]):
        return _nothing_yet(task)
    bundle = secrets.read(params["secrets_file"], params["vault_password"]).text
    machine_authority, kubernetes_authority = authorities(bundle, where=params["secrets_file"])
    wanted = Wanted(
        params["cluster_name"],
        params["cluster_endpoint"],
        tuple(params["endpoints"]),
        tuple(params["nodes"] or params["endpoints"]),
        machine_authority,
        kubernetes_authority,
        params["renew_below"],
    )
    deadline = Deadline(params["timeout"])
    now = dt.datetime.now(dt.UTC)
    values = {"talosconfig": _talosconfig(task, wanted, bundle, now, deadline)}
    if params["kubeconfig"]:
        values["kubeconfig"] = _kubeconfig(task, wanted, now, deadline)
    changed = any(file["changed"] for file in values.values())
    if params["kubeconfig"] and params["merge_kubeconfig"]:
        merged = _merge(task)
        return Outcome(changed or merged, values={**values, "merged_into": merged})
    return Outcome(changed, values=values)


def _talosconfig(task: Task, wanted: Wanted, bundle: str, now: dt.datetime, deadline: Deadline) -> dict[str, Any]:
    path = task.params["talosconfig"]
    reason = talosconfig_outdated(credentials.current_talosconfig(path), wanted, now) or _asked_for(task)
    if reason and not task.check_mode:
        credentials.write(path, credentials.make_talosconfig(bundle, wanted, talosctl=task.params["talosctl"], deadline=deadline))
    return _result(task, path, reason)


def _kubeconfig(task: Task, wanted: Wanted, now: dt.datetime, deadline: Deadline) -> dict[str, Any]:
    path = task.params["kubeconfig"]
    reason = kubeconfig_outdated(credentials.current_kubeconfig(path), wanted, now) or _asked_for(task)
    if reason and not task.check_mode:
        text = credentials.fetch_kubeconfig(wanted.endpoints, talosctl=task.params["talosctl"], talosconfig=task.params["talosconfig"], deadline=deadline)
        credentials.write(path, text)
    return _result(task, path, reason)


def _asked_for(task: Task) -> str:
    return "its renewal was asked for" if task.params["renew"] else ""


def _result(task: Task, path: str, reason: str) -> dict[str, Any]:
    if not reason and credentials.has_loose_mode(path):
        reason = "others may read it"
        if not task.check_mode:
            credentials.tighten_mode(path)
    return {"path": path, "changed": bool(reason), "reason": reason}


def _merge(task: Task) -> bool:
    """Whether the other kubeconfig changes. In check mode a kubeconfig that is not there yet will be merged."""
    params = task.params
    try:
        with open(params["kubeconfig"], encoding="utf-8") as file:
            own = file.read()
    except FileNotFoundError:
        return True
    text = credentials.merged(params["merge_kubeconfig"], own)
    if text is not None and not task.check_mode:
        credentials.write(params["merge_kubeconfig"], text)
    return text is not None


def _nothing_yet(task: Task) -> Outcome:
    """Check mode before the secrets bundle exists: everything will be made."""
    params = task.params
    reason = "the secrets bundle does not exist yet"
    values: dict[str, Any] = {name: {"path": params[name], "changed": True, "reason": reason} for name in ("talosconfig", "kubeconfig") if params[name]}
    if params["kubeconfig"] and params["merge_kubeconfig"]:
        values["merged_into"] = True
    return Outcome(True, values=values)


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
