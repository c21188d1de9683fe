# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pinned charts: what is refused, which command lines are built, and how the cache is used. The helm here is a double that writes a file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.helm.chart import Chart, fetch, pull_arguments
from ansible_collections.trinode.platform.plugins.module_utils.helm.render import Release, template_arguments

CONTENT = "a chart\n"
DIGEST = "sha256:" + hashlib.sha256(CONTENT.encode()).hexdigest()


def chart(**changes: str) -> Chart:
    return Chart(**{"name": "probe", "repository": "https://charts.example.org/stable", "version": "1.2.3", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "^1.2"}, "'\\^1.2' is not an exact version"),
        ({"version": ""}, "'' is not an exact version"),
        ({"digest": "sha256:12"}, "is not a digest"),
        ({"repository": "stable"}, "'stable' is not a chart repository"),
    ],
)
def test_what_is_not_pinned_is_refused(changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        chart(**changes).validate()


def test_command_lines() -> None:
    plain = chart()
    assert " ".join(pull_arguments(plain, "helm", "/d")) == "helm pull probe --repo https://charts.example.org/stable --version 1.2.3 --destination /d"
    oci = chart(repository="oci://registry.example.org/charts/")
    assert " ".join(pull_arguments(oci, "helm", "/d")) == "helm pull oci://registry.example.org/charts/probe --version 1.2.3 --destination /d"
    assert plain.mirrored("") == plain
    assert plain.mirrored("http://mirror.example/").repository == "http://mirror.example"
    release = Release("r", "n", "v1.36.3", api_versions=["a/v1"])
    assert " ".join(template_arguments(release, "/c.tgz", "helm")) == (
        "helm template r /c.tgz --namespace n --kube-version v1.36.3 --skip-tests --values - --include-crds --api-versions a/v1"
    )


@pytest.fixture
def helm(tmp_path: Path) -> Path:
    program = tmp_path / "helm"
    program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\nprintf \'a chart\\n\' > "$8/probe-1.2.3.tgz"\n')
    program.chmod(0o755)
    return program


def pulls(tmp_path: Path) -> int:
    return len((tmp_path / "calls").read_text().splitlines())


def test_pulled_once_per_repository(helm: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    first = fetch(chart(), helm=str(helm), cache_directory=cache, deadline=Deadline(300))
    assert Path(first).read_text() == CONTENT
    assert fetch(chart(), helm=str(helm), cache_directory=cache, deadline=Deadline(300)) == first
    assert pulls(tmp_path) == 1
    assert fetch(chart(repository="https://other.example.org"), helm=str(helm), cache_directory=cache, deadline=Deadline(300)) != first
    assert pulls(tmp_path) == 2
    assert [path.name for path in Path(first).parent.iterdir()] == ["probe-1.2.3.tgz"]


def test_digests_are_checked_on_pull_and_in_the_cache(helm: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    with pytest.raises(RefusedError, match=f"its digest is {DIGEST}, not sha256:0000"):
        fetch(chart(digest="sha256:" + "0" * 64), helm=str(helm), cache_directory=cache, deadline=Deadline(300))
    path = Path(fetch(chart(digest=DIGEST), helm=str(helm), cache_directory=cache, deadline=Deadline(300)))
    path.write_text("something else")
    fetch(chart(digest=DIGEST), helm=str(helm), cache_directory=cache, deadline=Deadline(300))
    assert path.read_text() == CONTENT
