# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the views of etcd's members add up to: voters, leader, quorum, and what may be taken away. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import NO_LEADER, EtcdView


@dataclass(frozen=True)
class EtcdSummary:
    """etcd as a whole. ``leader`` is a member's id, empty when there is none or its members disagree; ``alarms`` are texts ``NOSPACE on m1``."""

    members: tuple[EtcdMember, ...]
    voters: tuple[EtcdMember, ...]
    learners: tuple[EtcdMember, ...]
    healthy_voters: tuple[EtcdMember, ...]
    leader: str
    alarms: tuple[str, ...]
    disagreement: str

    @property
    def quorum(self) -> int:
        """How many voters have to be there for etcd to work."""
        return len(self.voters) // 2 + 1 if self.voters else 0

    def survives_loss_of(self, count: int) -> bool:
        """Whether the quorum holds when ``count`` healthy voters go away."""
        return bool(self.voters) and len(self.healthy_voters) - count >= self.quorum

    def name_of(self, member_id: str) -> str:
        """The host name of a member, or its id."""
        return next((member.hostname for member in self.members if member.id == member_id), member_id)

    def as_values(self) -> dict[str, Any]:
        """As a module's return value."""
        return {
            "voters": [member.hostname for member in self.voters],
            "learners": [member.hostname for member in self.learners],
            "healthy_voters": [member.hostname for member in self.healthy_voters],
            "leader": self.name_of(self.leader) if self.leader else "",
            "quorum": self.quorum,
            "alarms": list(self.alarms),
            "disagreement": self.disagreement,
        }


def summarize(views: Sequence[EtcdView]) -> EtcdSummary:
    """The sum of the views. Members come from the view that has most of them; where views differ, ``disagreement`` says so."""
    answering = [view for view in views if view.status is not None]
    listed = max(answering, key=lambda view: len(view.members)).members if answering else ()
    members = tuple(sorted(listed, key=lambda member: member.hostname))
    voters = tuple(member for member in members if not member.learner)
    healthy_ids = {view.member_id for view in answering if view.healthy}
    leaders = {view.status.leader for view in answering if view.status is not None and view.healthy}
    alarms = sorted({alarm for view in answering for alarm in view.alarms})
    names = {member.id: member.hostname for member in members}
    return EtcdSummary(
        members=members,
        voters=voters,
        learners=tuple(member for member in members if member.learner),
        healthy_voters=tuple(member for member in voters if member.id in healthy_ids),
        leader=next(iter(leaders)) if len(leaders) == 1 else "",
        alarms=tuple(f"{alarm} on {names.get(member_id, member_id)}" for member_id, alarm in alarms),
        disagreement=_disagreement(answering, leaders),
    )


def _disagreement(views: Sequence[EtcdView], leaders: set[str]) -> str:
    if len(leaders - {NO_LEADER}) > 1:
        return f"its members name different leaders: {', '.join(sorted(leaders))}"
    ids = {frozenset(member.id for member in view.members) for view in views if view.members}
    if len(ids) > 1:
        return "its members list different members: there are two clusters, or a membership change is under way"
    return ""
