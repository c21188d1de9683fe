# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine gets another Talos: look, plan (upgrade_plan), pull, install, reboot, wait, and look whether it really runs that.

talosctl is asked for single steps, and never to drain, uncordon or wait: those are ours, with our deadlines, and whether a step has happened is judged by
what the machine shows, not by how talosctl ended (siderolabs/talos#14242). Killed at any point and run again, the next run finds how far it has come.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, ConnectionFailed, DeadlineExceeded, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.rolling.target import Target
from ansible_collections.trinode.platform.plugins.module_utils.talos import client_output, insist, machine_tls, upgrade_plan
from ansible_collections.trinode.platform.plugins.module_utils.talos.apply_plan import PASSING_STAGES
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import read_status
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_wait import Wait
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine, observe
from ansible_collections.trinode.platform.plugins.module_utils.talos.upgrade_plan import Running, Step

# In check mode nobody boots the machine meanwhile.
CHECK_SECONDS = 15.0
# A reboot is accepted at once; a call that hangs is cut off and the machine looked at.
ACCEPT_SECONDS = 30.0
# Longer than an image takes to arrive on a slow line, or an installer to run; a call that hangs does not use up all the time there is.
INSTALL_SECONDS = 300.0
PAUSE_SECONDS = 1.0
# META's tag of a system that is installed and has not come up yet (siderolabs/talos, pkg/machinery/meta: Upgrade = 6). Talos removes it when it has.
_PENDING_KEY = "0x06"
_PULL_TRIES = 3


@dataclass(frozen=True)
class Request:
    """``label`` names the machine in messages. ``reboot_mode`` is talosctl's --mode (``powercycle`` goes through the firmware)."""

    machine: Machine
    label: str
    target: Target
    pull_only: bool = False
    reboot_mode: str = "default"
    check_mode: bool = False


@dataclass(frozen=True)
class Upgraded:
    """The steps that were done (in check mode, would be), and what ran before and runs now."""

    steps: tuple[Step, ...]
    before: Running
    after: Running


def upgrade(request: Request, *, deadline: Deadline) -> Upgraded:
    """Bring the machine to its installer image. Raises RolledBack when it came back as it was, RefusedError for what is not supported."""
    before = _settle(request, deadline)
    steps = upgrade_plan.plan(request.target, before, pull_only=request.pull_only, where=request.label)
    if request.check_mode or not steps:
        return Upgraded(steps, before, before)
    if "pull" in steps:
        _pull(request, deadline)
    if request.pull_only:
        return Upgraded(steps, before, before)
    after = _boot_into(request, before, steps, deadline)
    if before.pending and request.target.differs(after.version, after.schematic) and not after.pending:
        # What was waiting for its boot was something else; now that it is out of the way, the wanted one gets its turn.
        between, rest = after, upgrade_plan.plan(request.target, after, pull_only=False, where=request.label)
        if "pull" in rest:
            _pull(request, deadline)
        after = _boot_into(request, between, rest, deadline)
        upgrade_plan.check(request.target, between, after, where=request.label)
        return Upgraded((*steps, *rest), before, after)
    upgrade_plan.check(request.target, before, after, where=request.label)
    return Upgraded(steps, before, after)


def _settle(request: Request, deadline: Deadline) -> Running:
    """Wait until the machine runs (an interrupted run may have left it rebooting), and read what it runs."""
    limit = deadline.at_most(CHECK_SECONDS) if request.check_mode else deadline
    wait = Wait(request.machine, request.label, "An answer of the machine", limit)
    shown = wait.for_trust(machine_tls.OURS, machine_tls.MAINTENANCE, machine_tls.FOREIGN, problems=True)
    if shown.trust == machine_tls.MAINTENANCE:
        raise RefusedError("the machine is in maintenance mode, so there is nothing to upgrade", where=request.label, hint="Run playbooks/cluster.yml first.")
    if shown.trust == machine_tls.FOREIGN:
        raise RefusedError(f"the machine is not this cluster's ({shown.problem})", where=request.label, hint="Check its address and the talosconfig.")
    status = wait.for_status(lambda found: bool(found.stage) and found.stage not in PASSING_STAGES and found.stage != "booting")
    return _running(request, status.boot, deadline)


def _running(request: Request, boot: str, deadline: Deadline) -> Running:
    """What the machine runs; asked again while it does not tell."""
    while True:
        state = observe(request.machine, subjects=("version", "image"), deadline=deadline)
        if state.version and not state.problem:
            break
        deadline.check(f"The machine does not tell what it runs: {state.problem or state.trust}", where=request.label, hint="Check that its Talos API answers.")
        deadline.pause(PAUSE_SECONDS)
    return Running(state.version, state.schematic, _pending(request, deadline), boot, _images(request, deadline))


def _pending(request: Request, deadline: Deadline) -> bool:
    try:
        return any(item.id == _PENDING_KEY for item in request.machine.client().get("metakeys", deadline=deadline))
    except (ConnectionFailed, CommandError):
        return False


def _images(request: Request, deadline: Deadline) -> tuple[str, ...]:
    """The images that Talos has for itself; what cannot be listed is pulled, which costs nothing where it is there."""
    try:
        listed = request.machine.client().run("image", "list", "--namespace", "system", action="list its images", deadline=deadline)
    except (ConnectionFailed, CommandError):
        return ()
    return tuple(client_output.parse_images(listed.stdout))


def _pull(request: Request, deadline: Deadline) -> None:
    """Have the machine get the image while it works on. What is wrong with the image comes out here, before anything is taken away."""
    image = request.target.image
    progress(f"{request.label}: pulls {image}")
    answers = 0

    def registry_is_away() -> bool:
        # The machine passes on what the registry's connection failed with, which reads as if it were the machine's own.
        nonlocal answers
        answers += request.machine.probe(deadline=deadline).trust == machine_tls.OURS
        return answers >= _PULL_TRIES

    try:
        arguments = ["image", "pull", "--namespace", "system", image]
        insist.call(request.machine, request.label, arguments, "pull the installer image", deadline, seconds=INSTALL_SECONDS, done=registry_is_away)
    except (CommandError, RefusedError) as error:
        raise _not_pulled(request, error.what) from error
    if answers >= _PULL_TRIES and image not in _images(request, deadline):
        raise _not_pulled(request, "the machine does not get the installer image: its registry does not answer")


def _not_pulled(request: Request, what: str) -> PlatformError:
    registry = request.target.image.partition("/")[0]
    hint = f"The machine has to reach {registry}, or its mirror in trinode_registry_mirrors, which has to have {request.target.image}. Nothing was changed."
    return PlatformError(what, where=request.label, hint=hint)


def _boot_into(request: Request, before: Running, steps: tuple[Step, ...], deadline: Deadline) -> Running:
    """Install where that is due, reboot, and read what came back."""
    if "install" in steps:
        _install(request, before, deadline)
    if "install" not in steps or not upgrade_plan.reboots_on_its_own(before.version):
        progress(f"{request.label}: reboots into {request.target.version}")
        arguments = ["reboot", "--wait=false", "--drain=false", "--mode", request.reboot_mode]
        insist.call(request.machine, request.label, arguments, "reboot", deadline, seconds=ACCEPT_SECONDS, done=lambda: _is_away(request, before, deadline))
    wait = Wait(request.machine, request.label, "The return from the reboot", deadline)
    try:
        status = wait.for_status(lambda found: found.stage == "running" and found.boot != before.boot)
    except DeadlineExceeded as error:
        hint = f"{error.hint} Look at its console. When it runs again, with whichever version, run again: that goes on from there.".strip()
        raise DeadlineExceeded(error.what, where=request.label, hint=hint) from error
    return _running(request, status.boot, deadline)


def _install(request: Request, before: Running, deadline: Deadline) -> None:
    progress(f"{request.label}: installs {request.target.image}")
    # Releases that know single steps only install; older ones ignore that flag, and drain and reboot on their own.
    arguments = ["upgrade", "--image", request.target.image, "--no-reboot", "--drain=false", "--wait=false", "--progress", "plain"]

    def done() -> bool:
        return _pending(request, deadline) or _is_away(request, before, deadline)

    try:
        insist.call(request.machine, request.label, arguments, "install the image", deadline, seconds=INSTALL_SECONDS, done=done)
    except (CommandError, RefusedError) as error:
        raise PlatformError(error.what, where=request.label, hint="The machine runs as before. Correct what this says, and run again.") from error


def _is_away(request: Request, before: Running, deadline: Deadline) -> bool:
    """Whether the machine is about to boot, boots, or has booted anew since."""
    found = observe(request.machine, subjects=("status",), deadline=deadline)
    if found.trust != machine_tls.OURS or found.problem or found.stage in PASSING_STAGES:
        return True
    try:
        status = read_status(request.machine.client().get("machinestatus", deadline=deadline))
    except (ConnectionFailed, CommandError):
        return True
    return status.boot != before.boot
