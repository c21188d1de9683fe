# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines against the inventory, from what talos_apply predicts."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.filter.machine_results import machine_results
from ansible_collections.trinode.platform.plugins.module_utils.verify.machines import judge

MAIN = "machine and cluster (v1alpha1)"


def result(step: str, *documents: dict[str, Any], reboot: bool = False) -> dict[str, Any]:
    return {"step": step, "documents": list(documents), "reboot_required": reboot}


@pytest.mark.parametrize(
    ("found", "problem", "advice"),
    [
        (
            result("no-reboot", {"document": MAIN, "action": "changed", "paths": ["machine.sysctls.vm.max_map_count"]}),
            "Its configuration differs from the inventory: machine.sysctls.vm.max_map_count",
            "Run playbooks/cluster.yml, or take the change into the inventory",
        ),
        (
            result(
                "postponed",
                {"document": "HostnameConfig", "action": "changed", "paths": ["hostname"]},
                {"document": "RegistryMirrorConfig x", "action": "added", "paths": []},
                {"document": "VolumeConfig A", "action": "removed", "paths": []},
                reboot=True,
            ),
            "Its configuration differs from the inventory: HostnameConfig hostname, RegistryMirrorConfig x is missing, VolumeConfig A is not in the inventory",
            "Run playbooks/cluster.yml with -e trinode_allow_reboot=true, since it takes a reboot; or take the change into the inventory",
        ),
        (
            result("no-reboot", {"document": MAIN, "action": "changed", "paths": [f"machine.{name}" for name in "abcdefgh"]}),
            "Its configuration differs from the inventory: machine.a, machine.b, machine.c, machine.d, machine.e, machine.f and 2 more",
            "Run playbooks/cluster.yml, or take the change into the inventory",
        ),
        (result("install"), "It is in maintenance mode and has no configuration", "Run playbooks/cluster.yml"),
        (
            {"msg": "192.0.2.11: the machine does not answer."},
            "Its configuration was not compared: 192.0.2.11: the machine does not answer.",
            "Look at the machine, and run playbooks/verify.yml again",
        ),
        ({}, "Its configuration was not compared: nothing was asked of it in this run", "Look at the machine, and run playbooks/verify.yml again"),
    ],
)
def test_findings(found: dict[str, Any], problem: str, advice: str) -> None:
    (finding,) = judge([{"name": "m1", "result": found}])
    assert (finding.part, finding.where, finding.problem, finding.advice) == ("machine", "m1", problem, advice)


def test_a_machine_as_it_is_to_be_is_no_finding() -> None:
    assert judge([{"name": "m1", "result": result("none")}]) == []


def test_results_are_gathered_and_a_machine_without_one_is_there_too() -> None:
    hostvars = {"m1": {"drift": {**result("none"), "diff": [{"before": "a"}], "changed": False}}, "m2": {}}
    assert machine_results(["m1", "m2"], hostvars, "drift") == [{"name": "m1", "result": result("none")}, {"name": "m2", "result": {}}]
