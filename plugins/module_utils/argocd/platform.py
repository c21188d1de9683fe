# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster has besides the Applications of its components: the root Application, the projects, and the user's own applications. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import COMPARE_OPTIONS, SYNC_OPTIONS, with_options
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import (
    API_VERSION,
    COMPARE,
    NAMESPACE,
    PATHS,
    PROJECT,
    ROOT,
    SERVER,
    Repository,
    of_root,
    source,
    sync_policy,
)
from ansible_collections.trinode.platform.plugins.module_utils.argocd.status import REFRESH
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object

USER = "user"
# Namespaces that are the platform's in any cluster.
_ALWAYS_OURS = ("kube-node-lease", "kube-public", "kube-system")
# Argo CD holds what it remembers of an Application, its own root among them, against what the API server predicts a moment later. What was removed in between
# is a difference to it, for which it starts a sync, which removes something again.
_PASSING: Mapping[str, Any] = {
    "group": "argoproj.io",
    "kind": "Application",
    "jsonPointers": ["/operation", f"/metadata/annotations/{REFRESH.replace('/', '~1')}"],
}


@dataclass(frozen=True)
class UserRights:
    """What the user's applications may do. ``repositories`` besides the platform's own, ``forbidden`` the platform's namespaces,

    ``cluster_kinds`` ("group/Kind") of cluster-scoped objects besides Namespace.
    """

    repositories: Sequence[str] = ()
    forbidden: Sequence[str] = ()
    cluster_kinds: Sequence[str] = field(default_factory=tuple)


def root(repository: Repository, cluster: str) -> Object:
    """The Application of all Applications; it is among what it delivers."""
    # Argo CD matches the path of each file below ours; its * also takes a slash, which no file of ours there has.
    include = f"{{apps/*.yaml,clusters/{cluster}/*.yaml}}"
    item = {
        "apiVersion": API_VERSION,
        "kind": "Application",
        "metadata": {"name": ROOT, "namespace": NAMESPACE, "annotations": {COMPARE_OPTIONS: COMPARE, PATHS: f"apps;clusters/{cluster}"}},
        "spec": {
            "project": PROJECT,
            "source": source(repository, include=include, recurse=True),
            "destination": {"server": SERVER, "namespace": NAMESPACE},
            "syncPolicy": sync_policy(),
            "ignoreDifferences": [dict(_PASSING)],
        },
    }
    return _kept(item)


def projects(repository: Repository, rights: UserRights) -> list[Object]:
    """One that may do all, for the platform; one for the user's applications, which keeps them away from the platform."""
    everything = [{"group": "*", "kind": "*"}]
    platform = {
        "description": "The platform itself",
        "sourceRepos": [repository.url],
        "destinations": [{"server": SERVER, "namespace": "*"}],
        "clusterResourceWhitelist": everything,
        "namespaceResourceWhitelist": everything,
    }
    forbidden = sorted({NAMESPACE, *_ALWAYS_OURS, *rights.forbidden})
    user = {
        "description": "The user's own applications, beside the platform",
        "sourceRepos": list(dict.fromkeys([repository.url, *rights.repositories])),
        "destinations": [{"server": SERVER, "namespace": "*"}, *({"server": SERVER, "namespace": f"!{name}"} for name in forbidden)],
        "clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}, *map(_kind, rights.cluster_kinds)],
        # Whoever may write these decides what Argo CD does, and with whose rights.
        "namespaceResourceBlacklist": [{"group": "argoproj.io", "kind": "*"}],
    }
    return [_project(PROJECT, platform), _project(USER, user)]


def application_set(repository: Repository) -> Object:
    """An Application for each directory of the user's, into the namespace of the same name."""
    template: Object = {
        "metadata": {
            "name": "user-{{ .path.basenameNormalized }}",
            "annotations": {COMPARE_OPTIONS: COMPARE, PATHS: "."},
        },
        "spec": {
            "project": USER,
            "source": {"repoURL": repository.url, "targetRevision": repository.branch, "path": "{{ .path.path }}"},
            "destination": {"server": SERVER, "namespace": "{{ .path.basenameNormalized }}"},
            # What the platform has stays the platform's.
            "syncPolicy": sync_policy("CreateNamespace=true", "FailOnSharedResource=true"),
        },
    }
    generator = {"git": {"repoURL": repository.url, "revision": repository.branch, "directories": [{"path": repository.inside("user", "*")}]}}
    item: Object = {
        "apiVersion": API_VERSION,
        "kind": "ApplicationSet",
        "metadata": {"name": USER, "namespace": NAMESPACE},
        "spec": {"goTemplate": True, "goTemplateOptions": ["missingkey=error"], "generators": [generator], "template": template},
    }
    return _kept(item)


def cluster_objects(repository: Repository, cluster: str, rights: UserRights) -> list[Object]:
    """All of clusters/CLUSTER/ in Git, in the order in which they are made by hand."""
    return [*projects(repository, rights), application_set(repository), root(repository, cluster)]


def _project(name: str, spec: Mapping[str, Any]) -> Object:
    return _kept({"apiVersion": API_VERSION, "kind": "AppProject", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": dict(spec)})


def _kept(item: Object) -> Object:
    """Of the root Application, and never deleted by it: all else hangs on it."""
    annotations = item["metadata"].setdefault("annotations", {})
    annotations[SYNC_OPTIONS] = with_options(annotations.get(SYNC_OPTIONS, ""), {"Prune": "false", "Delete": "false"})
    return of_root(item)


def _kind(text: str) -> Object:
    group, _slash, kind = text.rpartition("/")
    return {"group": group, "kind": kind}
