"""The programs of the lab: built from Go modules (and one C file) into the cache, by the hash of everything that goes in."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from trinode_lab import host
from trinode_lab.errors import LabError
from trinode_lab.settings import ROOT, cache_directory

TALOS_VERSION = "v1.13.8"
ARGO_CD_VERSION = "3.2.0"
SEALED_SECRETS_VERSION = "0.32.0"
KUBERNETES_VERSION = "v1.36.3"

_MAJOR, _MINOR = KUBERNETES_VERSION.removeprefix("v").split(".")[:2]
_TALOS = "github.com/siderolabs/talos/pkg/machinery/version"
_KUBERNETES = "k8s.io/component-base/version"
_CNI = "github.com/containernetworking/plugins/plugins"


@dataclass(frozen=True)
class Tool:
    """A unit of the build. ``packages`` maps a program's name to its Go package in the module at ``directory`` (relative to tests/lab)."""

    name: str
    directory: str
    packages: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)
    static_c: bool = False

    @property
    def source(self) -> Path:
        return ROOT / self.directory

    def key(self) -> str:
        """Hash of the module's own files and of how it is built."""
        digest = hashlib.sha256(repr((self.packages, sorted(self.variables.items()), self.static_c, _go_version())).encode())
        files = [path for pattern in ("*.go", "go.mod", "go.sum", "*.c") for path in self.source.rglob(pattern)]
        for path in sorted(files):
            if not path.name.endswith("_test.go"):
                digest.update(f"{path.relative_to(self.source)}\0".encode() + path.read_bytes())
        return digest.hexdigest()[:16]

    @property
    def directory_built(self) -> Path:
        return cache_directory() / f"{self.name}-{self.key()}"

    def program(self, name: str = "") -> Path:
        return self.directory_built / (name or self.name)

    @property
    def built(self) -> bool:
        return self.directory_built.is_dir()

    def build(self, output: Path) -> None:
        """Compile into ``output``. Raises LabError with the compiler's words."""
        flags = ["-s", "-w", *(f"-X {name}={value}" for name, value in self.variables.items())]
        command = ["go", "build", "-trimpath", "-mod=mod", "-buildvcs=false"]
        if self.static_c:
            command += ["-tags", "netgo osusergo"]
            flags += ["-extldflags", '"-static"']
        environment = {**os.environ, "CGO_ENABLED": "1" if self.static_c else "0"}
        for name, package in self.packages.items():
            _run(self.name, [*command, "-ldflags", " ".join(flags), "-o", str(output / name), package], self.source, environment)


@dataclass(frozen=True)
class CProgram(Tool):
    """A program that is one C file."""

    def build(self, output: Path) -> None:
        _run(self.name, ["gcc", "-O2", "-Wall", "-o", str(output / self.name), f"{self.name}.c"], self.source, dict(os.environ))


_TALOS_VARIABLES = {f"{_TALOS}.Tag": TALOS_VERSION, f"{_TALOS}.Name": "Talos"}

TALOSCTL = Tool("talosctl", "tools/talos", {"talosctl": "github.com/siderolabs/talos/cmd/talosctl"}, _TALOS_VARIABLES)
MACHINED = Tool("machined", "tools/talos", {"machined": "github.com/siderolabs/talos/internal/app/machined"}, _TALOS_VARIABLES)
HYPER = Tool(
    "hyper",
    "tools/hyper",
    {"hyper": "."},
    {
        f"{_KUBERNETES}.gitVersion": KUBERNETES_VERSION,
        f"{_KUBERNETES}.gitMajor": _MAJOR,
        f"{_KUBERNETES}.gitMinor": _MINOR,
        f"{_KUBERNETES}.gitCommit": "lab",
        f"{_KUBERNETES}.gitTreeState": "clean",
    },
)
CONTAINERD = Tool(
    "containerd", "tools/containerd", {name: f"github.com/containerd/containerd/v2/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2")}
)
RUNC = Tool("runc", "tools/runc", {"runc": "github.com/opencontainers/runc"}, static_c=True)
CNI = Tool(
    "cni",
    "tools/cni",
    {
        "bridge": f"{_CNI}/main/bridge",
        "ptp": f"{_CNI}/main/ptp",
        "loopback": f"{_CNI}/main/loopback",
        "host-local": f"{_CNI}/ipam/host-local",
        "portmap": f"{_CNI}/meta/portmap",
    },
)
HELM = Tool("helm", "tools/helm", {"helm": "helm.sh/helm/v3/cmd/helm"})
ARGOCD = Tool(
    "argocd",
    "tools/argocd",
    {"argocd": "github.com/argoproj/argo-cd/v3/cmd"},
    {"github.com/argoproj/argo-cd/v3/common.version": ARGO_CD_VERSION},
)
SEALED_SECRETS = Tool(
    "sealed_secrets",
    "tools/sealed_secrets",
    {name: f"github.com/bitnami-labs/sealed-secrets/cmd/{name}" for name in ("controller", "kubeseal")},
    {"main.VERSION": SEALED_SECRETS_VERSION},
)
KIND = Tool("kind", "tools/kind", {"kind": "sigs.k8s.io/kind"})
STUB = Tool("stub", "stub", {"stub": "."})
RUNC_WRAP = Tool("runc_wrap", "runc_wrap", {"runc_wrap": "."})
SHIM = CProgram("shim", "shim", {})
FRONT = Tool("front", "front", {"front": "."})


