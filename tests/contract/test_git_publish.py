"""Publishing with the real git: against a smart HTTP server with credentials, a real sshd, and by many processes at once."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import git_server
import pytest
from git_server import TOKEN, USER

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import (
    ConnectionFailed,
    InputError,
    PlatformError,
    RefusedError,
)
from ansible_collections.trinode.platform.plugins.module_utils.git import contents, edits
from ansible_collections.trinode.platform.plugins.module_utils.git.publish import Published, Request, opened, publish
from ansible_collections.trinode.platform.plugins.module_utils.git.remote import Remote

pytestmark = [pytest.mark.slow, pytest.mark.newest_only]

SETTING = "apiVersion: v1\ndata:\n  level: {level}\nkind: ConfigMap\nmetadata:\n  name: grafana\n  namespace: grafana\n"
APPLICATION = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata:\n  name: grafana\n  namespace: argocd\n"
FILE = "components/grafana/configmap-grafana-grafana.yaml"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Settings and variables of the user's that would break everything if they counted; and temporary files where a test can look at them."""
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tuseConfigOnly = true\n[core]\n\tautocrlf = true\n[push]\n\tdefault = nothing\n[http]\n\tproxy = http://127.0.0.1:9\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    monkeypatch.setenv("GIT_TRACE_CURL", str(tmp_path / "trace"))
    monkeypatch.setenv("GIT_TRACE_REDACT", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def git(directory: Path, *arguments: str, stdin: str | None = None) -> str:
    """git as a user calls it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    person = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in (("NAME", "Ada"), ("EMAIL", "ada@example.org"))}
    done = subprocess.run(
        ["git", "-C", directory, *arguments],
        env={**environment, **person, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass
class Place:
    """A bare repository as a forge has it, the local one, and a component's rendered directory."""

    directory: Path
    remote: Remote | None = None
    local: str = "platform.git"
    path: str = ""
    published: list[Published] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = self.directory / "server" / "platform.git"
        if not self.server.exists():
            self.server.parent.mkdir()
            git(self.directory, "init", "--quiet", "--bare", "--initial-branch=main", str(self.server))
        self.source = self.directory / "tree" / "grafana"
        if not self.source.exists():
            self.source.mkdir(parents=True)
            self.render("configmap-grafana-grafana.yaml", SETTING.format(level="info"))
            self.render("service-grafana-grafana.yaml", "kind: Service\nmetadata:\n  name: grafana\n  namespace: grafana\n")
            (self.source / "configmap-grafana-grafana.yaml.partial").write_text("half")
            (self.source / ".hidden.yaml").write_text("a: 1\n")
            (self.source / "notes.txt").write_text("no manifest\n")

    def render(self, name: str, text: str) -> None:
        (self.source / name).write_text(text)

    def publish(self, *, check: bool = False, timeout: float = 300, application: str = APPLICATION, **request: Any) -> Published:
        items = [{"target": "components/grafana", "source": str(self.source)}, {"target": "apps/grafana.yaml", "content": application}]
        wanted = contents.read(items, self.path, absent=request.get("absent", False))
        with opened(str(self.directory / self.local), "main", self.remote, Deadline(timeout), check=check) as repository:
            return publish(repository, Request("grafana", wanted, **request), check=check, diff=True)

    def drift(self) -> list[edits.Edit]:
        with opened(str(self.directory / self.local), "main", self.remote, Deadline(300), check=True) as repository:
            return edits.drift(repository, repository.look().commit, self.path)

    def commit(self, files: dict[str, str | None], message: str = "By hand") -> str:
        """Somebody else's commit, pushed."""
        with tempfile.TemporaryDirectory(dir=self.directory) as directory:
            work = Path(directory) / "work"
            git(self.directory, "clone", "--quiet", str(self.server), str(work))
            git(work, "checkout", "--quiet", "-B", "main")
            for name, text in files.items():
                (work / name).parent.mkdir(parents=True, exist_ok=True)
                if text is None:
                    (work / name).unlink()
                else:
                    (work / name).write_text(text)
            git(work, "add", "--all")
            git(work, "commit", "--quiet", "-m", message)
            git(work, "push", "--quiet", "origin", "main")
            return git(work, "rev-parse", "HEAD").strip()

    def files(self) -> list[str]:
        return git(self.server, "ls-tree", "-r", "--name-only", "main").splitlines()

    def log(self, form: str = "%s") -> list[str]:
        return git(self.server, "log", f"--format={form}", "main").splitlines()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A place whose server is reached by HTTP with a token."""
    (tmp_path / "server").mkdir()
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "server" / "platform.git"))
    git(tmp_path / "server" / "platform.git", "config", "http.receivepack", "true")
    with git_server.http_server(tmp_path / "server") as server:
        yield Place(tmp_path, Remote(f"{server.url}/platform.git", USER, TOKEN))


def test_a_component_is_published_changed_and_removed(place: Place) -> None:
    predicted = place.publish(check=True, versions={"grafana": "v1.0.0"})
    assert predicted.changed
    assert not (place.directory / "platform.git").exists()
    assert git(place.server, "branch", "--list") == ""

    first = place.publish(versions={"grafana": "v1.0.0"})
    assert (first.changed, first.pushed, first.subject) == (True, True, "grafana: installed, 3 resources")
    assert (predicted.subject, predicted.diffs) == (first.subject, first.diffs)
    assert first.commit == first.head == git(place.server, "rev-parse", "main").strip()
    assert place.files() == ["apps/grafana.yaml", FILE, "components/grafana/service-grafana-grafana.yaml"]
    assert git(place.server, "show", f"main:{FILE}") == SETTING.format(level="info")
    assert git(place.directory / "platform.git", "log", "--format=%H") == git(place.server, "log", "--format=%H", "main")

    again = place.publish(versions={"grafana": "v1.0.0"})
    assert (again.changed, again.pushed, again.commit) == (False, False, first.commit)

    place.render("configmap-grafana-grafana.yaml", SETTING.format(level="debug"))
    changed = place.publish(versions={"grafana": "v1.0.0"})
    assert changed.subject == "grafana: values changed (ConfigMap grafana/grafana)"
    shown = "@@ -1,6 +1,6 @@\n apiVersion: v1\n data:\n-  level: info\n+  level: debug\n kind: ConfigMap\n metadata:\n   name: grafana\n"
    assert changed.diffs == [(FILE, f"--- a/{FILE}\n+++ b/{FILE}\n{shown}")]

    place.render("configmap-grafana-grafana.yaml", SETTING.format(level="warn"))
    (place.source / "service-grafana-grafana.yaml").unlink()
    bumped = place.publish(versions={"grafana": "v1.1.0"})
    assert bumped.subject == "grafana: grafana v1.0.0 -> v1.1.0, 1 resource changed, 1 removed"
    assert "components/grafana/service-grafana-grafana.yaml" not in place.files()

    removed = place.publish(absent=True)
    assert removed.subject == "grafana: removed"
    assert place.files() == []
    assert place.publish(absent=True).commit == removed.commit
    assert place.log()[::-1] == [first.subject, changed.subject, bumped.subject, "grafana: removed"]
    assert place.log("%an <%ae>")[0] == "trinode.platform <trinode@localhost>"


def test_check_mode_writes_nothing(place: Place) -> None:
    place.publish()
    before = git(place.server, "rev-parse", "main")
    place.render("configmap-grafana-grafana.yaml", SETTING.format(level="debug"))
    place.render("sealed.yaml", f"kind: SealedSecret\nspec:\n  encryptedData:\n    password: AgA{'x' * 300}\n")
    predicted = place.publish(check=True)
    assert git(place.server, "rev-parse", "main") == before
    real = place.publish()
    assert (predicted.subject, predicted.diffs, predicted.changed) == (real.subject, real.diffs, True)
    assert "password: <sealed, sha256:" in dict(real.diffs)["components/grafana/sealed.yaml"]
    assert "xxx" not in str(real.diffs)


def test_what_others_have_is_kept(place: Place) -> None:
    place.path = "clusters/lab"
    place.commit({"README.md": "Ours\n", "user/shop/app.yaml": "a: 1\n", "clusters/lab/user/x/y.yaml": "b: 1\n"})
    first = place.publish()
    theirs = place.commit({"user/shop/app.yaml": "a: 2\n"})
    place.render("configmap-grafana-grafana.yaml", SETTING.format(level="debug"))
    second = place.publish()
    assert not first.edits
    assert not second.edits
    assert git(place.server, "rev-parse", f"{second.commit}^").strip() == theirs
    assert git(place.server, "show", "main:user/shop/app.yaml") == "a: 2\n"
    assert {"README.md", "clusters/lab/user/x/y.yaml", f"clusters/lab/{FILE}", "clusters/lab/apps/grafana.yaml"} <= set(place.files())
    # What others commit moves the branch's head, and not the commit that Argo CD must have reached.
    head = place.commit({"README.md": "New\n"})
    third = place.publish()
    assert (third.changed, third.commit, third.head) == (False, second.commit, head)


def test_edits_of_others_are_refused_and_overwritten_when_told(place: Place) -> None:
    place.publish(versions={"grafana": "v1.0.0"})
    place.commit({FILE: SETTING.format(level="trace")}, "Try something")
    by_hand = place.commit({"components/grafana/extra.yaml": "kind: ConfigMap\n"})
    place.commit({"README.md": "Not ours\n"})

    for check in (True, False):
        with pytest.raises(RefusedError, match="others have edited files that are ours") as refused:
            place.publish(check=check)
        found = refused.value.details["edits"]
        assert [(edit["component"], edit["file"], edit["author"]) for edit in found] == [
            ("grafana", FILE, "Ada <ada@example.org>"),
            ("grafana", "components/grafana/extra.yaml", "Ada <ada@example.org>"),
        ]
        assert found[1]["commit"] == by_hand
        assert "-  level: info\n+  level: trace\n" in found[0]["diff"]
        assert "trinode_git_overwrite" in str(refused.value)
    assert place.log()[0] == "By hand"
    assert [edit.file for edit in place.drift()] == [FILE, "components/grafana/extra.yaml"]

    overwritten = place.publish(overwrite=True, versions={"grafana": "v1.0.0"})
    assert [edit.file for edit in overwritten.edits] == [FILE, "components/grafana/extra.yaml"]
    assert git(place.server, "show", f"main:{FILE}") == SETTING.format(level="info")
    assert f"- {FILE} (Ada <ada@example.org>, " in git(place.server, "log", "-1", "--format=%B", "main")
    assert len(place.log()) == 5
    assert place.drift() == []
    assert not place.publish().changed


def test_an_edit_that_is_what_we_want_is_none(place: Place) -> None:
    place.publish()
    place.commit({FILE: SETTING.format(level="debug")})
    assert len(place.drift()) == 1
    place.render("configmap-grafana-grafana.yaml", SETTING.format(level="debug"))
    assert not place.publish(check=True).changed
    found = place.publish()
    assert (found.changed, found.edits) == (False, ())
    assert place.drift() == []
    # And it is what later edits are compared with.
    place.render("configmap-grafana-grafana.yaml", SETTING.format(level="warn"))
    assert place.publish().changed
    place.commit({FILE: None})
    assert [edit.diff.splitlines()[1] for edit in place.drift()] == ["+++ /dev/null"]


def test_a_deleted_file_and_what_was_there_before_us_are_edits(place: Place) -> None:
    place.commit({FILE: SETTING.format(level="theirs"), "apps/grafana.yaml": APPLICATION})
    with pytest.raises(RefusedError) as refused:
        place.publish()
    assert [edit["file"] for edit in refused.value.details["edits"]] == [FILE]
    place.publish(overwrite=True)
    place.commit({"components/grafana/service-grafana-grafana.yaml": None})
    with pytest.raises(RefusedError, match=r"service-grafana-grafana\.yaml"):
        place.publish()
    place.publish(absent=True, overwrite=True)
    place.commit({"apps/grafana.yaml": APPLICATION})
    with pytest.raises(RefusedError, match=r"apps/grafana\.yaml"):
        place.publish(absent=True)


def test_files_with_odd_names_and_kinds_are_removed(place: Place) -> None:
    place.publish()
    place.commit({'components/grafana/größe und "mehr".yaml': "a: 1\n", "components/grafana/deep/er.yaml": "a: 1\n"})
    work = place.directory / "work"
    git(place.directory, "clone", "--quiet", str(place.server), str(work))
    (work / "components/grafana/link.yaml").symlink_to("/etc/passwd")
    (work / FILE).chmod(0o755)
    (work / "components/grafana/service-grafana-grafana.yaml").unlink()
    (work / "components/grafana/service-grafana-grafana.yaml").mkdir()
    (work / "components/grafana/service-grafana-grafana.yaml/x").write_bytes(b"\xff\x00")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "-m", "Odd")
    git(work, "push", "--quiet", "origin", "main")
    found = place.drift()
    assert len(found) == 6
    assert {edit.author for edit in found} == {"Ada <ada@example.org>"}
    before = git(place.server, "rev-parse", "main~2^{tree}")
    assert place.publish(overwrite=True).changed
    assert git(place.server, "rev-parse", "main^{tree}") == before


def test_edits_in_merges_and_reverts(place: Place) -> None:
    place.publish()
    place.commit({FILE: SETTING.format(level="trace")})
    place.commit({FILE: SETTING.format(level="info")}, "Back again")
    assert place.drift() == []
    work = place.directory / "work"
    git(place.directory, "clone", "--quiet", str(place.server), str(work))
    git(work, "checkout", "--quiet", "-b", "side", "HEAD~2")
    (work / FILE).write_text(SETTING.format(level="side"))
    git(work, "commit", "--quiet", "-a", "-m", "On the side")
    side = git(work, "rev-parse", "HEAD").strip()
    git(work, "checkout", "--quiet", "main")
    git(work, "merge", "--quiet", "--no-ff", "-m", "Merge", "side")
    git(work, "push", "--quiet", "origin", "main")
    assert [(edit.file, edit.commit) for edit in place.drift()] == [(FILE, side)]


def test_two_clusters_in_one_repository_do_not_hide_each_others_edits(place: Place) -> None:
    other = Place(place.directory, place.remote, path="clusters/b")
    place.path = "clusters/a"
    place.publish()
    place.commit({f"clusters/a/{FILE}": SETTING.format(level="theirs")})
    other.publish()
    assert [edit.file for edit in place.drift()] == [f"clusters/a/{FILE}"]
    assert other.drift() == []
    with pytest.raises(RefusedError):
        place.publish()


def test_without_a_url_all_stays_here_and_moves_when_there_is_one(place: Place) -> None:
    remote, place.remote = place.remote, None
    first = place.publish()
    assert (first.changed, first.pushed) == (True, False)
    assert not place.publish().changed
    assert git(place.server, "branch", "--list") == ""
    place.remote = remote
    moved = place.publish()
    assert (moved.changed, moved.pushed, moved.commit, moved.subject) == (True, True, first.commit, "")
    assert git(place.server, "rev-parse", "main").strip() == first.commit
    assert not place.publish().changed


def test_another_history_does_not_make_ours_unreachable(place: Place) -> None:
    remote, place.remote = place.remote, None
    first = place.publish()
    place.commit({"README.md": "Made by the forge\n"})
    place.remote = remote
    assert place.publish().pushed
    assert place.log() == ["grafana: installed, 3 resources", "By hand"]
    assert git(place.directory / "platform.git", "rev-parse", f"refs/trinode/kept/{first.commit}").strip() == first.commit


def faults(directory: Path) -> dict[str, Callable[[Place], Place]]:
    def remote(**values: Any) -> Callable[[Place], Place]:
        def changed(place: Place) -> Place:
            assert place.remote
            fields = {name: getattr(place.remote, name) for name in ("url", "username", "token")}
            place.remote = Remote(**{**fields, **{name: value(place) if callable(value) else value for name, value in values.items()}})
            return place

        return changed

    def hook(text: str) -> Callable[[Place], Place]:
        def changed(place: Place) -> Place:
            path = place.server / "hooks" / "pre-receive"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
            return place

        return changed

    return {
        "wrong token": remote(token="wrong-token"),
        "no token": remote(token=""),
        "no such repository": remote(url=lambda place: place.remote.url.replace("platform", "other")),
        "protected branch": hook("echo 'Branch main is protected: open a merge request'; exit 1"),
        "nobody there": remote(url="http://127.0.0.1:9/platform.git"),
        "no such host": remote(url="https://git.invalid/platform.git"),
    }


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ("wrong token", InputError, "does not accept the credentials.*trinode_git_token"),
        ("no token", InputError, "does not accept the credentials.*trinode_git_token"),
        ("no such repository", InputError, "no such repository.*trinode_git_url"),
        ("protected branch", RefusedError, "refuses the commit: Branch main is protected: open a merge request.*trinode_git_branch"),
        ("nobody there", ConnectionFailed, "cannot be reached"),
        ("no such host", ConnectionFailed, "cannot be reached"),
    ],
)
def test_faults_of_the_server_in_plain_words(place: Place, fault: str, error: type[PlatformError], words: str) -> None:
    with pytest.raises(error, match=words) as raised:
        faults(place.directory)[fault](place).publish()
    assert TOKEN not in str(raised.value)
    assert git(place.server, "branch", "--list") == ""


def test_a_server_that_does_not_answer(place: Place) -> None:
    with git_server.silent_server() as url:
        place.remote = Remote(url)
        started = time.monotonic()
        with pytest.raises(ConnectionFailed, match="git fetch was not answered within 1 s"):
            place.publish(timeout=1)
        assert time.monotonic() - started < 3


def test_https_with_an_authority_of_ones_own(place: Place) -> None:
    with git_server.http_server(place.directory / "server", tls=place.directory) as server:
        place.remote = Remote(f"{server.url}/platform.git", USER, TOKEN)
        with pytest.raises(ConnectionFailed, match=r"certificate is not accepted.*trinode_git_ca"):
            place.publish()
        place.remote = Remote(f"{server.url}/platform.git", USER, TOKEN, ca=server.ca)
        assert place.publish().pushed


def test_credentials_do_not_follow_a_redirection(place: Place) -> None:
    with git_server.http_server(place.directory / "server") as other:
        with git_server.http_server(place.directory / "server", redirect=other.url) as server:
            place.remote = Remote(f"{server.url}/platform.git", USER, TOKEN)
            with pytest.raises(InputError, match="redirects to another address"):
                place.publish()
        assert other.paths == []


def test_the_token_is_nowhere(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in an argument of any program, nor in a file afterwards; what a server echoes of it is hidden."""
    recorded: list[str] = []
    original = subprocess.Popen

    def record(argv: Any, *arguments: Any, **keywords: Any) -> Any:
        recorded.append(" ".join(map(str, argv)))
        return original(argv, *arguments, **keywords)

    monkeypatch.setattr(subprocess, "Popen", record)
    hook = place.server / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho 'who sent {TOKEN}?'\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(RefusedError, match=r"who sent <redacted>\?"):
        place.publish()
    hook.unlink()
    place.publish()
    assert any("git push" in line for line in recorded)
    assert not [line for line in recorded if TOKEN in line and "pre-receive" not in line]
    told = subprocess.run(["grep", "-rlE", f"{TOKEN}|extraHeader", str(place.directory)], capture_output=True, text=True, check=False)
    assert told.stdout == ""
    assert not list(place.directory.glob("trinode-git-*"))


needs_sshd = pytest.mark.skipif(not Path(git_server.SSHD).exists(), reason="no sshd: install openssh-server")


@needs_sshd
def test_ssh(place: Place) -> None:
    with git_server.ssh_server(place.directory) as server:
        url = f"{server.url}{place.server}"
        place.remote = Remote(url, ssh_key=server.key.rstrip("\n"), known_hosts=server.known_hosts)
        assert place.publish().pushed
        assert not place.publish().changed
        place.render("configmap-grafana-grafana.yaml", SETTING.format(level="debug"))

        port = re.findall(r":(\d+)", url)[0]
        stranger = f"[127.0.0.1]:{port} {' '.join((place.directory / 'user.pub').read_text().split()[:2])}\n"
        for known_hosts in ("elsewhere.example.org ssh-ed25519 AAAA\n", stranger):
            place.remote = Remote(url, ssh_key=server.key, known_hosts=known_hosts)
            with pytest.raises(ConnectionFailed, match=r"(?s)host key.*trinode_git_known_hosts"):
                place.publish()
        place.remote = Remote(url, ssh_key=(place.directory / "host").read_text(), known_hosts=server.known_hosts)
        with pytest.raises(InputError, match=r"(?s)does not accept the SSH key.*deploy key"):
            place.publish()
        place.remote = Remote(url, ssh_key="no key", known_hosts=server.known_hosts)
        with pytest.raises(InputError, match="SSH key cannot be used"):
            place.publish()
        place.remote = Remote(f"{server.url}/nonexistent.git", ssh_key=server.key, known_hosts=server.known_hosts)
        with pytest.raises(InputError, match="no such repository"):
            place.publish()
    assert not list(place.directory.glob("trinode-git-*"))


# One process that publishes one component, for races.
PROGRAM = textwrap.dedent(
    """
    import json, resource, sys, time
    from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
    from ansible_collections.trinode.platform.plugins.module_utils.git import contents
    from ansible_collections.trinode.platform.plugins.module_utils.git.publish import Request, opened, publish
    from ansible_collections.trinode.platform.plugins.module_utils.git.remote import Remote
    local, url, user, token, name, text = sys.argv[1:]
    sys.stdin.readline()
    def used():
        return sum(resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    started, before = time.monotonic(), used()
    items = [{"target": f"components/{name}/{number}.yaml", "content": f"{text} {number}"} for number in range(20)]
    with opened(local, "main", Remote(url, user, token) if url else None, Deadline(120), check=False) as repository:
        found = publish(repository, Request(name, contents.read(items, "", absent=False)), check=False, diff=False)
    print(json.dumps({"commit": found.commit, "changed": found.changed, "elapsed": time.monotonic() - started, "used": used() - before}))
    """
)


def race(machines: list[Path], url: str, names: list[str], text: str) -> list[dict[str, Any]]:
    """Publish all components at once, each from one of the machines in turn."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    processes = []
    for number, name in enumerate(names):
        argv = [sys.executable, "-c", PROGRAM, str(machines[number % len(machines)]), url, USER, TOKEN, name, text]
        processes.append(subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    outputs: list[tuple[str, str]] = [("", "")] * len(processes)

    def follow(number: int) -> None:
        outputs[number] = processes[number].communicate("go\n", timeout=300)

    threads = [threading.Thread(target=follow, args=(number,)) for number in range(len(processes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [error for _output, error in outputs if error] == []
    return [json.loads(output) for output, _error in outputs]


@pytest.mark.parametrize("machines", [1, 2])
def test_twenty_at_once(place: Place, machines: int, record_property: Callable[[str, object], None]) -> None:
    assert place.remote
    names = [f"component_{number}" for number in range(20)]
    locals_ = [place.directory / f"machine-{number}.git" for number in range(machines)]
    results = race(locals_, place.remote.url, names, "first")
    assert all(result["changed"] for result in results)
    assert len({result["commit"] for result in results}) == len(names)
    unchanged = race(locals_, place.remote.url, names, "first")
    assert not any(result["changed"] for result in unchanged)
    assert len(place.log()) == len(names)
    assert place.log("%P")[-1] == ""
    assert len(place.files()) == 20 * len(names)
    assert place.drift() == []
    git(place.server, "fsck", "--strict")
    for what, told in (("changed", results), ("unchanged", unchanged)):
        record_property(what, f"{max(r['elapsed'] for r in told):.2f} s, each {sum(r['used'] for r in told) / len(told):.2f} s of its own work")


def test_a_run_that_was_killed_is_completed_by_the_next_one(place: Place) -> None:
    assert place.remote
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry), "TMPDIR": str(place.directory)}
    local, killed = place.directory / "machine.git", 0
    started = time.monotonic()
    race([local], place.remote.url, ["x"], "first")
    usual = time.monotonic() - started
    for number in range(12):
        argv = [sys.executable, "-c", PROGRAM, str(local), place.remote.url, USER, TOKEN, "x", str(number)]
        with subprocess.Popen(argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(usual * number / 10)
            killed += process.poll() is None
            process.kill()
    (local / "refs" / "heads" / "main.lock").touch()  # as by a git that was killed at the very moment
    assert killed
    results = race([local], place.remote.url, ["x"], "last")
    assert [result["changed"] for result in results] == [True]
    assert place.drift() == []
    git(place.server, "fsck", "--strict")
    assert not list(place.directory.glob("trinode-git-access-*"))


def test_twenty_at_once_without_a_remote(place: Place) -> None:
    names = [f"component_{number}" for number in range(20)]
    assert all(result["changed"] for result in race([place.directory / "machine.git"], "", names, "first"))
    assert len(git(place.directory / "machine.git", "log", "--format=%H").splitlines()) == len(names)
