"""The Docker that runs the nodes: the host's where it answers, otherwise a daemon of our own that is ended with the last cluster."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from trinode_lab import host
from trinode_lab.errors import LabError
from trinode_lab.processes import Record, wait_until
from trinode_lab.settings import cache_directory
from trinode_lab.tools import Tool

from trinode_kind.settings import state_root

DAEMON_SECONDS = 60.0
STOP_SECONDS = 30.0
PROGRAMS = {"dockerd": "docker.io", "docker": "docker.io", "containerd": "containerd", "runc": "runc", "iptables": "iptables"}

# As in the lab's machines: what stands before runc where root lacks CAP_SYS_RESOURCE. With real charts it asks the API server of its control plane.
RUNTIME = Tool("kind_runtime", "runc_wrap", {"runtime": "."}, {"main.runc": "/usr/sbin/runc", "main.server": "https://127.0.0.1:6443"})


@dataclass(frozen=True)
class Docker:
    """A Docker daemon. ``socket`` is None for the host's own, with whatever DOCKER_HOST and context say."""

    socket: Path | None

    def environment(self) -> dict[str, str]:
        return {**os.environ, **({"DOCKER_HOST": f"unix://{self.socket}"} if self.socket else {})}

    def run(self, *arguments: str, check: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
        """``docker ARGUMENTS``. Raises LabError with Docker's words."""
        defaults = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
        result = subprocess.run(["docker", *arguments], env=self.environment(), check=False, **{**defaults, **options})  # type: ignore[call-overload]
        if check and result.returncode:
            raise LabError(f"docker {' '.join(arguments[:3])}: {(result.stderr or result.stdout or '').strip()}")
        return result  # type: ignore[no-any-return]

    @property
    def answers(self) -> bool:
        if not shutil.which("docker"):
            return False
        try:
            return self.run("info", "--format", "{{.ServerVersion}}", check=False, timeout=20).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def has_image(self, name: str) -> bool:
        return self.run("image", "inspect", name, check=False).returncode == 0

    def containers(self, condition: str = "") -> list[str]:
        """Names of containers, running or not: all, or those of a filter of Docker's."""
        return self.run("ps", "--all", "--format", "{{.Names}}", *(["--filter", condition] if condition else [])).stdout.split()


def _directory() -> Path:
    return state_root() / ".docker"  # no cluster's name begins with a dot


def _own() -> Docker:
    return Docker(_directory() / "socket")


def standing() -> Docker | None:
    """The daemon that clusters use now: ours when it runs, the host's when it answers, None when there is none."""
    if Record(_directory() / "process").read() is not None:
        return _own()
    docker = Docker(None)
    return docker if docker.answers and usable() else None


def usable() -> bool:
    """Whether the host's Docker can run kind's nodes: they are privileged, and the host may not have all of what that means."""
    return not host.needs_shim()


def start() -> Docker:
    """The standing daemon, or a new one of ours."""
    docker = standing()
    if docker is None:
        _install()
        # Debian's package may have started the host's daemon.
        docker = standing()
    return docker or _start_own()


def _install() -> None:
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program)})
    if missing:
        host.install_packages(missing)
    if still := [program for program in PROGRAMS if not shutil.which(program)]:
        raise LabError(f"no Docker daemon answers, and one cannot be started without {', '.join(still)}: install Docker")


def _start_own() -> Docker:
    directory = _directory()
    directory.mkdir(parents=True, exist_ok=True)
    docker = _own()
    for left in (directory / "pid", directory / "socket"):
        left.unlink(missing_ok=True)
    settings: dict[str, object] = {
        "data-root": str(cache_directory() / "docker"),
        "exec-root": str(directory / "exec"),
        "pidfile": str(directory / "pid"),
        "hosts": [f"unix://{docker.socket}"],
        "storage-driver": "overlay2",
        # Nodes speak to each other and to this host alone. So the host's packet filter and forwarding stay as they are: Docker's own rules would cut off
        # the lab's bridges.
        "bridge": "none",
        "iptables": False,
        "ip6tables": False,
        "ip-forward": False,
        "ip-masq": False,
    }
    if host.needs_runc_wrap():
        settings |= {"runtimes": {"wrapped": {"path": str(RUNTIME.program("runtime"))}}, "default-runtime": "wrapped"}
    (directory / "daemon.json").write_text(json.dumps(settings, indent=2))
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            ["dockerd", "--config-file", str(directory / "daemon.json")], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    Record(directory / "process").write(process.pid)
    if not wait_until(lambda: process.poll() is not None or docker.answers, DAEMON_SECONDS, 0.2) or process.poll() is not None:
        _stop_own()
        raise LabError(f"dockerd did not come up; its log: {directory / 'log'}")
    return docker


def stop_if_unused() -> None:
    """End our own daemon when no container is left in it, and remove what is not its cache."""
    if Record(_directory() / "process").read() is not None and not _own().containers():
        _stop_own()
        shutil.rmtree(_directory())
        with contextlib.suppress(OSError):
            state_root().rmdir()  # only when no cluster is in it


def _stop_own() -> None:
    """In order, so that dockerd ends its containerd; its data (the node image) stays in the cache."""
    process = Record(_directory() / "process").read()
    if process is not None and not process.end(signal.SIGTERM, STOP_SECONDS):
        process.end(signal.SIGKILL)
    (_directory() / "process").unlink(missing_ok=True)
