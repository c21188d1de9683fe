# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph: healthy, all monitors, OSDs and placement groups as they should be, and its data stays usable when the machine goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.ceph import observe as ceph_observe
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Budget, Ceph, Osd, settled, usable
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, Policy

ALLOWED = (
    "AUTH_INSECURE_GLOBAL_ID_RECLAIM",
    "AUTH_INSECURE_GLOBAL_ID_RECLAIM_ALLOWED",
    "POOL_APP_NOT_ENABLED",
    "POOL_TOO_FEW_PGS",
    "POOL_TOO_MANY_PGS",
    "RECENT_CRASH",
    "RECENT_MGR_MODULE_CRASH",
    "TELEMETRY_CHANGED",
)
"""Warnings that say nothing of whether data is safe now."""

# Health checks that the findings on monitors, OSDs and placement groups say better.
_SAID_BETTER = {
    "mons": {"MON_DOWN"},
    "osds": {"OSD_DOWN", "OSD_HOST_DOWN", "OSD_ROOT_DOWN"},
    "groups": {"PG_DEGRADED", "PG_AVAILABILITY", "OBJECT_MISPLACED", "PG_RECOVERY_FULL"},
    "flags": {"OSDMAP_FLAGS", "OSD_FLAGS"},
}
_FROM_MISSING = {"OSD_DOWN", "OSD_HOST_DOWN", "PG_DEGRADED", "OBJECT_MISPLACED"}
_FROM_GONE = {*_FROM_MISSING, "MON_DOWN", "OSD_FLAGS", "MDS_INSUFFICIENT_STANDBY"}
_ADVICE = {
    "OSD_NEARFULL": "Add disks, or delete data: at the full ratio nothing can be written any more.",
    "OSD_BACKFILLFULL": "Add disks, or delete data: at the full ratio nothing can be written any more.",
    "OSD_FULL": "Nothing can be written. Add disks, or delete data.",
    "POOL_NEARFULL": "Add disks, or delete data.",
    "MON_CLOCK_SKEW": "The machines' clocks differ: look at `talosctl time` of each.",
    "MON_DISK_LOW": "The system disk of the monitor's machine is nearly full.",
    "SLOW_OPS": "A disk or the network is slow: `ceph health detail` names the OSDs.",
    "PG_DAMAGED": "Copies of objects differ: see https://docs.ceph.com/en/latest/rados/operations/health-checks/#pg-damaged.",
    "OBJECT_UNFOUND": "Data is missing: bring the OSDs that are down back; remove none.",
    "OSD_SLOW_PING_TIME_BACK": "The network between the machines is slow.",
    "OSD_SLOW_PING_TIME_FRONT": "The network between the machines is slow.",
}


@dataclass(frozen=True)
class CephPolicy:
    """What Ceph has to be like.

    ``allowed`` are the names of health checks that may warn. ``osds`` is how many there have to be at least. ``without`` are OSDs that are known to be
    missing: what follows from that alone is allowed, as long as all data is there. ``planned_loss`` is the node that is about to go. ``gone`` are nodes
    that are dead: their OSDs and monitors are missing, too.
    """

    allowed: Sequence[str] = ALLOWED
    osds: int = 0
    without: Sequence[int] = ()
    planned_loss: str = ""
    gone: Sequence[str] = ()

    @property
    def incomplete(self) -> bool:
        """Whether something is known to be missing, so that copies are."""
        return bool(self.without or self.gone)

    @property
    def excused(self) -> set[str]:
        """Health checks that tell what is known."""
        return _FROM_GONE if self.gone else _FROM_MISSING if self.without else set()


@dataclass(frozen=True)
class CephView:
    """``ceph`` is None where none runs (yet). ``lost`` is the name of the node that is about to go."""

    ceph: Ceph | None
    lost: str = ""


def read(sources: Sources, deadline: Deadline) -> CephView:
    client = sources.client(deadline)
    cluster = ceph_observe.find(client, deadline)
    if cluster is None:
        return CephView(None)
    lost = sources.lost(deadline)
    return CephView(ceph_observe.observe(client, cluster, deadline, host=lost), lost)


def judge(view: CephView, policy: Policy) -> list[Finding]:
    if view.ceph is None:
        return []
    return judge_ceph(view.ceph, CephPolicy((*ALLOWED, *policy.ceph_allowed), policy.ceph_osds, policy.ceph_without, view.lost, policy.gone))


def seen(view: CephView) -> str:
    return summary(view.ceph) if view.ceph else "not installed, or not running yet"


