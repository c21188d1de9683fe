# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller that has nothing begins with what the repository has."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.git import contents
from ansible_collections.trinode.platform.plugins.module_utils.git.publish import Request, opened, publish
from ansible_collections.trinode.platform.plugins.module_utils.git.repository import Repository
from ansible_collections.trinode.platform.plugins.module_utils.git.restore import restore

TEXT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  text: |-\n    two\n    lines é\n"


def fill(directory: Path, *, prefix: str = "") -> str:
    """A repository with two components."""
    for component in ("grafana", "loki"):
        source = directory / "published" / component
        source.mkdir(parents=True)
        (source / "configmap-a.yaml").write_text(TEXT + f"  of: {component}\n", encoding="utf-8")
        wanted = contents.read([{"target": f"components/{component}", "source": str(source)}], prefix, absent=False)
        with opened(str(directory / "platform.git"), "main", None, Deadline(60), check=False) as repository:
            publish(repository, Request(component, wanted), check=False, diff=False)
    return str(directory / "platform.git")


def reach(repository: str) -> partial[AbstractContextManager[Repository]]:
    return partial(opened, repository, "main", None, Deadline(60), check=False)


def test_a_missing_directory_comes_back_byte_by_byte(tmp_path: Path) -> None:
    repository = fill(tmp_path, prefix="home")
    wanted = [{"target": "components", "source": str(tmp_path / "new" / "tree")}]
    assert restore(wanted, "home", reach(repository), check=True) == ["components"]
    assert not (tmp_path / "new").exists(), "check mode"
    assert restore(wanted, "home", reach(repository), check=False) == ["components"]
    for component in ("grafana", "loki"):
        restored = (tmp_path / "new" / "tree" / component / "configmap-a.yaml").read_bytes()
        assert restored == (tmp_path / "published" / component / "configmap-a.yaml").read_bytes()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["tree"]


def test_what_is_there_stays_and_nothing_is_opened(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()

    def never() -> AbstractContextManager[Repository]:
        raise AssertionError("the repository was opened")

    assert restore([{"target": "components", "source": str(tmp_path / "tree")}], "", never, check=False) == []


def test_an_empty_repository_restores_nothing(tmp_path: Path) -> None:
    wanted = [{"target": "components", "source": str(tmp_path / "tree")}]
    assert restore(wanted, "", reach(str(tmp_path / "empty.git")), check=False) == []
    assert not (tmp_path / "tree").exists()
