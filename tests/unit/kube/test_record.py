# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of what an apply left, and when an object is still so; which members of a set go."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.kube import prune, record
from ansible_collections.trinode.platform.plugins.module_utils.kube.applyset import Place, identity, place
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import ApplySet

ENTRY = {"manager": "trinode", "operation": "Apply", "apiVersion": "apps/v1", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
METADATA: dict[str, Any] = {"resourceVersion": "7", "generation": 1, "managedFields": [ENTRY, {"manager": "kubelet", "operation": "Update"}]}


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"resourceVersion": "8"}, True),
        ({"resourceVersion": "8", "managedFields": [ENTRY, {"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:status": {}}}]}, True),
        ({"resourceVersion": "8", "generation": 2}, False),
        ({"resourceVersion": "8", "managedFields": [{**ENTRY, "fieldsV1": {"f:spec": {}}}]}, False),
        ({"resourceVersion": "8", "managedFields": [{**ENTRY, "time": "2026-01-01T00:00:01Z"}]}, False),
        ({"resourceVersion": "8", "managedFields": [{**ENTRY, "operation": "Update"}]}, False),
        ({"resourceVersion": "8", "managedFields": [{**ENTRY, "subresource": "status"}]}, False),
        ({"resourceVersion": "8", "managedFields": []}, False),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, False),
    ],
)
def test_when_an_object_is_as_it_was_left(changes: dict[str, Any], holds: bool) -> None:
    left = record.left(b"{}", METADATA)
    assert left.holds({**METADATA, **changes}) is holds


def test_kinds_without_a_generation_count_by_their_version() -> None:
    metadata = {key: value for key, value in METADATA.items() if key != "generation"}
    left = record.left(b"{}", metadata)
    assert left.holds(metadata)
    assert not left.holds({**metadata, "resourceVersion": "8"})


def test_a_record_comes_back_as_it_was() -> None:
    key, other = Key("v1", "ConfigMap", "n", "a"), Key("apps/v1", "Deployment", "n", "b")
    written = record.Record({key: record.left(b"1", METADATA), other: record.left(b"2", METADATA)}, {"text": (key, other), "one": (other,)})
    assert record.decode(record.encode(written)) == written


@pytest.mark.parametrize("text", ["", "no base64!", "bm90IGEgcmVjb3Jk", "eJyrVkrLL8pNLFGyMqgFAB3/BHU="])
def test_a_broken_record_is_an_empty_one(text: str) -> None:
    assert record.decode(text) == record.Record()


def test_the_id_is_that_of_the_enhancement_proposal() -> None:
    # As `kubectl apply --applyset=configmap/mysecret -n mynamespace` computes it from <name>.<namespace>.<kind>.<group>.
    import base64
    import hashlib

    digest = hashlib.sha256(b"myset.mynamespace.ConfigMap.").digest()
    assert identity(ApplySet("myset", "mynamespace")) == f"applyset-{base64.urlsafe_b64encode(digest).decode().rstrip('=')}-v1"


def member(api_version: str, kind: str, name: str, namespace: str = "n", **metadata: Any) -> dict[Place, dict[str, Any]]:
    key = Key(api_version, kind, namespace, name)
    spaces = {"namespace": namespace} if namespace else {}
    return {place(key): {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "uid": name, **spaces, **metadata}}}


def names(members: tuple[dict[str, Any], ...]) -> list[str]:
    return sorted(item["metadata"]["name"] for item in members)


def test_which_members_leave() -> None:
    members = {
        **member("v1", "ConfigMap", "wanted"),
        **member("example.org/v1", "Widget", "in-another-version"),
        **member("extensions/v1beta1", "Ingress", "moved"),
        **member("v1", "ConfigMap", "going", deletionTimestamp="now"),
        **member("v1", "ConfigMap", "old"),
        **member("ceph.rook.io/v1", "CephCluster", "ceph"),
        **member("v1", "PersistentVolumeClaim", "data"),
        **member("v1", "PersistentVolumeClaim", "named"),
        **member("v1", "Namespace", "space", ""),
        **member("v1", "ConfigMap", "annotated", annotations={"trinode.dev/prune": "disabled"}),
        **member("v1", "ConfigMap", "argo", annotations={"argocd.argoproj.io/sync-options": "Delete=false"}),
    }
    wanted = [Key("v1", "ConfigMap", "n", "wanted"), Key("example.org/v2", "Widget", "n", "in-another-version")]
    leaving = prune.leaving(members, wanted, {"moved"}, ["PersistentVolumeClaim/n/named", "CephCluster", "Namespace/other"])
    assert names(leaving.go) == ["ceph", "named", "old"]
    assert names(leaving.kept) == ["annotated", "argo", "data", "space"]
    assert names(leaving.going) == ["going"]
