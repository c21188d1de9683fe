#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_etcd_snapshot
short_description: Back etcd up
version_added: 1.0.0
description:
  - Takes a snapshot from a healthy member of etcd, not the leader where there is a choice. Opens it and checks that it is whole and not empty (checksum,
    every page of the database), encrypts it, and stores it in a directory or in a bucket. Then removes the oldest backups of this cluster beyond O(keep).
  - A backup holds every Secret of the cluster, so there is none without a password. Whoever restores it needs the same password.
  - The snapshot in the clear is a file of mode 0600 in a private directory while C(talosctl) writes it, and has no name any more afterwards. What a run that
    was killed has left is removed by the next one.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.etcd_backup
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_talos
options:
  cluster_name:
    description: Name of the cluster, which becomes part of the backup's name.
    type: str
    required: true
  endpoints:
    description: Addresses of the control planes.
    type: list
    elements: str
    required: true
  keep:
    description: How many backups of this cluster stay. 0 keeps all.
    type: int
    default: 14
  talosconfig:
    description: File with the client certificate for the machines, as M(trinode.platform.talos_credentials) writes it.
    type: path
    required: true
  talosctl:
    description: The program C(talosctl), as a path or a name to look for in E(PATH).
    type: str
    default: talosctl
  timeout:
    description: Seconds after which the task gives up.
    type: int
    default: 900
attributes:
  check_mode:
    support: full
    details: A member is chosen, and what would be removed is known. Whether the snapshot will be whole is not.
  diff_mode:
    support: N/A
  idempotent:
    support: none
    details: Each run makes a backup.
requirements:
  - talosctl
seealso:
  - module: trinode.platform.talos_etcd_restore
"""

EXAMPLES = r"""
- name: Back etcd up
  trinode.platform.talos_etcd_snapshot:
    cluster_name: example
    endpoints: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    vault_password: "{{ lookup('trinode.platform.vault_password') }}"
    directory: backups
    talosconfig: cluster/talosconfig
"""

RETURN = r"""
backup:
  description: The backup's path or URL.
  type: str
  returned: success
  sample: backups/etcd-example-20261130T115200Z.backup
member:
  description: Address of the machine that it was (in check mode, would be) taken from.
  type: str
  returned: success
  sample: 192.0.2.12
revision:
  description: etcd's revision at that moment.
  type: int
  returned: when it was taken
  sample: 48211
entries:
  description: Number of revisions of keys in it.
  type: int
  returned: when it was taken
  sample: 1834
size:
  description: Its bytes, before encryption.
  type: int
  returned: when it was taken
  sample: 8065056
removed:
  description: Paths or URLs of older backups that were (in check mode, would be) removed.
  type: list
  elements: str
  returned: success
  sample: [backups/etcd-example-20261116T031500Z.backup]
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_talosconfig import require_talosconfig
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot import Request, back_up
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_options import STORE_SPEC, check_options, store
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **STORE_SPEC,
    "cluster_name": {"type": "str", "required": True},
    "endpoints": {"type": "list", "elements": "str", "required": True},
    "keep": {"type": "int", "default": 14},
    "talosconfig": {"type": "path", "required": True},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 900},
}


def run(task: Task) -> Outcome:
    """Refuse what cannot work, then take one."""
    params = task.params
    check_options(params)
    require_talosconfig(params["talosconfig"])
    deadline = Deadline(params["timeout"])
    place = store(params, deadline)
    request = Request(params["cluster_name"], params["vault_password"], params["directory"], params["keep"], place)
    clients = [Talosctl(address, program=params["talosctl"], talosconfig=params["talosconfig"]) for address in params["endpoints"]]
    made = back_up(clients, request, check_mode=task.check_mode, deadline=deadline)
    content = made.content.as_values() if made.content else {}
    removed = [place.where(name) for name in made.removed]
    return Outcome(changed=True, values={"backup": place.where(made.name), "member": made.member, "removed": removed, **content})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
