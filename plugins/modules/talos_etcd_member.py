#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_etcd_member
short_description: Remove a member of etcd, let it leave, or have it hand its leadership over
version_added: 1.0.0
description:
  - Refuses what would cost etcd its quorum. M(trinode.platform.talos_etcd_info) lists the members.
  - A dead member is removed only when its name and its id belong together and nothing answers for it, not even at the member's own addresses.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_talos
options:
  endpoints:
    description: Addresses of the control planes.
    type: list
    elements: str
    required: true
  hostname:
    description: Host name of the member.
    type: str
    required: true
  member_id:
    description: Id of the member, 16 hexadecimal digits. Needed to remove one; otherwise checked where it is given.
    type: str
    default: ""
  state:
    description:
      - V(absent) removes a member whose machine is dead.
      - V(left) has a living member leave. Its data is deleted. Talos joins again at its next boot, unless the machine is reset.
      - V(follower) has the member hand its leadership over if it is the leader, as is wise before it is disrupted.
    type: str
    choices: [absent, left, follower]
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
    default: 120
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - talosctl
"""

EXAMPLES = r"""
- name: Remove the member of a machine that is gone for good
  trinode.platform.talos_etcd_member:
    endpoints: [192.0.2.11, 192.0.2.12]
    hostname: m3
    member_id: 6f1a2b3c4d5e6f70
    state: absent
    talosconfig: cluster/talosconfig
"""

RETURN = r"""
steps:
  description: What was (in check mode, would be) done.
  type: list
  elements: str
  returned: success
  sample: ["m3 (6f1a2b3c4d5e6f70) is removed from etcd, through 192.0.2.11"]
etcd:
  description: etcd afterwards, as M(trinode.platform.talos_etcd_info) returns it.
  type: dict
  returned: success
  sample:
    voters: [m1, m2]
    learners: []
    healthy_voters: [m1, m2]
    leader: m1
    quorum: 2
    alarms: []
    disagreement: ""
"""

import re
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_talosconfig import require_talosconfig
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_member import settle
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_member_plan import Wish
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "endpoints": {"type": "list", "elements": "str", "required": True},
    "hostname": {"type": "str", "required": True},
    "member_id": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["absent", "left", "follower"], "required": True},
    "talosconfig": {"type": "path", "required": True},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 120},
}


def run(task: Task) -> Outcome:
    """Refuse what is not clear, then plan and do."""
    params = task.params
    member_id = params["member_id"].lower()
    if not re.fullmatch(r"[0-9a-f]{16}" if params["state"] == "absent" else r"([0-9a-f]{16})?", member_id):
        raise InputError(
            f"{params['member_id']!r} is not the id of a member", where="member_id", hint="Give its 16 digits, as talosctl etcd members shows them."
        )
    require_talosconfig(params["talosconfig"])
    machines = [Machine(address, talosctl=params["talosctl"], talosconfig=params["talosconfig"]) for address in params["endpoints"]]
    wish = Wish(params["hostname"], member_id, params["state"])
    steps, summary = settle(machines, wish, check_mode=task.check_mode, deadline=Deadline(params["timeout"]))
    words = [step.words for step in steps]
    diff = {"before": "", "after": "".join(f"{line}\n" for line in words)} if words else None
    return Outcome(changed=bool(steps), diff=diff, values={"steps": words, "etcd": summary.as_values()})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
