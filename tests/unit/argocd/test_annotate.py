# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Argo CD reads from an object."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import (
    COMPARE_OPTIONS,
    HOOK,
    HOOK_DELETE,
    SYNC_OPTIONS,
    TRACKING,
    annotate,
    application_of,
    with_options,
)
from ansible_collections.trinode.platform.plugins.module_utils.component.deliver import apply_set
from ansible_collections.trinode.platform.plugins.module_utils.kube import applyset

OF = application_of("rook_ceph", "rook-ceph")
KEPT = "Prune=false,Delete=false"


def _object(api_version: str, kind: str, name: str, namespace: str = "", annotations: dict[str, str] | None = None, **content: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def _annotations(item: dict[str, Any]) -> dict[str, str]:
    (found,) = annotate([item], OF)
    return dict(found["metadata"].get("annotations") or {})


def _label(item: dict[str, Any]) -> str | None:
    (found,) = annotate([item], OF)
    label: str | None = (found["metadata"].get("labels") or {}).get("applyset.kubernetes.io/part-of")
    return label


def test_the_application_has_the_component_s_name_and_set() -> None:
    assert OF.name == "rook-ceph"
    assert OF.apply_set == applyset.identity(apply_set("rook_ceph"))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (_object("v1", "ConfigMap", "c", "other"), "rook-ceph:/ConfigMap:other/c"),
        (_object("v1", "ConfigMap", "c"), "rook-ceph:/ConfigMap:rook-ceph/c"),
        (_object("apps/v1", "Deployment", "d", "rook-ceph"), "rook-ceph:apps/Deployment:rook-ceph/d"),
        (_object("rbac.authorization.k8s.io/v1", "ClusterRole", "system:x"), "rook-ceph:rbac.authorization.k8s.io/ClusterRole:rook-ceph/system:x"),
        (_object("v1", "Namespace", "rook-ceph"), "rook-ceph:/Namespace:rook-ceph/rook-ceph"),
        (_object("bitnami.com/v1alpha1", "SealedSecret", "s", "a"), "rook-ceph:bitnami.com/SealedSecret:a/s"),
        (_object("v1", "Secret", "empty", "a"), "rook-ceph:/Secret:a/empty"),
        # Argo CD notes nothing on these.
        (_object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "x.y"), None),
        # Not in Git: an owner would prune it.
        (_object("v1", "Secret", "s", "a", data={"k": "dg=="}), None),
        # Never Argo CD's to prune.
        (_object("batch/v1", "Job", "j", "a", {"helm.sh/hook": "pre-install"}), None),
        (_object("batch/v1", "Job", "j", "a"), None),
    ],
)
def test_tracking_id_is_as_argo_cd_writes_it(item: dict[str, Any], expected: str | None) -> None:
    assert _annotations(item).get(TRACKING) == expected


