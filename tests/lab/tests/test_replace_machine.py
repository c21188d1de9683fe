# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine is replaced while somebody writes: one that is dead, one that lives, and one where the run was killed. Nothing is lost, and all is whole again.

The lab's machines keep their UUID and their addresses: a new machine is one whose disks are new and that forgot everything. What replaces one that lives is
told from it by a UUID that the inventory gives.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ceph
import pytest
from ceph_disks import COMPONENTS, Storage, sound
from driver import ROOT, Lab, PlaybookRun
from watchers import API_SECONDS, Api, Voters

from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember, parse_etcd_members

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

OTHER = "11111111-2222-4333-8444-555555555555"
CONFIRMED = {"machine_replace_confirm": "m3"}
# The toolbox and the virtual address may have been on the machine that died.
NOTICED_SECONDS = 420


def replace(storage: Storage, options: str = "", **variables: Any) -> PlaybookRun:
    return storage.play("replace_machine", options, **{**CONFIRMED, **variables})


def described(uuid: str) -> dict[str, Any]:
    """m3 with this UUID in the inventory."""
    return {"lab_uuids": {"m3": uuid}, "machine_uuid": "{{ lab_uuids[inventory_hostname] | default('') }}"}


def members(lab: Lab) -> dict[str, EtcdMember]:
    """The members of etcd by their names, as m1 sees them."""
    program = str(Path(lab.command("bin").strip()) / "talosctl")
    argv = [program, "--talosconfig", str(lab.state / "cluster" / "talosconfig"), "-e", lab.address(1), "-n", lab.address(1), "etcd", "members"]
    output = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout
    return {member.hostname: member for member in parse_etcd_members(output)}


def node_uid(lab: Lab) -> str:
    return lab.kubectl("get", "node", "m3", "-o", "jsonpath={.metadata.uid}")


def unready(lab: Lab) -> bool:
    ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
    return lab.kubectl("get", "node", "m3", "-o", ready) != "True"


def dies(storage: Storage, *disks: str) -> None:
    """m3 loses its power, and a machine with other disks comes in its place, without power yet. Ceph and Kubernetes have noticed."""
    lab = storage.lab
    lab.command("power", "cut", "m3")
    ceph.wait(lambda: ceph.ask(lab, "status")["osdmap"]["num_up_osds"] == 4, NOTICED_SECONDS, "Ceph sees that the OSDs of m3 are down")
    ceph.wait(lambda: unready(lab), NOTICED_SECONDS, "Kubernetes sees that m3 is away")
    for disk in storage.disks["m3"]:
        lab.command("disk", "remove", "m3", disk)
    for disk in disks:
        lab.command("disk", "add", "m3", disk)
    storage.disks["m3"] = list(disks)


def comes(lab: Lab) -> None:
    """The machine in m3's place has power, and knows nothing."""
    lab.command("power", "reset", "m3")
    lab.wait_for_stage("m3", "maintenance")


def whole(storage: Storage) -> None:
    """Three voters, six OSDs, HEALTH_OK, and nothing left to do."""
    lab = storage.lab
    assert ceph.healthy(lab), "the play ends when all data has its copies again"
    ceph.wait(lambda: ceph.ask(lab, "health")["status"] == "HEALTH_OK", 120, "HEALTH_OK")
    found = members(lab)
    assert sorted(found) == ["m1", "m2", "m3"]
    assert not any(member.learner for member in found.values())
    assert all(storage.osd_on("m3", disk) is not None for disk in storage.disks["m3"])
    assert not json.loads(lab.kubectl("get", "node", "m3", "-o", "json"))["spec"].get("unschedulable")


def reached(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except subprocess.SubprocessError:
        return False


def killed(storage: Storage, once: Callable[[], bool], seconds: float) -> None:
    """The replacement, ended with SIGKILL as soon as ``once`` is true."""
    lab = storage.lab
    variables = lab.state / "replace.json"
    variables.write_text(json.dumps({**storage.variables(), **CONFIRMED}))
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), str(ROOT / "playbooks" / "replace_machine.yml")]
    argv += ["-i", str(lab.inventory(COMPONENTS)), "-e", f"@{variables}"]
    environment = {**os.environ, **lab._environment_of_ansible()}
    end = time.monotonic() + seconds
    with subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not reached(once):
            assert time.monotonic() < end, "it did not come so far"
            time.sleep(0.2)
        assert process.poll() is None, "it had ended before"
        process.send_signal(signal.SIGKILL)


