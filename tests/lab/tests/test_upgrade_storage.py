"""Upgrades of Talos and of Kubernetes over machines with Ceph, while somebody writes: nothing is lost, and what Ceph does not recover from stops the roll."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import ceph
import pytest
from ceph_disks import Storage, sound
from driver import PlaybookRun, failed, slowness
from rolls import GOES, KUBERNETES, MACHINES, assert_nothing_is_left, assert_one_after_another, kubelets, outages, running
from watchers import API_SECONDS, Api, TimelineWatcher, Voters

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

NEXT, AFTER = "v1.13.9", "v1.13.10"


def upgrade(storage: Storage, version: str, **variables: int) -> PlaybookRun:
    return storage.play("upgrade_talos", trinode_talos_version=version, **variables)


@dataclass
class Puller(TimelineWatcher):
    """Pulls a disk of the first machine that goes, while it is away."""

    disk: str = "OSD2"
    machine: str = field(default="", init=False)

    def look(self) -> None:
        if not self.machine:
            self.machine = next((event["machine"] for event in self.events() if event["event"] in GOES), "")
            if self.machine:
                self.lab.command("disk", "remove", self.machine, self.disk)


def test_an_upgrade_loses_no_write(storage: Storage) -> None:
    lab = storage.lab
    before = len(lab.timeline())
    with ceph.writing(lab) as report, Voters(lab) as voters, Api(lab) as endpoint, Api(lab, machines=True) as api:
        run = upgrade(storage, NEXT)
    assert run.returncode == 0, run.output
    assert running(lab) == dict.fromkeys(MACHINES, NEXT)
    away = outages(lab.timeline()[before:])
    assert sorted(machine for machine, _start, _end in away) == list(MACHINES), "each machine boots once"
    assert_one_after_another(away)
    sound(report)
    assert report["most_down"] == 2, "the OSDs of one machine"
    assert voters.fewest == 2
    assert api.unanswered == 0
    assert endpoint.longest() < API_SECONDS
    assert_nothing_is_left(lab)
    assert "noout" not in ceph.ask(lab, "osd", "dump")["flags"]


def test_a_disk_that_is_gone_after_the_boot_stops_the_roll(storage: Storage) -> None:
    """The machine comes back, one of its OSDs never does: no other machine is begun with."""
    lab = storage.lab
    before = len(lab.timeline())
    with ceph.writing(lab) as report:
        with Puller(lab) as puller:
            run = upgrade(storage, AFTER, trinode_cluster_timeout=180)
        failed(run, f"{puller.machine}: upgrade_talos", "has stopped here, and no other machine was begun with", "osd.", within=900 * slowness())
        assert [event["machine"] for event in lab.timeline()[before:] if event["event"] == "upgrade-request"] == [puller.machine]
        # Somebody puts the disk in again.
        lab.command("disk", "add", puller.machine, puller.disk)
        rest = upgrade(storage, AFTER)
        assert rest.returncode == 0, rest.output
    sound(report)
    assert running(lab) == dict.fromkeys(MACHINES, AFTER)
    assert_nothing_is_left(lab)


def test_kubernetes_is_upgraded_while_somebody_writes(storage: Storage) -> None:
    lab, wanted = storage.lab, {"trinode_talos_version": AFTER, "trinode_kubernetes_version": KUBERNETES}
    before, old = len(lab.timeline()), kubelets(lab)
    predicted = storage.play("upgrade_kubernetes", "--check --diff", **wanted)
    assert predicted.returncode == 0, predicted.output
    assert "kube-apiserver of m1: v1.36.4" in predicted.output
    assert kubelets(lab) == old, "--check changed something"
    assert not [event for event in lab.timeline()[before:] if event.get("changes") or event["event"] == "image-pull"], "--check changed something"
    with ceph.writing(lab) as report, Voters(lab) as voters, Api(lab) as endpoint, Api(lab, machines=True) as api:
        run = storage.play("upgrade_kubernetes", **wanted)
    assert run.returncode == 0, run.output
    assert kubelets(lab) == dict.fromkeys(MACHINES, KUBERNETES)
    assert json.loads(lab.kubectl("get", "--raw", "/version"))["gitVersion"] == KUBERNETES
    sound(report)
    assert report["most_down"] == 0, "no machine goes"
    assert voters.fewest == len(MACHINES)
    assert outages(lab.timeline()[before:]) == []
    assert api.unanswered == 0
    assert endpoint.longest() < API_SECONDS, "the virtual address is never at an API server that starts again"
    for playbook in ("upgrade_kubernetes", "site"):
        again = storage.play(playbook, **wanted)
        assert (again.returncode, again.total("changed")) == (0, 0), again.output
