"""The lab itself: it comes up fast, leaves nothing, stands beside another one, and its faults and power do what they say."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from driver import LAB, Lab

UP_SECONDS = 20.0


def remains(lab: Lab) -> dict[str, list[str]]:
    """Everything on this host that belongs to the lab: links, namespaces, mounts, processes, control groups, files."""
    group = f"/trinode-lab/{lab.name}"
    links = [link["ifname"] for link in json.loads(subprocess.run(["ip", "-json", "link"], capture_output=True, check=True).stdout)]
    namespaces = Path("/run/netns")
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    processes = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            groups, words = (directory / "cgroup").read_text(), (directory / "cmdline").read_text().split("\0")
        except OSError:
            continue  # it ended as we looked
        if f"{group}/" in f"{groups}/".replace("\n", "/\n") or (str(lab.state) in words and "trinode_lab" in " ".join(words)):
            processes.append(f"{directory.name} {' '.join(words)}")
    return {
        "links": [name for name in links if name == f"tl-{lab.name}" or name.startswith(f"tl-{lab.name}-")],
        "namespaces": [path.name for path in namespaces.iterdir() if path.name.startswith(f"trinode-{lab.name}-")] if namespaces.is_dir() else [],
        "mounts": [line for line in mounts if str(lab.state) in line or f"trinode-{lab.name}-" in line],
        "processes": processes,
        "cgroups": [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/trinode-lab/{lab.name}")],
        "files": [str(lab.state)] if lab.state.exists() else [],
    }


def assert_nothing_remains(lab: Lab) -> None:
    assert {kind: found for kind, found in remains(lab).items() if found} == {}


def eventually(condition: Callable[[], Any], what: str, seconds: float = 90) -> Any:
    """The condition's first true value; fails with ``what`` when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.3)
    return value


def machine(lab: Lab, name: str = "m1") -> dict[str, Any]:
    return next(item for item in json.loads(lab.command("status", "--json"))["machines"] if item["name"] == name)


