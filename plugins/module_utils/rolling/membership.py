# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which machines belong to a cluster: what it takes to bring machines in, to take one out, or to put another one in its place, and what is in the way.

Pure, and nothing is remembered: what is left to do follows from who answers at a machine's address, and from what etcd, Kubernetes and Ceph still know of
it. So an operation that was interrupted goes on where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ansible_collections.trinode.platform.plugins.module_utils.ceph import removal
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Ceph, Osd
from ansible_collections.trinode.platform.plugins.module_utils.redfish.identity import same_uuid
from ansible_collections.trinode.platform.plugins.module_utils.rolling.plan import Finding
from ansible_collections.trinode.platform.plugins.module_utils.table import aligned
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import EtcdSummary

Standing = Literal["member", "old", "bare", "retired", "absent", "foreign"]
"""What answers at a machine's address.

``member``: the machine that the inventory describes, as one of the cluster's. ``old``: one of the cluster's, and not the one that is described (its UUID or
serial number differs). ``bare``: the described one, in maintenance mode; ``retired``: another one, in maintenance mode. ``absent``: nobody.
"""


@dataclass(frozen=True)
class Observed:
    """A machine as it is. ``disks`` are the serial numbers of the disks in it; ``member_id`` is that of the member of etcd that bears its host name."""

    trust: str = "ours"
    problem: str = ""
    stage: str = "running"
    uuid: str = ""
    serial: str = ""
    disks: tuple[str, ...] = ()
    node_found: bool = True
    node_ready: bool = True
    member_id: str = ""


@dataclass(frozen=True)
class Machine:
    """A machine of the inventory, with the UUID and the serial number that are given there (empty: none)."""

    name: str
    address: str
    node: str
    control_plane: bool = True
    uuid: str = ""
    serial: str = ""
    observed: Observed = field(default_factory=Observed)

    @property
    def standing(self) -> Standing:
        trust = self.observed.trust
        if trust == "ours":
            return "old" if self.another else "member"
        if trust == "maintenance":
            return "retired" if self.another else "bare"
        return "foreign" if trust == "foreign" else "absent"

    @property
    def another(self) -> str:
        """In what the machine that answers differs from the one that the inventory describes; empty where it does not, as far as it tells."""
        told = self.observed
        if self.uuid and told.uuid and not same_uuid(self.uuid, told.uuid):
            return f"its UUID is {told.uuid}, not {self.uuid}"
        if self.serial and told.serial and self.serial.lower() != told.serial.lower():
            return f"its serial number is {told.serial}, not {self.serial}"
        return ""

    @property
    def known(self) -> bool:
        """Whether the cluster knows a machine of this name."""
        return self.observed.node_found or bool(self.observed.member_id)


@dataclass(frozen=True)
class Cluster:
    """The machines of the inventory, etcd, Ceph (None where none runs), and the host by which the Kubernetes API is reached."""

    machines: tuple[Machine, ...]
    etcd: EtcdSummary
    ceph: Ceph | None = None
    endpoint: str = ""

    def machine(self, name: str) -> Machine | None:
        return next((machine for machine in self.machines if machine.name == name), None)

    def osds_of(self, machine: Machine) -> list[Osd]:
        return [osd for osd in self.ceph.osds if osd.host == machine.node] if self.ceph else []


@dataclass(frozen=True)
class Plan:
    """What is left to do.

    ``leave``: the machine lives, and is drained and reset first. ``member_id``: a member of etcd that is to be removed. ``osds`` are to be removed from Ceph;
    those of a machine that is dead have failed. ``delete_node``: its node is to be deleted. ``new``: names of machines that are to join. ``swap``: what a
    person has to do before it can go on. ``steps`` says it all; ``note`` what is worth knowing. With objections nothing is done.
    """

    standing: Standing | Literal[""] = ""
    leave: bool = False
    member_id: str = ""
    osds: tuple[int, ...] = ()
    delete_node: bool = False
    new: tuple[str, ...] = ()
    swap: str = ""
    note: str = ""
    steps: tuple[str, ...] = ()
    objections: tuple[Finding, ...] = ()


