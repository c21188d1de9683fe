"""The control planes' disks are measured before etcd is bootstrapped: numbers, a refusal, a run that is killed meanwhile, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from driver import ROOT, Lab, PlaybookRun
from machines import wait_for
from slow_disk import slow_disk

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

PORT = 12381
PLAYBOOK = "playbooks/cluster.yml"


def measuring(lab: Lab) -> list[str]:
    """Machines on which a throw-away etcd answers."""
    found = []
    for number in range(1, lab.machines + 1):
        with contextlib.suppress(OSError):
            socket.create_connection((lab.address(number), PORT), timeout=1).close()
            found.append(f"m{number}")
    return found


def left_behind(lab: Lab) -> list[str]:
    """Processes and files of throw-away etcds."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"/trinode-etcd-probe" in (directory / "cmdline").read_bytes():
                found.append(str(directory))
    files = lab.state.glob("machines/m*/var/lib/containerd/*/snapshots/*/fs/trinode-etcd-probe")
    return [*found, *map(str, files), *measuring(lab)]


def assert_nothing_is_left(lab: Lab) -> None:
    """containerd removes a container's files some seconds after it."""
    wait_for(lambda: left_behind(lab) == [], 30)
    assert etcd_has_data(lab) == []


def bootstraps(lab: Lab) -> int:
    return [event["event"] for event in lab.timeline()].count("bootstrap")


def etcd_has_data(lab: Lab) -> list[str]:
    return [str(path) for path in lab.state.glob("machines/m*/var/lib/etcd/*")]


def joined(run: PlaybookRun) -> str:
    """What was printed, without the line breaks that Ansible puts into warnings."""
    return re.sub(r"\s+", " ", run.output)


def test_check_does_not_measure(lab: Lab) -> None:
    run = lab.playbook(PLAYBOOK, options="--check")
    assert run.returncode == 0, run.output
    assert left_behind(lab) == []


def test_all_machines_over_the_limit_are_named_at_once(lab: Lab) -> None:
    """With a limit that no disk keeps."""
    run = lab.playbook(PLAYBOOK, variables={"trinode_etcd_fsync_refuse": 0.001})
    assert run.returncode != 0
    assert "would not keep up on these disks: m1" in joined(run), run.output
    for machine in ("m2", "m3"):
        assert f"; {machine} (" in joined(run)
    assert bootstraps(lab) == 0
    assert_nothing_is_left(lab)


def test_a_slow_disk_is_refused_before_there_is_a_cluster(lab: Lab) -> None:
    with slow_disk(lab, "m2", writes_a_second=15):
        run = lab.playbook(PLAYBOOK)
    assert run.returncode != 0
    assert run.total("changed") == 0, "the machines are configured since the run before"
    text = joined(run)
    assert "etcd is not bootstrapped, since it would not keep up on this disk: m2" in text, run.output
    assert re.search(r"m2 \([0-9.]+\): p99 about \d+ ms, p50 about \d+ ms, mean \d+ ms, of \d+ syncs on \S*sda \(", text), run.output
    assert "The limit is 100 ms" in text
    assert bootstraps(lab) == 0
    assert_nothing_is_left(lab)


def test_a_run_killed_while_it_measures_leaves_nothing(lab: Lab) -> None:
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), str(ROOT / PLAYBOOK), "-i", str(lab.inventory())]
    environment = {**os.environ, **lab._environment_of_ansible()}
    with subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: len(measuring(lab)) == 3, 90)
        process.send_signal(signal.SIGKILL)
    assert_nothing_is_left(lab)
    assert bootstraps(lab) == 0


def test_numbers_and_a_warning_and_then_a_cluster(lab: Lab) -> None:
    begun = time.monotonic()
    run = lab.playbook(PLAYBOOK, variables={"trinode_etcd_fsync_warn": 0.001})
    assert run.returncode == 0, f"after {time.monotonic() - begun:.0f} s\n{run.output}"
    for machine in ("m1", "m2", "m3"):
        assert re.search(rf"WARNING\]:? {machine} \([0-9.]+\): the disk is slow for etcd: p99 \w+", joined(run)), run.output
    assert bootstraps(lab) == 1
    wait_for(lambda: left_behind(lab) == [], 30)


def test_a_second_run_measures_nothing(lab: Lab) -> None:
    events = len(lab.changes())
    run = lab.playbook(PLAYBOOK)
    assert run.returncode == 0, run.output
    assert run.total("changed") == 0, run.output
    assert lab.changes()[events:] == []
