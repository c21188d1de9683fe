# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is measured: our kube_apply and kubernetes.core.k8s as tasks of ansible-playbook, kubectl as a process, and the bare loop."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loads import Load

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trinode-bench"
_SECONDS = 1800


@dataclass(frozen=True)
class Task:
    """One task of a playbook run: seconds from its beginning to its end, when it ended (seconds since 1970), and whether it changed something."""

    seconds: float
    ended: float
    changed: bool


class Playbooks:
    """ansible-playbook of one environment, in a directory for its files."""

    def __init__(self, program: Path, directory: Path) -> None:
        self._program = program
        self._directory = directory
        directory.mkdir(exist_ok=True)

    def run(self, tasks: Sequence[dict[str, Any]]) -> list[Task]:
        """Run the tasks in one play; raises RuntimeError with the output when it fails."""
        plays = [{"hosts": "localhost", "gather_facts": False, "connection": "local", "tasks": list(tasks)}]
        playbook, durations = self._directory / "playbook.json", self._directory / "durations"
        playbook.write_text(json.dumps(plays))
        durations.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": f"{CHECKOUT}/.collections",
            "ANSIBLE_CALLBACK_PLUGINS": str(CHECKOUT / "tests" / "bench" / "callback"),
            "ANSIBLE_CALLBACKS_ENABLED": "durations",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "TRINODE_BENCH_DURATIONS": str(durations),
            "TRINODE_PROGRESS": "0",
            "LC_ALL": "C.UTF-8",
        }
        argv = [str(self._program), "-i", "localhost,", str(playbook)]
        answer = subprocess.run(argv, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS)
        if answer.returncode:
            raise RuntimeError(f"ansible-playbook failed: {answer.stdout[-2000:]}{answer.stderr[-1000:]}")
        rows = [json.loads(line) for line in durations.read_text().splitlines()]
        return [Task(row["ended"] - row["began"], row["ended"], row["changed"]) for row in rows]


class Ours:
    """kube_apply with an ApplySet: one task, all files."""

    name = "trinode.platform.kube_apply"

    def __init__(self, directory: Path) -> None:
        self._playbooks = Playbooks(Path(sys.executable).parent / "ansible-playbook", directory)

    def apply(self, kubeconfig: Path, servers: Sequence[str], load: Load, *, changed: bool) -> float:
        [task] = self._playbooks.run([self.task(kubeconfig, servers=list(servers), files=[str(path) for path in load.files], apply_set=load.files[0].stem)])
        if task.changed is not changed:
            raise RuntimeError(f"changed is {task.changed}, and not {changed}")
        return task.seconds

    def tasks(self, kubeconfig: Path, count: int, **options: Any) -> list[Task]:
        return self._playbooks.run([self.task(kubeconfig, **options)] * count)

    def task(self, kubeconfig: Path, *, apply_set: str = "", **options: Any) -> dict[str, Any]:
        members = {"apply_set": {"name": apply_set, "namespace": "kube-system"}} if apply_set else {}
        return {"trinode.platform.kube_apply": {"kubeconfig": str(kubeconfig), "wait": False, "timeout": _SECONDS, **members, **options}}


class KubernetesCore:
    """kubernetes.core.k8s of the package ansible: a task for what goes first, one to wait for the definitions, one for the rest."""

    name = "kubernetes.core.k8s, all in one call"

    def __init__(self, directory: Path) -> None:
        self._playbooks = Playbooks(CACHE / "venv" / "bin" / "ansible-playbook", directory)

    @staticmethod
    def unavailable() -> str:
        """Why it cannot be measured, empty when it can. Installs the package once, from the package index that pip uses."""
        program = CACHE / "venv" / "bin" / "ansible-playbook"
        if program.exists():
            return ""
        CACHE.mkdir(parents=True, exist_ok=True)
        sys.stdout.write("bench: installing the package ansible for kubernetes.core\n")
        for argv in ([sys.executable, "-m", "venv", CACHE / "venv"], [CACHE / "venv" / "bin" / "pip", "install", "--quiet", "ansible", "kubernetes"]):
            answer = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_SECONDS)
            if answer.returncode:
                return f"the package ansible cannot be installed: {answer.stderr.strip().splitlines()[-1]}"
        return ""

    def apply(self, kubeconfig: Path, load: Load) -> float:
        tasks = [self.task(kubeconfig, src=str(load.files[0]))]
        if any(item["kind"] == "CustomResourceDefinition" for item in load.first):
            tasks.append({"ansible.builtin.command": {"argv": [str(shutil.which("kubectl")), "--kubeconfig", str(kubeconfig), *_ESTABLISHED]}})
        return sum(task.seconds for task in self._playbooks.run([*tasks, self.task(kubeconfig, src=str(load.files[1]))]))

    def tasks(self, kubeconfig: Path, objects: Sequence[dict[str, Any]], **options: Any) -> list[Task]:
        """One call an object."""
        return self._playbooks.run([self.task(kubeconfig, definition=item, **options) for item in objects])

    def task(self, kubeconfig: Path, **options: Any) -> dict[str, Any]:
        # Python 3.13 wants extensions that the test's certificates lack, as those of many clusters do, and there is no option for that alone.
        applied = {"apply": True, "validate_certs": False, "server_side_apply": {"field_manager": "core", "force_conflicts": True}}
        return {"kubernetes.core.k8s": {"kubeconfig": str(kubeconfig), "state": "present", **applied, **options}}


_ESTABLISHED = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=600s"]


class Kubectl:
    """kubectl apply --server-side on the files."""

    name = "kubectl apply --server-side"

    def apply(self, kubeconfig: Path, load: Load) -> float:
        started = time.monotonic()
        self.run(kubeconfig, *_SERVER_SIDE, "-f", str(load.files[0]))
        if any(item["kind"] == "CustomResourceDefinition" for item in load.first):
            self.run(kubeconfig, *_ESTABLISHED)
        self.run(kubeconfig, *_SERVER_SIDE, "-f", str(load.files[1]))
        return time.monotonic() - started

    def run(self, kubeconfig: Path, *arguments: str) -> None:
        argv = ["kubectl", "--kubeconfig", str(kubeconfig), *arguments]
        answer = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=_SECONDS)
        if answer.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {answer.stderr[-1000:]}")


_SERVER_SIDE = ("apply", "--server-side", "--force-conflicts", "--field-manager=kubectl-bench")
