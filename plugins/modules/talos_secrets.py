#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_secrets
short_description: Make or import a cluster's secrets bundle, once
version_added: 1.0.0
description:
  - Makes sure that the file with the cluster's secrets bundle (certificate authorities, tokens, encryption keys) exists, can be read with the vault
    password, and is complete.
  - A bundle that exists is never made anew and never replaced, since no machine of the cluster would trust a new one.
  - The file is encrypted with Ansible Vault when O(vault_password) is given; a file that lies there in the clear is then encrypted in place.
    Without a password it has mode 0600, and a warning says that it is not encrypted.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_platform
options:
  path:
    description: The file that holds the bundle. Its directory is made with mode 0700 when it is missing.
    type: path
    required: true
  vault_password:
    description: Password of Ansible Vault. Empty leaves the file unencrypted.
    type: str
    default: ""
  import_file:
    description:
      - A bundle to take over instead of making one (as C(talosctl gen secrets) writes it; it may be encrypted with the same vault password).
      - When O(path) exists already, the two must agree.
    type: path
  import_machine_config:
    description:
      - A file with the machine configuration of a running control plane, whose secrets are taken over
        (C(talosctl get machineconfig v1alpha1 -o yaml), whole or its C(spec)).
      - When O(path) exists already, it is not looked at.
    type: path
  contract:
    description: Version contract of the configuration, such as V(v1.13). Needed when a bundle is made.
    type: str
  talosctl:
    description: The program C(talosctl).
    type: str
    default: talosctl
  timeout:
    description: Seconds after which the task gives up.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The file holds secrets only.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: The cluster's secrets
  trinode.platform.talos_secrets:
    path: "{{ inventory_dir }}/cluster/secrets.yaml"
    vault_password: "{{ lookup('trinode.platform.vault_password') }}"
    contract: v1.13

- name: Take over a cluster that was made by hand
  trinode.platform.talos_secrets:
    path: "{{ inventory_dir }}/cluster/secrets.yaml"
    vault_password: "{{ lookup('trinode.platform.vault_password') }}"
    import_machine_config: "{{ inventory_dir }}/controlplane-1.yaml"
"""

RETURN = r"""
created:
  description: Whether the bundle was made or imported by this task (in check mode, would be).
  type: bool
  returned: success
  sample: true
encrypted:
  description: Whether the file is encrypted with Ansible Vault (in check mode, would be).
  type: bool
  returned: success
  sample: true
"""

import os
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils import vaulted_file
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos import secrets
from ansible_collections.trinode.platform.plugins.module_utils.talos.documents import load_all
from ansible_collections.trinode.platform.plugins.module_utils.talos.render import check_contract
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "vault_password": {"type": "str", "no_log": True, "default": ""},
    "import_file": {"type": "path"},
    "import_machine_config": {"type": "path"},
    "contract": {"type": "str"},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 60},
}


def run(task: Task) -> Outcome:
    """Read the bundle, or make it."""
    params = task.params
    path, password = params["path"], params["vault_password"]
    if not os.path.lexists(path):
        text = _new_bundle(task)
        if task.check_mode or vaulted_file.create(path, text, password):
            if not password:
                _warn_of_plain_file(task)
            return _outcome(changed=True, created=True, encrypted=bool(password))
    return _keep(task)


def _new_bundle(task: Task) -> str:
    params, deadline = task.params, Deadline(task.params["timeout"])
    if params["import_file"]:
        return _imported(task)
    if params["import_machine_config"]:
        where = params["import_machine_config"]
        text, _mode = vaulted_file.read_text(where)
        text = vaulted_file.decrypted(text, params["vault_password"], where=where)
        return secrets.from_machine_config(text, where=where, talosctl=params["talosctl"], deadline=deadline)
    if not params["contract"]:
        raise InputError("a new secrets bundle needs the version contract of the cluster", where="contract", hint="Give it, like v1.13.")
    check_contract(params["contract"])
    return secrets.generate(talosctl=params["talosctl"], contract=params["contract"], deadline=deadline)


def _imported(task: Task) -> str:
    where = task.params["import_file"]
    return secrets.read(where, task.params["vault_password"]).text


def _keep(task: Task) -> Outcome:
    path, password = task.params["path"], task.params["vault_password"]
    stored = secrets.read(path, password)
    import_file = task.params["import_file"]
    if import_file and os.path.exists(import_file) and load_all(_imported(task), where=import_file) != load_all(stored.text, where=path):
        raise RefusedError(
            f"the bundle in {import_file} is another one than the cluster's",
            where=path,
            hint="A cluster's secrets are never replaced. Remove import_file, or, if no machine uses the existing file yet, move that file away.",
        )
    if stored.encrypted:
        return _outcome(changed=False, created=False, encrypted=True)
    if password:
        if not task.check_mode:
            vaulted_file.replace(path, stored.text, password)
        message = "The secrets file lay there in the clear; this task encrypts it with Ansible Vault."
        return _outcome(changed=True, created=False, encrypted=True, message=message)
    _warn_of_plain_file(task)
    if stored.mode & 0o077:
        if not task.check_mode:
            os.chmod(path, 0o600)
        return _outcome(changed=True, created=False, encrypted=False, message="The secrets file was readable by others; this task sets its mode to 0600.")
    return _outcome(changed=False, created=False, encrypted=False)


def _warn_of_plain_file(task: Task) -> None:
    task.warn(f"{task.params['path']} holds the cluster's secrets unencrypted (mode 0600). Run with a vault password, and it is encrypted in place.")


def _outcome(*, changed: bool, created: bool, encrypted: bool, message: str = "") -> Outcome:
    return Outcome(changed=changed, message=message, values={"created": created, "encrypted": encrypted})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC, mutually_exclusive=[("import_file", "import_machine_config")])


if __name__ == "__main__":
    main()
