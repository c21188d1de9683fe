# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bare repository on this machine: the cache of the user's repository, or the only one. Many processes use it at once.

``refs/heads/BRANCH`` is the branch as it was last seen in the remote repository, or as we have pushed it since. Whoever changes it, or speaks to the
remote, holds the lock; who only reads needs none.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.git.contents import FILE_MODE, Entry, blob
from ansible_collections.trinode.platform.plugins.module_utils.git.program import Access, Git, require_git
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_LOCK = "trinode.lock"
_SEEN = "trinode-seen.json"
_NONE = "0" * 40
# How servers say that the branch has moved since we looked: git itself, and the forges, whose own locks fail.
_OVERTAKEN = re.compile(
    r"fetch first|non-fast-forward|cannot lock ref|failed to (update|lock)|unable to (update|lock)|incorrect old value|reference already exists", re.IGNORECASE
)


@dataclass(frozen=True)
class Head:
    """The newest commit of the branch, "" when there is none; and that of the remote repository's branch."""

    commit: str
    remote: str = ""


@dataclass(frozen=True)
class Author:
    name: str
    email: str


class Repository:
    """The repository in a directory; it is made where it is missing."""

    def __init__(self, directory: str, branch: str, deadline: Deadline, *, url: str = "", access: Access | None = None) -> None:
        require_git()
        self.directory, self.branch, self.url, self.deadline = os.path.abspath(os.path.expanduser(directory)), branch, url, deadline
        self.git = Git(self.directory, deadline)
        self._remote = Git(self.directory, deadline, access or Access(), url)
        self._ref = f"refs/heads/{branch}"
        if not exists(self.directory):
            self._make()

    def _make(self) -> None:
        """Make it beside its place and move it there, so that no other process sees half of one."""
        place, name = os.path.split(self.directory)
        try:
            if os.path.isdir(self.directory) and os.listdir(self.directory):
                raise InputError("the directory is not a bare Git repository", where=self.directory, hint="Name a directory that is not there yet.")
            os.makedirs(place, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=place) as directory:
                made = os.path.join(directory, name)
                Git(made, self.deadline)("init", "--quiet", "--bare", "--template=", f"--initial-branch={self.branch}", "--object-format=sha1", "--", made)
                _move(made, self.directory)
        except OSError as error:
            raise InputError(f"the repository cannot be made: {error.strerror}", where=self.directory) from error
        if not exists(self.directory):
            raise InputError("something else is there, not a bare Git repository", where=self.directory)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among the processes of this machine. The lock goes with the process, however that ends."""
        try:
            descriptor = os.open(os.path.join(self.directory, _LOCK), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InputError(f"the repository cannot be written: {error.strerror}", where=self.directory) from error
        try:
            while not _lock(descriptor):
                self.deadline.check("other tasks did not leave the repository", where=self.directory, hint="Raise the timeout if the server is slow.")
                self.deadline.pause(0.02)  # flock(2) has no timeout
            self._clear()
            yield
        finally:
            os.close(descriptor)

    def _clear(self) -> None:
        """Remove the locks of references that a killed git has left. They were taken with our lock, which is free or we would not have it."""
        refs = os.path.join(self.directory, "refs")
        for pattern in (f"heads/{self.branch}.lock", "trinode/*/*.lock"):
            for path in glob.glob(os.path.join(glob.escape(refs), pattern)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)

    # The remote repository

    def look(self) -> Head:
        """The branch as it is now. A look that another process began after this call is as good as one of our own."""
        since = time.time_ns()
        if not self.url:
            return Head(self.head())
        with self.locked():
            seen = self._seen()
            if since <= seen.get("time", 0) <= time.time_ns():
                return Head(self.head(), seen["remote"])
            return self.fetch()

    def last_seen(self) -> Head:
        """The branch as this machine knows it, without asking. Only with the lock."""
        return Head(self.head(), self._seen().get("remote", ""))

    def fetch(self) -> Head:
        """Ask the remote repository. Only with the lock."""
        since, before = time.time_ns(), self.head()
        progress(f"asking {self.url} for {self.branch}")
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        result = self._remote("fetch", *options, "--", self.url, f"+{self._ref}:{self._ref}", accept=(0, 1, 128))
        if result.returncode != 0:
            if "couldn't find remote ref" not in result.stderr:
                raise self._remote.failure("fetch", result)
            # The branch is not there, as in a new repository. What has been kept here until now will be its beginning.
            self._note("", since)
            return Head(before)
        now = self.head()
        if before and before != now and not self.is_ancestor(before, now):
            # Another history than the one we had. It stays reachable for whoever misses it.
            self.git("update-ref", f"refs/trinode/kept/{before}", before)
        self._note(now, since)
        return Head(now, now)

    def push(self, commit: str) -> str:
        """Make the commit the branch's newest one. Returns "", or the server's words when somebody else was faster. Only with the lock."""
        if self.url:
            since = time.time_ns()
            progress(f"pushing {commit[:12]} to {self.branch} of {self.url}")
            # Never forced: the server takes only what is on top of what it has.
            result = self._remote("push", "--porcelain", "--no-verify", "--", self.url, f"{commit}:{self._ref}", accept=(0, 1))
            if result.returncode != 0:
                if overtaken(result.stdout):
                    return result.stdout
                raise self._remote.failure("push", result)
            self._note(commit, since)
        self.git("update-ref", self._ref, commit)
        return ""

    def _seen(self) -> dict[str, Any]:
        """When the remote was last asked, and what it had. Empty when that is not known."""
        try:
            with open(os.path.join(self.directory, _SEEN), encoding="utf-8") as file:
                found = json.load(file)
            entry = found[self.url][self.branch]
            return dict(entry) if isinstance(entry["time"], int) and isinstance(entry["remote"], str) else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _note(self, remote: str, since: int) -> None:
        path = os.path.join(self.directory, _SEEN)
        try:
            with open(path, encoding="utf-8") as file:
                known = json.load(file)[self.url]
        except (OSError, ValueError, KeyError, TypeError):
            known = {}
        try:
            with open(f"{path}.partial", "w", encoding="utf-8") as file:
                json.dump({self.url: {**known, self.branch: {"time": since, "remote": remote}}}, file)
            os.replace(f"{path}.partial", path)
        except OSError as error:
            raise InputError(f"the repository cannot be written: {error.strerror}", where=self.directory) from error

    # What is in it

    def head(self) -> str:
        """The newest commit of the branch here, "" when there is none."""
        return self.git("rev-parse", "--verify", "--quiet", self._ref, accept=(0, 1)).stdout.strip()

    def knows(self, commit: str) -> bool:
        """Whether the commit is here."""
        return self.git("cat-file", "-e", f"{commit}^{{commit}}", accept=(0, 1, 128)).returncode == 0

    def is_ancestor(self, commit: str, descendant: str) -> bool:
        """Whether ``descendant`` contains ``commit``, or is it. Both must be here."""
        return self.git("merge-base", "--is-ancestor", commit, descendant, accept=(0, 1)).returncode == 0

    def entries(self, commit: str, paths: Iterable[str]) -> dict[str, Entry]:
        """The files of a commit at and below these paths. Names with unusual letters are as git quotes them."""
        listed = list(paths)
        if not commit or not listed:
            return {}
        found = {}
        for line in self.git("ls-tree", "-r", "--full-tree", commit, "--", *listed).stdout.splitlines():
            description, _tab, path = line.partition("\t")
            mode, _type, name = description.split(" ")
            found[path] = Entry(mode, name)
        return found

    def texts(self, entries: Iterable[Entry]) -> dict[str, str]:
        """The files' texts by the name of the content."""
        wanted = {entry.id for entry in entries if entry.mode != "160000"}  # a submodule's content is elsewhere
        if not wanted:
            return {}
        mark = secrets.token_hex(16)
        found = self.git("cat-file", f"--batch={mark} %(objectname)", stdin="".join(f"{name}\n" for name in sorted(wanted))).stdout
        parts = (part.partition("\n") for part in found.split(f"{mark} ")[1:])
        return {name: text.removesuffix("\n") for name, _newline, text in parts}

    def commit(self, parent: str, files: Mapping[str, bytes | None], message: str, author: Author) -> str:
        """A commit on top of ``parent`` (a first one when that is empty) in which these files are as given, None: gone. The branch is left as it is."""
        with tempfile.TemporaryDirectory(prefix="trinode-git-") as directory:
            index = {"GIT_INDEX_FILE": os.path.join(directory, "index")}
            self._write([content for content in files.values() if content is not None], directory)
            if parent:
                self.git("read-tree", parent, variables=index)
            # Removals first: a file may have to make way for a directory.
            lines = [f"0 {_NONE}\t{path}" for path, content in files.items() if content is None]
            lines += [f"{FILE_MODE} {blob(content)}\t{path}" for path, content in files.items() if content is not None]
            self.git("update-index", "--index-info", stdin="".join(f"{line}\n" for line in lines), variables=index)
            tree = self.git("write-tree", variables=index).stdout.strip()
        roles = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in (("NAME", author.name), ("EMAIL", author.email))}
        parents = ("-p", parent) if parent else ()
        return self.git("commit-tree", *parents, "-F", "-", tree, stdin=message, variables=roles).stdout.strip()

    def _write(self, contents: list[bytes], directory: str) -> None:
        """Put contents into the repository."""
        paths = []
        for number, content in enumerate(contents):
            paths.append(os.path.join(directory, str(number)))
            with open(paths[-1], "wb") as file:
                file.write(content)
        if paths:
            self.git("hash-object", "-w", "--no-filters", "--stdin-paths", stdin="".join(f"{path}\n" for path in paths))


def exists(directory: str) -> bool:
    """Whether there is a repository in the directory."""
    return os.path.exists(os.path.join(os.path.expanduser(directory), "HEAD"))


def overtaken(porcelain: str) -> bool:
    """Whether a push was not taken since somebody else was faster. Pure."""
    return any(line.startswith("!") and _OVERTAKEN.search(line) for line in porcelain.splitlines())


def _move(directory: str, place: str) -> None:
    """Give the directory its name, unless another process was faster."""
    try:
        os.rename(directory, place)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
