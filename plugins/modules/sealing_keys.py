#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: sealing_keys
short_description: Make, keep, install and renew the key pairs that secrets are sealed with
version_added: 1.0.0
description:
  - Keeps the key pairs of Sealed Secrets in one file, so that secrets can be sealed before any cluster exists, and opened on one that was built anew.
  - Makes the first pair, and a new one when the newest is older than O(renew_days). Old pairs are kept, since what they have sealed is still in use.
  - With O(kubeconfig), every pair of the file is put into the cluster, and every pair that the cluster has, also one that the controller has made, into
    the file, which so is a backup of all.
  - The controller reads its keys when it starts. RV(digest) as an annotation of its pods restarts it when there is another one.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
options:
  path:
    description: The file that holds the pairs. Its directory is made with mode 0700 when it is missing. Keep a copy.
    type: path
    required: true
  vault_password:
    description: Password of Ansible Vault. Empty leaves the file unencrypted, with mode 0600.
    type: str
    default: ""
  renew_days:
    description: Age in days after which a new pair is made. V(0) never renews.
    type: int
    default: 0
  kubeconfig:
    description:
      - The cluster to keep in step with the file. Empty works on the file alone.
      - In check mode, one that does not exist or does not answer is taken to have none.
    type: path
  namespace:
    description: The controller's namespace. It is made when it is missing.
    type: str
    default: kube-system
  timeout:
    description: Seconds after which the task gives up.
    type: int
    default: 120
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
- name: The keys that secrets are sealed with
  trinode.platform.sealing_keys:
    path: "{{ inventory_dir }}/cluster/sealing-keys.yaml"
    vault_password: "{{ lookup('trinode.platform.vault_password') }}"
    renew_days: 30
    kubeconfig: "{{ inventory_dir }}/cluster/kubeconfig"
"""

RETURN = r"""
certificate:
  description: The newest pair's certificate, which is public (C(kubeseal --cert)). Empty where check mode would make the pair.
  type: str
  returned: success
  sample: "-----BEGIN CERTIFICATE-----..."
fingerprint:
  description: SHA-256 of that certificate, hexadecimal.
  type: str
  returned: success
  sample: 7d0c...
digest:
  description: A digest of all pairs, which changes with each that comes. Empty where check mode would make one.
  type: str
  returned: success
  sample: 2f1b...
pairs:
  description: How many pairs there are.
  type: int
  returned: success
  sample: 1
made:
  description: Why a pair was made; empty when none was.
  type: str
  returned: success
  sample: there is none
backed_up:
  description: How many pairs of the cluster were not in the file.
  type: int
  returned: success
  sample: 0
installed:
  description: How many pairs were put into the cluster.
  type: int
  returned: success
  sample: 1
"""

import datetime as dt
import os
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils import vaulted_file
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError, ApiUnreachable
from ansible_collections.trinode.platform.plugins.module_utils.kube.apply import apply
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, MissingKubeconfigError, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Request
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.sealing import keys, keys_plan
from ansible_collections.trinode.platform.plugins.module_utils.talos.vault import is_vaulted
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "vault_password": {"type": "str", "no_log": True, "default": ""},
    "renew_days": {"type": "int", "default": 0},
    "kubeconfig": {"type": "path"},
    "namespace": {"type": "str", "default": "kube-system"},
    "timeout": {"type": "int", "default": 120},
}


def run(task: Task) -> Outcome:
    """Look at both places, decide, write the file, and only then give the cluster what it lacks: no pair is in use without a backup."""
    params, deadline, now = task.params, Deadline(task.params["timeout"]), dt.datetime.now(dt.UTC)
    path, password, namespace = params["path"], params["vault_password"], params["namespace"]
    client = _client(task, deadline) if params["kubeconfig"] else None
    file = keys.read(path, password) if os.path.lexists(path) else []
    found = keys_plan.plan(file, _in_cluster(client, namespace, deadline) if client else [], now, params["renew_days"])
    pairs = list(found.kept)
    if found.make and not task.check_mode:
        pairs.insert(0, keys.generate(now))
    install = [*(pairs[:1] if found.make else []), *found.installed] if client else []
    encrypt = bool(password and file and not is_vaulted(vaulted_file.read_text(path)[0]))
    write = bool(found.make or found.backed_up or encrypt)
    if not password:
        task.warn(f"{path} holds the keys of all sealed secrets unencrypted (mode 0600). Run with a vault password, and it is encrypted.")
    if write and not task.check_mode:
        vaulted_file.replace(path, keys.dump(pairs), password)
    if client and install and not task.check_mode:
        _install(client, [keys.as_secret(pair, namespace) for pair in install], namespace, deadline)
    newest = None if found.make and task.check_mode else pairs[0]
    values = {
        "certificate": newest.certificate if newest else "",
        "fingerprint": newest.fingerprint if newest else "",
        "digest": keys.digest(pairs) if newest else "",
        "pairs": len(found.kept) + bool(found.make),
        "made": found.make,
        "backed_up": len(found.backed_up),
        "installed": len(found.installed) + bool(found.make) if client else 0,
    }
    if client:
        client.close()
    return Outcome(changed=bool(write or values["installed"]), values=values)


def _client(task: Task, deadline: Deadline) -> Client | None:  # pylint: disable=unsupported-binary-operation
    try:
        client = connect(task.params["kubeconfig"], deadline=deadline)
        if task.check_mode:
            client.get("/version")
    except (MissingKubeconfigError, ApiUnreachable):
        if task.check_mode:
            return None
        raise
    return client


def _install(client: Client, secrets: list[dict[str, Any]], namespace: str, deadline: Deadline) -> None:
    request = Request(namespace=namespace, force=True, wait=False)
    try:
        retried(lambda: client.get(f"/api/v1/namespaces/{namespace}", deadline=deadline), deadline, namespace)
    except ApiError as error:
        if not error.not_found:
            raise
        # The component that it belongs to adds its labels later.
        apply(client, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}], request, deadline)
    apply(client, secrets, request, deadline)


def _in_cluster(client: Client, namespace: str, deadline: Deadline) -> list[keys.KeyPair]:
    path, selector = f"/api/v1/namespaces/{namespace}/secrets", {"labelSelector": keys.ACTIVE_LABEL}
    found, _version = retried(lambda: client.list(path, selector, deadline=deadline), deadline, path)
    return keys.from_secrets(found, where=f"the Secrets labelled {keys.ACTIVE_LABEL} in {namespace}") if found else []


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
