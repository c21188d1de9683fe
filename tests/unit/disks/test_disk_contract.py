# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module disk_contract: what it returns, warns of and refuses."""

from __future__ import annotations

from typing import Any

import pytest
from disk_samples import SYSTEM, disk, machine

from ansible_collections.trinode.platform.plugins.module_utils.disks.claims import Machine
from ansible_collections.trinode.platform.plugins.module_utils.disks.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import disk_contract

WANTED = [{"name": "m1", "address": "192.0.2.11"}, {"name": "m2", "address": "192.0.2.12"}]


def run(monkeypatch: pytest.MonkeyPatch, *machines: Machine, silent: list[Finding] | None = None, **options: Any) -> tuple[Outcome, list[str]]:
    monkeypatch.setattr(disk_contract, "ask", lambda wanted, **_: (list(machines), silent or []))
    warnings: list[str] = []
    params = {"machines": WANTED, "ours": None, "enforce": True, "talosctl": "talosctl", "talosconfig": None, "timeout": 5, **options}
    return disk_contract.run(Task(params=params, check_mode=False, diff_mode=False, warn=warnings.append)), warnings


def test_disks_wipes_and_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    first = machine(disk("sda", contents="swap", detail="swap"), wipe_disks=["S-sda", "GONE"], osd_disks=[{"serial": "S-sda", "device_class": "ssd"}])
    second = machine(disk("sda", "T", **SYSTEM), name="m2", running=True)
    outcome, warnings = run(monkeypatch, first, second)
    assert not outcome.changed
    values = outcome.values
    assert values["wipes"] == [{"machine": "m1", "hostname": "node-m1", "address": "192.0.2.11", "serial": "S-sda", "path": "/dev/sda", "use": "osd"}]
    assert [(entry["machine"], entry["use"], entry["wipe"], entry.get("device_class")) for entry in values["disks"]] == [
        ("m1", "osd", True, "ssd"),
        ("m2", "", False, None),
    ]
    assert values["findings"] == 0
    assert warnings == ["m1: machine_wipe_disks: no disk of the machine has the serial GONE. Take it out of the list."]


@pytest.mark.parametrize("enforce", [True, False])
def test_all_findings_at_once_or_only_told(monkeypatch: pytest.MonkeyPatch, enforce: bool) -> None:
    wrong = machine(disk("sda", readonly=True), disk("sdb", contents="swap"), osd_disks=[{"serial": "S-sda"}, {"serial": "S-sdb"}])
    silent = [Finding("m2", "machine_address", "the machine at 192.0.2.12 does not answer", "Check its power.")]
    if not enforce:
        outcome, warnings = run(monkeypatch, wrong, silent=silent, enforce=False)
        assert (outcome.values["findings"], warnings) == (3, [])
        assert len([line for line in outcome.values["table"] if line.startswith("refused: ")]) == 3
        return
    with pytest.raises(RefusedError) as caught:
        run(monkeypatch, wrong, silent=silent)
    text = str(caught.value)
    assert text.startswith("3 findings about disks; nothing was written.")
    assert caught.value.details == {"findings": 3}
    for part in ("m2: machine_address", "it is read-only", "it holds swap space"):
        assert part in text
