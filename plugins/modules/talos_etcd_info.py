#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_etcd_info
short_description: The state of a cluster's etcd
version_added: 0.1.0
description:
  - Asks every control plane what it knows of etcd. Reads only; a member that does not answer is a result, not a failure.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.info
  - trinode.platform.attributes.actiongroup_talos
options:
  endpoints:
    description: Addresses of the control planes.
    type: list
    elements: str
    required: true
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
    default: 30
requirements:
  - talosctl
"""

EXAMPLES = r"""
- name: Look at etcd
  trinode.platform.talos_etcd_info:
    endpoints: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    talosconfig: cluster/talosconfig
"""

RETURN = r"""
etcd:
  description: etcd as a whole.
  type: dict
  returned: success
  contains:
    voters:
      description: Host names of the members that have a vote.
      type: list
      elements: str
      sample: [m1, m2, m3]
    learners:
      description: Host names of the members that have none yet.
      type: list
      elements: str
    healthy_voters:
      description: Host names of the voters that answer, have a leader and report no error.
      type: list
      elements: str
    leader:
      description: Host name of the leader. Empty when there is none, or when the members disagree.
      type: str
      sample: m1
    quorum:
      description: How many voters have to be there.
      type: int
      sample: 2
    alarms:
      description: Alarms.
      type: list
      elements: str
      sample: [NOSPACE on m1]
    disagreement:
      description: In what the members' views differ. Empty when they do not.
      type: str
members:
  description: The control planes, in the order of O(endpoints).
  type: list
  elements: dict
  returned: success
  contains:
    address:
      description: The control plane.
      type: str
    member_id:
      description: Id of its member. Empty when it has none that runs.
      type: str
    healthy:
      description: Whether its member answers, has a leader and reports no error.
      type: bool
    learner:
      description: Whether its member has no vote yet.
      type: bool
    db_size:
      description: Size of its database, as Talos prints it.
      type: str
      sample: 3.2 MB
    db_in_use:
      description: How much of it is in use, with the share.
      type: str
      sample: 1.1 MB (34.00%)
    raft_index:
      description: Index of the last entry in its log.
      type: int
    problem:
      description: Why it cannot be read. Empty when it can.
      type: str
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_talosconfig import require_talosconfig
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView, observe_all
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import summarize
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "endpoints": {"type": "list", "elements": "str", "required": True},
    "talosconfig": {"type": "path", "required": True},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 30},
}


def run(task: Task) -> Outcome:
    """Ask every control plane, and sum up."""
    params = task.params
    require_talosconfig(params["talosconfig"])
    clients = [Talosctl(address, program=params["talosctl"], talosconfig=params["talosconfig"]) for address in params["endpoints"]]
    views = observe_all(clients, deadline=Deadline(params["timeout"]))
    return Outcome(values={"etcd": summarize(views).as_values(), "members": [_member(view) for view in views]})


def _member(view: EtcdView) -> dict[str, Any]:
    status = view.status
    return {
        "address": view.address,
        "member_id": view.member_id,
        "healthy": view.healthy,
        "learner": bool(status and status.learner),
        "db_size": status.db_size if status else "",
        "db_in_use": status.db_in_use if status else "",
        "raft_index": status.raft_index if status else 0,
        "problem": view.problem,
    }


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
