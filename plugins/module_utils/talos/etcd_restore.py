# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd from a backup: the backup is opened and judged first, then etcd's data goes everywhere, then one control plane restores it and the others join.

Nothing is noted anywhere: the next run after one that was killed finds the data gone that was removed, and goes on.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, DeadlineExceeded, InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos import bootstrap, client_output, etcd, etcd_snapshot_check, etcd_snapshot_seal, machine_tls
from ansible_collections.trinode.platform.plugins.module_utils.talos.bootstrap_plan import Place
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import AlreadyDone, NoSuchResource, NotReady, Unreachable
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_restore_plan import Permission, Plan, plan
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_seal import Header
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_store import Store, ours, work_directory
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import EtcdSummary, summarize
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import read_status
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_wait import Wait
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine

LATEST = "latest"
LOOK_SECONDS = 1.0
# A machine that boots is given this long before it counts as one that cannot be asked.
SETTLE_SECONDS = 120.0
# etcd that is ended over and over may write again between the removal of its data and the reboot.
ROUNDS = 3
_ACCEPT_SECONDS = 120.0
_MONITORS = "/var/lib/rook"


@dataclass(frozen=True)
class Request:
    """``backup`` is a name in the store, a path, or latest. ``directory`` is where the run works."""

    cluster: str
    password: str
    directory: str
    backup: str
    store: Store
    permission: Permission


@dataclass(frozen=True)
class Restored:
    """``summary`` is None in check mode."""

    backup: str
    header: Header
    steps: tuple[str, ...]
    summary: EtcdSummary | None


def restore(first: Machine, endpoints: Sequence[Machine], request: Request, *, check_mode: bool, deadline: Deadline) -> Restored:
    """Restore, and wait until all control planes are voters. In check mode the backup is opened and the plan is made, and nothing is touched."""
    with work_directory(request.directory, deadline) as directory, tempfile.TemporaryFile(dir=directory) as plain:
        backup, header = open_backup(request, directory, plain)
        found = _settled(endpoints, deadline)
        todo = _plan(first, endpoints, found, request.permission, deadline)
        if check_mode:
            return Restored(backup, header, tuple(todo.lines), None)
        lines = todo.lines
        for _round in range(ROUNDS):
            _clear(endpoints, todo, request.permission.image, deadline)
            found = _settled(endpoints, deadline)
            if not any(place.has_data for place in found):
                break
            todo = _plan(first, endpoints, found, Permission(True, request.permission.image, request.permission.wipe), deadline)
        else:
            raise RefusedError(
                f"etcd has written data again after it was removed {ROUNDS} times",
                where=", ".join(place.address for place in found if place.has_data),
                hint="Reset these machines (playbooks/reset.yml), and run this again.",
            )
        _recover(first, plain, directory, deadline)
    return Restored(backup, header, tuple(lines), bootstrap.await_voters(endpoints, deadline))


def open_backup(request: Request, directory: str, plain: IO[bytes]) -> tuple[str, Header]:
    """The whole backup in the clear, in a file without a name; where it was and what it says. Raises InputError unless it is whole and this cluster's."""
    where = _find(request)
    progress(f"opens {where}")
    with tempfile.TemporaryFile(dir=directory) as sealed:
        if os.path.isabs(request.backup):
            try:
                with open(request.backup, "rb") as source:
                    shutil.copyfileobj(source, sealed, 1 << 20)
            except OSError as error:
                raise InputError(f"the backup cannot be read: {error.strerror}", where=where) from error
        else:
            request.store.fetch(os.path.basename(where), sealed)
        sealed.seek(0)
        header = etcd_snapshot_seal.unseal(sealed, plain, request.password, where=where)
    plain.flush()
    content = etcd_snapshot_check.check(plain, where=where)
    if header.cluster != request.cluster:
        raise RefusedError(f"the backup is of the cluster {header.cluster}, not of {request.cluster}", where=where, hint="Give one of this cluster.")
    progress(f"the backup is whole: taken {header.taken}, revision {content.revision}, {content.keys} keys")
    return where, header


def _find(request: Request) -> str:
    if os.path.isabs(request.backup):
        return request.backup
    if request.backup != LATEST:
        if ours([request.backup], request.cluster) != [request.backup]:
            hint = "Give its name as it is in the store, its absolute path, or latest."
            raise InputError(f"{request.backup!r} is not the name of a backup of {request.cluster}", where="backup", hint=hint)
        return request.store.where(request.backup)
    names = ours(request.store.names(), request.cluster)
    if not names:
        raise InputError(f"there is no backup of {request.cluster}", where=request.store.where(""), hint="Check trinode_etcd_backup_directory and _bucket.")
    return request.store.where(names[-1])


def _settled(endpoints: Sequence[Machine], deadline: Deadline) -> list[Place]:
    """Where etcd has data, once every machine can be asked, or after a while as it is then."""
    limit = deadline.at_most(SETTLE_SECONDS)
    said = ""
    while True:
        found = [_with_data(machine, place, deadline) for machine, place in zip(endpoints, bootstrap.places(endpoints, deadline), strict=True)]
        waiting = "; ".join(f"{place.address}: {place.problem or place.trust}" for place in found if place.problem or place.trust == machine_tls.UNREACHABLE)
        if not waiting or limit.expired:
            return found
        if waiting != said:
            said = waiting
            progress(f"waits for machines that boot: {waiting}")
        limit.pause(LOOK_SECONDS)


