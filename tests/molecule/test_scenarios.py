"""Molecule's scenarios, each a test: `make test-molecule`. TRINODE_MOLECULE_SCENARIOS names others than these, or all; see docs/testing.md."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# One that makes the nodes Ready, one with webhooks, one with secrets, and one that judges all the others' objects.
SCENARIOS = ("cilium", "cert_manager", "sealed_secrets", "kyverno")
CREATE_SECONDS = 2400
SCENARIO_SECONDS = 1200
SHOWN = 12000


def chosen() -> list[str]:
    names = os.environ.get("TRINODE_MOLECULE_SCENARIOS", "").replace(",", " ").split() or list(SCENARIOS)
    there = sorted(path.parent.name for path in (ROOT / "extensions/molecule").glob("*/molecule.yml"))
    return [name for name in there if name != "default"] if names == ["all"] else names


def molecule(*arguments: str, seconds: int) -> str:
    """Run molecule; its output, which is the message of the failure when it fails."""
    programs = subprocess.run([sys.executable, "tests/kind/kind", "bin"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    path = os.pathsep.join([str(Path(sys.executable).parent), programs, os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1", "MOLECULE_COMMAND_BORDERS": "false"}
    command = [sys.executable, "-m", "molecule", *arguments]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=seconds
    )
    if result.returncode:
        pytest.fail(f"molecule {' '.join(arguments)}:\n{result.stdout[-SHOWN:]}", pytrace=False)
    return result.stdout


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """The cluster of scenario default, made anew, and removed when all are done."""
    subprocess.run([sys.executable, "tests/kind/kind", "build"], cwd=ROOT, check=True, timeout=CREATE_SECONDS)
    molecule("destroy", seconds=SCENARIO_SECONDS)
    try:
        molecule("create", seconds=CREATE_SECONDS)
        yield
    finally:
        molecule("destroy", seconds=SCENARIO_SECONDS)


@pytest.mark.parametrize("scenario", chosen())
def test_scenario(cluster: None, scenario: str) -> None:
    """Installed, the same again without a change, verified; damaged, healed, verified."""
    output = molecule("test", "--scenario-name", scenario, "--destroy", "never", seconds=SCENARIO_SECONDS)
    for step in ("idempotence", "side_effect", "verify"):
        assert f"{scenario} > {step}: Executed: Successful" in output
