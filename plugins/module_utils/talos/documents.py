# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talos's machine configuration is a stream of YAML documents: one of machine and cluster (v1alpha1), and typed ones. This takes it apart. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError


class DocumentId(NamedTuple):
    """What tells one document of a configuration from another; ``kind`` and ``name`` are empty for the machine and cluster document."""

    api_version: str
    kind: str
    name: str

    @property
    def label(self) -> str:
        """For people: ``machine and cluster (v1alpha1)``, ``HostnameConfig``, ``RegistryMirrorConfig ghcr.io``."""
        if not self.kind:
            return "machine and cluster (v1alpha1)"
        return f"{self.kind} {self.name}" if self.name else self.kind


Document = dict[str, Any]
Documents = dict[DocumentId, Document]

MAIN = DocumentId("v1alpha1", "", "")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the C parser is 10 times faster where PyYAML has it
    """YAML to JSON types: dates stay strings, as in Talos."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def load_all(text: str, *, where: str) -> list[Any]:
    """Every document of a YAML stream, empty ones left out. Raises InputError that says where (file, option) and at which line."""
    try:
        return [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"not valid YAML: {error.problem or error.context}", where=f"{where}{line}") from error
    except yaml.YAMLError as error:
        raise InputError("not valid YAML", where=where) from error


def identify(document: Mapping[str, Any]) -> DocumentId:
    """The identity of one document."""
    kind = document.get("kind")
    if not kind:
        return MAIN
    return DocumentId(str(document.get("apiVersion", "")), str(kind), str(document.get("name", "")))


def split(text: str, *, where: str = "machine configuration") -> Documents:
    """Take a configuration apart, in its own order. Raises InputError for what is not a configuration or names a document twice."""
    documents: Documents = {}
    for document in load_all(text, where=where):
        if not isinstance(document, dict):
            raise InputError("a document of the configuration is not a mapping", where=where)
        identity = identify(document)
        if identity in documents:
            raise InputError(f"the document {identity.label} occurs twice", where=where)
        documents[identity] = document
    return documents


@dataclass(frozen=True)
class KeptImage:
    """A component image of Kubernetes that a running machine keeps although the rendered configuration names another."""

    component: str
    running: str
    rendered: str


# Where upgrade-k8s and the generator write the images of Kubernetes' components (v1alpha1, contracts 1.12 and 1.13).
_IMAGES: Mapping[str, tuple[str, ...]] = {
    "kubelet": ("machine", "kubelet", "image"),
    "kube-apiserver": ("cluster", "apiServer", "image"),
    "kube-controller-manager": ("cluster", "controllerManager", "image"),
    "kube-scheduler": ("cluster", "scheduler", "image"),
    "kube-proxy": ("cluster", "proxy", "image"),
    "coredns": ("cluster", "coreDNS", "image"),
    "etcd": ("cluster", "etcd", "image"),
}


def keep_kubernetes_images(running: Documents, desired: Documents) -> list[KeptImage]:
    """The images on which a running machine and the rendered configuration differ: the upgrade of Kubernetes owns them, so the running ones stay.

    An image that only one side names is no such case: the user pinned it, or took the pin away. ``with_images`` puts the result into the text.
    """
    kept = []
    for component, path in _IMAGES.items():
        running_image, rendered_image = _at(running.get(MAIN), path), _at(desired.get(MAIN), path)
        if running_image and rendered_image and running_image != rendered_image:
            kept.append(KeptImage(component, running_image, rendered_image))
    return kept


def with_images(text: str, kept: list[KeptImage]) -> str:
    """The rendered configuration with the kept images in place; everything else stays byte for byte."""
    if not kept:
        return text
    # Talos's encoder indents by four, so that a component's image is one line at the third level; images of a user's static pods stand deeper.
    replacements = {f"        image: {image.rendered}": f"        image: {image.running}" for image in kept}
    return "\n".join(replacements.get(line, line) for line in text.split("\n"))


def _at(document: Document | None, path: tuple[str, ...]) -> str:
    value: Any = document
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""
