# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running programs: argv lists only, always under a deadline, the whole process group ended when it passes, and nothing that outlives us."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Looked up here, since a process between fork and exec should do as little as it can.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def end_with_parent() -> None:
    """End this process when the one that started it ends, however that ends (Linux; elsewhere it does nothing).

    A run that is killed then leaves no worker and no program behind that would go on with what the next run is doing.
    """
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass(frozen=True)
class CommandResult:
    """What a finished program left: exit code, standard output and standard error as text."""

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str


def run(argv: Sequence[str], *, deadline: Deadline, stdin: str | None = None, environment: Mapping[str, str] | None = None) -> CommandResult:
    """Run a program to its end and return what it printed, whatever its exit code.

    Raises CommandError when the program is missing or does not end before the deadline.
    """
    process = _start(argv, environment, stdin is not None)
    try:
        stdout, stderr = process.communicate(stdin, timeout=deadline.remaining)
    except subprocess.TimeoutExpired as error:
        _kill(process)
        process.communicate()
        raise CommandError(f"{_name(argv)} did not end within {deadline.seconds:.0f} s", hint="Raise the timeout if the machine is slow.") from error
    except BaseException:
        _kill(process)
        raise
    return CommandResult(tuple(argv), process.returncode, stdout, stderr)


@contextlib.contextmanager
def started(argv: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A program that goes on while the caller reads its output (a watch); it is ended when the block is left."""
    process = _start(argv, environment, False)
    try:
        yield process
    finally:
        _kill(process)
        process.communicate()


def _start(argv: Sequence[str], environment: Mapping[str, str] | None, has_stdin: bool) -> subprocess.Popen[str]:
    try:
        # Not AnsibleModule.run_command: deadlines, watches and whole process groups, and there may be no AnsibleModule.
        return subprocess.Popen(  # pylint: disable=ansible-bad-function
            list(argv),
            stdin=subprocess.PIPE if has_stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509  one system call, prepared before the fork
        )
    except FileNotFoundError as error:
        raise CommandError(f"the program {argv[0]!r} was not found", hint="Install it, or give its path.") from error
    except OSError as error:
        raise CommandError(f"the program {argv[0]!r} could not be started: {error.strerror}") from error


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _name(argv: Sequence[str]) -> str:
    return " ".join((os.path.basename(argv[0]), *argv[1:2]))
