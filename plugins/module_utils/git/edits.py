# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of others inside our files: how the branch differs from what our last commit there left, who did it, and what it is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from ansible_collections.trinode.platform.plugins.module_utils.git import message, shown
from ansible_collections.trinode.platform.plugins.module_utils.git.contents import Entry
from ansible_collections.trinode.platform.plugins.module_utils.git.repository import Repository

# No text of a commit has these.
_FIELD, _RECORD = "\x1f", "\x1e"
_LOOKED_AT = 1000


@dataclass(frozen=True)
class Ours:
    """A commit of ours: the component it is about, the versions it brought, and its targets."""

    commit: str
    component: str
    versions: Mapping[str, str]
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Edit:
    """A file of ours that somebody else has changed, added or removed. ``diff`` goes from what we left to what is there, secrets hidden."""

    component: str
    file: str
    author: str
    commit: str
    diff: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.file} ({self.author}, {self.commit[:12]})"


def last_change(repository: Repository, head: str, targets: Sequence[str]) -> tuple[str, bool]:
    """The commit that last changed the targets, "" when none has, and whether it is one of ours that left all of them as they are."""
    if not head:
        return "", False
    arguments = ("--max-count=1", f"--format=%H{_FIELD}{_trailers(message.TARGET)}", head, "--", *targets)
    commit, _separator, named = repository.git("log", *arguments).stdout.strip().partition(_FIELD)
    return commit, set(targets) <= set(named.split())


def newest_of_ours(repository: Repository, head: str, targets: Sequence[str]) -> dict[str, Ours]:
    """For each target the newest commit of ours that has put it there or taken it away. Targets without one are missing."""
    choices = "|".join(re.escape(target) for target in targets)
    found = _by_target(_commits_of_ours(repository, head, f"^{message.TARGET}: ({choices})$", limit=1))
    if not all(target in found for target in targets):
        found = _by_target(_commits_of_ours(repository, head, f"^{message.TARGET}: ({choices})$"))
    return {target: found[target] for target in targets if target in found}


def all_of_ours(repository: Repository, head: str, path: str) -> dict[str, Ours]:
    """The same for every target below a directory of the repository that ever was ours."""
    found = _by_target(_commits_of_ours(repository, head, f"^{message.TARGET}: "))
    return {target: ours for target, ours in found.items() if not path or target.startswith(f"{path}/")}


def drift(repository: Repository, head: str, path: str) -> list[Edit]:
    """All edits of others inside our files below a directory of the repository."""
    ours = all_of_ours(repository, head, path)
    return find(repository, head, ours, list(ours))


def find(repository: Repository, head: str, ours: Mapping[str, Ours], targets: Sequence[str], wanted: Mapping[str, Entry] | None = None) -> list[Edit]:
    """The edits inside these targets. Where ``wanted`` says what we would write, edits that came to the same are none."""
    there = repository.entries(head, targets)
    found = []
    for base, group in _grouped({target: ours[target].commit if target in ours else "" for target in targets}).items():
        now = {path: entry for path, entry in there.items() if within(path, group)}
        if not foreign(repository.entries(base, group), now, wanted):
            continue
        for start, part in _grouped(_accepted(repository, head, base, group)).items():
            inside = {path: entry for path, entry in now.items() if within(path, part)}
            found += _edits(repository, start, head, targets=part, ours=ours, now=inside, wanted=wanted)
    return sorted(found, key=lambda edit: edit.file)


def _edits(
    repository: Repository,
    base: str,
    head: str,
    *,
    targets: Sequence[str],
    ours: Mapping[str, Ours],
    now: Mapping[str, Entry],
    wanted: Mapping[str, Entry] | None,
) -> list[Edit]:
    """The edits since one commit, "" for all there ever were."""
    left = repository.entries(base, targets)
    files = foreign(left, now, wanted)
    if not files:
        return []
    authors = _authors(repository, base, head, targets)
    texts = repository.texts(entry for path in files for entry in (left.get(path), now.get(path)) if entry)
    found = []
    for path in files:
        target = next(target for target in targets if within(path, [target]))
        commit, author = authors.get(path, (head, "unknown"))
        before, after = (texts.get(entry.id) if (entry := side.get(path)) else None for side in (left, now))
        found.append(Edit(ours[target].component if target in ours else "", path, author, commit, shown.unified(path, before, after)))
    return found


