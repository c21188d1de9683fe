# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd is bootstrapped exactly once in a cluster's life; then every control plane joins by itself.

Talos does not guard this for us: it accepts a bootstrap on any control plane whose own data directory is empty, and a second one makes a second
cluster. So every control plane is asked first, and one that cannot be asked is a reason not to go on. Talos accepts the same call again on the same
machine until etcd has data, which makes it safe to be killed and repeated as long as the machine is the same; ``address`` is that machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, DeadlineExceeded, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos import etcd, machine_problems, machine_tls
from ansible_collections.trinode.platform.plugins.module_utils.talos.bootstrap_plan import Decision, Place, decide, joining, unfinished
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import AlreadyDone, NotReady, Unreachable
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import EtcdSummary, summarize
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_wait import PATIENCE_SECONDS, PullFailed
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine

LOOK_SECONDS = 1.0
# In check mode machines that just boot are given a moment.
CHECK_SECONDS = 10.0
# After the deadline, to find out why: a message worth reading is worth these seconds.
GRACE_SECONDS = 15.0


@dataclass(frozen=True)
class Bootstrapped:
    """``done``: whether this run bootstrapped (in check mode, would); ``summary`` is None in check mode before the bootstrap."""

    done: bool
    summary: EtcdSummary | None


def bootstrap(first: Machine, endpoints: Sequence[Machine], *, check_mode: bool, deadline: Deadline) -> Bootstrapped:
    """Bootstrap on ``first`` unless any of ``endpoints`` has etcd data, then wait until all of them are voters of a healthy etcd."""
    done = _bootstrap_once(first, endpoints, check_mode, deadline)
    if check_mode:
        return Bootstrapped(done, None if done else summarize(_look(endpoints, deadline)))
    return Bootstrapped(done, await_voters(endpoints, deadline))


def _bootstrap_once(first: Machine, endpoints: Sequence[Machine], check_mode: bool, deadline: Deadline) -> bool:
    limit = deadline.at_most(CHECK_SECONDS) if check_mode else deadline
    while True:
        found = places(endpoints, limit)
        decision = decide(first.address, found)
        if decision.bootstrapped:
            return False
        if check_mode and (decision.ready or all(place.trust in (machine_tls.MAINTENANCE, machine_tls.OURS) for place in found)):
            return True
        problem = decision.obstacle
        if decision.ready:
            try:
                progress(f"bootstraps etcd on {first.address}")
                first.client().run("bootstrap", action="bootstrap etcd", deadline=deadline, seconds=30)
            except AlreadyDone:
                return False
            except (NotReady, Unreachable) as error:
                problem = error.what
            else:
                return True
        _go_on(first, decision, problem, limit)


def any_data(endpoints: Sequence[Machine], *, deadline: Deadline) -> bool:
    """Whether any control plane shows data of etcd: one call each. One that cannot be asked is none that does."""

    def has_data(machine: Machine) -> bool:
        try:
            return machine.context is not None and etcd.has_data(machine.client(), deadline=deadline)
        except (ConnectionFailed, CommandError):
            return False

    with ThreadPoolExecutor(max_workers=len(endpoints)) as pool:
        return any(pool.map(has_data, endpoints))


def await_ready(first: Machine, endpoints: Sequence[Machine], *, deadline: Deadline) -> list[Machine]:
    """Until etcd could be bootstrapped: then the control planes that run with their configuration. None when it was bootstrapped before."""
    while True:
        found = places(endpoints, deadline)
        decision = decide(first.address, found)
        if decision.bootstrapped:
            return []
        if decision.ready:
            return [machine for machine, place in zip(endpoints, found, strict=True) if place.trust == machine_tls.OURS]
        _go_on(first, decision, decision.obstacle, deadline)


