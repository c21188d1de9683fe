"""Processes of the lab: known by pid and start time, so that a reused pid is never taken for ours."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trinode_lab.errors import LabError


def start_time(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


@dataclass(frozen=True)
class Process:
    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        started = start_time(pid)
        return None if started is None else cls(pid, started)

    @property
    def alive(self) -> bool:
        return start_time(self.pid) == self.started

    def end(self, number: int = signal.SIGKILL, wait: float = 10.0) -> bool:
        """Send a signal to exactly this process and wait until it is gone. False when it still lives after ``wait`` seconds."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if not self.alive:  # checked with the handle held: from here the pid cannot be reused under us
                return True
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            return bool(select.select([handle], [], [], wait)[0])
        finally:
            os.close(handle)


class Record:
    """A file that says which process plays a part in the lab."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, pid: int) -> None:
        process = Process.of(pid)
        if process is None:
            raise LabError(f"{self.path.stem}: process {pid} ended at once")
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps({"pid": process.pid, "started": process.started}))
        temporary.replace(self.path)

    def read(self) -> Process | None:
        """The process, if it still lives."""
        try:
            found = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        process = Process(found["pid"], found["started"])
        return process if process.alive else None


def start_daemon(module: str, arguments: Sequence[str], log: Path, enter: Callable[[], None]) -> subprocess.Popen[bytes]:
    """Start a module of the lab in a session of its own. ``enter`` runs in the new process before anything else, to put it in the lab's cgroup."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1]), "PYTHONUNBUFFERED": "1"}
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=environment,
            preexec_fn=enter,
        )


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.05) -> bool:
    """Poll a condition for which the kernel has no event. False when it is still untrue after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True
