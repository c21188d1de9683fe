# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be done to a member of etcd. A member is known by its name and its id together, so that a typing error meets no other one (talos#3340). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import EtcdSummary, summarize

State = Literal["absent", "left", "follower"]


@dataclass(frozen=True)
class Wish:
    """``absent``: a dead member is to be gone; ``left``: a living one is to leave; ``follower``: a living one is not to be the leader."""

    hostname: str
    member_id: str
    state: State


@dataclass(frozen=True)
class Step:
    """A call: ``command`` after ``talosctl etcd``, on the machine at ``address``."""

    address: str
    command: tuple[str, ...]
    words: str


def plan(wish: Wish, views: Sequence[EtcdView]) -> list[Step]:
    """The calls, none when it is so already. Raises RefusedError, with the reason, when it would be wrong or unsafe."""
    summary = summarize(views)
    if not summary.members:
        reasons = "; ".join(f"{view.address}: {view.problem or 'no answer'}" for view in views)
        raise ConnectionFailed(f"no member of etcd answers ({reasons})", where="etcd", hint="Check the machines (talos_etcd_info).")
    member = find(wish, summary.members)
    if member is None:
        return []
    if wish.state == "absent":
        return _remove(member, summary, views)
    view = next((view for view in views if view.member_id == member.id and view.status is not None), None)
    if wish.state == "follower":
        return _forfeit(member, view, summary)
    if view is None:
        problem = next((view.problem for view in views if view.problem), "no answer")
        raise RefusedError(
            f"the member does not answer ({problem}), so it cannot leave",
            where=f"etcd member {member.hostname}",
            hint="If its machine is gone for good, remove it: state: absent, with member_id.",
        )
    _check_quorum_without(member, summary, "leaves")
    forfeit = _forfeit(member, view, summary)
    return [*forfeit, Step(view.address, ("leave",), f"{member.hostname} leaves etcd")]


def find(wish: Wish, members: Sequence[EtcdMember]) -> EtcdMember | None:
    """The member that is meant; None when there is none of this name and none of this id. Raises RefusedError when name and id are not of the same."""
    by_id = [member for member in members if member.id == wish.member_id]
    by_name = [member for member in members if member.hostname == wish.hostname]
    if by_id and by_id[0].hostname != wish.hostname:
        raise _confused(f"the member with the id {wish.member_id} is {by_id[0].hostname or 'one without a name yet'}, not {wish.hostname}", members)
    if wish.member_id and by_name and not by_id:
        raise _confused(f"the member {wish.hostname} has the id {by_name[0].id}, not {wish.member_id}", members)
    if len(by_name) > 1 and not by_id:
        raise _confused(f"there are {len(by_name)} members of the name {wish.hostname}", members)
    return next(iter(by_id or by_name), None)


def hosts(member: EtcdMember) -> list[str]:
    """The addresses at which the member's machine is, if it is anywhere."""
    return list(dict.fromkeys(url.split("//", 1)[-1].rsplit(":", 1)[0].strip("[]") for url in (*member.peer_urls, *member.client_urls)))


def _remove(member: EtcdMember, summary: EtcdSummary, views: Sequence[EtcdView]) -> list[Step]:
    alive = next((view for view in views if view.member_id == member.id or (view.status is not None and view.address in hosts(member))), None)
    if alive is not None:
        raise RefusedError(
            f"the member is alive, its machine {alive.address} answers for it",
            where=f"etcd member {member.hostname}",
            hint="Let it leave (state: left), or switch its machine off if it is to be replaced.",
        )
    _check_quorum_without(member, summary, "is removed")
    through = next(view for view in views if view.healthy and any(member.id == view.member_id for member in summary.healthy_voters))
    return [Step(through.address, ("remove-member", member.id), f"{member.hostname} ({member.id}) is removed from etcd, through {through.address}")]


def _forfeit(member: EtcdMember, view: EtcdView | None, summary: EtcdSummary) -> list[Step]:
    if summary.leader and summary.leader != member.id:
        return []
    where = f"etcd member {member.hostname}"
    if not summary.leader:
        raise RefusedError("etcd has no leader that its members agree on", where=where, hint="Wait until it has elected one (talos_etcd_info).")
    if view is None or not [voter for voter in summary.healthy_voters if voter.id != member.id]:
        raise RefusedError("there is no other healthy voter that could lead", where=where, hint="Bring another control plane back first.")
    return [Step(view.address, ("forfeit-leadership",), f"{member.hostname} hands its leadership over")]


def _check_quorum_without(member: EtcdMember, summary: EtcdSummary, verb: str) -> None:
    where = f"etcd member {member.hostname}"
    if summary.disagreement:
        raise RefusedError(summary.disagreement, where=where, hint="Wait until etcd's members agree (talos_etcd_info).")
    if not summary.survives_loss_of(0):
        raise RefusedError(
            f"etcd has no quorum: {len(summary.healthy_voters)} healthy voters, {summary.quorum} are needed",
            where=where,
            hint="Bring a control plane back, or restore etcd from a backup (playbooks/etcd_restore.yml).",
        )
    if member.learner:
        return
    voters = len(summary.voters) - 1
    healthy = len([voter for voter in summary.healthy_voters if voter.id != member.id])
    needed = voters // 2 + 1
    if not voters or healthy < needed:
        raise RefusedError(
            f"etcd would lose its quorum: when the member {verb}, {healthy} of {voters} voters are healthy, {needed} are needed",
            where=where,
            hint="Bring the others back first.",
        )


def _confused(what: str, members: Sequence[EtcdMember]) -> RefusedError:
    listed = ", ".join(f"{member.hostname} {member.id}" for member in members)
    return RefusedError(f"{what}; nothing was done", where="etcd", hint=f"Its members are: {listed}.")
