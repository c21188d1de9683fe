# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From machines that are switched off to maintenance mode, by their BMCs: sushy-tools' Redfish emulator, and images that only stand for Talos's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from driver import Lab, PlaybookRun

pytestmark = pytest.mark.lab


class Bmcs:
    """The lab's machines with the settings of their BMCs."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._about: dict[str, Any] = json.loads(lab.command("inventory"))

    def provision(self, options: str = "", way: str = "redfish", **more: object) -> PlaybookRun:
        about = self._about["bmc"]
        machines = {machine["name"]: machine for machine in self._about["machines"]}
        variables = {
            "lab_machines": machines,
            "machine_boot_way": way,
            "machine_bmc_address": "{{ lab_machines[inventory_hostname].bmc.url }}",
            "machine_bmc_username": about["username"],
            "machine_bmc_password": Path(about["password_file"]).read_text().strip(),
            "machine_bmc_ca_file": about["ca_file"],
            "machine_uuid": "{{ lab_machines[inventory_hostname].uuid }}",
            "machine_serial": "{{ lab_machines[inventory_hostname].serial }}",
            "machine_macs": "{{ [lab_machines[inventory_hostname].mac] }}",
            "trinode_boot_factory": about["image_factory"],
            "trinode_boot_timeout": 240,
            **more,
        }
        return self.lab.playbook("playbooks/provision.yml", options=options, variables=variables)

    def boots(self) -> dict[str, list[str]]:
        """What each machine has booted, in order."""
        found: dict[str, list[str]] = {}
        for event in self.lab.timeline():
            if event["event"] == "boot":
                found.setdefault(event["machine"], []).append(event.get("source", ""))
        return found


@pytest.fixture(scope="module")
def bmcs(lab: Lab) -> Bmcs:
    """Three machines without power, nothing on their disks."""
    lab.down()
    lab.command("up", "--powered-off")
    return Bmcs(lab)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("down", "the BMC does not answer"),
        ("wrong-certificate", "the BMC's certificate is not trusted"),
        ("password-changed", "the BMC refuses user name or password"),
        ("wrong-machine", "another machine is behind this BMC"),
    ],
)
def test_a_bmc_that_cannot_be_used_is_named_and_nothing_is_booted(bmcs: Bmcs, fault: str, words: str) -> None:
    bmcs.lab.command("fault", "bmc", "m1", fault)
    try:
        run = bmcs.provision(options="--limit m1")
    finally:
        bmcs.lab.command("fault", "bmc", "m1", "up")
    assert run.stats["failures"] == {"m1": 1}, run.output
    assert words in " ".join(run.output.replace("''", "'").split())
    assert run.seconds < 90
    assert bmcs.boots() == {}


def test_check_tells_what_would_be_booted_and_boots_nothing(bmcs: Bmcs) -> None:
    run = bmcs.provision(options="--check --diff")
    assert run.returncode == 0, run.output
    assert run.stats["changed"] == {"m1": 1, "m2": 1, "m3": 1}
    assert "+power: On" in run.output
    assert bmcs.boots() == {}


def test_all_boot_at_once_and_a_drive_that_hangs_is_emptied_and_filled_again(bmcs: Bmcs) -> None:
    bmcs.lab.command("fault", "bmc", "m2", "media-hangs")
    run = bmcs.provision(machine_boot_media_timeout=10)
    assert run.returncode == 0, run.output
    assert bmcs.boots() == {"m1": ["cd"], "m2": ["cd"], "m3": ["cd"]}
    for name in ("m1", "m2", "m3"):
        bmcs.lab.wait_for_stage(name, "maintenance")
    assert "Compare with the consoles" in run.output


def test_machines_that_answer_are_left_alone(bmcs: Bmcs) -> None:
    run = bmcs.provision()
    assert run.returncode == 0, run.output
    assert run.total("changed") == 0, run.output
    assert bmcs.boots() == {"m1": ["cd"], "m2": ["cd"], "m3": ["cd"]}


def test_what_to_boot_by_hand_is_said_and_waited_for(bmcs: Bmcs) -> None:
    bmcs.lab.command("power", "off", "m3")
    run = bmcs.provision(options="--limit m3", way="manual", trinode_boot_timeout=5)
    assert run.stats["failures"] == {"m3": 1}, run.output
    assert "metal-amd64.iso" in run.output
