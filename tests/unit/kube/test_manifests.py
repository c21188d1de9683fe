# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsing of manifests: documents, lists, and what YAML 1.1 makes of plain words."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, key_of, parse

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"


def value(text: str) -> Any:
    [item] = parse(MAP % "x" + f"value: {text}\n")
    return item["value"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=", "="),
        ("2026-11-24", "2026-11-24"),
        ("2026-11-24T10:00:00Z", "2026-11-24T10:00:00Z"),
        ("12:30", "12:30"),
        ("1:2:3.5", "1:2:3.5"),
        ("0644", 0o644),
        ("0o644", 0o644),
        ("-0x1F", -31),
        ("0b101", 5),
        ("1_000", 1000),
        ("0", 0),
        ("+7", 7),
        ("08", "08"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1.20.0", "1.20.0"),
        ("4f2e81", "4f2e81"),
        ("yes", True),
        ("off", False),
        ("~", None),
        ('"yes"', "yes"),
    ],
)
def test_plain_words_mean_what_an_api_server_would_have_received(text: str, expected: object) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


def test_the_value_sign_in_a_list() -> None:
    # As in prometheus-operator's definitions, where PyYAML's own loader gives up.
    [item] = parse(MAP % "x" + "enum:\n- =\n- '!='\n- =~\n")
    assert item["enum"] == ["=", "!=", "=~"]


def test_documents_lists_and_empty_documents() -> None:
    text = f"---\n# only a comment\n---\n{MAP % 'a'}---\n---\n"
    text += "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: b, namespace: n}}\n"
    text += "---\napiVersion: v1\nkind: ConfigMapList\nitems: [{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}]\n---\n{}\n"
    assert [str(key_of(item)) for item in parse(text)] == ["ConfigMap a", "Secret n/b", "ConfigMap c"]


def test_anchors_and_merge_keys() -> None:
    [item] = parse("base: &base {a: 1}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {<<: *base, b: 2}\n")
    assert item["data"] == {"a": 1, "b": 2}


def test_what_an_anchor_names_is_made_once() -> None:
    """Ten to the power of thirty values, as text would have it."""
    lines = ["l0: &l0 [x]"] + [f"l{number}: &l{number} [{', '.join([f'*l{number - 1}'] * 10)}]" for number in range(1, 31)]
    [item] = parse(MAP % "x" + "\n".join(lines) + "\n")
    assert item["l30"][0] is item["l29"]


def test_other_types_are_as_pyyaml_has_them() -> None:
    text = "a: !!binary aGVsbG8=\nb: !!str 5\nc: !!set {x, y}\nd: ''\ne:\n5: true\nf: [~, [], {}]\n"
    [item] = parse(MAP % "x" + text)
    assert {key: item[key] for key in item if key not in ("apiVersion", "kind", "metadata")} == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1\n", r"manifests, line \d+: not valid YAML"),
        ("- just\n- words\n", "a document is str, not an object"),
        ("kind: ConfigMap\nmetadata: {name: a}\n", "ConfigMap lacks apiVersion"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 5}\n", r"lacks metadata.name \(a string\)"),
        (MAP % "a" + "---\n" + MAP % "a", "ConfigMap a is there twice"),
        (MAP % "a" + "data: &data {own: *data}\n", "line 4: not valid YAML: it holds itself"),
        (MAP % "a" + "data: {[1, 2]: x}\n", "line 4: not valid YAML: found unhashable key"),
        (MAP % "a" + "data: !!map word\n", "line 4: not valid YAML: expected a mapping node, but found scalar"),
        (MAP % "a" + "data: !secret word\n", "line 4: not valid YAML: could not determine a constructor for the tag '!secret'"),
    ],
)
def test_what_is_not_an_object_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(text)


def test_key_is_readable() -> None:
    assert str(Key("apps/v1", "DaemonSet", "kube-system", "cilium")) == "DaemonSet kube-system/cilium"