def add(cluster: Cluster) -> Plan:
    """Bring all machines of the inventory in that the cluster does not know yet."""
    new = [machine for machine in cluster.machines if _joins(machine)]
    objections = [] if cluster.etcd.voters else [Finding("cluster", "there is none that could take a machine", "playbooks/site.yml makes it.")]
    for machine in cluster.machines:
        if machine.standing == "foreign":
            objections.append(_foreign(machine))
        elif machine.standing in ("bare", "absent", "retired") and machine.known:
            what = "is in maintenance mode" if machine.standing != "absent" else "does not answer"
            hint = f"Wait if it is booting. If it was lost: playbooks/replace_machine.yml -e machine_replace_confirm={machine.name}."
            objections.append(Finding(machine.name, f"the cluster knows it, and it {what}", hint))
    planes = sum(machine.control_plane for machine in cluster.machines)
    if planes % 2 == 0 and any(machine.control_plane for machine in new):
        objections.append(Finding("cluster", f"it would have {planes} control planes. {_majority(planes)}", "Add two, or make it a worker (machine_role)."))
    steps = [f"bring {machine.name} in as a {'control plane' if machine.control_plane else 'worker'}{_boot(machine)}" for machine in new]
    steps += ["give the disks that machine_osd_disks names to Ceph, and deliver what depends on the machines"] if new else []
    return Plan(new=tuple(machine.name for machine in new), steps=tuple(steps), objections=tuple(objections))


def remove(cluster: Cluster, machine: Machine, *, even: bool = False) -> Plan:
    """Take a machine out. ``even``: an even number of control planes is accepted."""
    observed, osds = machine.observed, cluster.osds_of(machine)
    lives = observed.trust == "ours"
    objections, steps = list[Finding](), list[str]()
    if machine.standing == "foreign":
        objections.append(_foreign(machine))
    if machine.known or osds or lives:
        if not lives:
            objections += _not_dead(machine)
        objections += [*_others(cluster, machine), *_quorum(cluster.etcd, machine), *_endpoint(cluster, machine)]
        objections += [*_odd(cluster.etcd, machine, even=even), *_storage(cluster, machine, osds, lives=lives)]
    numbers = ", ".join(f"osd.{osd.id}" for osd in osds)
    if osds and lives:
        steps.append(f"empty {numbers} of {machine.name}, and remove them from Ceph")
    if lives:
        steps.append(f"drain {machine.name}{', let it leave etcd,' if observed.member_id else ''} and wipe the disk that Talos is on")
    steps += _forget(machine, osds, numbers, lives=lives)
    return Plan(
        standing=machine.standing,
        leave=lives,
        member_id="" if lives else observed.member_id,
        osds=tuple(osd.id for osd in osds),
        delete_node=observed.node_found,
        steps=tuple(steps),
        objections=tuple(objections),
    )


def substitute(cluster: Cluster, machine: Machine) -> Plan:
    """Put the machine that the inventory describes in the place of the one that bore its name. Where that one lives, it leaves first."""
    standing, observed = machine.standing, machine.observed
    osds = _lost(machine, cluster.osds_of(machine))
    numbers = ", ".join(f"osd.{osd.id}" for osd in osds)
    if standing == "member":
        objections = [*_unread(machine), *(() if cluster.etcd.members else _quorum(cluster.etcd, machine))]
        note = f"{machine.name} runs, and is the machine that the inventory describes."
        if not machine.uuid and not machine.serial:
            note = (
                f"{machine.name} runs, and the inventory does not tell it from another one. To replace it while it runs, set the new one's machine_serial or "
                "machine_uuid; or switch it off first."
            )
        steps = [f"remove {numbers} of {machine.name}, whose disks are not in it, from Ceph"] if osds else []
        return Plan(standing=standing, osds=tuple(osd.id for osd in osds), note=note, steps=tuple(steps), objections=tuple(objections))
    objections = [*_unread(machine), *_others(cluster, machine), *_quorum(cluster.etcd, machine), *_endpoint(cluster, machine), *_unusable(cluster.ceph)]
    if standing == "foreign":
        objections.append(_foreign(machine))
    if standing == "absent":
        objections += _not_dead(machine)
    return Plan(
        standing=standing,
        leave=standing == "old",
        member_id="" if standing == "old" else observed.member_id,
        osds=tuple(osd.id for osd in osds),
        delete_node=observed.node_found,
        swap=_swap(machine) if standing == "retired" else "",
        steps=tuple(_replacement(machine, osds, numbers)),
        objections=tuple(objections),
    )