def judge_ceph(ceph: Ceph, policy: CephPolicy) -> list[Finding]:
    """Everything that is wrong with Ceph."""
    found = {
        "mons": list(_mons(ceph, policy)),
        "osds": list(_osds(ceph, policy)),
        "groups": list(_groups(ceph, policy)),
        "flags": list(_flags(ceph, policy)),
    }
    said = {name for part, findings in found.items() if findings for name in _SAID_BETTER[part]}
    findings = [*_health(ceph, policy, said), *(finding for part in found.values() for finding in part)]
    return findings + list(_budgets(ceph, policy)) + list(_stop(ceph, policy))


def summary(ceph: Ceph) -> str:
    """The cluster in a line."""
    voting, running = sum(mon.in_quorum for mon in ceph.mons), sum(osd.up and osd.in_ for osd in ceph.osds)
    share = f", {ceph.used / ceph.total:.0%} used" if ceph.total else ""
    return (
        f"Ceph {ceph.version}: {ceph.health}, {voting} of {len(ceph.mons)} monitors in quorum, {running} of {len(ceph.osds)} OSDs up and in, "
        f"{ceph.groups.active_clean} of {ceph.groups.total} placement groups active+clean{share}"
    )


def name_of(osd: Osd) -> str:
    """An OSD for a person: "osd.3 (m1, disk S4EW)"."""
    disk = f", disk {osd.serial}" if osd.serial else ""
    return f"osd.{osd.id} ({osd.host or 'no host'}{disk})"


def _health(ceph: Ceph, policy: CephPolicy, said: set[str]) -> Iterable[Finding]:
    for check in ceph.checks:
        serious = check.severity != "HEALTH_WARN"
        if check.name in said or (not serious and (check.muted or check.name in policy.allowed or check.name in policy.excused)):
            continue
        advice = _ADVICE.get(check.name, "`ceph health detail` in the toolbox says more.")
        if not serious:
            advice += f" If it does not matter here, put {check.name} into trinode_gate_ceph_allowed."
        yield Finding("ceph", "cluster", f"{'Ceph has an error' if serious else 'Ceph warns'}: {check.summary} ({check.name})", advice)
    if ceph.health not in ("HEALTH_OK", "HEALTH_WARN") and not any(check.severity == "HEALTH_ERR" for check in ceph.checks):
        yield Finding("ceph", "cluster", f"Ceph's health is {ceph.health or 'unknown'}", "`ceph health detail` in the toolbox says more.")


def _mons(ceph: Ceph, policy: CephPolicy) -> Iterable[Finding]:
    missing = [mon for mon in ceph.mons if not mon.in_quorum]
    # One that is down may not tell where it was.
    excused = [mon for mon in missing if mon.host in policy.gone or (policy.gone and not mon.host)][: len(policy.gone)]
    for mon in missing:
        if mon not in excused:
            where = f"mon.{mon.name}" + (f" ({mon.host})" if mon.host else "")
            yield Finding("ceph", where, "the monitor is not in quorum", f"Look at the pod rook-ceph-mon-{mon.name} and its machine.")
    needed = len(ceph.mons) // 2 + 1
    staying = sum(mon.in_quorum and mon.host != policy.planned_loss for mon in ceph.mons)
    if policy.planned_loss and staying < needed:
        yield Finding(
            "ceph",
            policy.planned_loss,
            f"without this host {staying} of {len(ceph.mons)} monitors would stay, the quorum is {needed}",
            "Bring the other monitors back first; with one monitor, its machine cannot go without storage standing still.",
        )


def _osds(ceph: Ceph, policy: CephPolicy) -> Iterable[Finding]:
    for osd in ceph.osds:
        if osd.host in policy.gone:
            if osd.up:
                yield Finding("ceph", name_of(osd), "its machine is gone, and Ceph takes the OSD for up", "Ceph notices within a minute or so.")
            continue
        if osd.id in policy.without or (osd.up and osd.in_):
            continue
        what, advice = ("is out", f"`ceph osd in {osd.id}` takes it back; playbooks/osd_remove.yml removes it.")
        if not osd.up:
            what = "is down" if osd.in_ else "is down and out"
            advice = f"Look at the pod rook-ceph-osd-{osd.id}; a disk that has failed is replaced with playbooks/osd_replace.yml."
        yield Finding("ceph", name_of(osd), f"the OSD {what}", advice)
    running = sum(osd.up and osd.in_ for osd in ceph.osds)
    if running < policy.osds:
        yield Finding("ceph", "cluster", f"{running} OSDs are up and in, expected are {policy.osds}", "Look at the pods rook-ceph-osd-prepare-*.")


