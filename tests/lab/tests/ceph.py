"""The lab's real Ceph, for the tests: its command in the toolbox, and the writer that runs while something goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from driver import LAB, Lab


def needed(lab: Lab) -> None:
    """Skip the test where the lab has no Ceph."""
    if not json.loads((lab.state / "parts.json").read_text())["ceph"]:
        pytest.skip("Ceph is simulated in status only here: its Debian packages are missing and could not be installed (lab build says which)")


def ask(lab: Lab, *arguments: str) -> Any:
    """The answer of `ceph`, decoded."""
    return json.loads(lab.command("ceph", *arguments, "--format=json"))


def wait(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Until a condition holds; an API server or a monitor that does not answer meanwhile is part of the story."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(AssertionError, json.JSONDecodeError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
            if condition():
                return
        time.sleep(1)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def healthy(lab: Lab, osds: int = 6) -> bool:
    """All OSDs up and in, all monitors in quorum, all placement groups active+clean."""
    status = ask(lab, "status")
    groups = {entry["state_name"] for entry in status["pgmap"]["pgs_by_state"]}
    counts = status["osdmap"]
    complete = counts["num_up_osds"] == counts["num_in_osds"] == osds and len(status["quorum_names"]) == lab.machines
    return complete and all(name.startswith("active+clean") for name in groups)


@contextlib.contextmanager
def writing(lab: Lab) -> Iterator[dict[str, Any]]:
    """Write objects meanwhile; the report (rook/writer.py) is in the dictionary afterwards."""
    report: dict[str, Any] = {}
    path = lab.state / "writer.json"
    path.unlink(missing_ok=True)
    argv = [sys.executable, str(LAB), "ceph-write", "--report", str(path)]
    with subprocess.Popen(argv, env={**os.environ, **lab.environment}, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"
            yield report
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(180)
    report.update(json.loads(path.read_text()))
