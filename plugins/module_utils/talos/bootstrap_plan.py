# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether etcd may be bootstrapped, and what is missing afterwards. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import EtcdSummary


@dataclass(frozen=True)
class Place:
    """A control plane where etcd may have data. ``problem``: why that could not be seen."""

    address: str
    trust: str
    has_data: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Decision:
    """Either etcd is ``bootstrapped`` already, or we are ``ready`` to do it, or there is an ``obstacle``.

    ``refused``: an obstacle that is about safety, and does not go away by the first machine's getting ready.
    """

    bootstrapped: bool = False
    ready: bool = False
    obstacle: str = ""
    refused: bool = False
    hint: str = ""


def decide(first: str, places: Sequence[Place]) -> Decision:
    """Data anywhere means that it was done. Otherwise every control plane must have been seen to have none."""
    if any(place.has_data for place in places):
        return Decision(bootstrapped=True)
    own = next((place for place in places if place.address == first), None)
    if own is None:
        return Decision(obstacle=f"{first} is none of the control planes", refused=True, hint="Put address among endpoints.")
    # A machine in maintenance has no configuration, so it is not ours to have data; the data of an earlier life is wiped by its reset.
    unseen = [place for place in places if place.trust != "maintenance" and (place.trust != "ours" or place.problem)]
    if own.trust != "ours" or own.problem:
        return Decision(obstacle=f"{first}: {own.problem or f'the machine is {own.trust}'}", hint="It needs its configuration first (talos_apply).")
    if unseen:
        names = ", ".join(f"{place.address} ({place.problem or place.trust})" for place in unseen)
        return Decision(
            obstacle=f"it cannot be seen whether these control planes have etcd data already: {names}",
            refused=True,
            hint="A second bootstrap would make a second cluster. Bring them back, or take them out of the inventory.",
        )
    return Decision(ready=True)


def joining(members: Sequence[EtcdMember], expected: int) -> str:
    """How far etcd's members have come, in one line."""
    voters = [member.hostname for member in members if not member.learner]
    learners = [member.hostname for member in members if member.learner]
    if not members:
        return "no member runs yet"
    learning = f", {', '.join(sorted(learners))} {'is a learner' if len(learners) == 1 else 'are learners'}" if learners else ""
    return f"{len(voters)} of {expected} control planes are voters ({', '.join(sorted(voters))}){learning}"


def unfinished(summary: EtcdSummary, views: Sequence[EtcdView]) -> str:
    """What keeps etcd from being whole: all machines healthy voters that agree. Empty when nothing does."""
    if summary.disagreement:
        return summary.disagreement
    healthy = {member.id for member in summary.healthy_voters}
    learners = {member.id for member in summary.learners}
    problems = []
    for view in views:
        if view.member_id and view.member_id in healthy:
            continue
        if view.member_id in learners:
            problems.append(f"{view.address} is a learner and has no vote yet")
        else:
            problems.append(f"{view.address}: {view.problem or (view.status.errors if view.status else '') or 'its member is not healthy'}")
    if problems:
        return "; ".join(problems)
    return "" if summary.leader else "there is no leader"
