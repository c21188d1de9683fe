# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts cut into documents, files and directories."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import parse, without_nulls
from ansible_collections.trinode.platform.plugins.module_utils.kube.sources import parse_ahead, read, split

MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"


@pytest.mark.parametrize(
    "text",
    [
        MAP % "one",
        f"---\n{MAP % 'one'}---\n{MAP % 'two'}",
        f"{MAP % 'one'}--- # a comment\n{MAP % 'two'}---\n---\n# nothing\n---\n",
        f"--- {{apiVersion: v1, kind: ConfigMap, metadata: {{name: flow}}}}\n---\n{MAP % 'two'}",
        f"{MAP % 'one'}data:\n  script: |\n    a\n    ---\n    b\n---\n{MAP % 'two'}",
        f"{MAP % 'one'}data:\n  dashes: ---x\n  more: '--- y'\n",
        f"%YAML 1.1\n---\n{MAP % 'one'}...\n---\n{MAP % 'two'}",
        "",
        "\n# only a comment\n",
    ],
)
def test_documents_hold_together_what_the_text_holds(text: str) -> None:
    assert [item for manifest in split(text) for item in manifest.objects] == parse(text)


def test_a_document_knows_its_line() -> None:
    text = f"{MAP % 'one'}---\n{MAP % 'two'}---\n{MAP % 'three'}  wrong\n: indentation\n"
    with pytest.raises(InputError, match=r"chart\.yaml, line 12:"):
        [manifest.objects for manifest in split(text, source="chart.yaml")]


def test_parsing_ahead_ends_when_it_is_enough() -> None:
    one, two = split(f"{MAP % 'one'}---\n{MAP % 'two'}")
    looks = iter([False, True])
    parse_ahead([one, two], lambda: next(looks))
    assert ["objects" in vars(manifest) for manifest in (one, two)] == [True, False]
    assert one.objects[0]["metadata"]["name"] == "one"


def test_a_digest_is_of_the_text() -> None:
    one, two, three = split(f"{MAP % 'one'}---\n{MAP % 'one'}---\n{MAP % 'two'}")
    assert two.digest != three.digest
    assert one.digest != two.digest  # the marker is part of the text: more than is needed, never less
    assert split(MAP % "one")[0].digest == one.digest


def test_directories_are_read_in_order_and_only_manifests(tmp_path: Path) -> None:
    for name in ("b.yaml", "a/two.yml", "a/1.json", "a/readme.md", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(MAP % path.stem if name.endswith((".yaml", ".yml")) else '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "json"}}')
    names = [item["metadata"]["name"] for manifest in read([str(tmp_path)]) for item in manifest.objects]
    assert names == ["b", "json", "two"]
    with pytest.raises(InputError, match="the file cannot be read"):
        read([str(tmp_path / "none.yaml")])


def test_nulls_in_maps_go_and_others_stay() -> None:
    value = {"a": None, "b": {"c": None, "d": 0, "e": ""}, "f": [None, {"g": None}], "h": False}
    assert without_nulls(value) == {"b": {"d": 0, "e": ""}, "f": [None, {}], "h": False}
