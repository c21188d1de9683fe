"""The lab's container images, made by hand: OCI manifests over two plain tar layers, which every Kubernetes image shares.

One layer instead of one per program, not compressed: a machine pulls and unpacks it once for each of containerd's namespaces.
Layout: ``blobs/sha256/<hex>`` and ``index.json`` (repository without host -> {tag: manifest digest}, with ``"*"`` for any other name or tag).
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trinode_lab import host, tools
from trinode_lab.settings import cache_directory

# The names that Talos 1.13.8 asks for (pkg/machinery/constants and pkg/images).
ETCD_VERSION = "v3.6.12"
PAUSE_VERSION = "3.10.1"
COREDNS_VERSION = "v1.14.6"
# The same programs as of the lab's version, which say that they are these: there is something to upgrade to.
NEXT_KUBERNETES_VERSION = "v1.36.4"
KUBERNETES_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
ANY = "*"
AGENT = "cilium/cilium"
ARGO_CD = "argoproj/argocd"
SEALED_SECRETS = "bitnami/sealed-secrets-controller"
# As the charts of one Redis and of three name it.
REDIS = ("library/redis", "docker/library/redis")

# The parts that argocd plays, by the name that it is called by.
_ARGO_CD_NAMES = ("server", "repo-server", "application-controller", "applicationset-controller", "notifications", "dex", "cmp-server", "k8s-auth")
# What a lab of a few components on two cores needs; where a chart sets one of these, the chart's counts. gpg is not in the image.
_ARGO_CD_ENVIRONMENT = {
    "GOMAXPROCS": "1",
    "GOGC": "50",
    "ARGOCD_APPLICATION_CONTROLLER_STATUS_PROCESSORS": "4",
    "ARGOCD_APPLICATION_CONTROLLER_OPERATION_PROCESSORS": "2",
    "ARGOCD_APPLICATION_CONTROLLER_KUBECTL_PARALLELISM_LIMIT": "4",
    "ARGOCD_GPG_ENABLED": "false",
    "USER": "argocd",
    "HOME": "/home/argocd",
}
_INTERFACE = b"<!doctype html><title>Argo CD</title><p>Argo CD, the real one, without its user interface, which the lab does not build.\n"

# What the platform's own probes and a look around in a pod need.
_BUSYBOX_APPLETS = (
    *("mount", "umount", "ip", "ls", "cat", "sleep", "wget", "base64", "tr", "grep", "sed", "head", "env", "ps", "nslookup", "nc", "true", "test"),
    *("cp", "ln", "id"),
    *("dd", "sha256sum", "sync", "mv", "rm", "touch", "mkdir", "df"),
)
_BUSYBOX_NAMES = ("bin/sh", "usr/sbin/nsenter", *(f"usr/bin/{name}" for name in _BUSYBOX_APPLETS))
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


def directory() -> Path:
    """Where the images of the current tools are, built or not."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for tool in (tools.HYPER, tools.STUB, tools.HELM, tools.ARGOCD, tools.SEALED_SECRETS):
        digest.update(tool.key().encode())
    return cache_directory() / f"images-{digest.hexdigest()[:16]}"


def build() -> Path:
    """Make the images if they are not there yet."""
    target = directory()
    if target.is_dir():
        return target
    print("  images: building", flush=True)
    with tools.scratch() as temporary:
        output = temporary / "images"
        (output / "blobs" / "sha256").mkdir(parents=True)
        _Writer(output).write_all()
        tools.publish(output, target)
    return target


def _with_libraries(program: Path) -> dict[str, Path]:
    """A program of this computer with the libraries that it is linked against, by their paths in an image."""
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    paths = [program, *(Path(match) for match in re.findall(r"(/\S+) \(0x", listed))]
    return {str(path).lstrip("/"): path.resolve() for path in paths}