def talosctl(lab: Lab, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    program = Path(lab.command("bin").strip()) / "talosctl"
    result = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert not check or result.returncode == 0, result.stderr
    return result


@pytest.fixture
def make_lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Labs of a test, taken down after it whatever happened."""
    labs: list[Lab] = []

    def make(name: str, network: str, machines: int = 1) -> Lab:
        labs.append(Lab(name=name, network=network, state=tmp_path / name, machines=machines))
        return labs[-1]

    yield make
    for lab in labs:
        lab.command("down")
        assert_nothing_remains(lab)


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One machine without a hardware front, for faults and power."""
    lab = Lab(name="single", network="10.87.3.0/24", state=tmp_path_factory.mktemp("single") / "state", machines=1)
    lab.command("up", "--no-front")
    yield lab
    lab.command("down")
    assert_nothing_remains(lab)


def test_three_machines_are_up_in_time_and_down_leaves_nothing(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab("speed", "10.87.0.0/24", machines=3)
    lab.command("build", timeout=1800)
    started = time.monotonic()
    lab.command("up")
    seconds = time.monotonic() - started
    assert [item["stage"] for item in json.loads(lab.command("status", "--json"))["machines"]] == ["maintenance"] * 3
    standing = remains(lab)
    assert len(standing["links"]) == 4
    assert len(standing["namespaces"]) == 3
    assert len(standing["processes"]) > 3
    assert standing["cgroups"]
    lab.command("down")
    assert_nothing_remains(lab)
    assert seconds < UP_SECONDS


@pytest.mark.parametrize("sign", ["lab.json", "machines/m2/process", "machines/m1/console.log"])
def test_a_killed_up_is_cleaned_by_down_and_by_up(make_lab: Callable[..., Lab], sign: str) -> None:
    lab = make_lab("killed", "10.87.1.0/24", machines=2)
    for command in ("down", "up"):
        with subprocess.Popen(
            [sys.executable, LAB, "up"], env={**os.environ, **lab.environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while not (lab.state / sign).exists():
                assert process.poll() is None, "`up` ended before it could be killed"
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
        lab.command(command)
        if command == "down":
            assert_nothing_remains(lab)
    assert [item["stage"] for item in json.loads(lab.command("status", "--json"))["machines"]] == ["maintenance"] * 2


def test_two_labs_stand_side_by_side(make_lab: Callable[..., Lab]) -> None:
    left, right = make_lab("left", "10.87.4.0/24"), make_lab("right", "10.87.5.0/24")
    left.up()
    right.up()
    assert machine(left)["stage"] == machine(right)["stage"] == "maintenance"
    left.down()
    assert_nothing_remains(left)
    assert machine(right)["stage"] == "maintenance"


def test_a_second_lab_on_the_same_network_is_refused(single: Lab, make_lab: Callable[..., Lab]) -> None:
    other = make_lab("other", single.network)
    with pytest.raises(AssertionError, match=r"the network 10\.87\.3\.0/24 is in use"):
        other.up()


def test_up_refuses_a_directory_that_is_not_a_lab(make_lab: Callable[..., Lab], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("data")
    lab = Lab(name="other", network="10.87.6.0/24", state=tmp_path / "mine")
    for command in ("up", "down"):
        with pytest.raises(AssertionError, match="holds something that is not a lab's"):
            lab.command(command)
    assert (tmp_path / "mine" / "precious").read_text() == "data"


def test_up_again_leaves_a_lab_that_stands_as_it_is(single: Lab) -> None:
    boots = single.timeline()
    assert "is up already" in single.command("up")
    assert [event for event in single.timeline()[len(boots) :] if event.get("changes")] == []


def test_freeze_and_thaw(single: Lab) -> None:
    single.command("fault", "freeze", "m1")
    assert machine(single)["stage"] == "frozen"
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(
            [Path(single.command("bin").strip()) / "talosctl", "-n", single.address(1), "version", "--insecure"], capture_output=True, timeout=3, check=True
        )
    single.command("fault", "thaw", "m1")
    eventually(lambda: machine(single)["stage"] == "maintenance", "maintenance after thaw", 20)


def test_power_cut_and_on(single: Lab) -> None:
    boots = machine(single)["boots"]
    single.command("fault", "power-cut", "m1")
    assert machine(single)["power"] == "off"
    assert machine(single)["stage"] == "off"
    single.command("power", "on", "m1")
    found = eventually(lambda: (now := machine(single))["stage"] == "maintenance" and now, "maintenance after power on")
    assert found["boots"] == boots + 1
    assert [event["event"] for event in single.timeline() if event["machine"] == "m1" and event["event"] in ("boot", "power-cut", "fault")][-3:] == [
        "fault",
        "power-cut",
        "boot",
    ]


def test_partition_and_heal(single: Lab) -> None:
    single.command("fault", "partition", "m1")
    assert machine(single)["stage"] == "unreachable"
    single.command("fault", "heal", "m1")
    eventually(lambda: machine(single)["stage"] == "maintenance", "maintenance after heal", 20)


def test_an_image_becomes_unpullable_and_comes_back(single: Lab) -> None:
    registry = json.loads(single.command("inventory"))["registry"]

    def pull(path: str) -> int:
        try:
            with urllib.request.urlopen(f"{registry}/v2/{path}", timeout=5) as response:  # noqa: S310 - the lab's own address
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    kubelet = "siderolabs/kubelet/manifests/v1.36.3?ns=ghcr.io"
    assert pull(kubelet) == 200
    single.command("fault", "image-unpullable", "ghcr.io/siderolabs/kubelet:v1.36.3")
    assert pull(kubelet) == 404
    assert pull("etcd/manifests/v3.6.12?ns=registry.k8s.io") == 200
    single.command("fault", "image-restore", "ghcr.io/siderolabs/kubelet:v1.36.3")
    assert pull(kubelet) == 200
    assert pull("siderolabs/kubelet/manifests/v9.9.9?ns=ghcr.io") == 404
    assert pull("some/operator/manifests/v1?ns=docker.io") == 200
    assert [event["event"] for event in single.timeline() if event["event"].startswith("image-")][:2] == ["image-pull", "image-refused"]


def test_a_reboot_keeps_the_state_and_reset_does_not(single: Lab, tmp_path: Path) -> None:
    """A machine that is rebooted comes back configured; one that is reset, in maintenance mode. (Talos's own reboot needs the front: test_front.py.)"""
    address = single.address(1)
    talosctl(single, "gen", "config", "test", f"https://{address}:6443", "--output", str(tmp_path), "--kubernetes-version", "1.36.3")
    talosctl(single, "apply-config", "--insecure", "--nodes", address, "--file", str(tmp_path / "controlplane.yaml"))
    secure = ("--talosconfig", str(tmp_path / "talosconfig"), "-e", address, "-n", address)
    eventually(lambda: talosctl(single, *secure, "version", check=False).returncode == 0, "the secure API answers")
    eventually(lambda: "configuration" in [event["event"] for event in single.changes()], "the timeline has the stored configuration", 10)
    before = len(single.timeline())
    single.command("power", "reboot", "m1")
    eventually(lambda: talosctl(single, *secure, "version", check=False).returncode == 0, "the secure API answers after the reboot")
    assert machine(single)["stage"] == "configured"
    single.command("power", "off", "m1")
    assert machine(single)["power"] == "off"
    single.command("power", "reset", "m1")
    eventually(lambda: machine(single)["stage"] == "maintenance", "maintenance after reset")
    events = [event["event"] for event in single.timeline()[before:] if event.get("changes")]
    assert [event for event in events if event != "configuration"] == ["power-off", "boot", "power-off", "wiped", "boot"]


def test_unknown_names_are_refused_with_those_that_exist(single: Lab) -> None:
    with pytest.raises(AssertionError, match=re.escape("lab single has no machine 'm7': it has m1 to m1")):
        single.command("power", "cut", "m7")
