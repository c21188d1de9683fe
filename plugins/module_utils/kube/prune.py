# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which members of a set are to go, and which are kept whatever happens because they hold data or what does. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.kube.applyset import Place, group_kind, place
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of

ANNOTATION = "trinode.dev/prune"
"""``disabled`` keeps an object. Helm's and Argo CD's own words for it are heard too."""

_CEPH = (
    "CephBlockPool",
    "CephBlockPoolRadosNamespace",
    "CephCluster",
    "CephFilesystem",
    "CephFilesystemSubVolumeGroup",
    "CephObjectRealm",
    "CephObjectStore",
    "CephObjectStoreUser",
    "CephObjectZone",
    "CephObjectZoneGroup",
)
PROTECTED = frozenset(
    {
        ("", "Namespace"),
        ("", "PersistentVolume"),
        ("", "PersistentVolumeClaim"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("objectbucket.io", "ObjectBucketClaim"),
        ("postgresql.cnpg.io", "Cluster"),
        ("postgresql.cnpg.io", "Database"),
        ("redis.redis.opstreelabs.in", "Redis"),
        ("redis.redis.opstreelabs.in", "RedisCluster"),
        ("redis.redis.opstreelabs.in", "RedisReplication"),
        ("redis.redis.opstreelabs.in", "RedisSentinel"),
        ("snapshot.storage.k8s.io", "VolumeSnapshot"),
        ("snapshot.storage.k8s.io", "VolumeSnapshotContent"),
        *(("ceph.rook.io", kind) for kind in _CEPH),
    }
)


@dataclass(frozen=True)
class Leaving:
    """The members that are not wanted any more: those to delete, those that are protected, and those that are being deleted already."""

    go: tuple[Object, ...]
    kept: tuple[Object, ...]
    going: tuple[Object, ...] = ()


def all_of(objects: Iterable[Object]) -> Leaving:
    """All of these are to go, whatever they are. Those that are being deleted already, as after an interrupted run, are only waited for."""
    go: list[Object] = []
    going: list[Object] = []
    for item in objects:
        (going if item["metadata"].get("deletionTimestamp") else go).append(item)
    return Leaving(tuple(go), (), tuple(going))


def leaving(members: Mapping[Place, Object], wanted: Iterable[Key], uids: Collection[str], named: Collection[str]) -> Leaving:
    """``members`` as applyset.members lists them. An object is wanted whatever the version of its kind, and also when one of ``uids`` is its own:

    some objects are served under two groups, and one that has moved is still the same. ``named`` are protected ones that may go.
    """
    places = {place(key) for key in wanted}
    go: list[Object] = []
    kept: list[Object] = []
    going: list[Object] = []
    for where, member in sorted(members.items()):
        metadata = member["metadata"]
        if where in places or metadata.get("uid") in uids:
            continue
        if metadata.get("deletionTimestamp"):
            going.append(member)
            continue
        (kept if protected(member) and not _named(key_of(member), named) else go).append(member)
    return Leaving(tuple(go), tuple(kept), tuple(going))


def protected(member: Mapping[str, Any]) -> bool:
    """By its kind, or by an annotation: ours, helm.sh/resource-policy: keep, or Argo CD's sync option Prune=false (or Delete=false)."""
    annotations = member["metadata"].get("annotations") or {}
    options = {option.strip().lower() for option in str(annotations.get("argocd.argoproj.io/sync-options", "")).split(",")}
    return (
        group_kind(member["apiVersion"], member["kind"]) in PROTECTED
        or str(annotations.get(ANNOTATION, "")).lower() == "disabled"
        or str(annotations.get("helm.sh/resource-policy", "")).lower() == "keep"
        or not options.isdisjoint({"prune=false", "delete=false"})
    )


def _named(key: Key, named: Collection[str]) -> bool:
    full = f"{key.kind}/{key.namespace}/{key.name}" if key.namespace else f"{key.kind}/{key.name}"
    return key.kind in named or full in named
