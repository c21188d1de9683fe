# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real Argo CD as processes on this machine, against a real API server, with the settings of our own role; and a Git repository for it."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import apply
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Request

ROOT = Path(__file__).parents[2]
REDIS = "redis-check-rdb"
NAMESPACE = "argocd"
_TOOL = ROOT / "tests" / "lab" / "tools" / "argocd"
_START_SECONDS = 90


def find_program() -> Path | None:
    """Argo CD's program: TRINODE_ARGOCD, else as the lab built it."""
    if named := os.environ.get("TRINODE_ARGOCD"):
        return Path(named)
    answer = subprocess.run([str(ROOT / "tests" / "lab" / "lab"), "bin"], capture_output=True, text=True, timeout=300, check=False)
    program = Path(answer.stdout.strip()) / "argocd"
    return program.resolve() if answer.returncode == 0 and program.exists() else None


def definitions() -> list[dict[str, Any]]:
    """Argo CD's own definitions, from the Go module that the program is built of."""
    environment = {**os.environ, "GOFLAGS": "-mod=mod"}
    command = ["go", "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-cd/v3"]
    answer = subprocess.run(command, cwd=_TOOL, env=environment, capture_output=True, text=True, timeout=300, check=True)
    files = sorted((Path(answer.stdout.strip()) / "manifests" / "crds").glob("*-crd.yaml"))
    return [yaml.safe_load(file.read_text()) for file in files]


@dataclass
class Origin:
    """The user's repository: bare, with one branch."""

    directory: Path

    @property
    def url(self) -> str:
        return f"file://{self.directory}"

    def __post_init__(self) -> None:
        self._git("init", "--quiet", "--bare", "--initial-branch=main", str(self.directory))

    def commit(self, changes: Mapping[str, str | None], message: str = "a change") -> str:
        """Put files into a new commit on top of the branch, or take them away (None). Returns the commit."""
        index = self.directory / "index.test"
        environment = {"GIT_DIR": str(self.directory), "GIT_INDEX_FILE": str(index)}
        head = self._git("rev-parse", "--quiet", "--verify", "refs/heads/main", check=False, environment=environment)
        self._git("read-tree", head or "--empty", environment=environment)
        for path, text in changes.items():
            if text is None:
                # Without a work tree: a mode of 0 takes the path out.
                self._git("update-index", "--index-info", environment=environment, text=f"0 {'0' * 40}\t{path}\n")
            else:
                blob = self._git("hash-object", "-w", "--stdin", environment=environment, text=text)
                self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", environment=environment)
        tree = self._git("write-tree", environment=environment)
        commit = self._git("commit-tree", tree, "-m", message, *(["-p", head] if head else []), environment=environment)
        self._git("update-ref", "refs/heads/main", commit, environment=environment)
        return commit

    def publish(self, directory: Path, to: str) -> str:
        """Commit a whole directory; files that it does not have any more go."""
        there = self._git("ls-tree", "-r", "--name-only", "main", "--", f"{to}/", check=False, environment={"GIT_DIR": str(self.directory)}).splitlines()
        changes: dict[str, str | None] = dict.fromkeys(there)
        changes.update({f"{to}/{file.name}": file.read_text() for file in directory.iterdir()})
        return self.commit(changes)

    def _git(self, *arguments: str, check: bool = True, environment: Mapping[str, str] | None = None, text: str = "") -> str:
        author = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "t"), ("EMAIL", "t@example.com"))}
        variables = {**os.environ, **author, **(environment or {})}
        result = subprocess.run(["git", *arguments], input=text, capture_output=True, text=True, env=variables, check=check, timeout=300)
        return result.stdout.strip() if result.returncode == 0 else ""


