"""Upgrades of Talos over three machines: never two out at once, stopped by what goes wrong, and finished by the next run after a kill at any moment.

The other Talos is simulated by the lab's hardware front: the machines really stop and boot, and then say another version.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field

import pytest
import yaml
from driver import Lab, PlaybookRun, failed, slowness
from rolls import MACHINES, assert_nothing_is_left, assert_one_after_another, nodes, outages, running
from watchers import API_SECONDS, Api, TimelineWatcher, Voters

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

_WEB = {"app": "web"}
# A pod on each machine, and none of them may go.
KEPT = (
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": len(MACHINES),
            "selector": {"matchLabels": _WEB},
            "template": {"metadata": {"labels": _WEB}, "spec": {"containers": [{"name": "web", "image": "docker.io/library/web:1"}]}},
        },
    },
    {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": _WEB}},
    },
)
# Each test has versions of its own to go to, since there is no way back.
_PATCHES = itertools.count(9)


@pytest.fixture
def version(cluster: Lab) -> str:
    """The next version of Talos, wanted by the inventory from now on."""
    wanted = f"v1.13.{next(_PATCHES)}"
    want(cluster, wanted)
    return wanted


def want(lab: Lab, version: str) -> None:
    """Have the inventory want this version, as a user does who edits it (extra variables would do too, and a killed run takes none)."""
    directory = lab.inventory()
    variables = directory / "group_vars"
    if variables.is_symlink():
        source = variables.resolve()
        variables.unlink()
        (variables / "all").mkdir(parents=True)
        (variables / "all" / "lab.yml").symlink_to(source / "all.yml")
    (variables / "all" / "talos.yml").write_text(yaml.safe_dump({"trinode_talos_version": version}))


def upgrade(lab: Lab, *, options: str = "") -> PlaybookRun:
    return lab.playbook("playbooks/upgrade_talos.yml", options=options)


def assert_finishes(lab: Lab, version: str) -> None:
    """The next run brings back what is half done, and goes on to the end."""
    rest = upgrade(lab)
    assert rest.returncode == 0, rest.output
    assert running(lab) == dict.fromkeys(MACHINES, version)
    assert_nothing_is_left(lab)


def test_three_machines_one_after_another(cluster: Lab, version: str) -> None:
    before = len(cluster.timeline())
    predicted = upgrade(cluster, options="--check --diff")
    assert predicted.returncode == 0, predicted.output
    assert f"v1.13.8 → {version}" in predicted.output
    assert not [event for event in cluster.timeline()[before:] if event.get("changes")], "--check changed something"
    with Voters(cluster) as voters, Api(cluster) as endpoint, Api(cluster, machines=True) as api:
        run = upgrade(cluster)
    assert run.returncode == 0, run.output
    assert running(cluster) == dict.fromkeys(MACHINES, version)
    events = cluster.timeline()[before:]
    away = outages(events)
    assert sorted(machine for machine, _start, _end in away) == list(MACHINES), "each machine boots once"
    assert_one_after_another(away)
    assert voters.looks > 10
    assert voters.fewest == 2, "with one machine away there are two voters, never fewer"
    assert api.unanswered == 0, "at every moment one of the machines answers"
    assert endpoint.longest() < API_SECONDS, "the virtual address comes to another machine"
    assert_nothing_is_left(cluster)
    again = upgrade(cluster)
    assert (again.returncode, again.total("changed")) == (0, 0), again.output
    site = cluster.playbook("site.yml")
    assert (site.returncode, site.total("changed")) == (0, 0), site.output


def test_a_silent_rollback_stops_the_roll(cluster: Lab, version: str) -> None:
    old = running(cluster)
    cluster.command("fault", "upgrade", "m2", "rollback")
    run = upgrade(cluster)
    assert run.returncode != 0
    assert "rolled back" in run.output
    assert "playbooks/upgrade_talos.yml" in run.output
    now = running(cluster)
    assert now["m2"] == old["m2"]
    stopped = [line for line in run.output.splitlines() if "has stopped here" in line]
    assert stopped
    assert "m2" in stopped[0]
    # m2 keeps its mark, so that the next run knows it; whoever was after it was not begun with.
    assert nodes(cluster)["m2"]["metadata"]["annotations"]["trinode.platform/rolling"] == f"upgrade_talos {version}"
    assert_finishes(cluster, version)


def test_somebody_elses_cordon_is_respected(cluster: Lab, version: str) -> None:
    cluster.kubectl("cordon", "m3")
    try:
        before = len(cluster.changes())
        run = upgrade(cluster)
        assert run.returncode != 0
        assert "somebody has cordoned the node" in run.output
        assert nodes(cluster)["m3"]["spec"]["unschedulable"]
        assert not [event for event in cluster.changes()[before:] if event["event"] in ("upgrade-request", "reboot-request", "boot")]
    finally:
        cluster.kubectl("uncordon", "m3")


def test_a_budget_that_never_allows_refuses_the_roll(cluster: Lab, version: str) -> None:
    cluster.kubectl("create", "namespace", "shop")
    try:
        cluster.apply(*KEPT)
        cluster.kubectl("-n", "shop", "rollout", "status", "deployment/web", "--timeout=50s")
        before = len(cluster.changes())
        run = upgrade(cluster)
        failed(run, "the disruption budget shop/web keeps", "nothing was begun", within=120 * slowness())
        assert not [event for event in cluster.changes()[before:] if event["event"] in ("upgrade-request", "reboot-request", "boot")]
    finally:
        cluster.kubectl("delete", "namespace", "shop")
    assert_nothing_is_left(cluster)


def test_an_installer_that_fails_stops_the_roll(cluster: Lab, version: str) -> None:
    old = running(cluster)
    cluster.command("fault", "upgrade", "m2", "install-fails")
    run = upgrade(cluster)
    failed(run, "m2: upgrade_talos", "has stopped here, and no other machine was begun with", within=600 * slowness())
    assert running(cluster)["m2"] == old["m2"]
    assert list(running(cluster).values()).count(version) < len(MACHINES)
    assert_finishes(cluster, version)


def test_a_machine_that_does_not_come_back_stops_the_roll(cluster: Lab, version: str) -> None:
    cluster.command("fault", "upgrade", "m2", "hang")
    before = len(cluster.timeline())
    run = upgrade(cluster, options="-e rolling_machine_timeout=60")
    failed(run, "m2: upgrade_talos", "has stopped here, and no other machine was begun with", within=600 * slowness())
    events = cluster.timeline()[before:]
    gone = next(number for number, event in enumerate(events) if (event["machine"], event["event"]) == ("m2", "upgrade-request"))
    assert not [event for event in events[gone:] if event["event"] == "upgrade-request" and event["machine"] != "m2"]
    # Somebody switches it off and on again.
    cluster.command("power", "reboot", "m2")
    assert_finishes(cluster, version)


@dataclass
class Cutter(TimelineWatcher):
    """Takes the power of another machine as soon as the first one of a roll is back from its boot."""

    first: str = field(default="", init=False)
    machine: str = field(default="", init=False)

    def look(self) -> None:
        if self.machine:
            return
        back = outages(self.events())
        if back:
            self.first = back[0][0]
            self.machine = next(machine for machine in reversed(MACHINES) if machine != self.first)
            self.lab.command("power", "cut", self.machine)


def test_a_quorum_at_risk_stops_the_roll(cluster: Lab, version: str) -> None:
    """Another machine dies while the first one comes back: with two voters of three, no other is begun with."""
    before = len(cluster.timeline())
    with Cutter(cluster) as cutter:
        run = upgrade(cluster, options="-e trinode_cluster_timeout=90")
    stopped = f"{cutter.first}: upgrade_talos {version} has stopped here, and no other machine was begun with"
    failed(run, stopped, f"{cutter.machine} ", "etcd", within=600 * slowness())
    assert [event["machine"] for event in cluster.timeline()[before:] if event["event"] == "upgrade-request"] == [cutter.first]
    # Nothing is begun as long as it is so.
    refused = upgrade(cluster, options="-e trinode_cluster_timeout=30")
    failed(refused, cutter.machine, within=300 * slowness())
    assert [event["machine"] for event in cluster.timeline()[before:] if event["event"] == "upgrade-request"] == [cutter.first]
    cluster.command("power", "on", cutter.machine)
    cluster.wait_for_stage(cutter.machine, "running", 180)
    assert_finishes(cluster, version)


def test_a_version_that_cannot_be_reached_is_refused(cluster: Lab) -> None:
    want(cluster, "v1.13.1")
    before = len(cluster.changes())
    run = upgrade(cluster)
    assert run.returncode != 0
    assert "would go back" in run.output
    assert len(cluster.changes()) == before


def spread(kills: int) -> list[float]:
    """Moments of a roll, as parts of its time."""
    return [round((kill + 0.5) / kills, 3) for kill in range(kills)]


@pytest.fixture(scope="module")
def roll_seconds(cluster: Lab) -> float:
    """What a roll that nobody kills takes here."""
    want(cluster, f"v1.13.{next(_PATCHES)}")
    run = upgrade(cluster)
    assert run.returncode == 0, run.output
    return run.seconds


def killed_at(lab: Lab, version: str, seconds: float) -> None:
    """The next run after a kill ends well, and the one after that has nothing to do."""
    before = len(lab.timeline())
    lab.killed_playbook("playbooks/upgrade_talos.yml", after=seconds)
    rest = upgrade(lab)
    assert rest.returncode == 0, f"killed after {seconds:.0f} s, the next run failed:\n{rest.output}"
    assert running(lab) == dict.fromkeys(MACHINES, version)
    assert_nothing_is_left(lab)
    assert_one_after_another(outages(lab.timeline()[before:]))
    again = upgrade(lab)
    assert (again.returncode, again.total("changed")) == (0, 0), f"killed after {seconds:.0f} s:\n{again.output}"


@pytest.mark.parametrize("moment", spread(2))
def test_killed(cluster: Lab, roll_seconds: float, version: str, moment: float) -> None:
    killed_at(cluster, version, moment * roll_seconds)


@pytest.mark.parametrize("moment", spread(int(os.environ.get("TRINODE_TEST_KILLS", "30"))))
def test_killed_more_often(cluster: Lab, roll_seconds: float, version: str, moment: float) -> None:
    killed_at(cluster, version, moment * roll_seconds)
