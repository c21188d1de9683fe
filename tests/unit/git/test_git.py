# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs no git: messages, which files are whose, how git is called, what its errors mean, what a person sees of a diff."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import (
    CommandError,
    ConnectionFailed,
    InputError,
    PlatformError,
    RefusedError,
)
from ansible_collections.trinode.platform.plugins.module_utils.git import contents, edits, failures, message, program, remote, repository, shown
from ansible_collections.trinode.platform.plugins.module_utils.git.contents import Entry
from ansible_collections.trinode.platform.plugins.module_utils.git.message import Story

A, B, C = (f"components/x/{name}.yaml" for name in "abc")
SECRET = "kind: Secret\napiVersion: v1\nmetadata:\n  name: x\ndata:\n  password: aHVudGVyMg==\n"
SEALED = "kind: SealedSecret\nspec:\n  encryptedData:\n    password: AgB{}\n"


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (Story("cilium", (), added=[A, B, C], existed=False), "installed, 3 resources"),
        (Story("cilium", (), added=[A], existed=False, after={"cilium": "v1"}), "installed, 1 resource"),
        (
            Story("cert_manager", (), changed=[A, B, C], before={"cert-manager": "v1.20.0"}, after={"cert-manager": "v1.21.1"}),
            "cert-manager v1.20.0 -> v1.21.1, 3 resources changed",
        ),
        (
            Story("x", (), added=[A], changed=[B], removed=[C], before={"a": "1", "b": "1", "c": "1"}, after={"a": "2", "b": "1", "d": "1"}),
            "a 1 -> 2, c removed, d 1 added, 1 resource changed, 1 added, 1 removed",
        ),
        (Story("x", (), removed=[A, B], before={"a": "1"}, after={"a": "2"}), "a 1 -> 2, 2 resources removed"),
        (Story("grafana", (), changed=[A], resources={A: "ConfigMap grafana/grafana"}), "values changed (ConfigMap grafana/grafana)"),
        (
            Story("grafana", (), changed=[A, B, C], before={"a": "1"}, after={"a": "1"}, resources={A: "ConfigMap grafana/grafana"}),
            "values changed (ConfigMap grafana/grafana and 2 more)",
        ),
        (Story("grafana", (), changed=[A], before={"a": "1"}), f"values changed ({A})"),
        (Story("grafana", (), added=[A], resources={A: "Job x/y"}), "1 resource added (Job x/y)"),
        (Story("grafana", (), changed=[A], removed=[B], resources={A: "Job x/y"}), "1 resource changed, 1 removed (Job x/y and 1 more)"),
        (Story("redis_operator", (), removed=[A, B], absent=True, before={"a": "1"}), "removed"),
    ],
)
def test_subject(story: Story, expected: str) -> None:
    assert message.subject(story) == f"{story.component}: {expected}"


def test_subject_does_not_grow_without_end() -> None:
    many = {f"pin-{number}": "1" for number in range(30)}
    line = message.subject(Story("x", (), changed=[A], before=many, after=dict.fromkeys(many, "2")))
    assert len(line) == 120
    assert line.endswith("…")


def test_message() -> None:
    story = Story("x", ("components/x", "apps/x.yaml"), added=[A], changed=[B], after={"b": "2", "a": "1"}, overwritten=[f"{B} (Ada, 123)"])
    assert message.message(story) == (
        f"x: 1 resource changed, 1 added ({A} and 1 more)\n\nadded: {A}\nchanged: {B}\n\nOverwrites edits of others:\n- {B} (Ada, 123)\n\n"
        "Trinode-Component: x\nTrinode-Versions: a=1 b=2\nTrinode-Target: components/x\nTrinode-Target: apps/x.yaml\n"
    )
    assert "and 60 more\n" in message.message(Story("x", ("t",), added=[str(number) for number in range(100)]))
    assert message.versions_of("a=1 b=2=3 nonsense") == {"a": "1", "b": "2=3"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels:\n    name: no\n  name: a\n  namespace: b\nspec:\n  name: no\n", "ConfigMap b/a"),
        ("kind: Namespace\nmetadata:\n  name: 'a'\n", "Namespace a"),
        ("metadata:\n  name: a\n", ""),
        ("", ""),
        ("$ANSIBLE_VAULT;1.1;AES256\n6162\n", ""),
    ],
)
def test_resource(text: str, expected: str) -> None:
    assert message.resource(text) == expected


def entries(**ids: str) -> dict[str, Entry]:
    return {path: Entry("100644", name) for path, name in ids.items()}


