# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a BMC is to do for a machine, and the steps that are left to do. Pure; bmc.py looks and acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError

# What the Talos API of the machine shows, as the caller found it out.
UNKNOWN, MAINTENANCE, MEMBER = "unknown", "maintenance", "member"
ON, OFF = "On", "Off"
CD, PXE, HDD = "cd", "pxe", "hdd"
# Redfish's words for the boot sources. Some BMCs call the drive of virtual media UsbCd; sushy minds that when it sets it.
TARGETS = {CD: ("Cd", "UsbCd"), PXE: ("Pxe",), HDD: ("Hdd",)}


@dataclass(frozen=True)
class Media:
    """A virtual drive for CDs. ``image`` is the URL of what is in it, empty when it is empty."""

    id: str
    image: str = ""


@dataclass(frozen=True)
class Observed:
    """What the BMC tells of the machine. ``boot_once`` is the boot source of the next boot (Redfish's word), empty when there is none of its own."""

    power: str
    serials: tuple[str, ...] = ()
    uuid: str = ""
    macs: tuple[str, ...] = ()
    manufacturer: str = ""
    model: str = ""
    boot_once: str = ""
    media: tuple[Media, ...] = ()

    @property
    def serial(self) -> str:
        """The serial number, as it is to be named in a confirmation."""
        return self.serials[0] if self.serials else ""


@dataclass(frozen=True)
class Desired:
    """What is wanted.

    ``state``: ``booted`` (from ``source``, once), ``on``, ``off``, or ``ejected`` (nothing but the drive is touched). ``image`` is the URL of the CD.
    ``talos``: what is known of the machine. ``may_be_installed``: it may be a member that is off, so it is not booted from elsewhere unasked.
    ``leave_running``: a machine that runs something unknown is left alone instead of refused.
    """

    state: str
    source: str = CD
    image: str = ""
    talos: str = UNKNOWN
    confirm_serial: str = ""
    may_be_installed: bool = False
    leave_running: bool = False


@dataclass(frozen=True)
class Step:
    """One thing to do. ``action``: ``eject``, ``insert``, ``boot-once``, ``power-off`` or ``power-on``; ``text`` says it to a person."""

    action: str
    text: str
    drive: str = ""
    image: str = ""
    source: str = ""


@dataclass(frozen=True)
class Plan:
    """The steps, in order. ``left`` says why a machine is left as it is although it is not known to be what is wanted."""

    steps: tuple[Step, ...] = ()
    left: str = ""
    # It is left for want of a confirmation.
    needs_confirmation: bool = False
    # What boot and drives are afterwards; for the diff.
    after: Observed | None = field(default=None, compare=False)


def plan(desired: Desired, observed: Observed, *, where: str = "") -> Plan:
    """What is left to do. Raises RefusedError for what would be unsafe, or cannot be done with this BMC."""
    if desired.state == "ejected":
        return _done(_ejections(observed.media, desired.image), observed)
    if desired.state == "on":
        return _done([] if observed.power == ON else [_POWER_ON], observed)
    if desired.state == "off":
        if observed.power != OFF and desired.talos != MAINTENANCE:
            _check_confirmed(desired, observed, where, "switched off")
        return _done([] if observed.power == OFF else [_POWER_OFF], observed)
    if desired.talos in (MAINTENANCE, MEMBER):
        return Plan(after=observed)
    return _boot(desired, observed, where)


_POWER_ON = Step("power-on", "switch it on")
_POWER_OFF = Step("power-off", "switch it off")


