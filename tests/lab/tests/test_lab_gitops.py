"""The lab's Git server: who may, what is recorded, and that it can go down. Its rules are tried without machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from driver import LAB, Lab

sys.path.insert(0, str(LAB.parent))
from trinode_lab import git  # the lab's own modules are beside its command


def run(*argv: str, directory: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ["-c", "user.name=Test", "-c", "user.email=test@lab.invalid"]
    return subprocess.run(["git", *identity, *argv], cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=60)


def succeed(*argv: str, directory: Path | None = None) -> str:
    result = run(*argv, directory=directory)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@dataclass(frozen=True)
class Serving:
    """A Git server on loopback, and its state."""

    state: Path
    port: int

    def url(self, user: str = "platform", password: str = "") -> str:
        return f"http://{user}:{password or git.password(self.state / 'git', user)}@127.0.0.1:{self.port}/{git.REPOSITORY}"

    def pushes(self) -> list[dict[str, Any]]:
        timeline = self.state / "timeline.jsonl"
        return [json.loads(line) for line in timeline.read_text().splitlines()] if timeline.exists() else []


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    git.prepare(tmp_path / "git")
    server = git.Server(tmp_path / "git", "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Serving(tmp_path, server.server_address[1])
    server.shutdown()
    server.server_close()


def commit(clone: Path, subject: str, size: int = 10) -> str:
    """A commit in a clone, with a file of that many bytes that do not compress."""
    (clone / "file").write_bytes(os.urandom(size))
    succeed("add", "file", directory=clone)
    succeed("commit", "-q", "-m", subject, directory=clone)
    return succeed("rev-parse", "HEAD", directory=clone)


def test_nobody_reads_without_the_password(serving: Serving) -> None:
    for url in (
        f"http://127.0.0.1:{serving.port}/{git.REPOSITORY}",
        serving.url(password="guess"),
        serving.url("root", "x"),
        serving.url("..%2Fusers%2Fplatform", "x"),
    ):
        result = run("ls-remote", url)
        assert result.returncode != 0
        assert "Authentication failed" in result.stderr or "could not read Username" in result.stderr
    assert succeed("ls-remote", serving.url()) == ""


def test_passwords_are_generated_and_nobody_elses_business(serving: Serving) -> None:
    files = [serving.state / "git" / "users" / user for user in git.USERS]
    assert len({file.read_text() for file in files}) == len(git.USERS)
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}


def test_pushes_are_recorded_with_their_user(serving: Serving, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    succeed("clone", "-q", serving.url(), str(mine))
    first = commit(mine, "first", size=3 << 20)  # more than git sends in one piece
    succeed("push", "-q", "origin", "HEAD:main", directory=mine)
    succeed("clone", "-q", serving.url("somebody"), str(theirs))
    second = commit(theirs, 'second, with a "quote"')
    succeed("push", "-q", "origin", "HEAD:main", directory=theirs)
    assert [
        (event["event"], event["user"], event["branch"], event["commit"], event["before"], event["subject"], event["forced"]) for event in serving.pushes()
    ] == [
        ("git-push", "platform", "main", first, "", "first", False),
        ("git-push", "somebody", "main", second, first, 'second, with a "quote"', False),
    ]


def test_a_push_on_an_old_head_is_refused_and_a_forced_one_is_told(serving: Serving, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    for clone, user in ((mine, "platform"), (theirs, "somebody")):
        succeed("clone", "-q", serving.url(user), str(clone))
        commit(clone, user)
    succeed("push", "-q", "origin", "HEAD:main", directory=mine)
    assert run("push", "-q", "origin", "HEAD:main", directory=theirs).returncode != 0
    succeed("push", "-q", "--force", "origin", "HEAD:main", directory=theirs)
    assert [(event["user"], event["forced"]) for event in serving.pushes()] == [("platform", False), ("somebody", True)]


def test_the_server_goes_down_and_comes_back(lab: Lab) -> None:
    url = lab.command("git-url").strip()
    assert succeed("ls-remote", url) == ""
    lab.command("fault", "git", "down")
    assert "Failed to connect" in run("ls-remote", url).stderr
    lab.command("fault", "git", "up")
    assert succeed("ls-remote", url) == ""
    assert [event["fault"] for event in lab.timeline() if event["event"] == "fault"][-2:] == ["git-down", "git-up"]
