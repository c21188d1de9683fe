# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine through its BMC, on sushy: look, and carry out the steps of a plan. Every failure is one of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.redfish.connection import Access, Connection, connected
from ansible_collections.trinode.platform.plugins.module_utils.redfish.failures import BmcFailed, BmcUnreachable, explain
from ansible_collections.trinode.platform.plugins.module_utils.redfish.plan import CD, HDD, OFF, ON, PXE, Media, Observed, Step

if TYPE_CHECKING:
    from sushy.main import Sushy
    from sushy.resources.system.system import System

# Between two looks at something that takes its time.
LOOK_SECONDS = 2.0
POWER_SECONDS = 120.0
MEDIA_TRIES = 3


class MediaHangs(PlatformError):
    """The virtual drive does not take the image, however often it is emptied and tried again."""


@dataclass
class Bmc:
    """One machine behind one BMC, logged in. ``label`` names the machine in progress lines; ``media_seconds``: how long one insertion may take."""

    access: Access
    connection: Connection
    system: System
    label: str
    deadline: Deadline
    media_seconds: float = 60.0
    look_seconds: float = LOOK_SECONDS
    done: list[str] = field(default_factory=list)
    _known: dict[str, Any] = field(default_factory=dict)

    def observe(self, *, macs: bool = False) -> Observed:
        """What it tells, to be asked once. ``macs``: the addresses of its links too, which takes a call for each."""
        system = self.system
        with self._explained("read the machine"):
            boot = system.boot
            once = boot.target.value if boot and boot.target and boot.enabled and boot.enabled.value == "Once" else ""
            drives = tuple(Media(path, str(drive.image or "") if _filled(drive) else "") for path, drive in self._drives().items())
            return Observed(
                power=system.power_state.value if system.power_state else "unknown",
                # Dell's serial number of the system is its SKU, and that of the board stands where the serial number should.
                serials=tuple(dict.fromkeys(text for text in _serials(system) if text)),
                uuid=str(system.uuid or ""),
                macs=tuple(self._macs()) if macs else (),
                manufacturer=str(system.manufacturer or ""),
                model=str(system.model or ""),
                boot_once=once if once != "None" else "",
                media=drives,
            )

    def perform(self, steps: Sequence[Step]) -> None:
        """Carry out the steps, in order; ``done`` says what was done."""
        actions: dict[str, Callable[[Step], None]] = {
            "eject": self._eject,
            "insert": self._insert,
            "boot-once": self._boot_once,
            "power-off": lambda _step: self._power(OFF),
            "power-on": lambda _step: self._power(ON),
        }
        for step in steps:
            progress(f"{self.label}: {step.text}")
            actions[step.action](step)
            self.done.append(step.text)

    def _eject(self, step: Step) -> None:
        drive = self._drive(step.drive)
        with self._explained("empty its virtual drive"):
            drive.eject_media()
        self._await(lambda: not _filled(_looked_at(drive)), self.media_seconds, f"{step.drive} was not emptied")

    def _insert(self, step: Step) -> None:
        """Put the image in. What hangs is ejected and tried again, as some BMCs need it."""
        hint = f"Check that the BMC itself reaches {step.image} (its own network, DNS and proxy; some take http only). A restart of the BMC may free the drive."
        for number in range(1, MEDIA_TRIES + 1):
            try:
                self._insert_once(step)
            except (BmcFailed, BmcUnreachable, DeadlineExceeded) as error:
                problem = error.what
            else:
                return
            self.deadline.check(f"The virtual drive {step.drive} did not take the image ({problem})", where=self.access.url, hint=hint)
            progress(f"{self.label}: {problem}; the drive is emptied{', and it is tried again' if number < MEDIA_TRIES else ''}")
            # An empty drive that is to be emptied is an error to some.
            with contextlib.suppress(BmcFailed), self._explained("empty its virtual drive"):
                self._drive(step.drive).eject_media()
        raise MediaHangs(f"the virtual drive {step.drive} did not take the image in {MEDIA_TRIES} tries: {problem}", where=self.access.url, hint=hint)

    def _insert_once(self, step: Step) -> None:
        drive = self._drive(step.drive)
        with self._explained("put the image into its virtual drive"), self.connection.patience(self.media_seconds):
            drive.insert_media(step.image)
        self._await(lambda: _filled(_looked_at(drive)), self.media_seconds, f"{step.drive} does not take the image")

    def _boot_once(self, step: Step) -> None:
        import sushy  # noqa: PLC0415  it is there, or there would be no connection

        target = {CD: sushy.BOOT_SOURCE_TARGET_CD, PXE: sushy.BOOT_SOURCE_TARGET_PXE, HDD: sushy.BOOT_SOURCE_TARGET_HDD}[step.source]
        with self._explained(f"boot once from {target.value}"):
            self.system.set_system_boot_options(target=target, enabled=sushy.BOOT_SOURCE_ENABLED_ONCE)

    def _power(self, wanted: str) -> None:
        import sushy  # noqa: PLC0415

        kinds = [sushy.RESET_TYPE_ON, sushy.RESET_TYPE_FORCE_ON] if wanted == ON else [sushy.RESET_TYPE_FORCE_OFF, sushy.RESET_TYPE_GRACEFUL_SHUTDOWN]
        action = "switch the machine on" if wanted == ON else "switch the machine off"
        with self._explained(action):
            allowed = self.system.get_allowed_reset_system_values()
            self.system.reset_system(next((kind for kind in kinds if kind in allowed), kinds[0]))
        self._await(lambda: self._power_state() == wanted, POWER_SECONDS, f"the BMC did not {action}")

    def _power_state(self) -> str:
        state = _looked_at(self.system).power_state
        return state.value if state else ""

    def _await(self, happened: Callable[[], bool], seconds: float, what: str) -> None:
        limit = self.deadline.at_most(seconds)
        while True:
            with self._explained("tell how far it is"):
                if happened():
                    return
            limit.check(what, where=self.access.url, hint="See the BMC's own log; many are helped by a restart of the BMC.")
            limit.pause(self.look_seconds)

    def _drives(self) -> dict[str, Any]:
        """Virtual drives that take CDs, by path: the machine's own (newer BMCs), else those of its managers."""
        import sushy.exceptions  # noqa: PLC0415

        found: dict[str, Any] = {}
        owners: list[Any] = [self.system]
        with contextlib.suppress(sushy.exceptions.MissingAttributeError):
            owners += self.system.managers
        for owner in owners:
            with contextlib.suppress(sushy.exceptions.MissingAttributeError, sushy.exceptions.ResourceNotFoundError):
                for drive in owner.virtual_media.get_members():
                    if any(kind.value in ("CD", "DVD") for kind in drive.media_types or ()):
                        found[drive.path] = drive
            if found:
                break
        self._known = found
        return found

    def _drive(self, path: str) -> Any:
        return self._known[path]

    def _macs(self) -> Iterator[str]:
        import sushy.exceptions  # noqa: PLC0415

        with contextlib.suppress(sushy.exceptions.MissingAttributeError, sushy.exceptions.ResourceNotFoundError):
            for link in self.system.ethernet_interfaces.get_members():
                yield str(link.permanent_mac_address or link.mac_address or "")

    @contextlib.contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        with _explained(self.access.url, action):
            yield


