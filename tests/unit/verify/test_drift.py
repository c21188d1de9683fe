# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits in Git, components compared by their files, and how findings are told."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.component.installed import Installed
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Applied
from ansible_collections.trinode.platform.plugins.module_utils.verify import delivered, git
from ansible_collections.trinode.platform.plugins.module_utils.verify.drift import Drift, lines

EDIT = {
    "component": "loki",
    "file": "components/loki/configmap-loki-loki.yaml",
    "author": "Ada <ada@example.org>",
    "commit": "9d0f1b2e3f2a9c0e6c1f0d6f6a1f9a3a7a2a5f0c",
    "diff": "",
}


@pytest.mark.parametrize(
    ("result", "gitops", "found"),
    [
        ({"edits": [], "head": "9d0f"}, True, []),
        ({"edits": [], "head": ""}, False, []),
        (
            {"edits": [], "head": ""},
            True,
            [("repository", "Nothing of the platform is in it", "Run playbooks/platform.yml")],
        ),
        (
            {"failed": False, "msg": "https://git.example.org: no answer."},
            True,
            [
                (
                    "repository",
                    "It cannot be read: https://git.example.org: no answer.",
                    "Until then nobody knows whether others have edited the platform's files",
                )
            ],
        ),
        (
            {"edits": [EDIT], "head": "9d0f"},
            True,
            [
                (
                    EDIT["file"],
                    "Ada <ada@example.org> has edited it, in 9d0f1b2e",
                    "Take the change into the inventory; or overwrite it with playbooks/platform.yml --limit loki -e trinode_git_overwrite=true",
                )
            ],
        ),
    ],
)
def test_edits(result: dict[str, Any], gitops: bool, found: list[tuple[str, str, str]]) -> None:
    assert [(item.where, item.problem, item.advice) for item in git.judge(result, gitops=gitops)] == found


def config_map(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "loki", "resourceVersion": "7"}, "data": data}


def changed(name: str, before: dict[str, str] | None, after: dict[str, str] | None) -> Applied:
    sides = [None if data is None else config_map(name, data) for data in (before, after)]
    action = "created" if before is None else "pruned" if after is None else "changed"
    return Applied(Key("v1", "ConfigMap", "loki", name), action, sides[0], sides[1])  # type: ignore[arg-type]


def test_objects_that_differ_are_told_by_their_fields_and_never_by_values() -> None:
    changes = [changed("a", {"x": "secret 1", "y": "1"}, {"x": "secret 2", "y": "1"}), changed("b", None, {}), changed("c", {}, None)]
    found = delivered.judge("loki", changes, delivered=True)
    assert [item.problem for item in found] == [
        "ConfigMap loki/a differs in data.x",
        "ConfigMap loki/b is gone",
        "ConfigMap loki/c is there, and not part of it",
    ]
    assert {(item.where, item.advice) for item in found} == {("loki", "Run playbooks/platform.yml --limit loki")}


def test_many_objects_are_a_few_lines() -> None:
    found = delivered.judge("loki", [changed(str(number), None, {}) for number in range(7)], delivered=True)
    assert [item.problem for item in found][4:] == ["ConfigMap loki/4 is gone", "2 further objects differ"]


def test_what_was_not_delivered_is_one_line() -> None:
    (found,) = delivered.judge("loki", [changed("a", None, {}), changed("b", None, {})], delivered=False)
    assert found.problem == "It was rendered anew and not delivered, which would change 2 objects"


def test_components_that_are_missing_or_left() -> None:
    there = {name: Installed(name, "1") for name in ("cilium", "redis_operator")}
    assert [(item.where, item.problem) for item in delivered.present(["cilium", "loki"], there)] == [
        ("loki", "It is in the inventory, and not installed"),
        ("redis_operator", "It is installed, and not in the inventory"),
    ]


def test_a_table_for_a_person() -> None:
    found = [Drift("machine", "m1", "It does not\nanswer", "Look at it"), Drift("git", "a.yaml", "Ada has edited it.", "Ask her.")]
    assert lines(found, ["3 machines", "Git at 9d0f1b2e"]) == [
        "Drift: 2 findings.",
        "",
        "PART     WHERE   WHAT, AND WHAT TO DO",
        "machine  m1      It does not answer. Look at it.",
        "git      a.yaml  Ada has edited it. Ask her.",
        "",
        "Compared: 3 machines; Git at 9d0f1b2e.",
    ]
    assert lines([], []) == ["No drift.", "Nothing was compared."]