@pytest.mark.parametrize(
    ("left", "now", "wanted", "expected"),
    [
        (entries(a="1"), entries(a="1"), entries(a="2"), []),
        (entries(a="1"), entries(a="2"), entries(a="3"), ["a"]),
        (entries(a="1"), entries(a="2"), entries(a="2"), []),
        (entries(a="1"), entries(a="2"), None, ["a"]),
        (entries(a="1"), {}, entries(a="1"), ["a"]),
        (entries(a="1"), {}, {}, []),
        (entries(), entries(b="1"), entries(a="1"), ["b"]),
        (entries(a="1"), {"a": Entry("100755", "1")}, None, ["a"]),
    ],
)
def test_foreign_edits(left: dict[str, Entry], now: dict[str, Entry], wanted: dict[str, Entry] | None, expected: list[str]) -> None:
    assert edits.foreign(left, now, wanted) == expected


@pytest.mark.parametrize(
    ("path", "inside"),
    [("apps/x.yaml", True), ("components/x/a.yaml", True), ('"components/x/\\303.yaml"', True), ("components/xy/a.yaml", False), ("apps/x.yaml.bak", False)],
)
def test_within(path: str, inside: bool) -> None:
    assert edits.within(path, ["components/x", "apps/x.yaml"]) is inside


def test_directory(tmp_path: Path) -> None:
    for name in ("a.yaml", ".b.yaml", "c.yaml.partial", "d.yml"):
        (tmp_path / name).write_text("a: 1\n")
    found = contents.read([{"target": "components/x", "source": str(tmp_path)}, {"target": "apps/x.yaml", "content": "b: 2\n"}], "/clusters/a/", absent=False)
    assert found.targets == ("clusters/a/components/x", "clusters/a/apps/x.yaml")
    assert found.files == {"clusters/a/components/x/a.yaml": b"a: 1\n", "clusters/a/apps/x.yaml": b"b: 2\n"}
    assert found.entries["clusters/a/components/x/a.yaml"] == Entry("100644", "a8926a52d8dcba5c4386945476ab6a2ad008afd4")
    assert contents.read([{"target": "components/x", "source": str(tmp_path)}], "", absent=True).files == {}
    (tmp_path / "e f.yaml").write_text("a: 1\n")
    with pytest.raises(InputError, match="letters"):
        contents.read([{"target": "components/x", "source": str(tmp_path)}], "", absent=False)
    with pytest.raises(InputError, match="Is the component rendered"):
        contents.read([{"target": "components/x", "source": str(tmp_path / "none")}], "", absent=False)


@pytest.mark.parametrize("target", ["", "/etc", "a/../b", "../b", "user/x", "user", ".git/config", "a//b", "a b", "a/", "x.lock", "-x", "a\nb"])
def test_targets_that_are_refused(target: str) -> None:
    with pytest.raises(InputError, match="cannot be a target"):
        contents.read([{"target": target, "content": ""}], "", absent=False)


@pytest.mark.parametrize("path", ["..", "a/../..", ".git", "a b"])
def test_paths_that_are_refused(path: str) -> None:
    with pytest.raises(InputError, match="trinode_git_path"):
        contents.prefix(path)


@pytest.mark.parametrize("branch", ["", "-x", "a..b", "a.lock", "a b", "/a", "refs/heads/x:y", "a/"])
def test_branches_that_are_refused(branch: str) -> None:
    with pytest.raises(InputError, match="trinode_git_branch"):
        contents.check_branch(branch)


def test_targets_do_not_overlap() -> None:
    for other in ("components/x", "components/x/a.yaml", "components"):
        with pytest.raises(InputError, match="listed twice"):
            contents.read([{"target": "components/x", "content": ""}, {"target": other, "content": ""}], "", absent=False)
    with pytest.raises(InputError, match="either source or content"):
        contents.read([{"target": "components/x"}], "", absent=False)


@pytest.mark.parametrize(
    "text", [SECRET, f"a: 1\n---\n{SECRET}", '{"kind":"Secret","stringData":{"a":"b"}}', "kind: List\nitems:\n- kind: Secret\n  data: {a: b}\n"]
)
def test_a_secret_in_clear_is_refused(text: str) -> None:
    with pytest.raises(RefusedError, match="Secret in clear"):
        contents.read([{"target": "x.yaml", "content": text}], "", absent=False)


@pytest.mark.parametrize(
    "text",
    [
        "kind: Secret\ntype: Opaque\n",
        "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
        "kind: Gateway\ncertificateRefs:\n- kind: Secret\n  name: x\n",
        "kind: SealedSecret\n",
    ],
)
def test_what_only_speaks_of_a_secret_is_taken(text: str) -> None:
    assert contents.read([{"target": "x.yaml", "content": text}], "", absent=False).files


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, "a: 1\n", "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+a: 1\n"),
        ("a: 1\n", None, "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-a: 1\n"),
        (SECRET, SECRET.replace("aH", "bH"), "--- a/f\n+++ b/f\n@@ hidden @@\n <Secret, hidden> changed\n"),
        (None, SECRET, "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+<Secret, hidden>\n"),
        ("kind: Secret\n\t: no yaml", None, "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-<Secret, hidden>\n"),
        ("a: 1", "a: 1\n", "--- a/f\n+++ b/f\n"),
    ],
)
def test_diff(before: str | None, after: str | None, expected: str) -> None:
    assert shown.unified("f", before, after) == expected


