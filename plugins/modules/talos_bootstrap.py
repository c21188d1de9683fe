#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_bootstrap
short_description: Bootstrap a cluster's etcd, exactly once
version_added: 0.1.0
description:
  - Bootstraps etcd on one control plane, unless any control plane has data of etcd already, and waits until all of them are healthy voters.
  - Safe to be interrupted and repeated, with the same O(address). Nothing is done as long as it cannot be seen that no control plane has data,
    since a second bootstrap would make a second cluster.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.talos
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_talos
options:
  talosconfig:
    required: true
  endpoints:
    description: Addresses of all control planes, O(address) among them.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
  idempotent:
    support: full
seealso:
  - module: trinode.platform.talos_apply
  - module: trinode.platform.talos_etcd_info
"""

EXAMPLES = r"""
- name: Bootstrap etcd, once
  trinode.platform.talos_bootstrap:
    address: 192.0.2.11
    endpoints: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    talosconfig: cluster/talosconfig
"""

RETURN = r"""
bootstrapped:
  description: Whether this task bootstrapped etcd (in check mode, would).
  type: bool
  returned: success
etcd:
  description: What M(trinode.platform.talos_etcd_info) calls C(etcd). Empty in check mode before the bootstrap.
  type: dict
  returned: success
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.bootstrap import bootstrap
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "address": {"type": "str", "required": True},
    "talosconfig": {"type": "path", "required": True},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 600},
    "endpoints": {"type": "list", "elements": "str", "required": True},
}


def run(task: Task) -> Outcome:
    """Bootstrap unless it was done, and wait."""
    params = task.params
    first = Machine(params["address"], talosctl=params["talosctl"], talosconfig=params["talosconfig"])
    if params["address"] not in params["endpoints"]:
        raise InputError(f"{params['address']} is none of the endpoints", where="address", hint="Put it among endpoints.")
    if first.context is None and not task.check_mode:
        raise InputError("the talosconfig does not exist", where=params["talosconfig"], hint="Make it first, with talos_credentials.")
    result = bootstrap(first, [first.at(address) for address in params["endpoints"]], check_mode=task.check_mode, deadline=Deadline(params["timeout"]))
    return Outcome(
        changed=result.done,
        message="etcd was not bootstrapped before." if result.done else "",
        values={"bootstrapped": result.done, "etcd": result.summary.as_values() if result.summary else {}},
    )


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