def test_it_asks_for_a_confirmation(storage: Storage) -> None:
    before = len(storage.lab.changes())
    for playbook, variable in (("replace_machine", "machine_replace_confirm"), ("remove_machine", "machine_remove_confirm")):
        run = storage.play(playbook)
        assert run.returncode != 0
        assert f"-e {variable}=NAME" in " ".join(run.output.split())
    assert len(storage.lab.changes()) == before


def test_a_control_plane_of_three_is_not_removed(storage: Storage) -> None:
    """Not without its confirmation, and not with it: Ceph's copies and monitors would have no place."""
    before = len(storage.lab.changes())
    refused = storage.play("remove_machine", machine_remove_confirm="m3")
    assert refused.returncode != 0
    output = " ".join(refused.output.split())
    assert "2 control planes would be left" in output
    assert "machine_remove_even=true" in output
    assert "2 hosts can take a copy" in output
    still = storage.play("remove_machine", machine_remove_confirm="m3", machine_remove_even=True)
    assert still.returncode != 0
    output = " ".join(still.output.split())
    assert "2 control planes would be left" not in output
    assert "2 hosts can take a copy" in output
    assert "it has 3 monitors, each on another machine, and 2 machines would be left" in output
    assert len(storage.lab.changes()) == before
    whole(storage)


def test_one_that_runs_is_left_alone(storage: Storage) -> None:
    before = len(storage.lab.changes())
    run = replace(storage)
    assert (run.returncode, run.total("changed")) == (0, 0), run.output
    assert "the inventory does not tell it from another one" in " ".join(run.output.split())
    assert len(storage.lab.changes()) == before


def test_nothing_is_new(storage: Storage) -> None:
    run = storage.play("add_machine")
    assert (run.returncode, run.total("changed")) == (0, 0), run.output


def test_a_machine_that_is_dead_is_replaced(storage: Storage) -> None:
    lab = storage.lab
    member, node = members(lab)["m3"].id, node_uid(lab)
    lost = [number for disk in storage.disks["m3"] if (number := storage.osd_on("m3", disk)) is not None]
    with ceph.writing(lab) as report:
        dies(storage, "NEW1", "NEW2")
        before = len(lab.changes())
        predicted = replace(storage, "--check")
        assert predicted.returncode == 0, predicted.output
        assert f"remove the member m3 ({member}) from etcd" in predicted.output
        assert "m3" in members(lab), "--check changed something"
        assert len(lab.changes()) == before, "--check changed something"
        comes(lab)
        run = replace(storage)
        assert run.returncode == 0, run.output
        whole(storage)
    sound(report)
    assert report["most_down"] == 2
    assert members(lab)["m3"].id != member
    assert node_uid(lab) != node
    for number in lost:
        assert f"remove osd.{number} from Ceph for good" in run.output
    again = replace(storage)
    assert (again.returncode, again.total("changed")) == (0, 0), again.output
    site = storage.play("site")
    assert (site.returncode, site.total("changed")) == (0, 0), site.output


def test_killed_when_the_member_is_gone(storage: Storage) -> None:
    lab = storage.lab
    with ceph.writing(lab) as report:
        dies(storage, "NEW3", "NEW4")
        comes(lab)
        killed(storage, lambda: "m3" not in members(lab), 900)
        run = replace(storage)
        assert run.returncode == 0, run.output
        whole(storage)
    sound(report)
    again = replace(storage)
    assert (again.returncode, again.total("changed")) == (0, 0), again.output


def test_a_machine_that_lives_leaves_first(storage: Storage) -> None:
    """The disks of its OSDs are moved into the new one: what is on them is kept."""
    lab = storage.lab
    facts = json.loads(lab.command("inventory"))
    own = next(entry["uuid"] for entry in facts["machines"] if entry["name"] == "m3")
    kept = storage.devices()
    with ceph.writing(lab) as report, Voters(lab) as voters, Api(lab) as endpoint, Api(lab, machines=True) as api:
        first = replace(storage, **described(OTHER))
        assert first.returncode != 0
        output = " ".join(first.output.split())
        assert f"its UUID is {own}, not {OTHER}" in output
        assert "Switch it off, put the new one in its place, and run the same command again" in output
        lab.wait_for_stage("m3", "maintenance")
        assert sorted(members(lab)) == ["m1", "m2"], "it has left etcd by itself"
        second = replace(storage, **described(own))
        assert second.returncode == 0, second.output
        whole(storage)
    sound(report)
    assert voters.fewest == 2
    assert api.unanswered == 0
    assert endpoint.longest() < API_SECONDS
    assert storage.devices() == kept, "the OSDs are those of before"
    again = replace(storage, **described(own))
    assert (again.returncode, again.total("changed")) == (0, 0), again.output
