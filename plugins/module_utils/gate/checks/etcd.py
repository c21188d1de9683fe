# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd: all voters are there, healthy and close behind, agree on a leader, without alarms and with room; enough of them stay when the machine goes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources, each
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, Policy
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdStatus, byte_count
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import NO_LEADER, EtcdView, observe_etcd

DEFAULT_QUOTA = 2 * 1024**3
"""etcd's own, where no quota-backend-bytes is set."""
_ASK_ABOVE = 0.5
_FULL_ABOVE = 0.8
# A member further behind gets a snapshot in the place of what it missed (etcd's DefaultSnapshotCatchUpEntries).
_LAG_ENTRIES = 5000
_ADVICE = "Look at `talosctl service etcd` and `talosctl logs etcd` there."
_ALARMS = {
    "NOSPACE": (
        "the database has reached its quota (alarm NOSPACE): etcd refuses every write, so nothing in the cluster can be changed",
        "Delete what fills it, `talosctl etcd defrag` member by member, then `talosctl etcd alarm disarm`.",
    ),
    "CORRUPT": (
        "the members' data differ (alarm CORRUPT): one of them cannot be trusted",
        "Find the member that differs (`talosctl logs etcd`), take it out and let it join anew; then `talosctl etcd alarm disarm`.",
    ),
}
_ALARM = re.compile(r"memberID:(\d+) alarm:(\w+)")


@dataclass(frozen=True)
class Etcd:
    """What each control plane says, and the quota of the database in bytes."""

    members: tuple[EtcdView, ...]
    quota: int = DEFAULT_QUOTA


def read(sources: Sources, deadline: Deadline) -> Etcd:
    members = each(lambda address: _member(sources, address, deadline), sources.policy.endpoints)
    largest = max(members, key=lambda view: _size(view.status), default=None)
    # The quota is a call of its own, and the database seldom large.
    if largest is None or _size(largest.status) < _ASK_ABOVE * DEFAULT_QUOTA:
        return Etcd(members)
    return Etcd(members, _quota(_talosctl(sources, largest.address), deadline))


def _member(sources: Sources, address: str, deadline: Deadline) -> EtcdView:
    try:
        # etcd names its alarms among its errors, too.
        return observe_etcd(_talosctl(sources, address), alarms=False, deadline=deadline)
    except PlatformError as error:
        return EtcdView(address, problem=error.what)


def _quota(client: Talosctl, deadline: Deadline) -> int:
    found = [resource.spec.get("extraArgs") or {} for resource in client.get("etcdspec", deadline=deadline)]
    value = next((arguments["quota-backend-bytes"] for arguments in found if "quota-backend-bytes" in arguments), DEFAULT_QUOTA)
    # One or several values, by the version of Talos; the last one counts.
    text = str(value[-1] if isinstance(value, list) and value else value)
    return int(text) if text.isdigit() and int(text) else DEFAULT_QUOTA


def _talosctl(sources: Sources, address: str) -> Talosctl:
    return Talosctl(address, program=sources.talosctl, talosconfig=sources.talosconfig)


def judge(view: Etcd, policy: Policy) -> list[Finding]:
    voters = len(policy.endpoints)
    findings = [Finding("etcd", member.address, f"etcd cannot be read: {member.problem}", _ADVICE) for member in view.members if member.problem]
    answering = [member for member in view.members if not member.problem and member.status is not None]
    findings += _errors(answering)
    leaders = {member.status.leader for member in answering if member.status}
    if answering and (len(leaders) != 1 or leaders == {NO_LEADER}):
        findings.append(Finding("etcd", "cluster", "the members do not agree on a leader", "Wait for the election, or check the network between the machines."))
    # The member of a machine that is dead may still be listed, and no longer counts.
    counts = {sum(not member.learner and member.hostname not in policy.gone for member in seen_by.members) for seen_by in answering}
    if answering and counts != {voters}:
        found = " or ".join(str(count) for count in sorted(counts))
        advice = "A machine has not joined yet, or a member was lost: see docs/troubleshooting.md."
        findings.append(Finding("etcd", "cluster", f"there are {found} voters, expected are {voters}", advice))
    listed = max((sum(not member.learner for member in seen_by.members) for seen_by in answering), default=0) if policy.gone else 0
    return [*findings, *_space(answering, view.quota), *_behind(answering), *_quorum(answering, max(voters, listed), policy.planned_loss)]


