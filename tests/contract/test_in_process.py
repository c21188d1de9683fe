"""A module that runs inside the worker behaves as it does in a process of its own: shown with a module that does all that a module may do."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from both_ways import PLAYBOOK, Case, comparable, run, surroundings

pytestmark = pytest.mark.slow

PROBE = "trinode_test.probe.probe"


def probe(name: str, do: str | None = None, keywords: dict[str, Any] | None = None, **arguments: Any) -> Case:
    return Case(name, PROBE, {"do": do or name, **arguments}, keywords or {})


CASES = [
    probe("defaults and types", "report", number="12", first="x", nested=[{"key": "s3cret-key", "size": "4"}]),
    Case("alias", PROBE, {"action": "report"}),
    Case("missing", PROBE, {}),
    probe("unknown option", "report", colour="blue"),
    probe("wrong choice", "report", choice="blue"),
    probe("wrong type", "report", number="many"),
    probe("exclusive", "report", first="a", second="b"),
    probe("needs_choice"),
    probe("check mode", "report", {"check_mode": True}),
    probe("diff mode", "report", {"diff": True}),
    probe("show_diff", keywords={"diff": True, "check_mode": True}),
    probe("facts"),
    probe("warn"),
    probe("removed option", "report", old="x"),
    probe("leak", password="hunter2hunter2"),
    probe("leak_in_failure", password="hunter2hunter2"),
    probe("leak_in_warning", password="hunter2hunter2"),
    probe("fail"),
    probe("fail_with_cause"),
    probe("crash"),
    probe("leave_without_result"),
    probe("forget_to_exit"),
    probe("chatter"),
    probe("surroundings", keywords={"environment": {"TRINODE_PROBE": "{{ 'set' }}"}}),
    probe("surroundings in a loop", "surroundings", {"loop": [1, 2]}),
    probe("temporary"),
    probe("hidden", "report", {"no_log": True}, first="x"),
    probe("group default", "report"),
    Case("other module", "trinode_test.probe.other_probe", {}),
    Case("short name", "probe", {"do": "report"}, {"collections": ["trinode_test.probe"]}),
    probe("asynchronous", "report", {"async": 30, "poll": 1}),
]
DEFAULTS = [{"group/trinode_test.probe.probes": {"number": 5}, PROBE: {"number": 6}}]

Results = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run(CASES, tmp_path_factory.mktemp("ways"), {"module_defaults": DEFAULTS})


@pytest.mark.parametrize("case", [case.name for case in CASES])
def test_same_result(results: Results, case: str) -> None:
    in_process, ordinary = (comparable(results[way][case]) for way in ("in_process", "ordinary"))
    for result in (in_process, ordinary):
        if case == "temporary":
            assert not Path(result.pop("path")).exists()
        if case == "asynchronous":  # a job has a number of its own
            for key in ("ansible_job_id", "results_file"):
                result.pop(key, None)
    assert in_process == ordinary


def test_what_the_results_are(results: Results) -> None:
    got = results["in_process"]
    assert got["defaults and types"]["parameters"]["number"] == 12
    assert got["defaults and types"]["parameters"]["nested"] == [{"key": "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", "size": 4}]
    assert got["check mode"]["check_mode"] is True
    assert got["diff mode"]["diff_mode"] is True
    assert "missing required arguments: do" in got["missing"]["msg"]
    assert got["warn"]["warnings"] == ["be careful"]
    assert [entry["msg"] for entry in got["warn"]["deprecations"]] == ["do not"]
    assert "hunter2" not in str({name: got[name] for name in ("leak", "leak_in_failure")})
    assert got["crash"]["failed"]
    assert "unexpected" in got["crash"]["msg"]
    assert got["surroundings"]["variable"] == "set"
    assert [item["leaked"] for item in got["surroundings in a loop"]["results"]] == ["", ""]
    assert len({item["directory"] for item in got["surroundings in a loop"]["results"]}) == 1


def test_module_defaults_belong_to_their_module(results: Results) -> None:
    for way in ("in_process", "ordinary"):
        assert results[way]["group default"]["parameters"]["number"] == 6
        assert results[way]["other module"]["number"] == 5


ELSEWHERE = {
    "another Python": {"vars": {"ansible_python_interpreter": "/usr/bin/python3"}},
    "asynchronous": {"async": 30, "poll": 1},
    "a switch": {"vars": {"trinode_in_process": "{{ 1 == 2 }}"}},
}
HERE = {
    "the same Python": {"vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}},
    "any Python": {"vars": {"ansible_python_interpreter": "auto_silent"}},
    "delegated": {"delegate_to": "localhost"},
}


def test_which_tasks_run_in_the_worker(tmp_path: Path) -> None:
    cases = [probe(name, "where", keywords) for name, keywords in {**ELSEWHERE, **HERE, "plain": {}}.items()]
    results = run(cases, tmp_path)["in_process"]
    got = {name: result["in_worker"] for name, result in results.items()}
    assert got == {**dict.fromkeys(ELSEWHERE, False), **dict.fromkeys(HERE, True), "plain": True}


def play(directory: Path, arguments: dict[str, Any], strategy: str = "linear") -> Path:
    path = directory / "play.yml"
    path.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "strategy": strategy, "tasks": [{PROBE: arguments}]}]))
    return path


@pytest.mark.parametrize("strategy", ["linear", "free"])
def test_progress_is_shown_to_a_terminal_alone(strategy: str, tmp_path: Path) -> None:
    command = [str(PLAYBOOK), str(play(tmp_path, {"do": "talk"}, strategy))]
    quiet = subprocess.run(command, env=surroundings(tmp_path), capture_output=True, text=True, check=True, timeout=300)
    assert "waiting for etcd" not in quiet.stdout + quiet.stderr
    asked = subprocess.run(command, env={**surroundings(tmp_path), "TRINODE_PROGRESS": "1"}, capture_output=True, text=True, check=True, timeout=300)
    assert "  localhost │ waiting for etcd: 1 of 3 voters\n" in asked.stdout

    leader, follower = pty.openpty()
    shown = b""
    with subprocess.Popen(command, env=surroundings(tmp_path), stdout=follower, stderr=subprocess.DEVNULL):
        os.close(follower)
        try:
            while block := os.read(leader, 4096):
                shown += block
        except OSError:  # Linux's way of saying that the other side is closed
            pass
    os.close(leader)
    assert "localhost │ waiting for etcd: 1 of 3 voters" in shown.decode()


def sleeping(seconds: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if entry.read_bytes() == f"sleep\0{seconds}\0".encode():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


def wait_until(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs Linux")
def test_a_killed_playbook_leaves_nothing_running(tmp_path: Path) -> None:
    seconds = 100_000 + os.getpid() % 10_000
    command = [str(PLAYBOOK), str(play(tmp_path, {"do": "hang", "number": seconds}))]
    with subprocess.Popen(command, env=surroundings(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: sleeping(seconds))
        process.kill()
    wait_until(lambda: not sleeping(seconds))
