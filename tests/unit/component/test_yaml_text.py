# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written is read back as it was, also where YAML's versions differ, and two writings are equal."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
import yaml

from ansible_collections.trinode.platform.plugins.module_utils.component.yaml_text import text
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import parse

UPSTREAM = Path(os.environ.get("TRINODE_UPSTREAM", Path(__file__).parents[4] / "shared" / "upstream"))
TRAPS = [
    *(
        "y",
        "N",
        "yes",
        "No",
        "on",
        "OFF",
        "true",
        "null",
        "~",
        "=",
        "<<",
        "",
        " ",
        "-",
        "?",
        ":",
        "- a",
        "a: b",
        "a #b",
        "#a",
        "&a",
        "*a",
        "!a",
        "%a",
        "@a",
        "`a",
    ),
    *(
        "1",
        "012",
        "0o14",
        "0x1F",
        "1e3",
        "1E-2",
        ".5",
        "1.",
        "+1",
        "1_000",
        "12:30",
        "12:30:45",
        "2001-01-01",
        "2001-01-01T00:00:00Z",
        ".inf",
        "-.INF",
        ".nan",
        "0b11",
    ),
    *(
        "1.2.3",
        "v1.2.3",
        "10.0.0.0/8",
        "::1",
        "fe80::1",
        "1Gi",
        "100m",
        "[a]",
        "{a}",
        "a,b",
        "'a'",
        '"a"',
        "{{ template }}",
        "a\\b",
        "tab\there",
        "\u00e9\u2028\U0001f600",
    ),
    *(
        "a\nb",
        "a\nb\n",
        "a\n\nb\n\n",
        "\na",
        " a\n b\n",
        "a \nb",
        "a\n",
        "\n",
        "\n\n",
        "trailing \n",
        "#!/bin/sh\nexec x\n",
        "a\tb\nc",
        "\x07\n",
        "---\na\n",
        "a\r\nb",
    ),
]


@pytest.mark.parametrize("value", TRAPS)
def test_texts_stay_texts(value: str) -> None:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"value": value, "list": [value]}}
    assert parse(text(item)) == [item]
    # A parser of YAML 1.1 that follows the letter.
    assert yaml.safe_load(text(item)) == item


@pytest.mark.parametrize("value", [1, -1, 0, 1.5, 1e30, 10**18, True, False, None, [], {}, [[]], [{}], [None]])
def test_other_values_stay(value: object) -> None:
    item = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "spec": {"value": value, "list": [value]}}
    assert parse(text(item)) == [item]


@pytest.mark.parametrize("value", ["y", "n", "1e3", "0o14", "1_000", "12:30", "0x1F", "=", "Y"])
def test_what_other_parsers_take_for_something_else_is_quoted(value: str) -> None:
    item = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "value": value}
    assert f"value: '{value}'\n" in text(item)


def test_random_texts() -> None:
    source = random.Random(4)  # noqa: S311
    letters = "ab \n\t:#-'\"{}[]&*!|>%@`,?~=.0123456789_eEoOxX\\\u00e4\u2028\x85\ufeff\U0001f600"
    values = ["".join(source.choices(letters, k=source.randint(0, 12))) for _ in range(5000)]
    item = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "values": values}
    assert parse(text(item)) == [item]


def test_keys_are_sorted_and_shared_parts_are_written_out() -> None:
    shared = {"b": 1, "a": 2}
    item = {"spec": {"two": shared, "one": shared}, "metadata": {"name": "x"}, "kind": "X", "apiVersion": "v1"}
    assert text(item) == "apiVersion: v1\nkind: X\nmetadata:\n  name: x\nspec:\n  one:\n    a: 2\n    b: 1\n  two:\n    a: 2\n    b: 1\n"


@pytest.mark.slow
def test_every_definition_of_the_real_charts() -> None:
    paths = [path for path in sorted((UPSTREAM / "crds").glob("*/*.yaml")) if path.name != "kustomization.yaml"]
    if not paths:
        pytest.skip(f"the real charts' data is not here: {UPSTREAM}")
    for path in paths:
        for item in parse(path.read_text(), source=str(path)):
            written = text(item)
            assert parse(written) == [item], path
            assert text(parse(written)[0]) == written
