# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our fields become Argo CD's."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.argocd.transfer import managed_by, moved, plan, union


def _entry(manager: str, fields: dict[str, Any], operation: str = "Apply", **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


@pytest.mark.parametrize(
    ("trees", "expected"),
    [
        ([], {}),
        ([{"f:a": {}}, {"f:b": {}}], {"f:a": {}, "f:b": {}}),
        ([{"f:a": {"f:b": {}}}, {"f:a": {"f:c": {}}}], {"f:a": {"f:b": {}, "f:c": {}}}),
        ([{"f:a": {".": {}, "f:b": {}}}, {"f:a": {"f:b": {}}}], {"f:a": {".": {}, "f:b": {}}}),
        # A leaf owns the field itself, and still does when others own what is in it.
        ([{"f:a": {}}, {"f:a": {"f:b": {}}}], {"f:a": {".": {}, "f:b": {}}}),
        ([{"f:a": {"f:b": {}}}, {"f:a": {}}], {"f:a": {".": {}, "f:b": {}}}),
        ([{"f:a": {'k:{"name":"x"}': {".": {}, "f:v": {}}}}, {"f:a": {'k:{"name":"y"}': {".": {}}}}], None),
    ],
)
def test_unions(trees: list[dict[str, Any]], expected: dict[str, Any] | None) -> None:
    found = union(*trees)
    if expected is None:
        assert set(found["f:a"]) == {'k:{"name":"x"}', 'k:{"name":"y"}'}
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], None),
        ([_entry("kubectl", {"f:a": {}})], None),
        ([_entry("argocd-controller", {"f:a": {}})], None),
        # What we wrote in other ways than by an apply stays ours.
        ([_entry("trinode", {"f:a": {}}, "Update")], None),
        ([_entry("trinode", {"f:a": {}}, subresource="status")], None),
        ([_entry("trinode", {"f:a": {}})], [_entry("argocd-controller", {"f:a": {}})]),
        (
            [_entry("trinode", {"f:a": {}}), _entry("argocd-controller", {"f:b": {}})],
            [_entry("argocd-controller", {"f:a": {}, "f:b": {}})],
        ),
        (
            [_entry("kubectl", {"f:k": {}}, "Update"), _entry("trinode", {"f:a": {}}), _entry("trinode", {"f:s": {}}, "Update")],
            [_entry("argocd-controller", {"f:a": {}}), _entry("kubectl", {"f:k": {}}, "Update"), _entry("trinode", {"f:s": {}}, "Update")],
        ),
    ],
)
def test_entries_change_hands(entries: list[dict[str, Any]], expected: list[dict[str, Any]] | None) -> None:
    assert moved(entries) == expected


def test_a_second_time_there_is_nothing() -> None:
    once = moved([_entry("trinode", {"f:a": {}})])
    assert once is not None
    assert moved(once) is None


def test_only_what_argo_cd_manages() -> None:
    def member(name: str, manager: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "n", "managedFields": [_entry(manager, {"f:a": {}})]}}

    members = {("", "ConfigMap", "n", name): member(name, manager) for name, manager in (("a", "trinode"), ("b", "kubectl"), ("c", "trinode"))}
    managed = managed_by([{"version": "v1", "kind": "ConfigMap", "namespace": "n", "name": name} for name in ("a", "b")])
    assert [item.key.name for item in plan(members, managed)] == ["a"]
