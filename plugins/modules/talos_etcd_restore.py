#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_etcd_restore
short_description: Restore etcd from a backup
version_added: 1.0.0
description:
  - Opens a backup of M(trinode.platform.talos_etcd_snapshot) and checks that it is whole; then removes etcd's data on every control plane that has any,
    restores the backup on one of them, and waits until all are voters. B(Everything that was written since the backup is lost.)
  - Every control plane has to answer, since an old member that comes back later would be a second cluster. An etcd that has its quorum is refused.
  - What was interrupted goes on when it is run again with the same options.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.etcd_backup
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_talos
options:
  cluster_name:
    description: Name of the cluster. A backup of another one is refused.
    type: str
    required: true
  confirm:
    description: The cluster's name once more. Anything else is refused.
    type: str
    required: true
  backup:
    description: A backup's name in the directory or the bucket, its absolute path, or V(latest).
    type: str
    required: true
  address:
    description: Address of the control plane that restores it.
    type: str
    required: true
  endpoints:
    description: Addresses of all control planes.
    type: list
    elements: str
    required: true
  image:
    description:
      - Image with C(rm) in it that runs as root, such as busybox, by which etcd's data is removed where there is any (C(talosctl debug)). Nothing else in
        /var is touched.
      - Needed where a monitor of Ceph has its data in /var.
    type: str
    default: ""
  wipe:
    description:
      - Addresses of control planes whose EPHEMERAL may be wiped with everything in /var, where etcd has data and there is no O(image).
      - One that holds the data of a monitor of Ceph is refused.
    type: list
    elements: str
    default: []
  force:
    description: Restore although etcd has its quorum.
    type: bool
    default: false
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
    default: 1800
attributes:
  check_mode:
    support: full
    details: The backup is fetched, opened and checked all the same.
  diff_mode:
    support: full
  idempotent:
    support: none
    details: Each run that is not refused restores.
requirements:
  - talosctl
seealso:
  - module: trinode.platform.talos_etcd_snapshot
"""

EXAMPLES = r"""
- name: Restore etcd from its latest backup
  trinode.platform.talos_etcd_restore:
    cluster_name: example
    confirm: example
    backup: latest
    address: 192.0.2.11
    endpoints: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    vault_password: "{{ lookup('trinode.platform.vault_password') }}"
    directory: backups
    image: docker.io/library/busybox:1.37
    talosconfig: cluster/talosconfig
"""

RETURN = r"""
backup:
  description: The backup's path or URL.
  type: str
  returned: success
  sample: backups/etcd-example-20261130T115200Z.backup
taken:
  description: When it was taken.
  type: str
  returned: success
  sample: "2026-11-30T11:52:00+00:00"
revision:
  description: etcd's revision in it.
  type: int
  returned: success
  sample: 48211
entries:
  description: Number of revisions of keys in it.
  type: int
  returned: success
  sample: 1834
steps:
  description: What was (in check mode, would be) done.
  type: list
  elements: str
  returned: success
  sample: ["192.0.2.11: etcd is restored from the backup; the other control planes join"]
etcd:
  description: etcd afterwards, as M(trinode.platform.talos_etcd_info) returns it.
  type: dict
  returned: unless in check mode
  sample:
    voters: [m1, m2, m3]
    learners: []
    healthy_voters: [m1, m2, m3]
    leader: m1
    quorum: 2
    alarms: []
    disagreement: ""
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_talosconfig import require_talosconfig
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_restore import Request, restore
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_restore_plan import Permission
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_options import STORE_SPEC, check_options, store
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **STORE_SPEC,
    "cluster_name": {"type": "str", "required": True},
    "confirm": {"type": "str", "required": True},
    "backup": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "endpoints": {"type": "list", "elements": "str", "required": True},
    "image": {"type": "str", "default": ""},
    "wipe": {"type": "list", "elements": "str", "default": []},
    "force": {"type": "bool", "default": False},
    "talosconfig": {"type": "path", "required": True},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 1800},
}


def run(task: Task) -> Outcome:
    """Refuse what is not confirmed, then restore."""
    params = task.params
    if params["confirm"] != params["cluster_name"]:
        raise RefusedError(
            f"the confirmation {params['confirm']!r} is not the cluster's name {params['cluster_name']!r}; nothing was done",
            where="confirm",
            hint="Restoring etcd loses everything that was written since the backup. To confirm, give the cluster's name.",
        )
    check_options(params)
    require_talosconfig(params["talosconfig"])
    deadline = Deadline(params["timeout"])
    permission = Permission(params["force"], params["image"], tuple(params["wipe"]))
    request = Request(params["cluster_name"], params["vault_password"], params["directory"], params["backup"], store(params, deadline), permission)
    first = Machine(params["address"], talosctl=params["talosctl"], talosconfig=params["talosconfig"])
    done = restore(first, [first.at(address) for address in params["endpoints"]], request, check_mode=task.check_mode, deadline=deadline)
    values: dict[str, Any] = {"backup": done.backup, "taken": done.header.taken, "revision": done.header.revision, "entries": done.header.keys}
    values["steps"] = list(done.steps)
    if done.summary is not None:
        values["etcd"] = done.summary.as_values()
    return Outcome(changed=True, diff={"before": "", "after": "".join(f"{line}\n" for line in done.steps)}, values=values)


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
