# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine gets its configuration: look, plan (apply_plan), send, and wait for what was promised.

There is no state of our own. Killed at any point and run again, it finds the machine in maintenance (sends again), on its way (waits), or done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos import config_diff, documents, etcd, machine_disks, machine_tls
from ansible_collections.trinode.platform.plugins.module_utils.talos.apply_plan import (
    PASSING_STAGES,
    Plan,
    RunningConfig,
    check_etcd_before_reboot,
    check_reboot,
    plan_running,
    refuse_foreign,
    refuse_pending,
)
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import NotReady, Unreachable
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import parse_dry_run
from ansible_collections.trinode.platform.plugins.module_utils.talos.documents import MAIN, KeptImage
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import summarize
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk, MachineState, Status, read_status
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_wait import Wait
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine, observe, own_link

# In check mode nobody boots the machine meanwhile; give one that is just rebooting a moment.
CHECK_SECONDS = 15.0
# A machine that has just taken its configuration may show a certificate of its own for a moment.
FOREIGN_SECONDS = 3.0


@dataclass(frozen=True)
class Request:
    """What is wanted: the configuration, and under which conditions. ``endpoints``: the control planes, as far as known.

    ``render`` gives the configuration's text (with secrets), and gets the name of the link that holds the machine's address where ``needs_link``
    says that it depends on it, and the machine's disks where ``needs_disks`` does. ``reboot`` says what becomes of a change that needs one:
    ``refuse``, ``postpone`` or ``allow``.
    """

    machine: Machine
    label: str
    render: Callable[[str, Sequence[Disk]], str]
    needs_link: bool
    needs_disks: bool
    endpoints: tuple[str, ...]
    keep_kubernetes_images: bool
    reboot: str
    check_mode: bool

    @property
    def where(self) -> str:
        """The machine in messages: ``m1 (192.0.2.11)``."""
        address = self.machine.address
        return self.label if self.label == address else f"{self.label} ({address})"


@dataclass(frozen=True)
class Applied:
    """What was done, or in check mode would be done. ``stage`` is the machine's at the end; ``kept`` the images that upgrade-k8s owns.

    ``notes``: what a real run would refuse if it is still so.
    """

    plan: Plan
    stage: str
    kept: tuple[KeptImage, ...] = ()
    notes: tuple[str, ...] = ()


def apply(request: Request, *, deadline: Deadline) -> Applied:
    """Bring the machine to its configuration. Raises RefusedError for what would be unsafe, ConfigRejected when Talos does not take the configuration."""
    shown, state = _settle(request, deadline)
    # The certificate that was looked at is the one talosctl must meet in maintenance: a change in between is refused.
    maintenance = shown.trust == machine_tls.MAINTENANCE
    client = request.machine.maintenance_client(shown.fingerprint) if maintenance else request.machine.client()
    disks = _disks(request, deadline) if request.needs_disks else ()
    config = request.render(own_link(client, deadline) if request.needs_link else "", disks)
    return _install(request, client, config, deadline) if maintenance else _update(request, client, config, state, deadline)


def _settle(request: Request, deadline: Deadline) -> tuple[machine_tls.Handshake, MachineState]:
    """Until the machine can be worked with: in maintenance, or ours and not on its way elsewhere. Raises for a foreign one."""
    limit = deadline.at_most(CHECK_SECONDS) if request.check_mode else deadline
    wait = Wait(request.machine, request.label, "An answer of the machine", limit)
    foreign_since: float | None = None
    while True:
        shown = wait.for_trust(machine_tls.OURS, machine_tls.MAINTENANCE, machine_tls.FOREIGN, problems=True)
        if shown.trust == machine_tls.FOREIGN:
            foreign_since = limit.elapsed if foreign_since is None else foreign_since
            if limit.elapsed - foreign_since >= FOREIGN_SECONDS or limit.expired:
                raise refuse_foreign(request.where, shown.problem)
            obstacle = shown.problem
        else:
            foreign_since = None
            state = observe(request.machine, subjects=("status",), deadline=deadline)
            if state.stage and state.stage not in PASSING_STAGES:
                return shown, state
            obstacle = f"it is {state.stage}" if state.stage else state.problem or "it does not tell its stage"
        wait.say(obstacle)
        limit.check(f"The machine did not come to rest: {obstacle}", where=request.label, hint="Look at its console.")
        limit.pause(0.5)


