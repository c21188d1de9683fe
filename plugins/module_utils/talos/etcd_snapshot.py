# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup of etcd: a snapshot of a healthy member, opened to see that it is whole, encrypted, stored; then the oldest ones go."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos import etcd_snapshot_check, etcd_snapshot_seal, etcd_snapshot_store
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView, observe_all
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_check import Content
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_store import Store


@dataclass(frozen=True)
class Request:
    """``directory`` is where the run works, whatever the store is; ``keep``: how many backups stay, 0 for all."""

    cluster: str
    password: str
    directory: str
    keep: int
    store: Store


@dataclass(frozen=True)
class Backup:
    """What was done, or in check mode would be; then there is no content yet."""

    name: str
    member: str
    content: Content | None
    removed: tuple[str, ...]


def choose(views: Sequence[EtcdView]) -> EtcdView:
    """The member to take it from: one that is well and, where there is a choice, not the leader, which has enough to do. Raises when none is well."""
    fit = [view for view in views if not unfit(view)]
    if not fit:
        reasons = "; ".join(f"{view.address}: {unfit(view)}" for view in views)
        raise ConnectionFailed(
            f"no member of etcd is fit to take a snapshot from ({reasons})",
            where="etcd",
            hint="Look at talosctl service etcd there. Where etcd has lost its quorum, copy a member's /var/lib/etcd/member/snap/db (talosctl copy) instead.",
        )
    return min(fit, key=lambda view: (_leads(view), -view.status.raft_index if view.status else 0))


def unfit(view: EtcdView) -> str:
    """Why no snapshot is taken from this member; empty when it is well."""
    if view.status is None or view.problem:
        return view.problem or "its member does not answer"
    if view.status.learner:
        return "it is a learner, which may lack what the others have"
    if any(alarm == "CORRUPT" and member == view.member_id for member, alarm in view.alarms):
        return "etcd has found its data to be corrupt"
    # etcd names alarms among its errors; one about space says nothing against the data.
    if not view.healthy and not any(alarm == "NOSPACE" for _member, alarm in view.alarms):
        return f"it is not well: {view.status.errors or 'it has no leader'}"
    return ""


def _leads(view: EtcdView) -> bool:
    return view.status is not None and view.status.leader == view.member_id


def back_up(clients: Sequence[Talosctl], request: Request, *, check_mode: bool, deadline: Deadline) -> Backup:
    """Take one. Nothing is stored unless it is whole, and nothing older goes before it is stored."""
    taken = datetime.now(UTC)
    name = etcd_snapshot_store.backup_name(request.cluster, taken)
    member = choose(observe_all(clients, deadline=deadline))
    client = next(client for client in clients if client.address == member.address)
    present = request.store.names()
    if name in present:
        raise RefusedError("there is a backup of this second already", where=request.store.where(name), hint="Run it again.")
    outdated = etcd_snapshot_store.outdated([*present, name], request.cluster, keep=request.keep)
    if check_mode:
        return Backup(name, member.address, None, tuple(outdated))
    with etcd_snapshot_store.work_directory(request.directory, deadline) as directory:
        sealed = os.path.join(directory, "sealed")
        content = _take(client, sealed, request, taken, deadline)
        progress(f"stores {request.store.where(name)}")
        request.store.put(name, sealed)
    for old in outdated:
        progress(f"removes {request.store.where(old)}")
        request.store.remove(old)
    return Backup(name, member.address, content, tuple(outdated))


def _take(client: Talosctl, sealed: str, request: Request, taken: datetime, deadline: Deadline) -> Content:
    """A verified and encrypted snapshot in the file ``sealed``. The plain one has a name only while talosctl writes it."""
    plain = f"{sealed}.plain"
    progress(f"takes a snapshot from {client.address}")
    client.run("etcd", "snapshot", plain, action="take a snapshot of etcd", deadline=deadline, seconds=deadline.remaining)
    with open(plain, "rb") as source:
        os.unlink(plain)
        content = etcd_snapshot_check.check(source, where=f"snapshot of {client.address}")
        progress(f"encrypts {content.size} bytes: revision {content.revision}, {content.keys} keys")
        header = etcd_snapshot_seal.Header(request.cluster, taken.isoformat(timespec="seconds"), client.address, content.revision, content.keys, content.size)
        source.seek(0)
        with open(os.open(sealed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:
            etcd_snapshot_seal.seal(source, target, header, request.password)
            target.flush()
            os.fsync(target.fileno())
    return content
