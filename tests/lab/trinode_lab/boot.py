"""Boots one machine: namespaces, root file system, Talos's init as PID 1. Waits for its end and exits with what it asked for.

Run by the supervisor as ``python -m trinode_lab.boot SPECIFICATION`` (under the shim where the host needs it), where the specification is JSON:
``{namespace, cgroup: [parts], rootfs, directory, hostname, files: {name: text}, binds: [{source, target, writable}]}``; names and targets are below the
machine's root.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Any

from trinode_lab import cgroups, kernel

# How this program exits: what the machine asked for as it ended.
EXIT_REBOOT = 40
EXIT_POWEROFF = 41
EXIT_CRASH = 42
EXIT_CUT = 43

_DEVICES = {
    "null": (1, 3, 0o666),
    "zero": (1, 5, 0o666),
    "full": (1, 7, 0o666),
    "random": (1, 8, 0o666),
    "urandom": (1, 9, 0o666),
    "tty": (5, 0, 0o666),
    "kmsg": (1, 11, 0o644),
}
# Mount points of their own, which Talos expects (pkg/machinery/constants.Overlays); their content is new at each boot.
_OVERLAYS = ("etc/cni", "etc/kubernetes", "usr/libexec/kubernetes", "opt")


def main(specification: dict[str, Any]) -> int:
    kernel.die_with_parent()
    kernel.enter_network(Path(specification["namespace"]))
    kernel.unshare(kernel.CLONE_NEWPID | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC)
    child = os.fork()
    if child == 0:
        try:
            kernel.die_with_parent()
            _init(specification)
        except OSError as error:
            print(f"lab: the machine cannot boot: {error}", flush=True)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    return _meaning(status)


def _meaning(status: int) -> int:
    """reboot(2) in a PID namespace ends its init by SIGHUP (restart) or SIGINT (halt, power off), see pid_namespaces(7)."""
    if os.WIFSIGNALED(status):
        return {signal.SIGHUP: EXIT_REBOOT, signal.SIGINT: EXIT_POWEROFF, signal.SIGKILL: EXIT_CUT}.get(signal.Signals(os.WTERMSIG(status)), EXIT_CRASH)
    return EXIT_CRASH


def _init(specification: dict[str, Any]) -> None:
    """PID 1 of the machine, until it becomes Talos. It alone is in the machine's control group, which is the root of its cgroup namespace."""
    group = cgroups.Group(*specification["cgroup"])
    group_paths = {name: str(path) for name, path in group.paths.items()}
    group.add(cgroups.MYSELF)
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWCGROUP)
    directory = Path(specification["directory"])
    root = _root(Path(specification["rootfs"]), directory / "root")
    socket.sethostname(specification["hostname"])
    (root / "etc/hostname").write_text(f"{specification['hostname']}\n")
    for name, text in specification["files"].items():
        (root / name).write_text(text)
    kernel.mount("proc", root / "proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    kernel.mount("sysfs", root / "sys", "sysfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    _cgroups(root / "sys/fs/cgroup", group_paths)
    _devices(root / "dev")
    for name in ("run", "system", "tmp"):
        kernel.mount("tmpfs", root / name, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    (root / "system/state").mkdir()
    kernel.mount(str(directory / "state"), root / "system/state", flags=kernel.MS_BIND)
    kernel.mount(str(directory / "var"), root / "var", flags=kernel.MS_BIND)
    for name in _OVERLAYS:
        kernel.mount(str(root / name), root / name, flags=kernel.MS_BIND)
    for bind in specification["binds"]:
        _bind(Path(bind["source"]), root / bind["target"], writable=bind["writable"])
    os.chdir(root)
    kernel.pivot_root(".", "oldroot")
    os.chdir("/")
    kernel.unmount("/oldroot", kernel.MNT_DETACH)
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_SHARED)
    os.execve("/usr/bin/init", ["/sbin/init"], {"PLATFORM": "container", "PATH": "/usr/bin", "HOME": "/root", "container": "lab"})


def _root(lower: Path, mount_point: Path) -> Path:
    """The shared read-only tree under a layer in memory, so that nothing is copied and each boot starts clean."""
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", mount_point, "tmpfs", 0, "mode=755")
    for name in ("upper", "work", "merged"):
        (mount_point / name).mkdir()
    merged = mount_point / "merged"
    kernel.mount("overlay", merged, "overlay", 0, f"lowerdir={lower},upperdir={mount_point}/upper,workdir={mount_point}/work")
    return merged


def _bind(source: Path, target: Path, *, writable: bool) -> None:
    """A directory or a file of this computer in the machine."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    kernel.mount(str(source), target, flags=kernel.MS_BIND)
    if not writable:
        kernel.mount("", target, flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NODEV)


def _cgroups(target: Path, group_paths: dict[str, str]) -> None:
    """The machine's own control groups as the root ones: kubelets of two machines never share a group."""
    if "unified" in group_paths:
        kernel.mount("cgroup2", target, "cgroup2", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
        return
    kernel.mount("tmpfs", target, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC, "mode=755")
    for name, path in group_paths.items():
        (target / name).mkdir()
        kernel.mount(path, target / name, flags=kernel.MS_BIND)


def _devices(target: Path) -> None:
    """Real device nodes: the kubelet's container binds /dev without what is mounted below it."""
    kernel.mount("tmpfs", target, "tmpfs", kernel.MS_NOSUID, "mode=755")
    for name, (major, minor, mode) in _DEVICES.items():
        os.mknod(target / name, mode | stat.S_IFCHR, os.makedev(major, minor))
        (target / name).chmod(mode)
    (target / "fd").symlink_to("/proc/self/fd")
    for name in ("pts", "shm"):
        (target / name).mkdir()
    kernel.mount("devpts", target / "pts", "devpts", kernel.MS_NOSUID | kernel.MS_NOEXEC, "mode=620,ptmxmode=666")
    (target / "ptmx").symlink_to("pts/ptmx")
    kernel.mount("tmpfs", target / "shm", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
