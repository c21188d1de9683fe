# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing a dead member of etcd, letting a living one leave, or having it hand its leadership over; then seeing that it is so."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import Unreachable
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView, observe_all
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_member_plan import Step, Wish, find, hosts, plan
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import EtcdSummary, summarize
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine

LOOK_SECONDS = 1.0


def settle(machines: Sequence[Machine], wish: Wish, *, check_mode: bool, deadline: Deadline) -> tuple[list[Step], EtcdSummary]:
    """Do what it takes, and wait until it is so. Returns the steps (in check mode, those that would be taken) and etcd as it is then."""
    views = _look(machines, wish, deadline)
    steps = plan(wish, views)
    if check_mode or not steps:
        return steps, summarize(views)
    member = find(wish, summarize(views).members)
    clients = {machine.address: machine.client() for machine in machines}
    for step in steps:
        progress(step.words)
        try:
            # Leaving waits until etcd lets the member go, up to five minutes.
            clients[step.address].run("etcd", *step.command, action=step.words, deadline=deadline, seconds=deadline.remaining)
        except Unreachable as error:
            # The answer may be lost, and the deed done; what follows finds out.
            progress(f"{error.what}; looks whether it was done")
    while True:
        views = _look(machines, wish, deadline)
        summary = summarize(views)
        if summary.members and member is not None and _done(wish, member, summary):
            return steps, summary
        deadline.check(f"etcd does not show yet that {steps[-1].words}", where="etcd", hint="Look at talosctl etcd members and talosctl logs etcd.")
        deadline.pause(LOOK_SECONDS)


def _done(wish: Wish, member: EtcdMember, summary: EtcdSummary) -> bool:
    if wish.state == "follower":
        return bool(summary.leader) and summary.leader != member.id
    # By its id: the machine may join anew under its name.
    return all(other.id != member.id for other in summary.members)


def _look(machines: Sequence[Machine], wish: Wish, deadline: Deadline) -> list[EtcdView]:
    """The views of the control planes, and of the member's own machine where the inventory knows it no longer."""
    views = observe_all([machine.client() for machine in machines], deadline=deadline)
    members = summarize(views).members
    member = find(wish, members) if members else None
    known = {machine.address for machine in machines}
    strangers = [host for host in (hosts(member) if member else []) if host not in known]
    if not strangers:
        return views
    return [*views, *observe_all([machines[0].at(host).client() for host in strangers], deadline=deadline)]