def test_diff_hides_what_is_encrypted_and_shows_that_it_changes() -> None:
    sealed = shown.unified("f", SEALED.format("x" * 300), SEALED.format("y" * 300))
    assert "-    password: <sealed, sha256:" in sealed
    assert "+    password: <sealed, sha256:" in sealed
    assert "xxx" not in sealed
    vaulted = shown.unified("f", "$ANSIBLE_VAULT;1.1;AES256\n6162\n", "$ANSIBLE_VAULT;1.1;AES256\n6163\n")
    assert "-<encrypted with Ansible Vault, sha256:" in vaulted
    assert "6162" not in vaulted


def test_diff_is_bounded() -> None:
    long = shown.unified("f", None, "".join(f"{number}\n" for number in range(10_000)))
    assert len(long.splitlines()) == shown.LINES + 3
    assert long.endswith("@@ and 9801 more lines @@\n")
    assert "too large to show" in shown.unified("f", "x\n" * 300_000, "y\n")


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://git.example.org/a/b.git", "http"),
        ("http://10.0.0.1:3000/a.git", "http"),
        ("ssh://git@git.example.org:2222/a/b.git", "ssh"),
        ("git@git.example.org:a/b.git", "ssh"),
        ("git.example.org:b.git", "ssh"),
        ("/srv/git/b.git", "file"),
        ("file:///srv/git/b.git", "file"),
    ],
)
def test_urls(url: str, kind: str) -> None:
    found = remote.Remote(url)
    found.check()
    assert found.kind == kind


@pytest.mark.parametrize("url", ["ext::sh -c x", "-oProxyCommand=x:y", "ftp://x/y", "git://x/y", "x", "../x", "https://git.example.org/a b", "--upload-pack=x"])
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="is not a URL of a Git repository"):
        remote.Remote(url).check()


@pytest.mark.parametrize("url", ["https://git:hunter2@x.org/y.git", "https://hunter2@x.org/y.git", "ssh://git:hunter2@x.org/y.git"])
def test_credentials_in_a_url_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="trinode_git_token") as raised:
        remote.Remote(url).check()
    assert "hunter2" not in str(raised.value)
    assert "hunter2" in " ".join(remote.Remote(url).credentials)


def test_credentials_are_not_shown() -> None:
    found = remote.Remote("https://x.org/y.git", token="hunter2", ssh_key="hunter2")
    assert "hunter2" not in repr(found)
    assert remote.Remote("http://x.org/y.git", token="t").warning
    assert not found.warning


def test_http_goes_by_the_environment(tmp_path: Path) -> None:
    access = remote.http_access(remote.Remote("https://x.org/y.git", "deploy", "hunter2", ca="PEM"), str(tmp_path))
    assert dict(access.settings) == {
        "http.followRedirects": "false",
        "http.https://x.org/y.git.extraHeader": "Authorization: Basic ZGVwbG95Omh1bnRlcjI=",
    }
    assert Path(access.variables["GIT_SSL_CAINFO"]).read_text() == "PEM\n"
    values = program.environment("/srv/x.git", access)
    count = int(values["GIT_CONFIG_COUNT"])
    assert values[f"GIT_CONFIG_VALUE_{count - 1}"] == "Authorization: Basic ZGVwbG95Omh1bnRlcjI="
    assert (values["GIT_TERMINAL_PROMPT"], values["GIT_CONFIG_GLOBAL"], values["GIT_DIR"]) == ("0", os.devnull, "/srv/x.git")
    assert program.scrubbed("remote: hunter2 ZGVwbG95Omh1bnRlcjI=", access) == "remote: <redacted> <redacted>"


def test_ssh_goes_by_files_that_only_we_read(tmp_path: Path) -> None:
    access = remote.ssh_access(remote.Remote("git@x.org:y.git", ssh_key="KEY", known_hosts="x.org ssh-ed25519 AAAA"), str(tmp_path))
    words = shlex.split(access.variables["GIT_SSH_COMMAND"])
    assert words[:5] == ["ssh", "-F", "/dev/null", "-i", str(tmp_path / "key")]
    for option in ("IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "BatchMode=yes", f"UserKnownHostsFile={tmp_path}/known_hosts"):
        assert option in words
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "key").read_text() == "KEY\n"
    assert "IdentitiesOnly=yes" not in remote.ssh_command("", "")
    assert "StrictHostKeyChecking=yes" in remote.ssh_command("", "")
    with remote.reached(remote.Remote("git@x.org:y.git", ssh_key="KEY")) as reached:
        key = Path(shlex.split(reached.variables["GIT_SSH_COMMAND"])[4])
        assert key.parent.stat().st_mode & 0o777 == 0o700
    assert not key.parent.exists()


