# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller that has nothing begins with what the repository has."""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.git import contents
from ansible_collections.trinode.platform.plugins.module_utils.git.publish import Request, opened, publish
from ansible_collections.trinode.platform.plugins.module_utils.git.repository import Repository
from ansible_collections.trinode.platform.plugins.module_utils.git.restore import restore
from ansible_collections.trinode.platform.plugins.module_utils.git.settled import settled

pytestmark = pytest.mark.newest_only

TEXT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  text: |-\n    two\n    lines é\n"


def fill(directory: Path, *, prefix: str = "") -> str:
    """A repository with two components."""
    for component in ("grafana", "loki"):
        source = directory / "published" / component
        source.mkdir(parents=True)
        (source / "configmap-a.yaml").write_text(TEXT + f"  of: {component}\n", encoding="utf-8")
        wanted = contents.read([{"target": f"components/{component}", "source": str(source)}], prefix, absent=False)
        with opened(str(directory / "platform.git"), "main", None, Deadline(300), check=False) as repository:
            publish(repository, Request(component, wanted), check=False, diff=False)
    return str(directory / "platform.git")


def reach(repository: str) -> partial[AbstractContextManager[Repository]]:
    return partial(opened, repository, "main", None, Deadline(300), check=False)


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


def test_what_others_may_have_put_there_does_not_come_with_it(tmp_path: Path) -> None:
    """Not links, nor hidden files, nor paths that lead out of the directory, which a repository may hold if nobody looks."""
    repository = fill(tmp_path)

    def git(*arguments: str, stdin: bytes = b"") -> str:
        return subprocess.run(["git", f"--git-dir={repository}", *arguments], input=stdin, capture_output=True, check=True).stdout.decode().strip()

    blob = git("hash-object", "-w", "--stdin", stdin=b"a: 1\n")
    raw = bytes.fromhex(blob)
    out = git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=b"100644 out.yaml\0" + raw)
    inner = b"100644 .hidden.yaml\0" + raw + b"40000 ..\0" + bytes.fromhex(out) + b"120000 link.yaml\0" + raw + b"100644 x.yaml\0" + raw
    inside = git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=inner)
    tree = git("mktree", stdin=f"040000 tree {inside}\tcomponents\n".encode())
    person = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    git("update-ref", "refs/heads/main", git(*person, "commit-tree", tree, "-p", "main", "-m", "Odd"))
    assert restore([{"target": "components", "source": str(tmp_path / "new" / "tree")}], "", reach(repository), check=False) == ["components"]
    assert [path.relative_to(tmp_path / "new").as_posix() for path in (tmp_path / "new").rglob("*.yaml")] == ["tree/x.yaml"]


def test_what_is_there_stays_and_nothing_is_opened(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()

    def never() -> AbstractContextManager[Repository]:
        raise AssertionError("the repository was opened")

    assert restore([{"target": "components", "source": str(tmp_path / "tree")}], "", never, check=False) == []


def test_an_empty_repository_restores_nothing(tmp_path: Path) -> None:
    wanted = [{"target": "components", "source": str(tmp_path / "tree")}]
    assert restore(wanted, "", reach(str(tmp_path / "empty.git")), check=False) == []
    assert not (tmp_path / "tree").exists()


def test_one_look_tells_which_directories_need_no_commit(tmp_path: Path) -> None:
    items = [{"target": "components", "source": str(tmp_path / "published")}]

    def look(prefix: str = "home") -> dict[str, str]:
        with reach(str(tmp_path / "platform.git"))() as repository:
            return settled(repository, items, prefix)

    assert look() == {}, "an empty repository"
    fill(tmp_path, prefix="home")
    first = look()
    assert set(first) == {"grafana", "loki"}
    with reach(str(tmp_path / "platform.git"))() as repository:
        assert repository.is_ancestor(first["grafana"], first["loki"])
        assert first["loki"] == repository.head(), "each has the commit that brought it"
    assert look("elsewhere") == {}
    (tmp_path / "published" / "loki" / "service-b.yaml").write_text("kind: Service\nmetadata: {name: b}\n")
    (tmp_path / "published" / "new").mkdir()
    assert look() == {"grafana": first["grafana"]}, "another file, and nothing at all"
