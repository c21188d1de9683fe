"""The talosctl that the contract tests call: TRINODE_TALOSCTL, else the one in PATH, else the lab's own."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@functools.cache
def _found() -> str:
    given = os.environ.get("TRINODE_TALOSCTL")
    if given:
        return given
    in_path = shutil.which("talosctl")
    if in_path:
        return in_path
    lab = CHECKOUT / "tests" / "lab" / "lab"
    if lab.exists():
        answer = subprocess.run([lab, "bin"], capture_output=True, text=True, check=False, timeout=300)
        program = Path(answer.stdout.strip()) / "talosctl"
        if answer.returncode == 0 and program.is_file():
            return str(program)
    return ""


def talosctl() -> str:
    """Its path; skips the test, with the reason, where there is none."""
    program = _found()
    if not program:
        pytest.skip("no talosctl: set TRINODE_TALOSCTL, put it into PATH, or build the lab's tools with `tests/lab/lab build`")
    return program
