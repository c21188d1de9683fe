"""Upgrades of Talos over three machines: never two out at once, stopped by what goes wrong, and finished by the next run after a kill at any moment.

The other Talos is simulated by the lab's hardware front: the machines really stop and boot, and then say another version.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from driver import Lab, PlaybookRun
from watchers import Api, Voters

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

MACHINES = ("m1", "m2", "m3")
ROLL_SECONDS = 150
"""About what a roll over three machines takes on two cores; the kills are spread over it."""
API_SECONDS = 5
"""How long the Kubernetes API may be away at its own endpoint when a machine goes."""
# Each test has versions of its own to go to, since there is no way back.
_PATCHES = itertools.count(9)


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Lab:
    """Three machines that run Kubernetes and a network."""
    built = lab.playbook("site.yml")
    assert built.returncode == 0, built.output
    return lab


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


def running(lab: Lab) -> dict[str, str]:
    """The version that each machine says it runs."""
    program = Path(lab.command("bin").strip()) / "talosctl"
    found = {}
    for number, name in enumerate(MACHINES, 1):
        argv = [str(program), "--talosconfig", str(lab.state / "cluster" / "talosconfig"), "--endpoints", lab.address(number), "--nodes", lab.address(number)]
        output = subprocess.run([*argv, "get", "version", "-o", "json"], capture_output=True, text=True, check=True, timeout=30).stdout
        found[name] = json.loads(output)["spec"]["version"]
    return found


def nodes(lab: Lab) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in json.loads(lab.kubectl("get", "nodes", "-o", "json"))["items"]}


def assert_nothing_is_left(lab: Lab) -> None:
    """All nodes take pods, and none bears a mark."""
    for name, node in nodes(lab).items():
        assert not node["spec"].get("unschedulable"), name
        assert "trinode.platform/rolling" not in node["metadata"].get("annotations", {}), name


def outages(events: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """When each machine was away: from the end of one boot to the beginning of the next."""
    ended, found = dict[str, float](), list[tuple[str, float, float]]()
    for event in events:
        if event["event"] in ("reboot", "power-off", "power-cut", "crash"):
            ended[event["machine"]] = event["time"]
        elif event["event"] == "boot" and event["machine"] in ended:
            found.append((event["machine"], ended.pop(event["machine"]), event["time"]))
    return found


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
    for (_one, _start, end), (other, start, _end) in itertools.pairwise(sorted(away, key=lambda outage: outage[1])):
        assert start > end, f"{other} went before the one before was back"
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
    rest = upgrade(cluster)
    assert rest.returncode == 0, rest.output
    assert running(cluster) == dict.fromkeys(MACHINES, version)
    assert_nothing_is_left(cluster)


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


def test_a_version_that_cannot_be_reached_is_refused(cluster: Lab) -> None:
    want(cluster, "v1.13.1")
    before = len(cluster.changes())
    run = upgrade(cluster)
    assert run.returncode != 0
    assert "would go back" in run.output
    assert len(cluster.changes()) == before


def spread(kills: int) -> Iterator[float]:
    return (ROLL_SECONDS * (kill + 0.5) / kills for kill in range(kills))


def killed_at(lab: Lab, version: str, moment: float) -> None:
    before = len(lab.timeline())
    lab.killed_playbook("playbooks/upgrade_talos.yml", after=moment)
    rest = upgrade(lab)
    assert rest.returncode == 0, f"killed after {moment:.0f} s, the next run failed:\n{rest.output}"
    assert running(lab) == dict.fromkeys(MACHINES, version)
    assert_nothing_is_left(lab)
    away = sorted(outages(lab.timeline()[before:]), key=lambda outage: outage[1])
    for (_one, _start, end), (other, start, _end) in itertools.pairwise(away):
        assert start > end, f"killed after {moment:.0f} s, {other} went before the one before was back"
    again = upgrade(lab)
    assert (again.returncode, again.total("changed")) == (0, 0), f"killed after {moment:.0f} s:\n{again.output}"


@pytest.mark.parametrize("moment", spread(2))
def test_killed(cluster: Lab, version: str, moment: float) -> None:
    killed_at(cluster, version, moment)


@pytest.mark.chaos
@pytest.mark.parametrize("moment", spread(int(os.environ.get("TRINODE_TEST_KILLS", "30"))))
def test_killed_more_often(cluster: Lab, version: str, moment: float) -> None:
    killed_at(cluster, version, moment)