def _go_on(first: Machine, decision: Decision, problem: str, limit: Deadline) -> None:
    """Say what is in the way, and wait a moment; raise when there is no time left."""
    progress(f"etcd cannot be bootstrapped yet: {problem}")
    if limit.expired:
        if decision.refused:
            raise RefusedError(f"etcd is not bootstrapped: {problem}", where=first.address, hint=decision.hint)
        raise DeadlineExceeded(f"etcd could not be bootstrapped within {limit.seconds:.0f} s: {problem}", where=first.address, hint=decision.hint)
    limit.pause(LOOK_SECONDS)


def places(endpoints: Sequence[Machine], deadline: Deadline) -> list[Place]:
    """Where etcd may have data: all control planes, asked at once."""
    with ThreadPoolExecutor(max_workers=len(endpoints)) as pool:
        return list(pool.map(lambda machine: _place(machine, deadline), endpoints))


def _place(machine: Machine, deadline: Deadline) -> Place:
    shown = machine.probe(deadline=deadline)
    if shown.trust != machine_tls.OURS or shown.problem:
        return Place(machine.address, shown.trust, problem=shown.problem)
    client = machine.client()
    try:
        # Before its volumes are mounted, a machine with data looks as if it had none. etcd gets this far only afterwards.
        state = next((service.state for service in client.services(deadline=deadline) if service.id == "etcd"), "absent")
        if state in ("absent", "Initialized", "Starting", "Waiting"):
            return Place(machine.address, shown.trust, problem=f"it is still starting, its etcd service is {state.lower()}")
        return Place(machine.address, shown.trust, has_data=etcd.has_data(client, deadline=deadline))
    except (ConnectionFailed, CommandError) as error:
        return Place(machine.address, shown.trust, problem=error.what)


def _look(endpoints: Sequence[Machine], deadline: Deadline) -> list[etcd.EtcdView]:
    return etcd.observe_all([machine.client() for machine in endpoints], deadline=deadline)


def await_voters(endpoints: Sequence[Machine], deadline: Deadline) -> EtcdSummary:
    """Until every control plane is a healthy voter. There is no one resource to watch: each member answers for itself."""
    waited = Deadline(deadline.remaining)
    said, look_at, final_pulls = "", PATIENCE_SECONDS, 0
    while True:
        too_late = deadline.expired
        limit = Deadline(GRACE_SECONDS) if too_late else deadline
        members = etcd.list_members([machine.client() for machine in endpoints], deadline=limit)
        missing = joining(members, len(endpoints))
        # Asking every member everything takes a dozen processes, which a machine that just starts etcd had better be spared.
        if too_late or sum(not member.learner for member in members) >= len(endpoints):
            views = _look(endpoints, limit)
            summary = summarize(views)
            missing = unfinished(summary, views)
            if not missing:
                return summary
        if missing != said:
            said = missing
            progress(f"etcd: {missing}")
        if too_late or waited.elapsed >= look_at:
            look_at = waited.elapsed + PATIENCE_SECONDS
            failure, final = _pull_failure(endpoints, limit)
            final_pulls = final_pulls + 1 if final else 0
            # Twice the same answer of a registry is no passing trouble.
            if failure is not None and (final_pulls >= 2 or too_late):
                raise failure
        if too_late:
            raise DeadlineExceeded(
                f"etcd did not get {len(endpoints)} healthy voters within {deadline.seconds:.0f} s, it has {len(summary.healthy_voters)}: {missing}",
                where=", ".join(machine.address for machine in endpoints),
                hint="Look at talosctl service etcd and talosctl logs etcd there; see that the machines reach each other on ports 2379 and 2380.",
            )
        deadline.pause(LOOK_SECONDS)


def _pull_failure(machines: Sequence[Machine], deadline: Deadline) -> tuple[PullFailed | None, bool]:
    """The first image that one of these machines cannot pull, and whether that is the registry's answer."""
    for machine in machines:
        try:
            failure = machine_problems.find_pull_failure(machine.client(), deadline=deadline)
        except (ConnectionFailed, CommandError):
            continue
        if failure is not None:
            progress(f"{machine.address}: {failure.text}")
            return PullFailed(failure.text, where=machine.address, hint=failure.hint), failure.final
    return None, False
