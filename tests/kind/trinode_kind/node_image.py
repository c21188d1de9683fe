"""The images that kind starts, where the stock ones cannot be had: a node from Debian's packages and the lab's Kubernetes, and the load balancer's stand-in.

What kind itself puts into a node image (entrypoint, units, settings) comes from its Go module at build time. Images of pods are not in the node: it pulls
every one from the lab's registry.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from trinode_lab import host, tools
from trinode_lab.errors import LabError
from trinode_lab.settings import cache_directory
from trinode_lab.tools import Tool

from trinode_kind.docker import RUNTIME, Docker
from trinode_kind.images import PAUSE

# The image that kind 0.33 starts before several control planes.
BALANCER_IMAGE = "docker.io/envoyproxy/envoy:v1.36.2"
BALANCER = Tool("kind_balancer", "../kind/balancer", {"envoy": "."})

_SUITE = "bookworm"
_PACKAGES = (
    "systemd,systemd-sysv,conntrack,iptables,nftables,iproute2,ethtool,kmod,libseccomp2,ca-certificates,jq,procps,containerd,runc,containernetworking-plugins"
)
_PLUGINS = ("host-local", "loopback", "ptp", "portmap")
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian", "var/cache/apt/archives", "var/lib/apt/lists")
# As kind's own Dockerfile trims systemd.
_UNITS_REMOVED = (
    "lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
    "lib/systemd/system/multi-user.target.wants/*",
    "etc/systemd/system/*.wants/*",
    "lib/systemd/system/local-fs.target.wants/*",
    "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sockets.target.wants/*initctl*",
    "lib/systemd/system/basic.target.wants/*",
)
_DEBOOTSTRAP_SECONDS = 1200


def wanted_tools() -> list[Tool]:
    return [tools.HYPER, BALANCER, *([RUNTIME] if host.needs_runc_wrap() else [])]


def node_name() -> str:
    """The node image's name; its tag is the hash of everything that goes in."""
    digest = hashlib.sha256(Path(__file__).read_bytes() + PAUSE.encode())
    for tool in (tools.KIND, *wanted_tools()):
        digest.update(tool.key().encode())
    return f"trinode/node:{digest.hexdigest()[:16]}"


def ensure(docker: Docker) -> str:
    """The node image's name, after both images are in Docker."""
    name = node_name()
    if not docker.has_image(name):
        print("  node image: building", flush=True)
        with tools.scratch() as temporary:
            root = temporary / "root"
            _base(root)
            _assemble(root)
            _import(docker, root, name, "ENV container=docker", 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]')
    if not docker.has_image(BALANCER_IMAGE):
        with tools.scratch() as temporary:
            root = temporary / "root"
            _balancer(root)
            _import(docker, root, BALANCER_IMAGE, "ENV PATH=/usr/local/bin:/bin")
    return name


def _base(root: Path) -> None:
    """Debian with what a node needs, from the cache or by debootstrap (a minute)."""
    key = hashlib.sha256(f"{_SUITE} {_PACKAGES}".encode()).hexdigest()[:16]
    cached = cache_directory() / f"kind_base-{key}"
    if not cached.is_dir():
        if not shutil.which("debootstrap"):
            host.install_packages(["debootstrap"])
        print(f"  Debian {_SUITE}: debootstrap", flush=True)
        with tools.scratch() as temporary:
            command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(temporary / "base")]
            result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_DEBOOTSTRAP_SECONDS)
            if result.returncode:
                raise LabError(f"debootstrap failed:\n{(result.stdout + result.stderr).strip()[-2000:]}")
            for left in _UNUSED:
                shutil.rmtree(temporary / "base" / left, ignore_errors=True)
            tools.publish(temporary / "base", cached)
    subprocess.run(["cp", "--archive", str(cached), str(root)], check=True)


def _assemble(root: Path) -> None:
    _kind_files(root)
    _containerd(root)
    _systemd(root)
    hyper = root / "usr/local/bin/hyper"
    shutil.copy2(tools.HYPER.program(), hyper)
    for program in ("kubelet", "kubeadm", "kubectl"):
        _link(root / "usr/bin" / program, "/usr/local/bin/hyper")
    for plugin in _PLUGINS:
        _link(root / "opt/cni/bin" / plugin, f"/usr/lib/cni/{plugin}")
    (root / "etc/cni/net.d").mkdir(parents=True, exist_ok=True)
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    (root / "kind/manifests").mkdir(parents=True)
    (root / "kind/version").write_text(tools.KUBERNETES_VERSION)
    # kind applies it to every cluster. Nothing provisions volumes of it: components that store data come with a storage class of their own.
    (root / "kind/manifests/default-storage.yaml").write_text(
        json.dumps(
            {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "StorageClass",
                "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
                "provisioner": "trinode.lab/host-path",
                "volumeBindingMode": "WaitForFirstConsumer",
            }
        )
    )