@contextlib.contextmanager
def _explained(url: str, action: str) -> Iterator[None]:
    try:
        yield
    except PlatformError:
        raise
    except Exception as error:
        raise explain(error, url, action) from error


@contextlib.contextmanager
def machine(access: Access, label: str, deadline: Deadline, *, system: str = "", media_seconds: float = 60.0) -> Iterator[Bmc]:
    """The machine behind a BMC. ``system`` chooses one of several by its path, id, name or UUID."""
    with connected(access, deadline) as connection:
        with _explained(access.url, "list its machines"):
            chosen = _choose(connection.root, system, access.url)
        yield Bmc(access, connection, chosen, label, deadline, media_seconds)


def _choose(root: Sushy, wanted: str, url: str) -> System:
    members = root.get_system_collection().get_members()
    matching = [member for member in members if not wanted or wanted.lower() in {str(text).lower() for text in (*_names(member), member.path.rstrip("/"))}]
    if len(matching) == 1:
        return matching[0]
    listed = ", ".join(str(member.path) for member in members) or "none"
    what = f"the BMC has no machine {wanted!r}" if wanted else f"the BMC has {len(members)} machines"
    raise InputError(f"{what} (there are: {listed})", where=url, hint="Name one in machine_bmc_system, by its path, id or UUID.")


def _names(member: System) -> tuple[Any, ...]:
    return member.path, member.identity, member.name, member.uuid


def _serials(system: System) -> tuple[str, ...]:
    both = (str(system.serial_number or ""), str(system.sku or ""))
    return tuple(reversed(both)) if "dell" in str(system.manufacturer or "").lower() else both


def _looked_at(resource: Any) -> Any:
    """The resource as it is now; not what belongs to it, which sushy would read again too."""
    resource.invalidate()
    resource.refresh(force=False)
    return resource


def _filled(drive: Any) -> bool:
    """Whether there is something in the drive. BMCs that are told by PATCH may not say Inserted."""
    return bool(drive.inserted) if drive.inserted is not None else bool(drive.image)
