"""One machine gets another Talos, with a stand-in talosctl whose machine is a file: what it runs, what is installed, and what goes wrong."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.rolling import target
from ansible_collections.trinode.platform.plugins.module_utils.talos import insist, machine_problems, machine_wait, upgrade
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_tls import Handshake
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import talos_upgrade

A, B = "a" * 64, "b" * 64
IMAGE = f"factory.talos.dev/metal-installer/{A}:v1.13.9"
OTHER = f"factory.talos.dev/metal-installer/{B}:v1.13.9"

PROGRAM = """
import json, os, sys, time
path = os.path.join(os.path.dirname(__file__), "machine.json")
machine = json.load(open(path))
words = sys.argv[1:]

def save():
    with open(path + ".new", "w") as file:
        json.dump(machine, file)
    os.replace(path + ".new", path)

def fail(text):
    sys.stderr.write(text)
    sys.exit(1)

def show(identity, spec):
    print(json.dumps({"metadata": {"id": identity, "created": f"boot-{machine['boot']}"}, "spec": spec}, indent=4), flush=True)

def boot():
    # What Talos does with what is installed: takes it up, or goes back to the one before.
    machine["boot"] += 1
    if machine["next"] and not machine.pop("rollback", None):
        machine["version"], machine["schematic"] = machine["next"]
    machine["next"] = None
    machine["stage"] = machine.pop("comes back as", "running")

kind = " ".join(word for word in words[:2] if not word.startswith("-"))
if words[0] == "get":
    if words[1] == "machinestatus":
        show("machine", {"stage": machine["stage"], "status": {"ready": True}})
        if "--watch" in words:
            time.sleep(60)
    elif words[1] == "version":
        show("version", {"version": machine["version"]})
    elif words[1] == "hostname":
        show("hostname", {"hostname": "m1"})
    elif words[1] == "extensions" and machine["schematic"]:
        show("0", {"metadata": {"name": "schematic", "version": machine["schematic"]}})
    elif words[1] == "metakeys" and machine["next"]:
        show("0x06", {"value": "A"})
    sys.exit(0)
if kind == "image list":
    for row in [("NODE", "IMAGE", "DIGEST"), *(("m1", image, "sha256:1") for image in machine["images"])]:
        print(row[0].ljust(7) + row[1].ljust(130) + row[2])
    sys.exit(0)
machine["calls"].append(" ".join(word for word in words if not word.startswith("--"))[:12].strip())
save()
trouble = machine["trouble"].get(words[0], [])
if trouble:
    text = trouble.pop(0)
    save()
    if text == "hangs after it is done":
        boot() if words[0] == "reboot" else machine.update(next=["v1.13.9", "%(A)s"])
        save()
        time.sleep(60)
    fail(text)
if kind == "image pull":
    machine["images"].append(words[4])
elif words[0] == "upgrade":
    assert "--no-reboot" in words and "--drain=false" in words and "--wait=false" in words, words
    image = words[words.index("--image") + 1]
    # A release before 1.13 does all of it in one call.
    machine["next"] = [machine.get("serves") or image.rpartition(":")[2], image.split("/")[2].split(":")[0]]
    if machine["version"].startswith("v1.12"):
        boot()
elif words[0] == "reboot":
    assert "--wait=false" in words and "--drain=false" in words, words
    boot()