def _install(request: Request, client: Talosctl, config: str, deadline: Deadline) -> Applied:
    """First configuration of a machine in maintenance mode."""
    install = _machine_section(config, "install")
    disk = machine_disks.check_install_disk(install, _disks(request, deadline), where=request.label)
    notes: tuple[str, ...] = ()
    try:
        if disk:
            machine_disks.check_empty(disk, where=request.label)
    except RefusedError as error:
        # In check mode nobody has wiped what may be wiped.
        if not request.check_mode:
            raise
        notes = (str(error),)
    plan = Plan("install", tuple(config_diff.compare("", config)))
    if request.check_mode:
        client.apply_config(config, mode="auto", dry_run=True, deadline=deadline)
        return Applied(plan, "maintenance", notes=notes)
    progress(f"{request.label}: gets its first configuration")
    _send(client, config, "auto", deadline)
    return Applied(plan, _await_promise(request, config, deadline).stage)


def _disks(request: Request, deadline: Deadline) -> Sequence[Disk]:
    return observe(request.machine, subjects=("disks",), deadline=deadline).disks


def _update(request: Request, client: Talosctl, desired: str, state: MachineState, deadline: Deadline) -> Applied:
    """New configuration of a machine that runs."""
    running = read_running(client, deadline=deadline)
    kept: tuple[KeptImage, ...] = ()
    if request.keep_kubernetes_images:
        found = documents.keep_kubernetes_images(documents.split(running.active), documents.split(desired))
        desired, kept = documents.with_images(desired, found), tuple(found)
    changes = config_diff.compare(running.active, desired)
    if changes:
        refuse_pending(running, config_diff.compare(running.stored, running.active) if running.stored else [], request.where)
    plan = plan_running(changes, needs_reboot=bool(changes) and _needs_reboot(client, desired, deadline))
    check_reboot(plan, allowed=request.reboot != "refuse" or request.check_mode, address=request.label)
    if plan.step == "reboot" and request.reboot == "postpone":
        return Applied(Plan("postponed", plan.changes), state.stage, kept)
    if request.check_mode or (plan.step == "none" and state.stage == "running"):
        return Applied(plan, state.stage, kept)
    if plan.step == "reboot":
        return Applied(plan, _reboot_into(request, client, desired, state, deadline).stage, kept)
    if plan.step == "no-reboot":
        progress(f"{request.label}: {plan.summary}")
        _send(client, desired, "no-reboot", deadline)
    return Applied(plan, _await_promise(request, desired, deadline).stage, kept)


def read_running(client: Talosctl, *, deadline: Deadline) -> RunningConfig:
    """The active and the stored configuration of a machine that is ours."""
    found = {item.id: str(item.spec.get("text", "")) for item in client.get("machineconfig", deadline=deadline)}
    if not found.get("v1alpha1"):
        raise ConnectionFailed("the machine does not show its configuration", where=client.address, hint="The talosconfig needs the role os:admin.")
    return RunningConfig(found["v1alpha1"], found.get("persistent") or None)


def _needs_reboot(client: Talosctl, config: str, deadline: Deadline) -> bool:
    """Ask the machine. Also validates the configuration there: raises ConfigRejected."""
    return parse_dry_run(_send(client, config, "auto", deadline, dry_run=True)).needs_reboot


def _send(client: Talosctl, config: str, mode: str, deadline: Deadline, *, dry_run: bool = False) -> str:
    """Apply; again while another apply is in progress or the machine is just coming up."""
    while True:
        try:
            return client.apply_config(config, mode=mode, dry_run=dry_run, deadline=deadline)
        except (NotReady, Unreachable) as error:
            if deadline.expired:
                raise
            progress(f"{client.address}: {error.what}; trying again")
            deadline.pause(1.0)


