"""What this host is and has: prerequisites, installed where apt can, and the capabilities that decide which helpers the machines need."""

from __future__ import annotations

import ctypes.util
import os
import platform
import shutil
import struct
import subprocess
import sys
from pathlib import Path

from trinode_lab import cgroups
from trinode_lab.errors import LabError

CAP_SYS_RESOURCE = 24
PT_INTERP = 3
GO_VERSION = (1, 26)

# program -> (Debian package, what it is for)
PROGRAMS = {
    "git": ("git", "the Git server, and Argo CD's repo server in a pod"),
    # The server itself: what it does goes by the name that it is called by, and the package redis-server, a service, has only a link to it.
    "redis-check-rdb": ("redis-tools", "Argo CD's cache, in a pod"),
    "gcc": ("gcc libc6-dev", "runc and the seccomp shim are C"),
    "ip": ("iproute2", "links, addresses and network namespaces"),
    "nft": ("nftables", "faults and the hardware front's redirect"),
}


def has_sys_resource() -> bool:
    """Whether root here may raise limits and lower oom_score_adj (many containers and small virtual machines may not)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return False


def needs_shim() -> bool:
    return not has_sys_resource()


def needs_runc_wrap() -> bool:
    return needs_shim() or not cgroups.unified()


def program(name: str) -> Path:
    """One of PROGRAMS, which check() has seen."""
    found = shutil.which(name)
    assert found is not None
    return Path(found)


def busybox() -> Path | None:
    """A static busybox: the machines' root file system has no libraries."""
    for candidate in ("/bin/busybox", "/usr/bin/busybox"):
        path = Path(candidate)
        if path.exists() and _static(path):
            return path
    return None


def _static(program: Path) -> bool:
    """Whether a 64-bit ELF program names no dynamic loader (has no PT_INTERP program header)."""
    image = program.read_bytes()
    offset, size, count = struct.unpack_from("<Q", image, 32)[0], *struct.unpack_from("<HH", image, 54)
    return all(struct.unpack_from("<I", image, offset + number * size)[0] != PT_INTERP for number in range(count))


def check(install: bool = True) -> None:
    """Raise LabError that names everything missing at once. Installs Debian packages first where apt can."""
    if platform.system() != "Linux":
        raise LabError("the lab needs Linux (namespaces, mounts). On another system use `talosctl cluster create`: docs/getting-started.md")
    if os.geteuid() != 0:
        raise LabError("the lab needs root (namespaces, mounts): run it with sudo")
    packages = sorted({package for program, (packages, _) in PROGRAMS.items() if not shutil.which(program) for package in packages.split()})
    if busybox() is None:
        packages.append("busybox-static")
    if shutil.which("gcc") and ctypes.util.find_library("c") and not Path("/usr/include/stdio.h").exists():
        packages.append("libc6-dev")
    if packages and install and shutil.which("apt-get"):
        print(f"installing Debian packages: {' '.join(packages)}", flush=True)
        install_packages(packages)
    missing = [f"{program} ({purpose}; Debian package {package})" for program, (package, purpose) in PROGRAMS.items() if not shutil.which(program)]
    if busybox() is None:
        missing.append("a static busybox (for the machines' root file system; Debian package busybox-static)")
    if problem := _go_problem():
        missing.append(problem)
    if "overlay" not in Path("/proc/filesystems").read_text() and subprocess.run(["modprobe", "overlay"], capture_output=True, check=False).returncode:
        missing.append("the kernel's overlay file system (modprobe overlay)")
    if missing:
        raise LabError("missing for the lab:\n  - " + "\n  - ".join(missing))


def install_packages(packages: list[str]) -> None:
    """Install Debian packages; a failure is printed, not raised: the caller looks for what it needs afterwards."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    if subprocess.run(install, env=environment, capture_output=True, check=False).returncode == 0:
        return
    subprocess.run(["apt-get", "update", "-qq"], env=environment, capture_output=True, check=False)
    result = subprocess.run(install, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        print(f"apt-get could not install {' '.join(packages)}:\n{result.stderr.strip()}", file=sys.stderr, flush=True)


def _go_problem() -> str:
    wanted = ".".join(map(str, GO_VERSION))
    if not shutil.which("go"):
        return f"go {wanted} or later (builds the tools; https://go.dev/doc/install)"
    text = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    found = tuple(int(part) for part in text.removeprefix("go").split("-")[0].split(".")[:2] if part.isdigit())
    return "" if found >= GO_VERSION else f"go {wanted} or later (found {text}; https://go.dev/doc/install)"
