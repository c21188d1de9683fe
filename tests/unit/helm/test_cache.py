# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.helm import cache
from ansible_collections.trinode.platform.plugins.module_utils.helm.manifest_file import ManifestFile


@pytest.mark.parametrize(
    ("version", "exact"),
    [("1.2.3", True), ("v1.2.3", True), ("1.2.3-rc.1+build", True), ("1.2", False), ("^1.2.3", False), ("latest", False), ("1.2.3\n", False), ("", False)],
)
def test_exact_versions(version: str, exact: bool) -> None:
    assert cache.exact_version(version) is exact


def test_a_download_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def half(directory: str) -> str:
        Path(directory, "file").write_text("half")
        raise InputError("it broke off")

    with pytest.raises(InputError):
        cache.fetch(str(tmp_path), "https://example.org/charts", "a-1.0.0.tgz", "", half, what="a", source="b")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_mirrors_of_files() -> None:
    file = ManifestFile("gateway-api", "https://example.org/v{version}/install.yaml", "1.6.1")
    assert file.mirrored("").address == "https://example.org/v1.6.1/install.yaml"
    assert file.mirrored("http://mirror.example/charts/").address == "http://mirror.example/charts/gateway-api-1.6.1.yaml"
    assert file.mirrored("oci://mirror.example/charts").address == "https://example.org/v1.6.1/install.yaml"