def _reboot_into(request: Request, client: Talosctl, config: str, state: MachineState, deadline: Deadline) -> Status:
    """Apply with a reboot, while etcd keeps its quorum and no other control plane is away."""
    _check_reboot_is_safe(request, client, deadline)
    before = read_status(client.get("machinestatus", deadline=deadline))
    progress(f"{request.label}: reboots into its new configuration")
    _send(client, config, "reboot", deadline)
    wait = Wait(request.machine, request.label, "The reboot into the new configuration", deadline)
    was_running = state.stage == "running"
    return wait.for_status(lambda status: status.boot != before.boot and (status.stage == "running" or (not was_running and _etcd_waits(client, deadline))))


def _check_reboot_is_safe(request: Request, client: Talosctl, deadline: Deadline) -> None:
    own = etcd.observe_etcd(client, deadline=deadline)
    addresses = dict.fromkeys([*request.endpoints, *_client_addresses(own)])
    others = [request.machine.at(address) for address in addresses if address != request.machine.address]
    views = [own, *etcd.observe_all([other.client() for other in others], deadline=deadline)]
    check_etcd_before_reboot(summarize(views), own.member_id, address=request.label)
    for other in others:
        found = observe(other, subjects=("status",), deadline=deadline)
        if own.member_id and found.stage != "running":
            raise RefusedError(
                f"the control plane {other.address} is {found.stage or found.problem or found.trust}, so this machine does not reboot now",
                where=request.label,
                hint="Machines reboot one at a time. Wait until the other one runs, then run again.",
            )


def _client_addresses(view: etcd.EtcdView) -> Sequence[str]:
    """The members' addresses, from their client URLs (``https://10.0.0.1:2379``)."""
    return [url.removeprefix("https://").rsplit(":", 1)[0].strip("[]") for member in view.members for url in member.client_urls]


def _await_promise(request: Request, config: str, deadline: Deadline) -> Status:
    """Until the machine runs or, as a control plane of a cluster that does not exist yet, waits for its etcd to be bootstrapped."""
    control_plane = documents.split(config).get(MAIN, {}).get("machine", {}).get("type") in ("controlplane", "init")
    client = request.machine.client()
    cluster_exists = _cluster_probe(request, deadline) if control_plane else lambda: True

    def accept(status: Status) -> bool:
        if status.stage == "running":
            return True
        return control_plane and status.stage == "booting" and _etcd_waits(client, deadline) and not cluster_exists()

    wait = Wait(request.machine, request.label, "The start with this configuration", deadline)
    return wait.for_status(accept)


def _etcd_waits(client: Talosctl, deadline: Deadline) -> bool:
    """Whether Talos has come to start etcd: in maintenance, before installing and before a reboot there is no such service."""
    try:
        return any(service.id == "etcd" and service.state in ("Preparing", "Running") for service in client.services(deadline=deadline))
    except (ConnectionFailed, CommandError):
        return False


def _cluster_probe(request: Request, deadline: Deadline) -> Callable[[], bool]:
    """A question: does etcd run on any control plane already? Then this one joins by itself, and is done when it runs."""
    answers: list[bool] = []

    def exists() -> bool:
        if not answers:
            machines = [request.machine.at(address) for address in dict.fromkeys([request.machine.address, *request.endpoints])]
            reachable = [machine for machine in machines if machine.probe(deadline=deadline).trust == machine_tls.OURS]
            answers.append(any(view.member_id for view in etcd.observe_all([machine.client() for machine in reachable], deadline=deadline)))
        return answers[0]

    return exists


def _machine_section(config: str, name: str) -> dict[str, object]:
    section = documents.split(config).get(MAIN, {}).get("machine", {}).get(name)
    return section if isinstance(section, dict) else {}