def seen(view: Etcd) -> str:
    answering = [member for member in view.members if member.status is not None and not member.problem]
    if not answering:
        return "no member answers"
    leader = next((member.address for member in answering if member.status and member.status.leader == member.status.member_id), "none that answers")
    largest = max(answering, key=lambda member: _size(member.status)).status
    size = f", database {largest.db_size} of {_readable(view.quota)}, {_in_use(largest):.0%} of it in use" if largest and _size(largest) else ""
    return f"{len(answering)} of {len(view.members)} members answer, leader {leader}{size}"


def _errors(answering: Sequence[EtcdView]) -> Iterable[Finding]:
    """Alarms, which every member names, once each; then what a member reports of itself."""
    names = {member.id: member.hostname for view in answering for member in view.members}
    told: set[tuple[str, str]] = set()
    for view in answering:
        errors = view.status.errors if view.status else ""
        alarms = {(f"{int(number):016x}", alarm) for number, alarm in _ALARM.findall(errors)}
        for identity, alarm in sorted(alarms - told):
            problem, advice = _ALARMS.get(alarm, (f"the alarm {alarm} is raised", _ADVICE))
            yield Finding("etcd", names.get(identity, identity), problem, advice)
        told |= alarms
        if errors and not alarms:
            yield Finding("etcd", view.address, f"the member reports {errors}", _ADVICE)


def _space(answering: Sequence[EtcdView], quota: int) -> Iterable[Finding]:
    """Room up to the quota; and a warning where much of what is allocated is not in use."""
    for view in answering:
        status, size = view.status, _size(view.status)
        if status is None or not size or size < _ASK_ABOVE * quota:
            continue
        used = _in_use(status)
        what = f"the database takes {status.db_size} of its quota of {_readable(quota)}, and {used:.0%} of that is in use"
        defrag = f"`talosctl etcd defrag -n {view.address}` gives back the rest; one member at a time, the leader last."
        if size >= _FULL_ABOVE * quota:
            advice = (
                defrag
                if used < _ASK_ABOVE
                else "Delete what fills it, or raise quota-backend-bytes (cluster.etcd.extraArgs); at the quota nothing can be written."
            )
            yield Finding("etcd", view.address, what, advice)
        elif used < _ASK_ABOVE:
            yield Finding("etcd", view.address, what, defrag, "warning")


def _behind(answering: Sequence[EtcdView]) -> Iterable[Finding]:
    """Members that lag. They are not asked at the same instant, so a few entries are nothing."""
    newest = max((view.status.raft_index for view in answering if view.status), default=0)
    for view in answering:
        lag = newest - min(view.status.raft_index, view.status.raft_applied or view.status.raft_index) if view.status else 0
        if lag > _LAG_ENTRIES:
            yield Finding("etcd", view.address, f"the member is {lag} entries behind the others", "Wait until it has caught up; its disk or network is slow.")


def _quorum(answering: Sequence[EtcdView], voters: int, planned_loss: str) -> list[Finding]:
    quorum = voters // 2 + 1
    staying = [view for view in answering if view.address != planned_loss and view.status and not view.status.learner]
    if len(staying) >= quorum:
        return []
    what = f"without {planned_loss}, {len(staying)} healthy voters would stay" if planned_loss else f"{len(staying)} of {voters} voters are healthy"
    return [Finding("etcd", "cluster", f"{what}, the quorum is {quorum}", "Bring the other members back first.")]


def _size(status: EtcdStatus | None) -> int:
    return byte_count(status.db_size) if status else 0


def _in_use(status: EtcdStatus) -> float:
    return byte_count(status.db_in_use) / (byte_count(status.db_size) or 1)


def _readable(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB"