@pytest.mark.parametrize(
    ("item", "options", "compare"),
    [
        (_object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "x.y"), KEPT, "IgnoreExtraneous"),
        (_object("v1", "Namespace", "n"), KEPT, "IgnoreExtraneous"),
        (_object("v1", "PersistentVolumeClaim", "c", "n"), KEPT, "IgnoreExtraneous"),
        (_object("ceph.rook.io/v1", "CephCluster", "c", "n"), KEPT, "IgnoreExtraneous"),
        (_object("postgresql.cnpg.io/v1", "Cluster", "c", "n"), KEPT, "IgnoreExtraneous"),
        (_object("cluster.x-k8s.io/v1", "Cluster", "c", "n"), None, None),
        (_object("redis.redis.opstreelabs.in/v1beta2", "Redis", "c", "n"), KEPT, "IgnoreExtraneous"),
        (_object("v1", "ConfigMap", "c", "n"), None, None),
        (_object("v1", "ConfigMap", "c", "n", {"helm.sh/resource-policy": "keep"}), KEPT, "IgnoreExtraneous"),
        # What is there already stays, and is not said twice.
        (
            _object("v1", "Namespace", "n", annotations={SYNC_OPTIONS: "Validate=false, Prune=true"}),
            "Validate=false,Prune=true,Delete=false",
            "IgnoreExtraneous",
        ),
        (_object("v1", "ConfigMap", "c", "n", {SYNC_OPTIONS: "Replace=true"}), "Replace=true", None),
        (
            _object("v1", "Namespace", "n", annotations={COMPARE_OPTIONS: "IgnoreExtraneous,ServerSideDiff=true"}),
            KEPT,
            "IgnoreExtraneous,ServerSideDiff=true",
        ),
    ],
)
def test_what_holds_data_is_neither_pruned_nor_deleted(item: dict[str, Any], options: str | None, compare: str | None) -> None:
    found = _annotations(item)
    assert (found.get(SYNC_OPTIONS), found.get(COMPARE_OPTIONS)) == (options, compare)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ("pre-upgrade", "PreSync"),
        ("pre-install,pre-upgrade", "PreSync"),
        ("post-install, post-upgrade", "PostSync"),
        ("pre-upgrade,post-upgrade", "PreSync,PostSync"),
        ("pre-install", "Skip"),
        ("post-install", "Skip"),
        ("pre-delete", "Skip"),
        ("post-upgrade,post-rollback", "PostSync"),
        ("test", "Skip"),
    ],
)
def test_hooks_run_only_where_an_upgrade_has_them(events: str, expected: str) -> None:
    item = _object("batch/v1", "Job", "j", "n", {"helm.sh/hook": events, "helm.sh/hook-weight": "3"})
    found = _annotations(item)
    assert (found[HOOK], found["helm.sh/hook-weight"]) == (expected, "3")
    assert _label(item) is None


def test_argo_cd_s_own_hooks_stay() -> None:
    assert _annotations(_object("batch/v1", "Job", "j", "n", {"helm.sh/hook": "pre-upgrade", HOOK: "SyncFail"}))[HOOK] == "SyncFail"


def test_a_definition_that_helm_2_wanted_first_is_no_hook() -> None:
    found = _annotations(_object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "x.y", annotations={"helm.sh/hook": "crd-install"}))
    assert HOOK not in found
    assert found[SYNC_OPTIONS] == KEPT


def test_jobs_are_made_anew_at_each_sync() -> None:
    found = _annotations(_object("batch/v1", "Job", "j", "n"))
    assert (found[HOOK], found[HOOK_DELETE]) == ("Sync", "BeforeHookCreation")
    assert HOOK not in _annotations(_object("batch/v1", "CronJob", "j", "n"))


@pytest.mark.parametrize(
    ("item", "labelled"),
    [
        (_object("v1", "ConfigMap", "c", "n"), True),
        (_object("batch/v1", "Job", "j", "n"), True),
        (_object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "x.y"), True),
        (_object("v1", "Secret", "s", "n", stringData={"k": "v"}), False),
    ],
)
def test_members_name_their_set(item: dict[str, Any], labelled: bool) -> None:
    assert _label(item) == (OF.apply_set if labelled else None)


def test_objects_are_copied() -> None:
    item = _object("v1", "Namespace", "n", annotations={"a": "b"})
    before = copy.deepcopy(item)
    assert annotate([item], OF) != [before]
    assert item == before


def test_annotating_twice_changes_nothing() -> None:
    items = [_object("v1", "Namespace", "n"), _object("batch/v1", "Job", "j", "n"), _object("batch/v1", "Job", "h", "n", {"helm.sh/hook": "pre-upgrade"})]
    once = annotate(items, OF)
    assert annotate(once, OF) == once


@pytest.mark.parametrize(
    ("existing", "wanted", "expected"),
    [
        ("", {"A": "1"}, "A=1"),
        ("B=2", {"A": "1"}, "B=2,A=1"),
        ("a=2", {"A": "1"}, "a=2"),
        (" B=2 ,, C=3", {"A": ""}, "B=2,C=3,A"),
    ],
)
def test_options_are_added(existing: str, wanted: dict[str, str], expected: str) -> None:
    assert with_options(existing, wanted) == expected
