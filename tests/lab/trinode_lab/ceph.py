"""The lab's Ceph: real daemons of this computer's Debian packages, in pods of the machines (tests/lab/rook). Where the packages are missing and cannot be
installed, the charts' doubles only write the status of a Ceph that is not there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trinode_lab import host, tools
from trinode_lab.errors import LabError
from trinode_lab.settings import ROOT, Machine, Settings

PROGRAMS = ("ceph", "ceph-mon", "ceph-mgr", "ceph-osd", "ceph-mds", "radosgw", "radosgw-admin", "ceph-bluestore-tool", "rados")
PACKAGES = ("ceph-mon", "ceph-mgr", "ceph-osd", "ceph-mds", "radosgw", "ceph-common")
SIMULATED = "Ceph is simulated in status only: {missing} are missing and could not be installed (Debian packages {packages})"

PYTHON = "/usr/bin/python3"  # Debian's, which has Ceph's modules
POOL = "lab-writer"

# Where a machine sees what it has of this computer, and its own disks.
PLACE = ".lab"
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "etc/alternatives", "etc/ssl")
_LIBRARIES = "etc/ld.so.cache"


def missing() -> list[str]:
    """The programs of Ceph that are not there; Ceph's Python module counts as one."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if subprocess.run([PYTHON, "-c", "import rados"], capture_output=True, check=False).returncode:
        absent.append("python3-rados")
    return absent


def install() -> None:
    """Install Ceph where apt can; say so where Ceph is not there then."""
    if missing() and shutil.which("apt-get"):
        print(f"installing Debian packages: {' '.join(PACKAGES)}", flush=True)
        host.install_packages(list(PACKAGES))
    if absent := missing():
        print(SIMULATED.format(missing=", ".join(absent), packages=" ".join(PACKAGES)), file=sys.stderr, flush=True)


def prepare(settings: Settings) -> Path | None:
    """Copy the programs of Rook's double into the lab's state, so that a lab that stands stays as it is. None where Ceph is not there."""
    if missing():
        return None
    (settings.state / "volumes").mkdir()
    # A copy: a package that is installed later replaces the file, and a mount of the old one can then not be mounted on.
    shutil.copy2(Path("/", _LIBRARIES), settings.state / "ld.so.cache")
    target = settings.state / "rook"
    shutil.copytree(ROOT / "rook", target, ignore=shutil.ignore_patterns("__pycache__", "*.md"))
    return target


def binds(settings: Settings, machine: Machine) -> list[dict[str, Any]]:
    """What a machine sees of this computer, for boot.py. Its pods mount it from there (tests/lab/rook/pods.py)."""
    found = [_bind(Path("/", name).resolve(), f"{PLACE}/host/{name}") for name in _SYSTEM if Path("/", name).exists()]
    found.append(_bind(settings.state / "ld.so.cache", f"{PLACE}/host/{_LIBRARIES}"))
    found.append(_bind(settings.state / "rook", f"{PLACE}/rook"))
    found.append(_bind(machine.directory, f"{PLACE}/machine", writable=True))
    found.append(_bind(settings.state / "volumes", f"{PLACE}/volumes", writable=True))
    found.append(_bind(settings.timeline, f"{PLACE}/timeline.jsonl", writable=True))
    return found


def _bind(source: Path, target: str, *, writable: bool = False) -> dict[str, Any]:
    return {"source": str(source), "target": target, "writable": writable}


def run(settings: Settings, arguments: Sequence[str]) -> int:
    """Run Ceph's command in the toolbox pod, as a person would; its exit code."""
    return subprocess.run([*_toolbox(settings), "ceph", *arguments], check=False).returncode


def write(settings: Settings, report: Path) -> None:
    """Become the writer (rook/writer.py), which writes into the pool lab-writer until it is told to end."""
    pools = json.loads(_ask(settings, "ceph", "osd", "pool", "ls", "--format=json"))
    if POOL not in pools:
        _ask(settings, "ceph", "osd", "pool", "create", POOL, "8", "8", "replicated")
        _ask(settings, "ceph", "osd", "pool", "application", "enable", POOL, "lab")
    directory = settings.state / "ceph"
    directory.mkdir(mode=0o700, exist_ok=True)
    keyring = directory / "keyring"
    keyring.write_text(_ask(settings, "cat", "/etc/ceph/keyring"))
    configuration = directory / "ceph.conf"
    configuration.write_text(f"{_ask(settings, 'cat', '/etc/ceph/ceph.conf')}\n[client]\nkeyring = {keyring}\n")
    program = str(settings.state / "rook" / "writer.py")
    os.execv(PYTHON, [PYTHON, program, "--conf", str(configuration), "--pool", POOL, "--report", str(report.absolute())])


def _toolbox(settings: Settings) -> list[str]:
    """What runs a command in the toolbox pod."""
    kubeconfig = settings.cluster / "kubeconfig"
    if not settings.parts().get("ceph"):
        raise LabError(SIMULATED.format(missing="Ceph's programs", packages=" ".join(PACKAGES)))
    if not kubeconfig.exists():
        raise LabError(f"there is no cluster yet: {kubeconfig} does not exist")
    return [str(tools.user_programs() / "kubectl"), f"--kubeconfig={kubeconfig}", "--namespace=rook-ceph", "exec", "deploy/rook-ceph-tools", "--"]


def _ask(settings: Settings, *arguments: str) -> str:
    result = subprocess.run([*_toolbox(settings), *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"`{' '.join(arguments)}` in the toolbox: {result.stderr.strip()}")
    return result.stdout