def _boot(desired: Desired, observed: Observed, where: str) -> Plan:
    drive = _drive(desired, observed, where)
    if observed.power != OFF and not desired.confirm_serial:
        if drive and drive.image == desired.image:
            # That is how an interrupted run left it: it was switched on with this image.
            return Plan(left=f"it is {observed.power.lower()} with this image in its drive, so it is taken to boot from it", after=observed)
        if desired.leave_running:
            left = f"{_what_runs(desired, observed)}; it is not rebooted without a confirmation that names {_named(observed)}"
            return Plan(left=left, needs_confirmation=True, after=observed)
    if observed.power != OFF:
        _check_confirmed(desired, observed, where, "rebooted")
    elif desired.may_be_installed and desired.source != HDD:
        _check_confirmed(desired, observed, where, "booted from elsewhere")
    steps = [] if observed.power == OFF else [_POWER_OFF]
    if drive:
        # What was in the drive while the machine was off may be half connected, so it is put in anew.
        steps += [Step("eject", f"take {drive.image} out of {drive.id}", drive.id)] if drive.image else []
        steps.append(Step("insert", f"put {desired.image} into {drive.id}", drive.id, desired.image))
    if observed.boot_once not in TARGETS[desired.source]:
        steps.append(Step("boot-once", f"boot once from {TARGETS[desired.source][0]}", source=desired.source))
    return _done([*steps, _POWER_ON], observed)


def _drive(desired: Desired, observed: Observed, where: str) -> Media | None:
    """The drive to use: the one with this image, else an empty one, else the first."""
    if desired.source != CD:
        return None
    if not observed.media:
        raise RefusedError(
            "the BMC has no virtual drive for a CD", where=where, hint="Its licence may lack virtual media. Boot the machine by PXE or by hand instead."
        )
    same = [media for media in observed.media if media.image == desired.image]
    empty = [media for media in observed.media if not media.image]
    return (same or empty or list(observed.media))[0]


def _ejections(media: Sequence[Media], only: str) -> list[Step]:
    """Take out what is in the drives; ``only`` names the one image that is meant, where it is not empty."""
    return [Step("eject", f"take {item.image} out of {item.id}", item.id) for item in media if item.image and only in ("", item.image)]


def _check_confirmed(desired: Desired, observed: Observed, where: str, verb: str) -> None:
    if desired.confirm_serial and desired.confirm_serial.lower() in (serial.lower() for serial in observed.serials):
        return
    named = _named(observed)
    if desired.confirm_serial:
        raise RefusedError(
            f"the confirmation names {desired.confirm_serial!r}, and the BMC reports {named}; nothing was done",
            where=where,
            hint="Another machine is behind this BMC than the one that was meant. Check the BMC's address, then the serial number.",
            details={"serial": observed.serial},
        )
    raise RefusedError(
        f"the machine {_what_runs(desired, observed)}; it is not {verb} without a confirmation",
        where=where,
        hint=f"{_LOSS[observed.power == OFF]} confirm it with {named}.",
        details={"serial": observed.serial},
    )


# By whether it is off.
_LOSS = {
    True: "If it is a member, switch it on and it starts from its disk. If it is to be installed anew, what is on it is lost;",
    False: "What it runs would be lost. If that is what you want,",
}


def _named(observed: Observed) -> str:
    return f"the serial number {observed.serial}" if observed.serial else "its serial number, which the BMC does not tell"


def _what_runs(desired: Desired, observed: Observed) -> str:
    if observed.power == OFF:
        return "is off and may be a member of this cluster"
    if desired.talos == MEMBER:
        return f"is {observed.power.lower()} and a member of this cluster"
    return f"is {observed.power.lower()} and neither in maintenance mode nor a member of this cluster that answers"


def _done(steps: list[Step], observed: Observed) -> Plan:
    """The plan of these steps, with what they lead to."""
    power, once, images = observed.power, observed.boot_once, {item.id: item.image for item in observed.media}
    for step in steps:
        if step.action in ("eject", "insert"):
            images[step.drive] = step.image
        elif step.action == "boot-once":
            once = TARGETS[step.source][0]
        else:
            power = ON if step.action == "power-on" else OFF
    after = Observed(power=power, boot_once=once, media=tuple(Media(item.id, images[item.id]) for item in observed.media))
    return Plan(tuple(steps), after=after)


def shown(observed: Observed | None) -> str:
    """What the steps change, as text for a diff."""
    if observed is None:
        return ""
    drives = "".join(f"{media.id}: {media.image or 'empty'}\n" for media in observed.media)
    return f"power: {observed.power}\nnext boot: {observed.boot_once or 'as usual'}\n{drives}"
