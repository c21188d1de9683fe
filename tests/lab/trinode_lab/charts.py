"""The chart repository of a lab or of a kind cluster: the doubles, and real charts in their place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from trinode_lab import tools
from trinode_lab.errors import LabError

BUILDER = Path(__file__).resolve().parents[1] / "charts" / "build.py"


def make(directory: Path, *, ceph: bool = False) -> None:
    """Write the repository's files. ``ceph``: Rook's double runs a real Ceph. LAB_CHARTS: a directory of real charts, or the URL of a repository with some."""
    real = os.environ.get("LAB_CHARTS")
    command = [sys.executable, str(BUILDER), "--out", str(directory), *(["--real", real] if real else []), *(["--ceph"] if ceph else [])]
    environment = {**os.environ, "PATH": f"{tools.user_programs()}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"the chart repository cannot be made: {result.stderr.strip()}")
    print(result.stdout, end="", flush=True)