def _with_data(machine: Machine, place: Place, deadline: Deadline) -> Place:
    """An etcd that fails over and over looks as if it was still starting; but data that can be seen is data."""
    if place.trust != machine_tls.OURS or not place.problem:
        return place
    try:
        return Place(place.address, place.trust, has_data=True) if etcd.has_data(machine.client(), deadline=deadline) else place
    except (ConnectionFailed, CommandError):
        return place


def _plan(first: Machine, endpoints: Sequence[Machine], found: Sequence[Place], permission: Permission, deadline: Deadline) -> Plan:
    asked = [machine for machine, place in zip(endpoints, found, strict=True) if place.trust == machine_tls.OURS and not place.problem]
    summary = summarize(etcd.observe_all([machine.client() for machine in asked], deadline=deadline))
    monitors = [machine.address for machine in asked if machine.address in permission.wipe and _has_monitor(machine, deadline)]
    return plan(first.address, found, monitors, summary, permission)


def _has_monitor(machine: Machine, deadline: Deadline) -> bool:
    """Whether Rook keeps a monitor's data there."""
    try:
        listed = machine.client().run("list", _MONITORS, action="look for monitors of Ceph", deadline=deadline)
    except (NoSuchResource, CommandError) as error:
        if "no such file" in error.what:
            return False
        raise
    return any(name.startswith("mon-") for name in client_output.parse_names(listed.stdout))


def _clear(endpoints: Sequence[Machine], todo: Plan, image: str, deadline: Deadline) -> None:
    """Remove etcd's data on all machines at once, so that none joins what is left of the others, and wait until they have booted anew."""

    def on(addresses: Sequence[str], act: Callable[[Machine], None]) -> None:
        machines = [machine for machine in endpoints if machine.address in addresses]
        if machines:
            with ThreadPoolExecutor(max_workers=len(machines)) as pool:
                list(pool.map(act, machines))

    def boot(machine: Machine) -> None:
        boots[machine.address] = read_status(machine.client().get("machinestatus", deadline=deadline)).boot

    def remove(machine: Machine) -> None:
        progress(f"{machine.address}: removes etcd's data")
        words = ["rm", "-rf", "/host/var/lib/etcd/member"]
        arguments = ["debug", image, *(f"--args={word}" for word in words)]
        try:
            machine.client().run(*arguments, action="remove etcd's data", deadline=deadline, seconds=_ACCEPT_SECONDS, printed=True)
        except CommandError as error:
            hint = "The image needs rm and has to run as root, as busybox does. The data that is still there is what it was; run this again."
            raise CommandError(error.what, where=error.where, hint=hint) from error

    def restart(machine: Machine) -> None:
        progress(f"{machine.address}: {'reboots' if machine.address in todo.clear else 'EPHEMERAL is wiped'}")
        reset = ["reset", "--graceful=false", "--reboot", "--wait=false", "--system-labels-to-wipe", "EPHEMERAL"]
        arguments = ["reboot", "--wait=false"] if machine.address in todo.clear else reset
        try:
            machine.client().run(*arguments, action="reboot", deadline=deadline, seconds=_ACCEPT_SECONDS)
        except (NotReady, Unreachable) as error:
            progress(f"{machine.address}: {error.what}; looks whether it reboots")

    def await_boot(machine: Machine) -> None:
        before = boots[machine.address]
        wait = Wait(machine, machine.address, "The reboot without etcd's data", deadline)
        wait.for_status(lambda status: status.boot not in ("", before))

    boots: dict[str, str] = {}
    affected = [*todo.clear, *todo.wipe]
    on(affected, boot)
    on(todo.clear, remove)
    on(affected, restart)
    on(affected, await_boot)


def _recover(first: Machine, plain: IO[bytes], directory: str, deadline: Deadline) -> None:
    """Bootstrap from the snapshot. It has a name only as long as talosctl needs it."""
    path = os.path.join(directory, "snapshot")
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as named:
            plain.seek(0)
            shutil.copyfileobj(plain, named, 1 << 20)
        lost = False
        while True:
            try:
                progress(f"restores etcd on {first.address}")
                first.client().run("bootstrap", f"--recover-from={path}", action="restore etcd", deadline=deadline, seconds=deadline.remaining)
            except AlreadyDone as error:
                if lost:
                    # The answer to the try before was lost, not the try.
                    return
                hint = "Look at what runs there (talos_etcd_info), and run this again."
                raise RefusedError("etcd has data again, so that nothing was restored", where=first.address, hint=hint) from error
            except (NotReady, Unreachable) as error:
                lost = lost or isinstance(error, Unreachable)
                if deadline.expired:
                    raise DeadlineExceeded(f"etcd could not be restored: {error.what}", where=first.address, hint=error.hint) from error
                progress(f"{first.address}: {error.what}; trying again")
                deadline.pause(LOOK_SECONDS)
            else:
                return
    finally:
        os.unlink(path)