def _kind_files(root: Path) -> None:
    shutil.copytree(_kind_source() / "images/base/files", root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("LICENSES", "*fuse-overlayfs*"))
    for pattern in ("usr/local/bin/*", "kind/bin/*"):
        for script in root.glob(pattern):
            script.chmod(0o755)
    # Modules of Go are read-only; a node writes into these.
    for path in (root / "etc/default/kubelet", root / "etc/containerd/config.toml"):
        path.chmod(0o644)


def _kind_source() -> Path:
    command = ["go", "list", "-mod=mod", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kind"]
    return Path(subprocess.run(command, cwd=tools.KIND.source, capture_output=True, text=True, check=True).stdout.strip())


def _containerd(root: Path) -> None:
    """Debian's containerd in place of kind's, its settings without what a host like this one cannot give."""
    unit = root / "etc/systemd/system/containerd.service"
    lines = unit.read_text().replace("/usr/local/bin/containerd", "/usr/bin/containerd").splitlines()
    unit.chmod(0o644)
    unit.write_text("".join(f"{line}\n" for line in lines if not line.startswith(("Limit", "OOMScoreAdjust")) and "modprobe" not in line))
    config = root / "etc/containerd/config.toml"
    kept = [part for part in config.read_text().split("\n\n") if "fuse-overlayfs.sock" not in part]
    text = "\n\n".join(kept).replace("registry.k8s.io/pause:3.10", PAUSE)
    if host.needs_shim():
        text = text.replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    config.write_text(text)
    specification = json.loads(_in(root, "ctr", "oci", "spec"))
    specification["process"].pop("rlimits", None)
    (root / "etc/containerd/cri-base.json").write_text(json.dumps(specification))
    if host.needs_runc_wrap():
        # Before /usr/sbin/runc in the unit's PATH.
        (root / "usr/local/sbin").mkdir(parents=True, exist_ok=True)
        shutil.copy2(RUNTIME.program("runtime"), root / "usr/local/sbin/runc")


def _systemd(root: Path) -> None:
    for pattern in _UNITS_REMOVED:
        for path in root.glob(pattern):
            path.unlink()
    with (root / "etc/systemd/journald.conf").open("a") as file:
        file.write("ReadKMsg=no\n")
    _link(root / "sbin/init", "/usr/lib/systemd/systemd")
    _in(root, "systemctl", "enable", "kubelet.service", "containerd.service", "undo-mount-hacks.service")
    _in(root, "systemctl", "mask", "systemd-binfmt.service")


def _balancer(root: Path) -> None:
    """The stand-in and the few commands that kind runs beside it, from the node's Debian (kind asks for bash)."""
    base = root.parent / "base"
    _base(base)
    for program in ("bash", "sh", "cat", "cp", "mv", "mkdir", "chmod", "sleep"):
        path = Path(_in(base, "sh", "-c", f"readlink -f $(command -v {program})").strip())
        wanted = [path, *(Path(word) for word in _in(base, "ldd", str(path)).split() if word.startswith("/"))]
        for file in wanted:
            target = root / (f"bin/{program}" if file == path else str(file).lstrip("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(base / str(file).lstrip("/"), target)
    for directory in ("tmp", "home/envoy", "etc", "usr/local/bin"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    shutil.copy2(BALANCER.program("envoy"), root / "usr/local/bin/envoy")


def _in(root: Path, *command: str) -> str:
    """Output of a program of the image's own."""
    result = subprocess.run(["chroot", str(root), *command], capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"{' '.join(command)} in the node image: {result.stderr.strip()}")
    return result.stdout


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _import(docker: Docker, root: Path, name: str, *changes: str) -> None:
    """Stream the tree into Docker as an image of one layer."""
    command = ["docker", "import", *(word for change in changes for word in ("--change", change)), "-", name]
    with subprocess.Popen(["tar", "--directory", str(root), "--numeric-owner", "--create", "."], stdout=subprocess.PIPE) as archive:
        result = subprocess.run(command, env=docker.environment(), stdin=archive.stdout, capture_output=True, text=True, check=False)
    if result.returncode or archive.returncode:
        raise LabError(f"docker import {name}: {result.stderr.strip() or 'tar failed'}")
