# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do with a machine and its rendered configuration. Pure: from what was observed to the one step that is needed, or the reason against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.config_diff import DocumentChange
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import EtcdSummary

Step = Literal["install", "none", "no-reboot", "reboot", "postponed"]

# Stages in which a machine is on its way elsewhere: its configuration is about to change or go, or it goes down at once.
PASSING_STAGES = ("installing", "rebooting", "upgrading", "resetting", "shutting down")


@dataclass(frozen=True)
class RunningConfig:
    """The configuration a machine runs with, and the one it has stored for its next boot (None when Talos shows none: it is the same then)."""

    active: str
    stored: str | None = None


@dataclass(frozen=True)
class Plan:
    """The step: ``install`` (first configuration, from maintenance), ``none``, ``no-reboot`` or ``reboot`` (new configuration of a running
    machine), ``postponed`` (a reboot is needed, and left to a later task)."""

    step: Step
    changes: tuple[DocumentChange, ...] = ()

    @property
    def changed(self) -> bool:
        return self.step not in ("none", "postponed")

    @property
    def reboot_required(self) -> bool:
        return self.step in ("reboot", "postponed")

    @property
    def summary(self) -> str:
        """What the step does, for people."""
        if self.step == "none":
            return "The machine already runs with this configuration."
        if self.step == "install":
            return "The machine is in maintenance mode and gets its first configuration."
        names = ", ".join(f"{change.document.label} ({change.action})" for change in self.changes)
        if self.step == "postponed":
            return f"To be changed: {names}; the machine waits for its turn to reboot."
        return f"Changed: {names}{'; takes effect with a reboot' if self.step == 'reboot' else ''}."


def refuse_foreign(address: str, problem: str) -> RefusedError:
    """A machine that is neither ours nor in maintenance mode is left alone."""
    return RefusedError(
        f"the machine is configured and does not belong to this cluster ({problem})",
        where=address,
        hint="Check the address. To take the machine over, reset it with its own cluster's talosconfig (or on its console) and boot it into maintenance mode.",
    )


def refuse_pending(running: RunningConfig, pending_changes: Sequence[DocumentChange], address: str) -> None:
    """Raise when the active and the stored configuration differ: one is on trial (``--mode=try``) or staged for the next boot.

    Any apply, a dry run included, would end the trial and make it permanent (siderolabs/talos#14343).
    """
    if running.stored is None or not pending_changes:
        return
    names = ", ".join(change.document.label for change in pending_changes)
    raise RefusedError(
        f"the machine runs with another configuration than it has stored ({names}): one is being tried out, or is staged for the next boot",
        where=address,
        hint="Wait until the trial ends (a minute, unless it was started with another --timeout), or confirm or reboot it, then run again.",
    )


def plan_running(changes: Sequence[DocumentChange], *, needs_reboot: bool) -> Plan:
    """The plan for a machine that runs with a configuration of ours."""
    if not changes:
        return Plan("none")
    return Plan("reboot" if needs_reboot else "no-reboot", tuple(changes))


def check_reboot(plan: Plan, *, allowed: bool, address: str) -> None:
    """Raise RefusedError for a plan that reboots without being allowed to."""
    if plan.step == "reboot" and not allowed:
        paths = ", ".join(path for change in plan.changes for path in (change.paths or (change.document.label,)))
        raise RefusedError(
            f"the change needs a reboot, which is not allowed here: {paths}",
            where=address,
            hint="Set trinode_allow_reboot to true; machines then reboot one at a time, each only while etcd keeps its quorum.",
            details={"reboot_required": True},
        )


def check_etcd_before_reboot(summary: EtcdSummary, member_id: str, *, address: str) -> None:
    """Raise RefusedError unless etcd keeps its quorum while this member is away. A machine without a member takes nothing away."""
    if not member_id:
        return
    if len(summary.voters) <= 1:
        # The only member: there is no quorum to keep, only an interruption that allow_reboot has accepted.
        return
    lost = 1 if any(member.id == member_id for member in summary.healthy_voters) else 0
    if summary.disagreement or not summary.survives_loss_of(lost):
        healthy = ", ".join(member.hostname for member in summary.healthy_voters) or "none"
        raise RefusedError(
            f"etcd would lose its quorum: {len(summary.healthy_voters)} of {len(summary.voters)} voters are healthy ({healthy}), {summary.quorum} are needed"
            f"{f'; {summary.disagreement}' if summary.disagreement else ''}",
            where=address,
            hint="Bring the other control planes back first, then run again.",
        )
