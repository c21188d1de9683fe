# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.helm.newest import Newest, newest, table

PINS = {
    "cilium": {"chart": "cilium", "repository": "https://charts.example.org", "version": "1.20.0"},
    "istiod": {"chart": "istiod", "repository": "oci://charts.example.org/istio", "version": "1.30.3"},
    "gateway-api": {"url": "https://example.org/{version}.yaml", "version": "1.6.1"},
}


@pytest.fixture
def helm(tmp_path: Path) -> str:
    """A program in helm's place that prints a newer version, or fails for istiod, and notes how it was called."""
    program = tmp_path / "helm"
    program.write_text(
        '#!/bin/sh\necho "$@" >> "$(dirname "$0")/calls"\ncase "$*" in *istiod*) echo "Error: manifest unknown" >&2; exit 1;; esac\n'
        "printf 'version: 1.20.1\\nappVersion: v1.20.1\\n'\n"
    )
    program.chmod(0o755)
    return str(program)


def test_each_pin_is_asked_and_a_failure_is_a_line(helm: str, tmp_path: Path) -> None:
    found = newest(PINS, mirror="", helm=helm, deadline=Deadline(300))
    assert [(item.pin, item.newest, item.behind, bool(item.problem)) for item in found] == [
        ("cilium", "1.20.1", True, False),
        ("istiod", "", False, True),
        ("gateway-api", "", False, True),
    ]
    assert sorted((tmp_path / "calls").read_text().splitlines()) == [
        "show chart cilium --repo https://charts.example.org",
        "show chart oci://charts.example.org/istio/istiod",
    ]


def test_the_mirror_takes_the_place_of_every_repository(helm: str, tmp_path: Path) -> None:
    newest(PINS, mirror="https://mirror.example.org", helm=helm, deadline=Deadline(300))
    assert all("mirror.example.org" in call for call in (tmp_path / "calls").read_text().splitlines())


@pytest.mark.parametrize(
    ("pinned", "latest", "behind"),
    [("1.20.0", "1.20.1", True), ("v1.20.6", "v1.20.6", False), ("1.21.0", "1.20.9", False), ("1.9.0", "1.10.0", True), ("1.0.0", "", False)],
)
def test_behind(pinned: str, latest: str, behind: bool) -> None:
    assert Newest("x", pinned, latest).behind is behind


def test_the_table_marks_what_is_newer() -> None:
    lines = table([Newest("cilium", "1.20.0", "1.20.1", "1.20.1"), Newest("gateway-api", "1.6.1", problem="no repository\nmore")])
    assert lines == [
        "CHART        PINNED  NEWEST  APPLICATION",
        "cilium       1.20.0  1.20.1  1.20.1       newer",
        "gateway-api  1.6.1   ?                    no repository",
    ]
