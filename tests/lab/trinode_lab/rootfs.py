"""The machines' root file system: one read-only tree in the cache, that every machine sees through an overlay.

Talos mounts files over files, so what it writes below /etc must exist; the kubelet's container binds host paths, and a missing one stops it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from trinode_lab import host, systems, tools
from trinode_lab.errors import LabError
from trinode_lab.settings import cache_directory

_DIRECTORIES = [
    "boot/EFI",
    "dev",
    "etc/cni/net.d",
    "etc/containerd",
    "etc/cri/conf.d/hosts",
    "etc/iscsi",
    "etc/kubernetes/manifests",
    "etc/nvme",
    "etc/selinux/targeted/contexts/files",
    "etc/ssl/certs",
    ".extra",
    "home",
    "media",
    "mnt",
    "oldroot",
    "opt/cni/bin",
    "opt/containerd/bin",
    "opt/containerd/lib",
    "proc",
    "root",
    "run",
    "sys",
    "system",
    "tmp",
    "usr/bin",
    "usr/etc",
    "usr/lib/firmware",
    "usr/lib/modules",
    "usr/lib/udev",
    "usr/libexec/kubernetes",
    "usr/local/lib/kubelet/credentialproviders",
    "usr/local/share",
    "usr/share/spdx",
    "usr/share/zoneinfo/Etc",
    "var",
]

_EMPTY_FILES = [
    "cri/conf.d/01-registries.part",
    "cri/conf.d/20-customization.part",
    "cri/conf.d/base-spec.json",
    "cri/conf.d/cri.toml",
    "extensions.yaml",
    "hostname",
    "hosts",
    "iscsi/initiatorname.iscsi",
    "machine-id",
    "nfsmount.conf",
    "nvme/hostid",
    "nvme/hostnqn",
    "resolv.conf",
    "selinux/targeted/contexts/files/file_contexts",
]

_LINKS = {
    "bin": "usr/bin",
    "sbin": "usr/bin",
    "lib": "usr/lib",
    "usr/sbin": "bin",
    "etc/ssl/certs/ca-certificates": "ca-certificates.crt",
    **{f"usr/bin/{name}": "init" for name in ("poweroff", "shutdown", "reboot", "dashboard")},
    **{f"usr/bin/{name}": "busybox" for name in ("mount", "umount", "sh", "ip")},
}

# Files of Talos's own source tree that its image carries.
_TALOS_FILES = {
    "hack/containerd.toml": "etc/containerd/config.toml",
    "hack/cri-containerd.toml": "etc/cri/containerd.toml",
    "hack/cri-plugin.part": "etc/cri/conf.d/00-base.part",
}


def directory() -> Path:
    digest = hashlib.sha256(Path(__file__).read_bytes() + str(host.needs_runc_wrap()).encode())
    for tool in (tools.MACHINED, tools.CONTAINERD, tools.RUNC, tools.RUNC_WRAP, tools.CNI):
        digest.update(tool.key().encode())
    return cache_directory() / f"rootfs-{digest.hexdigest()[:16]}"


def build() -> Path:
    """Make the tree if it is not there yet."""
    target = directory()
    if target.is_dir():
        return target
    print("  root file system: building", flush=True)
    with tools.scratch() as temporary:
        output = temporary / "rootfs"
        _fill(output)
        output.chmod(0o755)
        tools.publish(output, target)
    return target


def _fill(root: Path) -> None:
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in _EMPTY_FILES:
        (root / "etc" / name).touch()
    _program(tools.MACHINED.program(), root / "usr/bin/init")
    for name in tools.CONTAINERD.packages:
        _program(tools.CONTAINERD.program(name), root / "usr/bin" / name)
    if host.needs_runc_wrap():
        _program(tools.RUNC.program(), root / "usr/bin/runc.real")
        _program(tools.RUNC_WRAP.program(), root / "usr/bin/runc")
    else:
        _program(tools.RUNC.program(), root / "usr/bin/runc")
    for name in tools.CNI.packages:
        _program(tools.CNI.program(name), root / "opt/cni/bin" / name)
    busybox = host.busybox()
    assert busybox is not None  # host.check() has seen it
    shutil.copy(busybox, root / "usr/bin/busybox")
    for name, link in _LINKS.items():
        (root / name).symlink_to(link)
    source = talos_source()
    for name, path in _TALOS_FILES.items():
        shutil.copyfile(source / name, root / path)
    shutil.copyfile("/etc/ssl/certs/ca-certificates.crt", root / "etc/ssl/certs/ca-certificates.crt")
    (root / "etc/os-release").write_text(systems.os_release(tools.TALOS_VERSION))


def _program(source: Path, target: Path) -> None:
    """A hard link into the cache where possible: same bytes, no space."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def talos_source() -> Path:
    """Talos's module in Go's module cache; Go downloads it when it is not there."""
    module = "github.com/siderolabs/talos"
    command = ["go", "list", "-mod=mod", "-m", "-f", "{{.Dir}}", module]
    result = subprocess.run(command, cwd=tools.MACHINED.source, capture_output=True, text=True, check=False)
    if result.returncode or not result.stdout.strip():
        result = subprocess.run(["go", "mod", "download", module], cwd=tools.MACHINED.source, capture_output=True, text=True, check=False)
        if result.returncode:
            raise LabError(f"{module}: cannot be downloaded: {result.stderr.strip()}")
        result = subprocess.run(command, cwd=tools.MACHINED.source, capture_output=True, text=True, check=True)
    return Path(result.stdout.strip())
