"""What the registry serves to kind's nodes: the lab's images, and Kubernetes' own under the tags that kubeadm asks for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from trinode_lab import images, tools
from trinode_lab.errors import LabError

PAUSE = f"registry.k8s.io/pause:{images.PAUSE_VERSION}"


def write(directory: Path) -> None:
    """A registry's directory with the lab's blobs and an index of its own."""
    lab = lab_images()
    directory.mkdir(parents=True)
    (directory / "blobs").symlink_to(lab / "blobs")
    index: dict[str, dict[str, str]] = json.loads((lab / "index.json").read_text())
    for name in _kubeadm_images(directory):
        repository, tag = name.split("/", 1)[1].rsplit(":", 1)
        tags = index.get(repository)
        if tags is None:
            raise LabError(f"kubeadm asks for {name}, and the lab has no image {repository}")
        tags.setdefault(tag, next(iter(tags.values())))
    (directory / "index.json").write_text(json.dumps(index, indent=1))


def _kubeadm_images(directory: Path) -> list[str]:
    """``registry.k8s.io/etcd:3.6.8-0`` and so on, as the lab's kubeadm names them."""
    kubeadm = directory / "kubeadm"
    kubeadm.symlink_to(tools.HYPER.program())
    command = [str(kubeadm), "config", "images", "list", "--kubernetes-version", tools.KUBERNETES_VERSION]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    kubeadm.unlink()
    if result.returncode:
        raise LabError(f"kubeadm config images list: {result.stderr.strip()}")
    return result.stdout.split()


def lab_images() -> Path:
    """The lab's images, made where they are missing."""
    return images.build()