@dataclass
class ArgoCd:
    """Argo CD's processes, by their names; each can be ended and started again."""

    program: Path
    directory: Path
    kubeconfig: Path
    client: Client
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        for name in names:
            argv, variables = self._command(name)
            # Redis is a server when it is called by that name; Debian's package of the tools has it by another.
            program = shutil.which(REDIS) if name == "redis" else None
            with (self.directory / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    argv,
                    executable=program,
                    env=self._environment(variables),
                    cwd=self.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            if name in ("redis", "repo-server"):
                self._await_port(name)

    def stop(self, *names: str) -> None:
        for name in names:
            process = self.processes.pop(name)
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(timeout=300)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def freeze(self, name: str, *, thaw: bool = False) -> None:
        self.processes[name].send_signal(signal.SIGCONT if thaw else signal.SIGSTOP)

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()[-4000:]

    def _port(self, name: str) -> int:
        if name not in self.ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.ports[name] = int(probe.getsockname()[1])
        return self.ports[name]

    def _command(self, name: str) -> tuple[list[str], dict[str, str]]:
        redis = f"127.0.0.1:{self._port('redis')}"
        if name == "redis":
            return ["redis-server", "--bind", "127.0.0.1", "--port", str(self._port("redis")), "--save", "", "--appendonly", "no"], {}
        repo_server = f"127.0.0.1:{self._port('repo-server')}"
        options = {
            "repo-server": [
                *("--address", "127.0.0.1", "--port", str(self._port("repo-server")), "--disable-tls"),
                *("--metrics-address", "127.0.0.1", "--metrics-port", str(self._port("repo-server-metrics"))),
            ],
            "application-controller": [
                *("--kubeconfig", str(self.kubeconfig), "--namespace", NAMESPACE, "--repo-server", repo_server, "--repo-server-plaintext"),
                *("--metrics-port", str(self._port("controller-metrics")), "--server-side-diff-enabled", "--persist-resource-health"),
                *("--status-processors", "4", "--operation-processors", "2", "--kubectl-parallelism-limit", "4"),
            ],
            "applicationset-controller": [
                *("--kubeconfig", str(self.kubeconfig), "--namespace", NAMESPACE, "--argocd-repo-server", repo_server, "--repo-server-plaintext"),
                *("--metrics-addr", f"127.0.0.1:{self._port('set-metrics')}", "--probe-addr", f"127.0.0.1:{self._port('set-probe')}"),
                *("--webhook-addr", f"127.0.0.1:{self._port('set-webhook')}"),
            ],
        }[name]
        if name != "applicationset-controller":
            options += ["--redis", redis]
        return [str(self.program), *options, "--loglevel", "info"], {"ARGOCD_BINARY_NAME": f"argocd-{name}"}

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        home = self.directory / "home"
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return {
            **kept,
            "HOME": str(home),
            "TMPDIR": str(home),
            "GOMAXPROCS": "2",
            # Its own cluster is that of the kubeconfig.
            "ARGOCD_FAKE_IN_CLUSTER": "true",
            "KUBECONFIG": str(self.kubeconfig),
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_TLS_DATA_PATH": str(home),
            "ARGOCD_SSH_DATA_PATH": str(home),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **variables,
        }

    def _await_port(self, name: str) -> None:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            assert self.processes[name].poll() is None, self.log(name)
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port(name)), timeout=1):
                return
            time.sleep(0.1)
        raise AssertionError(f"{name} does not listen: {self.log(name)}")


def missing() -> str:
    """Why Argo CD cannot run here; "" where it can."""
    if find_program() is None:
        return "no Argo CD: run `tests/lab/lab build`, or set TRINODE_ARGOCD"
    if shutil.which(REDIS) is None:
        return f"no {REDIS}: install Debian's package redis-tools"
    return "" if shutil.which("go") else "no go: Argo CD's definitions come from its Go module"


@contextlib.contextmanager
def running(directory: Path, kubeconfig: Path, client: Client) -> Iterator[ArgoCd]:
    """Argo CD in the cluster of a kubeconfig. Ends its processes by pid."""
    program = find_program()
    assert program is not None
    (directory / "home").mkdir()
    objects = [*definitions(), *_settings()]
    apply.apply(client, objects, Request(force=True), Deadline(120))
    started = ArgoCd(program, directory, kubeconfig, client)
    try:
        started.start("redis", "repo-server", "application-controller", "applicationset-controller")
        yield started
    finally:
        for name in list(started.processes):
            started.stop(name)


def _settings() -> list[dict[str, Any]]:
    """What the chart makes of our role's values, as far as the processes read it."""
    role = yaml.safe_load((ROOT / "roles" / "argo_cd" / "vars" / "main.yml").read_text())
    configured: dict[str, str] = {}
    for key, value in role["argo_cd_platform_values"]["configs"]["cm"].items():
        text = str(value).replace("{{ argo_cd_application_health }}", role["argo_cd_application_health"])
        if "{{" not in text:
            configured[key] = text
    labels = {"app.kubernetes.io/part-of": "argocd"}

    def item(kind: str, name: str, **content: Any) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}, **content}

    secret = {"server.secretkey": base64.b64encode(os.urandom(32)).decode()}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        item("ConfigMap", "argocd-cm", data=configured),
        *(item("ConfigMap", name) for name in ("argocd-cmd-params-cm", "argocd-rbac-cm", "argocd-ssh-known-hosts-cm", "argocd-tls-certs-cm")),
        item("Secret", "argocd-secret", stringData=secret),
    ]
