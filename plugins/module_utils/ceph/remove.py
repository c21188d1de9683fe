# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removing OSDs: look, plan, do the next step, and look again, until nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import TRACKING
from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import PAUSED, Applications
from ansible_collections.trinode.platform.plugins.module_utils.ceph import observe, parse, removal
from ansible_collections.trinode.platform.plugins.module_utils.ceph.drain import Drain
from ansible_collections.trinode.platform.plugins.module_utils.ceph.removal import Daemon, Look, Step
from ansible_collections.trinode.platform.plugins.module_utils.ceph.toolbox import Toolbox
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Osd
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

LOOK_SECONDS = 2.0
"""Between two looks while something is waited for. Ceph has nothing to watch."""
_DRAIN_SECONDS = 5.0
_MERGE = "application/merge-patch+json"
_MANAGER = {"fieldManager": "trinode.platform"}


@dataclass
class Removal:
    """The removal of OSDs from a cluster. ``settle``: seconds for which Ceph has to go on saying that an OSD may be destroyed.

    ``stall``: seconds after which a wait in which nothing moves is given up. ``done`` are the steps that were taken.
    """

    client: Client
    cluster: dict[str, Any]
    deadline: Deadline
    failed: bool = False
    settle: float = 10.0
    stall: float = 900.0
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._namespace = str(self.cluster["metadata"]["namespace"])
        self._toolbox = Toolbox(self.client, self._namespace)
        self._does: dict[str, Callable[[Step, Look], None]] = {
            "out": self._out,
            "drain": self._drain,
            "forget": self._forget,
            "stop": self._stop,
            "purge": self._purge,
            "delete": self._delete,
        }

    def look(self, osds: Sequence[int] = ()) -> Look:
        """What is there now. Raises PlatformError where it cannot be read."""
        metadata = self.cluster["metadata"]
        path = f"/apis/ceph.rook.io/v1/namespaces/{self._namespace}/cephclusters/{metadata['name']}"
        self.cluster = self.client.get(path, deadline=self.deadline)
        found, _version = self.client.list(f"{self._deployments}", {"labelSelector": "app=rook-ceph-osd"}, deadline=self.deadline)
        ceph = observe.observe(self.client, self.cluster, self.deadline, osds=osds)
        storage = (self.cluster.get("spec") or {}).get("storage") or {}
        return Look(ceph, tuple(daemon for item in found if (daemon := read_daemon(item))), storage)

    def refuse(self, osds: Sequence[int], look: Look) -> None:
        """Raise RefusedError where these OSDs must not be removed, all of them."""
        reasons = removal.refusals(osds, look, failed=self.failed)
        if reasons:
            raise RefusedError(
                f"{', '.join(f'osd.{number}' for number in osds)} must not be removed",
                where="Ceph",
                hint="\n" + "\n".join(f"  {reason}" for reason in reasons),
                details={"refusals": reasons},
            )

    def plan(self, group: Sequence[int], look: Look) -> list[Step]:
        """The steps that are left for the OSDs of a disk. Raises RefusedError where they must not be removed."""
        self.refuse(group, look)
        return removal.plan(group, look, failed=self.failed)

    def remove(self, group: Sequence[int]) -> list[Osd]:
        """Remove the OSDs of a disk; returns them as they were. Raises PlatformError; the next call goes on from there."""
        known: dict[int, Osd] = {}
        while True:
            self.deadline.check(f"osd.{group[0]} is not removed", where="Ceph", hint="Run it again: it goes on from where it is.")
            look = self.look(group)
            known = {**{osd.id: osd for osd in look.ceph.osds if osd.id in group}, **known}
            steps = self.plan(group, look)
            if not steps:
                return [known[number] for number in group if number in known]
            step = steps[0]
            progress(step.text)
            self._does[step.kind](step, look)
            self.done.append(step.text)

    @property
    def _deployments(self) -> str:
        return f"/apis/apps/v1/namespaces/{self._namespace}/deployments"

    def _out(self, step: Step, _look: Look) -> None:
        self._toolbox.ceph(["osd", "out", *(str(number) for number in step.osds)], self.deadline)

    def _drain(self, step: Step, _look: Look) -> None:
        """Until Ceph says, and goes on saying, that nothing is on the OSDs that is not elsewhere."""
        drain = Drain(step.osds, self.stall)
        held: Deadline | None = None
        while True:
            look = self.look(step.osds)
            if removal.expendable([osd for osd in look.ceph.osds if osd.id in step.osds], look.ceph, failed=self.failed):
                held = held or Deadline(self.settle)
                if held.expired:
                    return
            else:
                held = None
                drain.tell(look.ceph)
            self.deadline.check(
                f"the data of {', '.join(f'osd.{number}' for number in step.osds)} was not copied elsewhere ({drain.text})",
                where="Ceph",
                hint="Run it again to wait longer.",
            )
            self.deadline.pause(min(_DRAIN_SECONDS, held.remaining) if held else _DRAIN_SECONDS)

    def _forget(self, step: Step, look: Look) -> None:
        """While the CephCluster names the disk, Rook would start the OSD again."""
        osds = [osd for osd in look.ceph.osds if osd.id in step.osds]
        paths = {path for osd in osds for path in removal.devices(osd, look)}
        names = {name for osd in osds for name in (osd.host, osd.bucket)}
        nodes: list[Any] = list(look.storage.get("nodes") or [])
        for name in names:
            nodes = removal.without({"nodes": nodes}, name, paths)
        metadata = self.cluster["metadata"]
        self._pause(metadata)
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"storage": {"nodes": nodes}}}
        path = f"/apis/ceph.rook.io/v1/namespaces/{self._namespace}/cephclusters/{metadata['name']}"
        try:
            self.client.request("PATCH", path, body, content_type=_MERGE, params=_MANAGER, deadline=self.deadline)
        except ApiError as error:
            if error.code != 409:
                raise
            progress("the CephCluster has just been changed by somebody else: looking again")

    def _pause(self, metadata: Mapping[str, Any]) -> None:
        """Argo CD would put the disk back, as Git still names it. Delivering the layout without the disk ends the pause."""
        name = str((metadata.get("annotations") or {}).get(TRACKING) or "").partition(":")[0]
        applications = Applications(self.client, self.deadline)
        found = applications.read(name) if name else None
        if found is not None and PAUSED not in (found["metadata"].get("annotations") or {}):
            progress(f"Argo CD leaves {name} alone until the layout without the disk is in Git")
            applications.pause(name, paused=True)

    def _stop(self, step: Step, look: Look) -> None:
        for number in step.osds:
            osd, daemon = look.ceph.osd(number), look.daemon(number)
            if daemon is not None:
                marks = {"annotations": {removal.DISK: osd.serial}} if osd and osd.serial else {}
                body = {"metadata": marks, "spec": {"replicas": 0}}
                self._ignoring_absence("PATCH", f"{self._deployments}/rook-ceph-osd-{number}", body)
        self._until(lambda now: not any(osd.up for osd in now.ceph.osds if osd.id in step.osds), step, "did not stop")

    def _purge(self, step: Step, look: Look) -> None:
        # Without a place for its copies, Ceph will never call it safe: that the disk is lost is known, and all data can be used.
        force = ["--force"] if self.failed and not removal.drained(step.osds, look.ceph) else []
        for number in step.osds:
            try:
                self._toolbox.ceph(["osd", "purge", str(number), "--yes-i-really-mean-it", *force], self.deadline)
            except CommandError as error:
                # Ceph judges anew, and something may have happened meanwhile.
                if "EBUSY" not in error.what:
                    raise
                progress(error.what)
                self.deadline.pause(LOOK_SECONDS)

    def _delete(self, step: Step, _look: Look) -> None:
        for number in step.osds:
            self._ignoring_absence("DELETE", f"{self._deployments}/rook-ceph-osd-{number}", {"propagationPolicy": "Foreground"})
        self._until(lambda now: not any(now.daemon(number) for number in step.osds), step, "were not deleted")

    def _until(self, reached: Callable[[Look], bool], step: Step, otherwise: str) -> None:
        while not reached(self.look(step.osds)):
            self.deadline.check(f"{', '.join(f'rook-ceph-osd-{number}' for number in step.osds)} {otherwise}", where=self._namespace)
            self.deadline.pause(LOOK_SECONDS)

    def _ignoring_absence(self, method: str, path: str, body: dict[str, Any]) -> None:
        content = _MERGE if method == "PATCH" else "application/json"
        try:
            self.client.request(method, path, body, content_type=content, params=_MANAGER if method == "PATCH" else None, deadline=self.deadline)
        except ApiError as error:
            if not error.not_found:
                raise


def read_daemon(item: dict[str, Any]) -> Daemon | None:
    """An OSD's Deployment; None for one that has no OSD's number."""
    found = parse.block_paths([item])
    if not found:
        return None
    (number, path), replicas = next(iter(found.items())), (item.get("spec") or {}).get("replicas")
    disk = str((item["metadata"].get("annotations") or {}).get(removal.DISK, ""))
    return Daemon(number, 1 if replicas is None else int(replicas), disk, path)


def start(client: Client, deadline: Deadline, **options: Any) -> Removal:
    """For the cluster that runs. Raises ConnectionFailed where none does."""
    cluster = observe.find(client, deadline)
    if cluster is None:
        raise ConnectionFailed("no Ceph cluster runs", where=client.server, hint="There is nothing to remove.")
    return Removal(client, cluster, deadline, **options)