def foreign(left: Mapping[str, Entry], now: Mapping[str, Entry], wanted: Mapping[str, Entry] | None = None) -> list[str]:
    """The files that are not as we left them, and not as we want them either. Pure."""
    edited = (path for path in sorted({*left, *now}) if left.get(path) != now.get(path))
    return [path for path in edited if wanted is None or now.get(path) != wanted.get(path)]


def accept(repository: Repository, head: str, targets: Iterable[str]) -> None:
    """Note here that the targets are as we want them, although others have brought them there: nothing of that is drift."""
    for target in targets:
        repository.git("update-ref", _accepted_ref(repository.branch, target), head)


def within(path: str, targets: Iterable[str]) -> bool:
    """Whether a file is one of the targets, or below one. Names in git's quotes are those of others' files."""
    plain = path.removeprefix('"')
    return any(plain == target or plain.startswith(f"{target}/") for target in targets)


def _commits_of_ours(repository: Repository, head: str, pattern: str, *, limit: int = 0) -> list[Ours]:
    """The commits with our trailers, the newest first."""
    if not head:
        return []
    fields = ("%H", *(_trailers(key) for key in (message.COMPONENT, message.VERSIONS, message.TARGET)))
    most = [f"--max-count={limit}"] if limit else []
    arguments = ["--topo-order", *most, "--extended-regexp", f"--grep={pattern}", f"--format={'%x1f'.join(fields)}%x1e", head, "--"]
    found = []
    for record in repository.git("log", *arguments).stdout.split(_RECORD):
        parts = record.strip("\n").split(_FIELD)
        if len(parts) == len(fields) and parts[3]:
            found.append(Ours(parts[0], parts[1], message.versions_of(parts[2]), tuple(parts[3].split())))
    return found


def _trailers(key: str) -> str:
    """The format for all values of a trailer."""
    return f"%(trailers:key={key},valueonly,separator=%x20)"


def _by_target(commits: Iterable[Ours]) -> dict[str, Ours]:
    found: dict[str, Ours] = {}
    for commit in commits:
        for target in commit.targets:
            found.setdefault(target, commit)
    return found


def _grouped(commits: Mapping[str, str]) -> dict[str, list[str]]:
    """Targets by the commit that they are compared with."""
    found: dict[str, list[str]] = {}
    for target, commit in commits.items():
        found.setdefault(commit, []).append(target)
    return found


def _accepted(repository: Repository, head: str, base: str, targets: Sequence[str]) -> dict[str, str]:
    """For each target what it is to be compared with: the commit where it was accepted, if that came after ``base``, else ``base``."""
    lines = repository.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/trinode/accepted/").stdout.splitlines()
    accepted = dict(line.split(" ", 1) for line in lines)
    found = {}
    for target in targets:
        later = accepted.get(_accepted_ref(repository.branch, target), "")
        counts = bool(later) and repository.is_ancestor(later, head) and (not base or repository.is_ancestor(base, later))
        found[target] = later if counts else base
    return found


def _accepted_ref(branch: str, target: str) -> str:
    return f"refs/trinode/accepted/{hashlib.sha256(f'{branch} {target}'.encode()).hexdigest()[:20]}"


def _authors(repository: Repository, base: str, head: str, targets: Sequence[str]) -> dict[str, tuple[str, str]]:
    """For each file that was touched since: the newest commit that did, and its author."""
    span = [head, *([f"^{base}"] if base else [])]
    # -c: also what somebody has changed while merging.
    arguments = ("-c", "--no-renames", "--name-only", f"--max-count={_LOOKED_AT}", "--topo-order", "--format=%x1e%H%x1f%an <%ae>")
    found: dict[str, tuple[str, str]] = {}
    for record in repository.git("log", *arguments, *span, "--", *targets).stdout.split(_RECORD)[1:]:
        first, *paths = record.splitlines()
        commit, _separator, author = first.partition(_FIELD)
        for path in paths:
            if path:
                found.setdefault(path, (commit, author))
    return found