def has_front() -> bool:
    return (FRONT.source / "go.mod").exists()


def wanted(front: bool = True) -> list[Tool]:
    """What this host needs, longest first."""
    tools = [ARGOCD, TALOSCTL, HYPER, MACHINED, HELM, SEALED_SECRETS, CONTAINERD, RUNC, CNI, STUB]
    tools += [FRONT] if front and has_front() else []
    tools += [RUNC_WRAP] if host.needs_runc_wrap() else []
    tools += [SHIM] if host.needs_shim() else []
    return tools


def build(todo: Sequence[Tool]) -> None:
    """Build, two at a time: one links (a single core) while the next compiles. Prints a line for each."""
    running: dict[str, float] = {}
    lock = threading.Lock()
    finished = threading.Event()

    def work(tool: Tool) -> float:
        started = time.monotonic()
        with lock:
            running[tool.name] = started
        print(f"  {tool.name}: building", flush=True)
        try:
            _install(tool)
        finally:
            with lock:
                del running[tool.name]
        return time.monotonic() - started

    def report() -> None:
        while not finished.wait(30):
            with lock:
                parts = [f"{name} {time.monotonic() - since:.0f} s" for name, since in running.items()]
            print(f"  ... still building: {', '.join(parts)}", flush=True)

    if not todo:
        return
    print(f"building {len(todo)} tool(s) into {cache_directory()}: {', '.join(tool.name for tool in todo)}", flush=True)
    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            futures = {pool.submit(work, tool): tool for tool in todo}
            for number, future in enumerate(as_completed(futures), 1):
                try:
                    print(f"  {futures[future].name}: built in {future.result():.0f} s ({number} of {len(todo)})", flush=True)
                except LabError:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
    finally:
        finished.set()


def _install(tool: Tool) -> None:
    with scratch() as temporary:
        output = temporary / "built"
        output.mkdir()
        tool.build(output)
        publish(output, tool.directory_built)


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory in the cache to build in. What killed builds left there is removed on the way."""
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    for left in cache.glob(".building-*"):
        if not Path(f"/proc/{left.name.split('-')[1]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".building-{os.getpid()}-", dir=cache) as temporary:
        yield Path(temporary)


def publish(directory: Path, target: Path) -> None:
    """Move a finished directory to its place in the cache; another process may have put the same there meanwhile."""
    try:
        directory.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def user_programs() -> Path:
    """The directory of links that users and tests put on PATH: talosctl, helm, kubectl, kubeseal, argocd."""
    links = {
        "talosctl": TALOSCTL.program(),
        "helm": HELM.program(),
        "kubectl": HYPER.program(),
        "kubeseal": SEALED_SECRETS.program("kubeseal"),
        "argocd": ARGOCD.program(),
    }
    key = hashlib.sha256(repr(sorted((name, str(path)) for name, path in links.items())).encode()).hexdigest()[:16]
    target = cache_directory() / f"bin-{key}"
    if not target.is_dir():
        with scratch() as temporary:
            output = temporary / "bin"
            output.mkdir()
            for name, path in links.items():
                (output / name).symlink_to(path)
            publish(output, target)
    return target


def _run(name: str, command: list[str], directory: Path, environment: dict[str, str]) -> None:
    result = subprocess.run(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"{name}: build failed in {directory}\n$ {' '.join(command)}\n{(result.stderr or result.stdout).strip()[-4000:]}")


@cache
def _go_version() -> str:
    return subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
