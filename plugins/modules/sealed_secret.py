#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: sealed_secret
short_description: Seal values into a SealedSecret that may lie in Git
version_added: 1.0.0
description:
  - Writes a SealedSecret for the controller of Sealed Secrets (C(bitnami.com/v1alpha1)), sealed with the newest pair of O(keys_file).
    No cluster and no C(kubeseal) is needed.
  - A value that is sealed already, for this Secret and with the newest pair, is not sealed anew; whether it is the same is found by opening it, so nothing
    about it is stored in clear. After a renewal of the keys it is sealed anew.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_platform
options:
  path:
    description: The file to write, which belongs into Git. Its directory is made when it is missing.
    type: path
    required: true
  keys_file:
    description: The key pairs, as M(trinode.platform.sealing_keys) keeps them.
    type: path
    required: true
  vault_password:
    description: Password of Ansible Vault for O(keys_file).
    type: str
    default: ""
  name:
    description: The Secret's name.
    type: str
    required: true
  namespace:
    description: The Secret's namespace.
    type: str
    required: true
  scope:
    description: Whether it can be opened under this name and namespace only, under any name in the namespace, or anywhere in the cluster.
    type: str
    choices: [strict, namespace-wide, cluster-wide]
    default: strict
  type:
    description: The Secret's type.
    type: str
    default: Opaque
  values:
    description: The Secret's data in clear, best from variables that Ansible Vault encrypts.
    type: dict
    required: true
  labels:
    description: Labels of the Secret.
    type: dict
    default: {}
  annotations:
    description: Annotations of the Secret.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: What is sealed is shown as V(<sealed>), or with the reason for which it is sealed anew.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: The database's password, for Git
  trinode.platform.sealed_secret:
    path: "{{ playbook_dir }}/user/shop/database.yaml"
    keys_file: "{{ inventory_dir }}/cluster/sealing-keys.yaml"
    vault_password: "{{ lookup('trinode.platform.vault_password') }}"
    namespace: shop
    name: database
    values:
      password: "{{ vault_shop_database_password }}"
"""

RETURN = r"""
resealed:
  description: The values that were sealed, by name, and why.
  type: dict
  returned: success
  sample: {password: new}
object:
  description: The SealedSecret.
  type: dict
  returned: success
  sample: {apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, metadata: {name: database, namespace: shop}, spec: {encryptedData: {password: AgB...}}}
"""

import os
from collections.abc import Mapping
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.sealing import box, keys, sealed_secret
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "keys_file": {"type": "path", "required": True, "no_log": False},
    "vault_password": {"type": "str", "no_log": True, "default": ""},
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "scope": {"type": "str", "choices": list(box.SCOPES), "default": "strict"},
    "type": {"type": "str", "default": "Opaque"},
    "values": {"type": "dict", "required": True, "no_log": True},
    "labels": {"type": "dict", "default": {}},
    "annotations": {"type": "dict", "default": {}},
}


def run(task: Task) -> Outcome:
    """Seal what is new or has changed, and write the file when it is another one."""
    params = task.params
    path = params["path"]
    wanted = sealed_secret.Wanted(
        params["name"],
        params["namespace"],
        {name: _bytes(name, value) for name, value in params["values"].items()},
        params["scope"],
        params["type"],
        params["labels"],
        params["annotations"],
    )
    pairs = keys.read(params["keys_file"], params["vault_password"])
    before = _existing(path)
    sealed = sealed_secret.seal(wanted, before, pairs)
    changed = sealed.item != before
    if changed and not task.check_mode:
        _write(path, yaml.safe_dump(sealed.item, sort_keys=False, width=float("inf")))
    diff = {
        "before_header": path,
        "after_header": path,
        "before": _shown(before, {}),
        "after": _shown(sealed.item, sealed.resealed),
    }
    return Outcome(changed=changed, diff=diff, values={"resealed": dict(sealed.resealed), "object": sealed.item})


def _bytes(name: str, value: Any) -> bytes:
    if not isinstance(value, str):
        raise InputError("a value of a Secret is text", where=f"values.{name}", hint="Quote it, or make it JSON with the filter to_json.")
    return value.encode()


def _existing(path: str) -> dict[str, Any] | None:  # pylint: disable=unsupported-binary-operation
    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError("the file is there and cannot be read as YAML", where=path, hint="Mend it, or move it away.") from error
    if not isinstance(found, dict) or found.get("kind") != "SealedSecret":
        raise InputError("the file is there and is no SealedSecret, so it is not replaced", where=path, hint="Choose another path, or move it away.")
    return found


def _write(path: str, text: str) -> None:
    temporary = f"{path}.new"
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"the file cannot be written: {error.strerror}", where=path) from error


def _shown(item: Mapping[str, Any] | None, resealed: Mapping[str, str]) -> str:  # pylint: disable=unsupported-binary-operation
    return sealed_secret.shown(item, resealed) if item else ""


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
