"""Taking a configuration apart, and keeping the images that the upgrade of Kubernetes owns."""

from __future__ import annotations

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.documents import (
    MAIN,
    DocumentId,
    KeptImage,
    keep_kubernetes_images,
    split,
    with_images,
)

CONFIG = """\
version: v1alpha1
machine:
    type: controlplane
    kubelet:
        image: ghcr.io/siderolabs/kubelet:v1.36.3
cluster:
    apiServer:
        image: registry.k8s.io/kube-apiserver:v1.36.3
    proxy:
        disabled: true
        image: registry.k8s.io/kube-proxy:v1.36.3
    etcd:
        image: registry.k8s.io/etcd:v3.6.12
---
apiVersion: v1alpha1
kind: HostnameConfig
hostname: m1
---
apiVersion: v1alpha1
kind: RegistryMirrorConfig
name: ghcr.io
---
"""


def test_split_names_every_document() -> None:
    documents = split(CONFIG)
    assert list(documents) == [MAIN, DocumentId("v1alpha1", "HostnameConfig", ""), DocumentId("v1alpha1", "RegistryMirrorConfig", "ghcr.io")]
    assert [identity.label for identity in documents] == ["machine and cluster (v1alpha1)", "HostnameConfig", "RegistryMirrorConfig ghcr.io"]
    assert documents[MAIN]["machine"]["type"] == "controlplane"


def test_split_of_nothing() -> None:
    assert split("") == {}


def test_dates_stay_text() -> None:
    assert split("machine: {a: 2024-01-01}")[MAIN]["machine"]["a"] == "2024-01-01"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("machine: [", r"line \d: not valid YAML"),
        ("- a", "not a mapping"),
        ("apiVersion: v1alpha1\nkind: X\nname: a\n---\napiVersion: v1alpha1\nkind: X\nname: a\n", "the document X a occurs twice"),
    ],
)
def test_split_refuses(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(text)


def test_images_of_the_running_machine_are_kept() -> None:
    running = split(CONFIG.replace("kubelet:v1.36.3", "kubelet:v1.36.5").replace("apiserver:v1.36.3", "apiserver:v1.36.5"))
    kept = keep_kubernetes_images(running, split(CONFIG))
    assert kept == [
        KeptImage("kubelet", "ghcr.io/siderolabs/kubelet:v1.36.5", "ghcr.io/siderolabs/kubelet:v1.36.3"),
        KeptImage("kube-apiserver", "registry.k8s.io/kube-apiserver:v1.36.5", "registry.k8s.io/kube-apiserver:v1.36.3"),
    ]
    text = with_images(CONFIG, kept)
    assert keep_kubernetes_images(running, split(text)) == []
    changed = [(old, new) for old, new in zip(CONFIG.splitlines(), text.splitlines(), strict=True) if old != new]
    assert [new.strip() for _old, new in changed] == ["image: ghcr.io/siderolabs/kubelet:v1.36.5", "image: registry.k8s.io/kube-apiserver:v1.36.5"]


def test_an_image_that_only_one_side_names_is_the_users_choice() -> None:
    without = split(CONFIG.replace("    etcd:\n        image: registry.k8s.io/etcd:v3.6.12\n", ""))
    assert keep_kubernetes_images(without, split(CONFIG)) == []
    assert keep_kubernetes_images(split(CONFIG), without) == []


def test_a_machine_without_configuration_keeps_nothing() -> None:
    assert keep_kubernetes_images({}, split(CONFIG)) == []
    assert with_images(CONFIG, []) is CONFIG
