"""Programs end with their deadline, with their whole group, and with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.module_utils import command
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError

CHECKOUT = Path(__file__).resolve().parents[2]


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    end = time.monotonic() + 10
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


def test_everything_it_left_comes_back() -> None:
    result = command.run(["sh", "-c", "cat; echo err >&2; exit 3"], deadline=Deadline(300), stdin="in")
    assert (result.returncode, result.stdout, result.stderr) == (3, "in", "err\n")


def test_the_environment_is_added_to() -> None:
    result = command.run(["sh", "-c", 'echo "$ADDED $HOME"'], deadline=Deadline(300), environment={"ADDED": "x"})
    assert result.stdout == f"x {os.environ['HOME']}\n"


def test_output_that_is_not_text_does_no_harm() -> None:
    assert command.run(["printf", r"\377"], deadline=Deadline(300)).stdout == "\ufffd"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(CommandError, match="the program '/nonexistent/x' was not found"):
        command.run(["/nonexistent/x"], deadline=Deadline(300))


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(CommandError, match="could not be started: Permission denied"):
        command.run([str(tmp_path / "x")], deadline=Deadline(300))


def test_the_deadline_ends_the_whole_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    with pytest.raises(CommandError, match="sh -c did not end within 1 s"):
        command.run(["sh", "-c", f"sleep 600 & echo $! > {pid_file}; wait"], deadline=Deadline(1))
    assert time.monotonic() - started < 10
    assert gone(int(pid_file.read_text()))


def test_leaving_the_block_ends_a_started_program() -> None:
    with command.started(["sh", "-c", "echo line; exec sleep 600"]) as process:
        assert process.stdout
        assert process.stdout.readline() == "line\n"
    assert process.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal of a parent's death")
def test_a_killed_parent_takes_its_programs_along() -> None:
    code = (
        "from ansible_collections.trinode.platform.plugins.module_utils import command\n"
        "with command.started(['sleep', '600']) as process:\n"
        "    print(process.pid, flush=True)\n"
        "    process.wait()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / ".collections")}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    assert gone(pid)