save()
""" % {"A": A}  # noqa: UP031  braces are the program's own


class Scene:
    """A machine of a file, and the module on it."""

    def __init__(self, directory: Path, **machine: Any) -> None:
        self.directory = directory
        program = directory / "talosctl"
        program.write_text(f"#!{sys.executable}\n{PROGRAM}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        given = {"version": "v1.13.8", "schematic": A, "stage": "running", "boot": 1, "next": None, "images": [], "calls": [], "trouble": {}}
        (directory / "machine.json").write_text(json.dumps({**given, **machine}))

    @property
    def machine(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.directory / "machine.json").read_text())
        return found

    @property
    def calls(self) -> list[str]:
        """What was called that changes something: the first word, for images the second."""
        return [call.split()[1] if call.startswith("image") else call.split()[0] for call in self.machine["calls"]]

    def run(self, image: str = IMAGE, *, check: bool = False, **params: Any) -> Outcome:
        given = {"address": "192.0.2.11", "talosconfig": "/nonexistent/talosconfig", "talosctl": str(self.directory / "talosctl"), "timeout": 300, "name": "m1"}
        defaults = {"image": image, "state": "upgraded", "reboot_mode": "default"}
        return talos_upgrade.run(Task({**given, **defaults, **params}, check_mode=check, diff_mode=True, warn=print))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "probe", lambda self, *, deadline: Handshake("ours"))
    monkeypatch.setattr(machine_wait, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(upgrade, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(insist, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(upgrade, "ACCEPT_SECONDS", 2.0)
    monkeypatch.setattr(upgrade, "INSTALL_SECONDS", 2.0)
    monkeypatch.setattr(machine_problems, "find_pull_failure", lambda client, *, deadline: None)
    monkeypatch.setattr(machine_problems, "diagnose", lambda client, *, deadline: ("", ""))


def test_upgraded_and_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    done = scene.run()
    assert done.changed
    assert done.values == {"steps": ["pull", "install", "reboot"], "version": "v1.13.9", "schematic": A}
    assert scene.calls == ["pull", "upgrade", "reboot"]
    assert isinstance(done.diff, dict)
    assert (done.diff["before"].splitlines()[0], done.diff["after"].splitlines()[0]) == ("version: v1.13.8", "version: v1.13.9")
    again = scene.run()
    assert not again.changed
    assert again.values == {"steps": [], "version": "v1.13.9", "schematic": A}
    assert len(scene.calls) == 3


def test_only_the_schematic_differs(tmp_path: Path) -> None:
    scene = Scene(tmp_path, version="v1.13.9")
    assert scene.run(OTHER).values["schematic"] == B


@pytest.mark.parametrize(
    ("machine", "params", "steps"),
    [
        ({}, {}, ["pull", "install", "reboot"]),
        ({"images": [IMAGE]}, {}, ["install", "reboot"]),
        ({}, {"state": "pulled"}, ["pull"]),
        ({"images": [IMAGE]}, {"state": "pulled"}, []),
        ({"version": "v1.13.9"}, {}, []),
        ({"next": ["v1.13.9", A]}, {}, ["reboot"]),
    ],
)
def test_check_mode_predicts_what_is_then_done(tmp_path: Path, machine: dict[str, Any], params: dict[str, Any], steps: list[str]) -> None:
    scene = Scene(tmp_path, **machine)
    predicted = scene.run(check=True, **params)
    assert (predicted.values["steps"], predicted.changed) == (steps, bool(steps))
    assert not scene.calls
    done = scene.run(**params)
    assert (done.values["steps"], done.diff) == (steps, predicted.diff)


def test_pulled_early_the_image_is_not_pulled_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert scene.run(state="pulled").values["steps"] == ["pull"]
    assert scene.run().values["steps"] == ["install", "reboot"]
    assert scene.calls == ["pull", "upgrade", "reboot"]


def test_what_was_installed_before_the_run_was_killed_is_booted_and_not_installed_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, next=["v1.13.9", A])
    assert scene.run().values["version"] == "v1.13.9"
    assert scene.calls == ["reboot"]


def test_what_waits_for_its_boot_may_be_something_else(tmp_path: Path) -> None:
    scene = Scene(tmp_path, next=["v1.13.7", A], version="v1.13.6")
    assert scene.run().values == {"steps": ["reboot", "pull", "install", "reboot"], "version": "v1.13.9", "schematic": A}


def test_a_silent_rollback_is_an_error(tmp_path: Path) -> None:
    scene = Scene(tmp_path, rollback=True)
    with pytest.raises(PlatformError, match="rolled back: it rebooted and runs") as caught:
        scene.run()
    assert caught.value.details == {"version": "v1.13.8", "schematic": A}
    assert scene.run().values["version"] == "v1.13.9"


def test_another_image_under_the_same_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="something else than was wanted"):
        Scene(tmp_path, serves="v1.13.7").run()


@pytest.mark.parametrize("call", ["upgrade", "reboot"])
def test_talosctl_hangs_although_it_is_done(tmp_path: Path, call: str) -> None:
    scene = Scene(tmp_path, trouble={call: ["hangs after it is done"]})
    assert scene.run().values["version"] == "v1.13.9"
    assert scene.calls == ["pull", "upgrade", "reboot"]


def test_another_installation_is_waited_for(tmp_path: Path) -> None:
    busy = "error during upgrade: rpc error: code = FailedPrecondition desc = another installation/upgrade is already in progress"
    scene = Scene(tmp_path, trouble={"upgrade": [busy, busy]})
    assert scene.run().changed
    assert scene.calls == ["pull", "upgrade", "upgrade", "upgrade", "reboot"]


@pytest.mark.parametrize(
    ("trouble", "says", "reboots"),
    [
        ({"image": ["rpc error: code = NotFound desc = failed to resolve image: not found"]}, "not found", False),
        ({"image": ["rpc error: code = Unknown desc = dial tcp 192.0.2.1:443: connect: connection refused"] * 9}, "its registry does not answer", False),
        ({"upgrade": ["error during upgrade: node 192.0.2.11: upgrade failed with exit code 1"]}, "upgrade failed with exit code 1", False),
    ],
)
def test_what_fails_before_the_reboot_leaves_the_machine_as_it_is(tmp_path: Path, trouble: dict[str, list[str]], says: str, reboots: bool) -> None:
    scene = Scene(tmp_path, trouble=trouble)
    with pytest.raises(PlatformError, match=says) as caught:
        scene.run()
    assert caught.value.where == "m1"
    assert ("reboot" in scene.calls) == reboots
    assert scene.machine["version"] == "v1.13.8"


def test_a_machine_that_does_not_come_back(tmp_path: Path) -> None:
    scene = Scene(tmp_path, **{"comes back as": "booting"})
    with pytest.raises(DeadlineExceeded, match="The return from the reboot did not happen within 4 s") as caught:
        scene.run(timeout=4)
    assert "run again" in caught.value.hint


def test_before_separate_steps_talos_reboots_on_its_own(tmp_path: Path) -> None:
    scene = Scene(tmp_path, version="v1.12.9")
    assert scene.run().values["version"] == "v1.13.9"
    assert scene.calls == ["pull", "upgrade"]


@pytest.mark.parametrize(("version", "says"), [("v1.11.9", "cannot skip"), ("v1.14.0", "go back")])
def test_a_step_that_talos_does_not_support(tmp_path: Path, version: str, says: str) -> None:
    scene = Scene(tmp_path, version=version)
    with pytest.raises(RefusedError, match=says):
        scene.run()
    assert not scene.calls


@pytest.mark.parametrize(("trust", "says"), [("maintenance", "maintenance mode"), ("foreign", "not this cluster's")])
def test_a_machine_that_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trust: str, says: str) -> None:
    monkeypatch.setattr(Machine, "probe", lambda self, *, deadline: Handshake(trust, problem="x509" if trust == "foreign" else ""))
    scene = Scene(tmp_path)
    with pytest.raises(RefusedError, match=says):
        scene.run()
    assert not scene.calls


def test_a_machine_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Machine, "probe", lambda self, *, deadline: Handshake("unreachable", problem="no answer"))
    with pytest.raises(DeadlineExceeded, match="does not answer"):
        upgrade.upgrade(
            upgrade.Request(Machine("192.0.2.11", talosctl=str(Scene(tmp_path).directory / "talosctl"), talosconfig=""), "m1", target.read(IMAGE, where="m1")),
            deadline=Deadline(0.2),
        )