def _groups(ceph: Ceph, policy: CephPolicy) -> Iterable[Finding]:
    groups = ceph.groups
    if groups.unfound:
        yield Finding("ceph", "cluster", f"{groups.unfound} objects are nowhere to be found", "Bring the OSDs that are down back; remove none.")
    if groups.inactive:
        yield Finding(
            "ceph",
            "cluster",
            f"{groups.inactive} of {groups.total} placement groups are not active, so their data cannot be used: {_states(ceph, active=False)}",
            "`ceph pg dump_stuck inactive` names them; most often OSDs are missing.",
        )
    unclean = groups.total - groups.active_clean - groups.inactive
    if unclean and not policy.incomplete:
        speed = f", {groups.recovering_bytes / 1024**2:.1f} MiB/s" if groups.recovering_bytes else ""
        yield Finding(
            "ceph",
            "cluster",
            f"{unclean} of {groups.total} placement groups have not all copies where they belong ({_states(ceph, active=True)}{speed})",
            "Wait for Ceph to finish; where nothing moves, an OSD is missing or too full.",
        )
    elif groups.recovering_bytes and not policy.incomplete:
        yield Finding("ceph", "cluster", f"copies are being made, {groups.recovering_bytes / 1024**2:.1f} MiB/s", "Wait for Ceph to finish.")


def _states(ceph: Ceph, *, active: bool) -> str:
    """The states that are not as they should be, of those that can be used or of the others, and how many are in each."""
    found = [(count, state) for state, count in ceph.groups.states.items() if usable(state) is active and not settled(state)]
    return ", ".join(f"{count} {state}" for count, state in sorted(found, reverse=True))


def _flags(ceph: Ceph, policy: CephPolicy) -> Iterable[Finding]:
    for flag in ceph.flags:
        undo = "pause" if flag in ("pauserd", "pausewr") else flag
        yield Finding("ceph", "cluster", f"the flag {flag} is set", f"`ceph osd unset {undo}`, if nobody works on the cluster.")
    gone = {name.replace(".", "-") for name in policy.gone}
    for bucket, flags in ceph.host_flags:
        if bucket in gone:
            continue
        yield Finding(
            "ceph",
            bucket,
            f"the flag {', '.join(flags)} is set for this host",
            "Rook sets it while the host is drained, and takes it back when all placement groups are clean; is the node uncordoned?",
        )


def _budgets(ceph: Ceph, policy: CephPolicy) -> Iterable[Finding]:
    """While a host is drained, Rook replaces the budget of all OSDs by one for each other host that lets none go."""
    if not ceph.manages_budgets or policy.incomplete:
        return
    by_name = {budget.name: budget for budget in ceph.budgets}
    blocking = [budget for budget in ceph.budgets if _blocking(budget)]
    if blocking:
        hosts = ", ".join(budget.name for budget in blocking)
        yield Finding(
            "ceph",
            "cluster",
            f"Rook lets no OSD go on other hosts ({hosts}), as it takes one host for drained",
            "Uncordon that node and wait for active+clean placement groups; Rook then takes the budgets back.",
        )
    every = by_name.get("rook-ceph-osd")
    if every is None:
        if not blocking and ceph.osds:
            yield Finding(
                "ceph", "cluster", "the disruption budget rook-ceph-osd is not there", "Rook makes it within a minute; look at the operator's log otherwise."
            )
    elif every.unavailable != 1:
        yield Finding(
            "ceph",
            "cluster",
            f"the disruption budget rook-ceph-osd lets {every.unavailable} pods go at once, not 1",
            "Rook raises it while OSDs are down: bring them back, or remove them with playbooks/osd_remove.yml.",
        )
    for budget in ceph.budgets:
        if budget.pods and not budget.allowed and not _blocking(budget) and not budget.name.startswith("rook-ceph-osd"):
            yield Finding(
                "ceph", "cluster", f"the disruption budget {budget.name} lets no pod go now", "One of its pods is not ready: look at the pods of rook-ceph."
            )


def _blocking(budget: Budget) -> bool:
    return budget.name.startswith("rook-ceph-osd-") and budget.unavailable == 0


def _stop(ceph: Ceph, policy: CephPolicy) -> Iterable[Finding]:
    host = policy.planned_loss
    there = [osd.id for osd in ceph.osds if osd.host == host and osd.up]
    if not host or not there:
        return
    stop = ceph.ok_to_stop
    if stop is None or stop.problem:
        said = stop.problem if stop else "the host is not in the CRUSH map"
        yield Finding("ceph", host, f"Ceph does not say whether its OSDs may stop: {said}", "Is a manager (rook-ceph-mgr-*) running?")
    elif not stop.ok:
        yield Finding(
            "ceph",
            host,
            f"without its OSDs {', '.join(str(osd) for osd in stop.osds)}, the data of {stop.inactive} placement groups could not be used",
            "Wait until all have their copies again. A pool whose min_size is its size, or that has one copy, never allows it.",
        )