def table(cluster: Cluster) -> list[str]:
    """How everything is, a line a machine."""
    rows = [("MACHINE", "ADDRESS", "ROLE", "STATE", "ETCD", "NODE", "OSDS")]
    voters, healthy = ({member.id for member in members} for members in (cluster.etcd.voters, cluster.etcd.healthy_voters))
    for machine in cluster.machines:
        seen, member = machine.observed, machine.observed.member_id
        etcd = ("voter" if member in healthy else "voter, not healthy" if member in voters else "learner") if member else "-"
        node = ("Ready" if seen.node_ready else "NotReady") if seen.node_found else "-"
        osds = ", ".join(f"{osd.id}{'' if osd.up else ' down'}{'' if osd.in_ else ' out'}" for osd in cluster.osds_of(machine)) or "-"
        state = (seen.stage or "?") if seen.trust == "ours" else seen.trust
        rows.append((machine.name, machine.address, "control plane" if machine.control_plane else "worker", state, etcd, node, osds))
    return aligned(rows)


def _replacement(machine: Machine, osds: Sequence[Osd], numbers: str) -> Iterable[str]:
    standing, observed = machine.standing, machine.observed
    if standing == "old":
        member = ", let it leave etcd," if observed.member_id else ""
        yield f"drain {machine.name} ({machine.another}){member} and wipe the disk that Talos is on"
    if standing in ("old", "retired"):
        yield "you: switch it off, put the new machine in its place, and run the same command again"
    if standing != "bare":
        yield "boot the new machine, and judge its disks"
    yield from _forget(machine, osds, numbers, lives=standing == "old")
    if standing != "bare" and machine.known:
        yield f"remove those OSDs of {machine.name} from Ceph whose disks are not in the new machine"
    yield f"configure {machine.name}, which joins the cluster, and give its disks to Ceph"


def _forget(machine: Machine, osds: Sequence[Osd], numbers: str, *, lives: bool) -> Iterable[str]:
    """What is taken out of etcd, Ceph and Kubernetes. A machine that lives leaves etcd by itself, and its OSDs are emptied."""
    if machine.observed.member_id and not lives:
        yield f"remove the member {machine.node} ({machine.observed.member_id}) from etcd"
    if machine.observed.node_found:
        yield f"delete the node {machine.node} from Kubernetes"
    if osds and not lives:
        yield f"remove {numbers} of {machine.name}, which are lost, from Ceph"


def _joins(machine: Machine) -> bool:
    """Whether the cluster does not have it yet. One that is configured and has no node was on its way when a run ended."""
    if machine.standing in ("member", "old"):
        return not machine.observed.node_found
    return machine.standing != "foreign" and not machine.known


def _boot(machine: Machine) -> str:
    return ", once it is booted" if machine.standing == "absent" else ""


def _lost(machine: Machine, osds: Sequence[Osd]) -> list[Osd]:
    """OSDs whose disks are not in the machine that answers. Not known before it does."""
    if machine.standing not in ("bare", "member"):
        return []
    # Of a machine that runs, an OSD that is up is on a disk, whatever is known of that.
    running = machine.standing == "member"
    return [osd for osd in osds if not (running and osd.up) and not any(removal.on_disk(osd, disk) for disk in machine.observed.disks)]


def _swap(machine: Machine) -> str:
    return (
        f"{machine.name} has left the cluster. At {machine.address} another machine than the described one answers, in maintenance mode ({machine.another}). "
        "Switch it off, put the new one in its place, and run the same command again."
    )


def _foreign(machine: Machine) -> Finding:
    return Finding(machine.name, f"what answers at {machine.address} is not this cluster's ({machine.observed.problem})", "Correct the address.")


def _not_dead(machine: Machine) -> Iterable[Finding]:
    if machine.standing == "absent" and machine.observed.node_ready:
        what = "it does not answer, and Kubernetes hears from its node, so it is not dead"
        yield Finding(machine.name, what, "If it has just been switched off: Kubernetes notices within a minute. Otherwise check its address and port 50000.")


def _unread(machine: Machine) -> Iterable[Finding]:
    """Who it is and which disks are in it has to be known."""
    if machine.standing in ("member", "bare") and machine.observed.problem:
        yield Finding(machine.name, f"it answers, and cannot be read: {machine.observed.problem}", "Run it again once it has started.")