def test_what_a_killed_run_left_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = {"trinode-git-access-99999999-x": False, f"trinode-git-access-{os.getppid()}-x": True, "trinode-git-access-me-x": True, "trinode-git-other": True}
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").touch()
    with remote.reached(remote.Remote("git@x.org:y.git", ssh_key="KEY")):
        assert {name: (tmp_path / name).exists() for name in names} == names


def test_variables_of_the_users_do_not_count() -> None:
    assert program.command_line(["fetch", "--", "x"], {"PATH", "GIT_EXEC_PATH", "HTTPS_PROXY"}) == ["git", "fetch", "--", "x"]
    found = program.command_line(["fetch"], {"GIT_TRACE_CURL", "GIT_WORK_TREE", "SSH_ASKPASS", "https_proxy"})
    assert found == ["env", "-u", "GIT_TRACE_CURL", "-u", "GIT_WORK_TREE", "-u", "SSH_ASKPASS", "git", "fetch"]


def test_a_missing_git_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match="git was not found"):
        program.require_git()


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("fatal: could not read Username for 'https://x': terminal prompts disabled", InputError, "trinode_git_token"),
        ("remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://x/'", InputError, "does not accept the credentials"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 403", RefusedError, "forbids"),
        (
            "remote: Permission to a/b.git denied to c.\nfatal: unable to access 'https://x/': The requested URL returned error: 403",
            RefusedError,
            "Permission to a/b.git",
        ),
        ("git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.", InputError, "deploy key"),
        ('Load key "/tmp/k": error in libcrypto\ngit@x: Permission denied (publickey).', InputError, "passphrase"),
        ("Host key verification failed.\nfatal: Could not read from remote repository.", ConnectionFailed, "trinode_git_known_hosts"),
        ("No ED25519 host key is known for x and you have requested strict checking.\nHost key verification failed.", ConnectionFailed, "host key"),
        ("ERROR: The key you are authenticating with has been marked as read only.\nfatal: Could not read", RefusedError, "not write"),
        ("remote: Repository not found.\nfatal: repository 'https://x/' not found", InputError, "trinode_git_url"),
        ("fatal: '/srv/x.git' does not appear to be a git repository\nfatal: Could not read from remote repository.", InputError, "no such repository"),
        (
            "remote: error: GH006: Protected branch update failed for refs/heads/main.\n!\tx:y\t[remote rejected] (protected branch hook declined)",
            RefusedError,
            "GH006",
        ),
        ("remote: \nremote: ====\nremote: Not on Fridays\n!\tx\t[remote rejected] (pre-receive hook declined)", RefusedError, "commit: Not on Fridays"),
        ("fatal: unable to access 'https://x/': Could not resolve host: x", ConnectionFailed, "cannot be reached"),
        ("ssh: connect to host x port 22: Connection refused\nfatal: Could not read", ConnectionFailed, "cannot be reached"),
        ("fatal: unable to access 'https://x/': SSL certificate problem: self-signed certificate", ConnectionFailed, "trinode_git_ca"),
        ("fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none", ConnectionFailed, "trinode_git_ca"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 301", InputError, "redirects"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 502", ConnectionFailed, "cannot be reached"),
        ("fatal: mismatched algorithms: client sha1; server sha256", InputError, "SHA-256"),
        ("error: insufficient permission for adding an object to repository database ./objects", InputError, "owner"),
        ("fatal: something new", CommandError, "git push failed: something new"),
        ("", CommandError, "without a word"),
        ("fatal: unable to access 'https://me:hunter2@x/': odd", CommandError, "<redacted>@x"),
    ],
)
def test_errors_of_git_in_plain_words(text: str, error: type[PlatformError], words: str) -> None:
    found = failures.explain(text, operation="push", where="https://x")
    assert type(found) is error
    assert words in str(found)
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("!\tabc:refs/heads/main\t[rejected] (fetch first)", True),
        ("!\tabc:refs/heads/main\t[rejected] (non-fast-forward)", True),
        ("!\tabc:refs/heads/main\t[remote rejected] (cannot lock ref 'refs/heads/main': is at 1 but expected 2)", True),
        ("!\tabc:refs/heads/main\t[remote rejected] (failed to update ref)", True),
        ("!\tabc:refs/heads/main\t[remote rejected] (pre-receive hook declined)", False),
        ("To https://x/fetch first", False),
        ("=\tabc:refs/heads/main\t[up to date]", False),
    ],
)
def test_who_was_faster(line: str, expected: bool) -> None:
    assert repository.overtaken(f"To https://x\n{line}\nDone\n") is expected
