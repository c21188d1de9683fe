# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One disk is wiped, and proven empty afterwards.

Talos's fast wipe clears what it recognises and the ends of a disk. BlueStore keeps copies of its label at 1, 10, 100 and 1000 GiB, from which Ceph takes the
disk for an old OSD again (siderolabs/talos#10797); no call of Talos writes there alone, so the whole disk is zeroed. Talos has the disk do that itself where it
can (secure discard, write zeroes), and else writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks import claims
from ansible_collections.trinode.platform.plugins.module_utils.disks.membership import Membership
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos import disk_contents, machine_tls
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import Unreachable
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk, MachineState
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_disks import describe_disks
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine, observe

# Talos looks at a disk again a moment after it was written.
LOOK_SECONDS = 30.0


@dataclass(frozen=True)
class WipeRequest:
    """``serial`` confirms the disk; ``path`` is where it was seen before (``/dev/sdb``), empty when that does not matter.

    ``name``: the machine's name in Ceph and in messages. ``membership`` without OSDs: Ceph was not asked. ``always``: even when Talos finds nothing on it.
    """

    machine: Machine
    name: str
    serial: str
    path: str
    membership: Membership
    always: bool
    check_mode: bool


@dataclass(frozen=True)
class Wiped:
    """The disk as it was before, and whether it was (in check mode, would be) wiped; an empty one is left alone."""

    disk: Disk
    changed: bool


def wipe(request: WipeRequest, *, deadline: Deadline) -> Wiped:
    """Look, wipe, look again. Raises RefusedError for whatever would be unsafe, before a byte is written."""
    state = _observe(request, deadline)
    disk = find(request.serial, request.path, state.disks, where=request.name)
    if disk.contents == disk_contents.EMPTY and not request.always:
        return Wiped(disk, changed=False)
    check(request, disk, running=state.trust == machine_tls.OURS)
    if request.check_mode:
        return Wiped(disk, changed=True)
    progress(f"{request.name}: wipes {describe_disks([disk])}, which holds {disk.detail or disk.contents}")
    _send(request, disk, state, deadline)
    _prove(request, disk, deadline)
    return Wiped(disk, changed=True)


def find(serial: str, path: str, disks: Sequence[Disk], *, where: str) -> Disk:
    """The one disk of this serial, which must still have its name. A disk without a serial is confirmed by its wwid."""
    found = [disk for disk in disks if serial and serial == (disk.serial or disk.wwid)]
    there = next((disk for disk in disks if path in (disk.path, *disk.by_id)), None) if path else None
    if not found:
        at = f"; {path} is {describe_disks([there])}" if there else ""
        raise RefusedError(
            f"no disk has the serial {serial or '(empty)'}{at}; nothing was wiped", where=where, hint=f"The machine has: {describe_disks(disks)}."
        )
    if len(found) > 1:
        raise RefusedError(
            f"{len(found)} disks have the serial {serial}: {describe_disks(found)}; nothing was wiped",
            where=where,
            hint="Wipe it by hand, with talosctl wipe disk.",
        )
    if path and there is not found[0]:
        now = describe_disks([there]) if there else "no disk any more"
        raise RefusedError(
            f"the disk {serial} was seen as {path}, which is {now}, and it is now {found[0].path}; nothing was wiped",
            where=where,
            hint="Names have moved. Run again, so that everything is judged anew.",
        )
    return found[0]


def check(request: WipeRequest, disk: Disk, *, running: bool) -> None:
    """Refuse what must not be wiped, whoever permits it."""

    def refuse(what: str, hint: str) -> RefusedError:
        return RefusedError(f"{describe_disks([disk])}: {what}; nothing was wiped", where=request.name, hint=hint)

    if disk.system:
        raise refuse("Talos is installed on it", "To start the machine anew, use talos_reset.")
    if disk.readonly:
        raise refuse("it is read-only", "Take off its write protection.")
    if disk.used_by:
        raise refuse(f"it is in use, as a part of {', '.join(disk.used_by)}", "Take that apart first.")
    machine = claims.Machine(request.name, running=running)
    membership = request.membership
    owner = membership.osd_on(machine, disk) or membership.osd_elsewhere(machine, disk)
    if owner:
        raise refuse(f"it is {owner} of the running Ceph cluster", "Remove the OSD from Ceph first.")
    if running and Membership(membership.osds, cluster=True).undecided(machine, disk):
        raise refuse(
            f"it holds {disk.detail or disk.contents}, and may be an OSD of this cluster", "Run again when Ceph answers and all its OSDs have started."
        )


def _observe(request: WipeRequest, deadline: Deadline) -> MachineState:
    state = observe(request.machine, subjects=("disks",), deadline=deadline)
    if state.trust == machine_tls.FOREIGN:
        raise RefusedError(f"the machine is not this cluster's ({state.problem}); nothing was wiped", where=request.name, hint="Check address and talosconfig.")
    if state.problem or not state.reachable:
        raise ConnectionFailed(state.problem or "the machine does not answer", where=request.name, hint="Check its power and network.")
    return state


def _send(request: WipeRequest, disk: Disk, state: MachineState, deadline: Deadline) -> None:
    client = request.machine.client() if state.trust == machine_tls.OURS else request.machine.maintenance_client()
    try:
        client.run("wipe", "disk", disk.name, "--method", "ZEROES", action=f"wipe {disk.path}", deadline=deadline, seconds=deadline.remaining)
    except Unreachable as error:
        if not deadline.expired:
            raise
        raise DeadlineExceeded(
            f"{describe_disks([disk])} is not wiped after {deadline.seconds:.0f} s, and the machine goes on with it",
            where=request.name,
            hint="A large disk with spinning platters takes hours. Wait, or raise the timeout, then run again.",
        ) from error


def _prove(request: WipeRequest, disk: Disk, deadline: Deadline) -> None:
    """The disk is still where it was, and Talos finds nothing on it any more."""
    limit = deadline.at_most(LOOK_SECONDS)
    while True:
        now = find(request.serial, disk.path, _observe(request, deadline).disks, where=request.name)
        if now.contents == disk_contents.EMPTY:
            return
        limit.check(
            f"{describe_disks([now])} still holds {now.detail or now.contents} after it was wiped; that it is empty was not seen",
            where=request.name,
            hint="The disk may be failing, or something wrote to it.",
        )
        limit.pause(0.3)