def _others(cluster: Cluster, gone: Machine) -> Iterable[Finding]:
    for machine in cluster.machines:
        observed = machine.observed
        if machine.name == gone.name:
            continue
        if observed.trust != "ours" or observed.problem or observed.stage != "running":
            what = observed.problem or (f"it is {observed.stage or 'in an unknown stage'}" if observed.trust == "ours" else f"it is {observed.trust}")
        elif not observed.node_ready:
            what = "its node is not Ready"
        else:
            continue
        yield Finding(machine.name, what, "No machine is taken away while another one is out.")


def _quorum(etcd: EtcdSummary, gone: Machine) -> Iterable[Finding]:
    """etcd has to work now, and after the member is gone."""
    if not etcd.members:
        yield Finding("etcd", "none of its members answers", "Bring a control plane back, or restore a backup (playbooks/etcd_restore.yml).")
        return
    if etcd.disagreement:
        yield Finding("etcd", etcd.disagreement, "Wait until its members agree.")
    if gone.control_plane and not any(machine.id != gone.observed.member_id for machine in etcd.voters):
        yield Finding(gone.name, "it is the only control plane", "Without it there is no cluster: playbooks/reset.yml ends one.")
        return
    left = [member for member in etcd.voters if member.id != gone.observed.member_id]
    healthy = [member for member in etcd.healthy_voters if member.id != gone.observed.member_id]
    needed = len(left) // 2 + 1
    # A member that is dead counts until it is removed.
    if gone.observed.trust != "ours":
        needed = max(needed, etcd.quorum)
    if len(healthy) < needed:
        yield Finding("etcd", f"without {gone.name}, {len(healthy)} healthy voters would stay, {needed} are needed", "Bring the others back first.")


def _odd(etcd: EtcdSummary, gone: Machine, *, even: bool) -> Iterable[Finding]:
    count = sum(member.id != gone.observed.member_id for member in etcd.voters)
    if even or count % 2 or count == 0 or count == len(etcd.voters):
        return
    hint = "Replace it instead (playbooks/replace_machine.yml), or add another control plane first. To remove it all the same: -e machine_remove_even=true."
    yield Finding("etcd", f"{count} control planes would be left. {_majority(count)}", hint)


def _majority(count: int) -> str:
    """Why an even number is no gain."""
    worst = "with either of them away, nothing works" if count == 2 else f"no more may be away than with {count - 1}"
    return f"etcd needs more than half of them, {count // 2 + 1} of {count}, so {worst}, and there is one more that can fail"


def _endpoint(cluster: Cluster, gone: Machine) -> Iterable[Finding]:
    if cluster.endpoint and cluster.endpoint in (gone.address, gone.node):
        what = f"the Kubernetes API is reached at this machine's own address, {cluster.endpoint}"
        yield Finding(gone.name, what, "Give the cluster an address that moves (trinode_vip) and run playbooks/site.yml first.")


def _storage(cluster: Cluster, gone: Machine, osds: Sequence[Osd], *, lives: bool) -> Iterable[Finding]:
    """Whether Ceph can do without the machine's OSDs, and has places for its monitors."""
    ceph, numbers = cluster.ceph, [osd.id for osd in osds]
    if ceph is None:
        return
    if lives:
        yield from (Finding("ceph", reason.rstrip(".")) for reason in removal.refusals(numbers, removal.Look(ceph, (), {}), failed=False))
    else:
        yield from _unusable(ceph)
        # Ceph notices a little later that they are down.
        down = [replace(osd, up=False) for osd in osds]
        if osds and removal.nowhere(down, replace(ceph, osds=(*(osd for osd in ceph.osds if osd.id not in numbers), *down))):
            what = f"the copies that were on {gone.name} have no other place, since each has to be on another host"
            yield Finding("ceph", what, "Replace the machine (playbooks/replace_machine.yml), or add another one with disks first.")
    if any(mon.host == gone.node for mon in ceph.mons) and len(cluster.machines) - 1 < len(ceph.mons):
        what = f"it has {len(ceph.mons)} monitors, each on another machine, and {len(cluster.machines) - 1} machines would be left"
        yield Finding("ceph", what, "Replace the machine (playbooks/replace_machine.yml), or add another one first.")


def _unusable(ceph: Ceph | None) -> Iterable[Finding]:
    """What has no copy left that works is not given up."""
    if ceph is not None and (lost := removal.unusable(ceph)):
        yield Finding("ceph", lost, "The machine may have the only copy: bring its disks, or other OSDs, back first.")