class _Writer:
    def __init__(self, output: Path) -> None:
        self.blobs = output / "blobs" / "sha256"
        self.index: dict[str, dict[str, str]] = {}
        self.file = output / "index.json"

    def write_all(self) -> None:
        busybox = host.busybox()
        assert busybox is not None  # host.check() has seen it
        base = self.layer({"usr/bin/busybox": busybox}, dict.fromkeys(_BUSYBOX_NAMES, "/usr/bin/busybox"), {"etc/passwd": b"root:x:0:0::/root:/bin/sh\n"})
        hyper = self.hyper(tools.HYPER.program())
        stub = self.layer({"usr/local/bin/stub": tools.STUB.program()}, {"pause": "usr/local/bin/stub"}, {})
        # Talos mounts its /run at the kubelet's /var/run, and looks for the socket of the CRI in /run: in Talos's image the one is a link to the other.
        kubelet = self.layer({}, {"var/run": "/run"}, {})
        for version, layer in ((tools.KUBERNETES_VERSION, hyper), (NEXT_KUBERNETES_VERSION, self.newer())):
            for name in KUBERNETES_PROGRAMS:
                self.image(name, version, [base, layer], f"/usr/local/bin/{name}")
            self.image("siderolabs/kubelet", version, [base, layer, kubelet], "/usr/local/bin/kubelet")
        self.image("etcd", ETCD_VERSION, [base, hyper], "/usr/local/bin/etcd")
        self.image("coredns/coredns", COREDNS_VERSION, [base, hyper], "/usr/local/bin/coredns")
        self.image("pause", PAUSE_VERSION, [stub], "/pause")
        # As its users know it: root's.
        self.image("library/busybox", ANY, [base, stub], "")
        # The double of Cilium's agent runs kube-proxy, which runs nft.
        self.image(AGENT, ANY, [base, hyper, self.layer(_with_libraries(host.program("nft")), {}, {}), stub], "/usr/local/bin/stub")
        self.delivery(base)
        # Not root, as the images of most charts: some want it so (runAsNonRoot) without naming a user.
        self.image(ANY, ANY, [base, stub], "/usr/local/bin/stub", environment=["GOMAXPROCS=1", "GOGC=50"], user="65532")
        self.file.write_text(json.dumps(self.index, indent=1))

    def hyper(self, program: Path) -> dict[str, Any]:
        """Kubernetes, etcd and CoreDNS, which are one program."""
        names = [*KUBERNETES_PROGRAMS, "kubelet", "etcd", "coredns", "kubectl"]
        links = {f"usr/local/bin/{name}": "hyper" for name in names} | {"coredns": "usr/local/bin/hyper"}
        return self.layer({"usr/local/bin/hyper": program}, links, {})

    def newer(self) -> dict[str, Any]:
        """The same, with another version written into it, as long as its own."""
        now, then = tools.KUBERNETES_VERSION.encode(), NEXT_KUBERNETES_VERSION.encode()
        assert len(now) == len(then)
        program = self.file.with_name("hyper")
        program.write_bytes(tools.HYPER.program().read_bytes().replace(now, then))
        try:
            return self.hyper(program)
        finally:
            program.unlink()

    def delivery(self, base: dict[str, Any]) -> None:
        """The real Argo CD and Sealed Secrets, and Redis, as the users of their own images. Argo CD's has git and helm."""
        argocd = self.layer({"usr/local/bin/argocd": tools.ARGOCD.program()}, {f"usr/local/bin/argocd-{name}": "argocd" for name in _ARGO_CD_NAMES}, {})
        core = Path("/usr/lib/git-core")
        programs = {**_with_libraries(host.program("git")), **_with_libraries(core / "git-remote-http"), "usr/local/bin/helm": tools.HELM.program()}
        links = {"usr/lib/git-core/git": "/usr/bin/git", "usr/lib/git-core/git-remote-https": "git-remote-http"}
        texts = {"etc/passwd": b"root:x:0:0::/root:/bin/sh\nargocd:x:999:999::/home/argocd:/bin/sh\n", "shared/app/index.html": _INTERFACE}
        authorities = Path("/etc/ssl/certs/ca-certificates.crt")
        if authorities.exists():
            texts["etc/ssl/certs/ca-certificates.crt"] = authorities.read_bytes()
        helpers = self.layer(programs, links, texts)
        environment = [f"{name}={value}" for name, value in _ARGO_CD_ENVIRONMENT.items()]
        self.image(ARGO_CD, ANY, [base, helpers, argocd], "", environment=environment, user="999")
        redis = _with_libraries(host.program("redis-check-rdb")) | _with_libraries(host.program("redis-cli"))
        layer = self.layer(redis, {"usr/bin/redis-server": "redis-check-rdb"}, {})
        for name in REDIS:
            self.image(name, ANY, [base, layer], "redis-server", user="999")
        controller = self.layer({"usr/local/bin/controller": tools.SEALED_SECRETS.program("controller")}, {}, {})
        self.image(SEALED_SECRETS, ANY, [base, controller], "controller", environment=["GOMAXPROCS=1", "GOGC=50"], user="1001")

    def layer(self, files: Mapping[str, Path], links: Mapping[str, str], texts: Mapping[str, bytes]) -> dict[str, Any]:
        """A layer's descriptor. Times and owners are fixed, so the same content has the same digest."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            paths = [*files, *links, *texts]
            parents = {str(parent) for path in paths for parent in Path(path).parents} - {"."} | {"tmp"}
            for parent in sorted(parents):
                entry = tarfile.TarInfo(parent)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if parent == "tmp" else 0o755
                archive.addfile(entry)
            for path, source in files.items():
                self._add(archive, path, source.read_bytes(), 0o755)
            for path, text in texts.items():
                self._add(archive, path, text, 0o644)
            for path, target in links.items():
                entry = tarfile.TarInfo(path)
                entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
                archive.addfile(entry)
        return self.blob(buffer.getvalue(), _LAYER)

    @staticmethod
    def _add(archive: tarfile.TarFile, path: str, content: bytes, mode: int) -> None:
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode = len(content), mode
        archive.addfile(entry, io.BytesIO(content))

    def blob(self, content: bytes, kind: str) -> dict[str, Any]:
        name = hashlib.sha256(content).hexdigest()
        (self.blobs / name).write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(content)}

    def image(self, repository: str, tag: str, layers: list[dict[str, Any]], entrypoint: str, *, environment: Sequence[str] = (), user: str = "") -> None:
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                **({"Entrypoint": [entrypoint]} if entrypoint else {}),
                "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *environment],
                "User": user,
            },
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
        content = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": self.blob(json.dumps(config).encode(), _CONFIG), "layers": layers}
        self.index.setdefault(repository, {})[tag] = self.blob(json.dumps(content).encode(), _MANIFEST)["digest"]
