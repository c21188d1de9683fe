"""Drives the lab and the playbooks for the end-to-end tests."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner
import yaml

ROOT = Path(__file__).resolve().parents[3]
LAB = ROOT / "tests" / "lab" / "lab"
INVENTORY = ROOT / "inventory" / "lab"
_LOOP_SECONDS = 0.35
# What makes nodes Ready: enough where a test is about machines.
NETWORK_ONLY = ("gateway_api", "prometheus_operator_crds", "cilium")


def slowness() -> float:
    """How many times slower than the computer that limits of seconds were set on (1 where it is as fast or faster), with all cores at work as in a run."""
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores) as pool:
        return max(1.0, max(pool.map(_loop, range(cores))) / _LOOP_SECONDS)


def _used_by_children() -> float:
    """Processor seconds of the programs that were started from here and have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _loop(_number: int) -> float:
    started = time.process_time()
    for _turn in range(10_000_000):
        pass
    return time.process_time() - started


@dataclass(frozen=True)
class PlaybookRun:
    """A finished ansible-playbook: exit code, what it printed, seconds it took, those of processors that it and its programs used, and the recap by host."""

    returncode: int
    output: str
    seconds: float
    processor_seconds: float = 0.0
    stats: dict[str, dict[str, int]] = field(default_factory=dict)

    def total(self, counter: str) -> int:
        """Sum of one of the recap's counters (``changed``, ``failures``, ``dark``, ``ok``) over all hosts."""
        return sum(self.stats.get(counter, {}).values())


@dataclass(frozen=True)
class Lab:
    """One lab, by name and address block, so that several can stand side by side."""

    name: str
    network: str
    state: Path
    machines: int = 3

    @property
    def environment(self) -> dict[str, str]:
        """What makes the lab's command and ``inventory/lab`` speak of this lab."""
        return {
            "TRINODE_LAB_NAME": self.name,
            "TRINODE_LAB_NETWORK": self.network,
            "TRINODE_LAB_MACHINES": str(self.machines),
            "TRINODE_LAB_STATE": str(self.state),
        }

    def address(self, machine: int) -> str:
        """The address of machine 1, 2, ..."""
        return f"{self.network.rsplit('.', 1)[0]}.{10 + machine}"

    def command(self, *arguments: str, timeout: float = 120, check: bool = True) -> str:
        """Run the lab's command and return what it printed."""
        result = subprocess.run(
            [sys.executable, LAB, *arguments], env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and result.returncode:
            raise AssertionError(f"lab {' '.join(arguments)} failed with {result.returncode}:\n{result.stdout}\n{result.stderr}")
        return result.stdout

    def up(self, *options: str) -> None:
        self.command("up", *options)

    def down(self) -> None:
        self.command("down")

    def again(self) -> None:
        """Machines as new: everything of the last cluster is gone, its credentials on this side too."""
        self.down()
        self.up()

    def wait_for_stage(self, machine: str, stage: str, seconds: float = 60) -> None:
        """Until a machine is in a stage of Talos ("maintenance", "running"). The lab's status is all there is to look at."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = {entry["name"]: entry["stage"] for entry in json.loads(self.command("status", "--json"))["machines"]}
            if found[machine] == stage:
                return
            time.sleep(0.5)
        raise AssertionError(f"{machine} is not {stage} after {seconds:.0f} s")

    def timeline(self) -> list[dict[str, Any]]:
        """Everything that happened to the machines, oldest first."""
        file = self.state / "timeline.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def changes(self) -> list[dict[str, Any]]:
        """The events of the timeline that changed a machine."""
        return [event for event in self.timeline() if event.get("changes")]

    def _environment_of_ansible(self) -> dict[str, str]:
        programs = self.command("bin").strip()
        path = os.pathsep.join((programs, str(Path(sys.executable).parent), os.environ.get("PATH", "")))
        return {
            **self.environment,
            "PATH": path,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_VAULT_PASSWORD_FILE": str(self.state / "vault-password"),
        }

    def inventory(self, components: Sequence[str] | None = NETWORK_ONLY) -> Path:
        """``inventory/lab`` with the lab's machines and these components only; None means all components."""
        if components is None:
            return INVENTORY
        directory = self.state / "inventory"
        directory.mkdir(exist_ok=True)
        hosts = yaml.safe_load((INVENTORY / "hosts.yml").read_text())
        groups = hosts["all"]["children"]
        groups["components"]["hosts"] = dict.fromkeys(components)
        groups["machines"]["hosts"] = dict(list(groups["machines"]["hosts"].items())[: self.machines])
        (directory / "hosts.yml").write_text(yaml.safe_dump(hosts))
        share_settings(directory)
        return directory

    def playbook(
        self, playbook: str, *, variables: dict[str, Any] | None = None, options: str = "", components: Sequence[str] | None = NETWORK_ONLY
    ) -> PlaybookRun:
        """Run a playbook of the checkout on this lab, to its end, with these components in the inventory (None: all)."""
        started, used = time.monotonic(), _used_by_children()
        with tempfile.TemporaryDirectory(prefix="trinode-runner-") as private:
            run = ansible_runner.run(
                private_data_dir=private,
                project_dir=str(ROOT),
                playbook=str(ROOT / playbook),
                inventory=[str(self.inventory(components))],
                extravars=variables or {},
                envvars=self._environment_of_ansible(),
                cmdline=options,
                quiet=True,
            )
            seconds = time.monotonic() - started
            return PlaybookRun(run.rc, run.stdout.read(), seconds, _used_by_children() - used, dict(run.stats or {}))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl printed, with this lab's cluster."""
        program = Path(self.command("bin").strip()) / "kubectl"
        argv = [str(program), "--kubeconfig", str(self.state / "cluster" / "kubeconfig"), *arguments]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=True, timeout=60).stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def killed_playbook(
        self,
        playbook: str,
        after: float,
        *,
        once: Callable[[], bool] | None = None,
        variables: dict[str, Any] | None = None,
        components: Sequence[str] | None = NETWORK_ONLY,
    ) -> bool:
        """Start a playbook and end it with SIGKILL ``after`` seconds, or as soon as ``once`` is true, as a lost terminal or a power cut would.

        True when it was killed, False when it had come to its end before.
        """
        program, inventory = Path(sys.executable).parent / "ansible-playbook", self.inventory(components)
        argv = [str(program), str(ROOT / playbook), "-i", str(inventory), "-e", json.dumps(variables or {})]
        end = time.monotonic() + after
        with subprocess.Popen(
            argv, cwd=ROOT, env={**os.environ, **self._environment_of_ansible()}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None:
                if time.monotonic() >= end or (once is not None and once()):
                    process.send_signal(signal.SIGKILL)
                    return True
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(min(0.1, max(0.0, end - time.monotonic())) if once else max(0.0, end - time.monotonic()))
        return False


def share_settings(directory: Path) -> None:
    """Give an inventory the settings of ``inventory/lab``, where it has none yet."""
    for name in ("group_vars", "this_lab.py"):
        if not (directory / name).exists():
            (directory / name).symlink_to(INVENTORY / name)


def failed(run: PlaybookRun, *texts: str, within: float) -> None:
    """The run failed in time, with every one of ``texts`` in what it printed, and without a traceback."""
    assert run.returncode != 0
    assert run.seconds < within
    assert "Traceback" not in run.output
    said = " ".join(run.output.split())  # without the line breaks that Ansible makes
    for text in texts:
        assert text in said, run.output
