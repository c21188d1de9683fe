# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be wiped, looked at right before."""

from __future__ import annotations

from typing import Any

import pytest
from disk_samples import SYSTEM, disk

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks import wipe as module
from ansible_collections.trinode.platform.plugins.module_utils.disks.membership import membership_from
from ansible_collections.trinode.platform.plugins.module_utils.disks.wipe import Wiped, WipeRequest, wipe
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk, MachineState
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine

LVM = {"contents": "lvm", "detail": "LVM"}
SWAP = {"contents": "swap", "detail": "swap"}


class Scene:
    """A machine whose disks are what the next look shows, and the names of the disks that were wiped."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *looks: list[Disk], trust: str = "maintenance", problem: str = "") -> None:
        self.looks = list(looks)
        self.wiped: list[str] = []
        self.trust, self.problem = trust, problem
        monkeypatch.setattr(module, "observe", self._observe)
        monkeypatch.setattr(module, "_send", lambda request, found, state, deadline: self.wiped.append(found.name))

    def _observe(self, machine: Machine, **_options: Any) -> MachineState:
        disks = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return MachineState(machine.address, self.trust, problem=self.problem, disks=tuple(disks))


def run(serial: str = "S-sda", path: str = "/dev/sda", *, ours: Any = None, seconds: float = 5, **changes: Any) -> Wiped:
    machine = Machine("192.0.2.11", talosctl="talosctl", talosconfig=None)
    request = WipeRequest(
        machine, "m1", serial, path, membership_from(ours, []), always=changes.get("always", False), check_mode=changes.get("check_mode", False)
    )
    return wipe(request, deadline=Deadline(seconds))


def test_wiped_and_proven_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, [disk("sda", **SWAP), disk("sdb")], [disk("sda", **SWAP), disk("sdb")], [disk("sda"), disk("sdb")])
    assert run().changed
    assert scene.wiped == ["sda"]


@pytest.mark.parametrize("path", ["", "/dev/sda", "/dev/disk/by-id/ata-SSD_870_S-sda"])
def test_the_path_may_be_any_name_of_the_disk(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    scene = Scene(monkeypatch, [disk("sda", **SWAP)], [disk("sda")])
    assert run(path=path).changed
    assert scene.wiped == ["sda"]


def test_empty_is_left_alone_but_for_always(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, [disk("sda")])
    assert not run().changed
    assert scene.wiped == []
    assert run(always=True).changed
    assert scene.wiped == ["sda"]


def test_check_mode_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, [disk("sda", **SWAP)])
    assert run(check_mode=True).changed
    assert scene.wiped == []


def test_what_is_still_there_afterwards_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    Scene(monkeypatch, [disk("sda", **SWAP)])
    with pytest.raises(DeadlineExceeded, match="still holds swap after it was wiped"):
        run(seconds=0.5)


MOVED = [disk("sdb", "S-sda", **SWAP), disk("sda", "S-sdb", **SWAP)]
# the disks, what is asked for, the machine's state, what the refusal says
REFUSED: dict[str, tuple[list[Disk], dict[str, Any], str, str]] = {
    "no such serial": ([disk("sda", **SWAP)], {"serial": "X", "path": ""}, "maintenance", "no disk has the serial X"),
    "another disk at that path": ([disk("sda", **SWAP)], {"serial": "X"}, "maintenance", "no disk has the serial X; /dev/sda is /dev/sda (serial S-sda"),
    "part of a serial": ([disk("sda", **SWAP)], {"serial": "S-sd"}, "maintenance", "no disk has the serial S-sd"),
    "no serial": ([disk("sda", "", wwid="", **SWAP)], {"serial": ""}, "maintenance", "no disk has the serial (empty)"),
    "two of them": ([disk("sda", **SWAP), disk("sdb", "S-sda", **SWAP)], {}, "maintenance", "2 disks have the serial S-sda"),
    "names have moved": (MOVED, {}, "maintenance", "the disk S-sda was seen as /dev/sda, which is /dev/sda (serial S-sdb"),
    "its name is gone": ([disk("sdb", "S-sda", **SWAP)], {}, "maintenance", "which is no disk any more, and it is now /dev/sdb"),
    "the system disk": ([disk("sda", **SYSTEM)], {}, "maintenance", "Talos is installed on it"),
    "the system disk of a member": ([disk("sda", **SYSTEM)], {}, "ours", "Talos is installed on it"),
    "read-only": ([disk("sda", readonly=True, **SWAP)], {}, "maintenance", "it is read-only"),
    "in use": ([disk("sda", used_by=["md0"], **SWAP)], {}, "maintenance", "in use, as a part of md0"),
    "ours": ([disk("sda", contents="bluestore")], {"ours": [{"host": "m1", "serial": "S-sda", "osd": 2}]}, "ours", "it is osd.2 of the running Ceph cluster"),
    "ours, and encrypted": ([disk("sda", contents="encrypted")], {"ours": [{"host": "m1", "serial": "S-sda", "osd": 2}]}, "ours", "it is osd.2"),
    "ours, and the machine away": ([disk("sda", contents="bluestore")], {"ours": [{"host": "m1", "serial": "S-sda", "osd": 2}]}, "maintenance", "it is osd.2"),
    "of another member": ([disk("sda", contents="bluestore")], {"ours": [{"host": "m2", "serial": "S-sda", "osd": 2}]}, "ours", "it is osd.2 of m2"),
    "Ceph was not asked": ([disk("sda", contents="bluestore")], {}, "ours", "may be an OSD of this cluster"),
    "an OSD has not told its disk": ([disk("sda", **LVM)], {"ours": [{"host": "", "serial": "", "osd": 0}]}, "ours", "may be an OSD of this cluster"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    disks, asked, trust, text = REFUSED[case]
    scene = Scene(monkeypatch, disks, trust=trust)
    for always in (False, True):
        with pytest.raises(RefusedError) as caught:
            run(always=always, **asked)
        assert text in str(caught.value)
        assert "nothing was wiped" in str(caught.value)
    assert scene.wiped == []


@pytest.mark.parametrize(
    ("disks", "ours", "trust"),
    [
        ([disk("sda", contents="bluestore")], [], "ours"),
        ([disk("sda", contents="bluestore")], [{"host": "m1", "serial": "S-sdb", "osd": 2}], "ours"),
        ([disk("sda", **SWAP)], None, "ours"),
        ([disk("sda", contents="bluestore")], None, "maintenance"),
    ],
)
def test_what_is_nobodys_is_wiped(monkeypatch: pytest.MonkeyPatch, disks: list[Disk], ours: Any, trust: str) -> None:
    scene = Scene(monkeypatch, disks, [disk("sda")], trust=trust)
    assert run(ours=ours).changed
    assert scene.wiped == ["sda"]


@pytest.mark.parametrize(("trust", "error"), [("foreign", RefusedError), ("unreachable", ConnectionFailed)])
def test_a_machine_that_is_not_ours_or_not_there(monkeypatch: pytest.MonkeyPatch, trust: str, error: type[PlatformError]) -> None:
    scene = Scene(monkeypatch, [], trust=trust, problem="it wants a client certificate")
    with pytest.raises(error, match="client certificate"):
        run()
    assert scene.wiped == []
