# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishing a component: what is to be in the repository becomes one commit on top of whatever is there."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.git import edits, message, shown
from ansible_collections.trinode.platform.plugins.module_utils.git.contents import Entry, Wanted, check_branch
from ansible_collections.trinode.platform.plugins.module_utils.git.edits import Edit, Ours
from ansible_collections.trinode.platform.plugins.module_utils.git.remote import Remote, reached
from ansible_collections.trinode.platform.plugins.module_utils.git.repository import Author, Head, Repository, exists

_NAMED = 3
AUTHOR = Author("trinode.platform", "trinode@localhost")


@dataclass(frozen=True)
class Request:
    """``wanted`` are the component's targets and files; with ``absent`` the targets are removed. ``overwrite`` permits to overwrite others' edits."""

    component: str
    wanted: Wanted
    versions: Mapping[str, str] = field(default_factory=dict)
    absent: bool = False
    overwrite: bool = False
    author: Author = AUTHOR


@dataclass(frozen=True)
class Plan:
    """What a commit on top of ``head`` would change: the files as they are to be, None for gone, and what it would overwrite."""

    head: str
    there: Mapping[str, Entry] = field(default_factory=dict)
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    ours: Mapping[str, Ours] = field(default_factory=dict)
    edits: Sequence[Edit] = ()


@dataclass(frozen=True)
class Published:
    """``commit`` is the one that last changed the targets, ``subject`` the first line of ours if there is or would be one."""

    commit: str
    head: str
    changed: bool
    pushed: bool = False
    subject: str = ""
    edits: Sequence[Edit] = ()
    diffs: Sequence[tuple[str, str]] = ()


@contextlib.contextmanager
def opened(directory: str, branch: str, remote: Remote | None, deadline: Deadline, *, check: bool) -> Iterator[Repository]:
    """The repository; in check mode a temporary one where there is none yet."""
    check_branch(branch)
    if remote:
        remote.check()
    with contextlib.ExitStack() as stack:
        access = stack.enter_context(reached(remote))
        if check and not exists(directory):
            directory = f"{stack.enter_context(tempfile.TemporaryDirectory(prefix='trinode-git-'))}/repository.git"
        yield Repository(directory, branch, deadline, url=remote.url if remote else "", access=access)


def publish(repository: Repository, request: Request, *, check: bool, diff: bool) -> Published:
    """Bring the targets to what they are to be. Raises RefusedError where others' edits would be overwritten without permission."""
    seen = repository.look()
    plan = examine(repository, request, seen.commit)
    missing = bool(repository.url and seen.remote != seen.commit)
    if not check and (plan.files or missing):
        return _deliver(repository, request, plan, diff=diff)
    commit, is_ours = edits.last_change(repository, seen.commit, request.wanted.targets)
    if check:
        subject = message.subject(_story(repository, request, plan)) if plan.files else ""
        diffs = _diffs(repository, plan) if diff else ()
        return Published(commit, seen.commit, bool(plan.files) or missing, subject=subject, edits=plan.edits, diffs=diffs)
    if commit and not is_ours:
        with repository.locked():
            _accept(repository, seen.commit, request.wanted.targets)
    return Published(commit, seen.commit, changed=False)


def _accept(repository: Repository, head: str, targets: Sequence[str]) -> None:
    """Nothing is to be done, and it was not we who brought it there. Where others have, that is noted."""
    if edits.find(repository, head, edits.newest_of_ours(repository, head, targets), targets):
        edits.accept(repository, head, targets)


def examine(repository: Repository, request: Request, head: str) -> Plan:
    """What is to be done on top of a commit."""
    targets, wanted = request.wanted.targets, request.wanted.entries
    there = repository.entries(head, targets)
    if there == wanted:
        return Plan(head, there)
    files: dict[str, bytes | None] = {path: content for path, content in request.wanted.files.items() if there.get(path) != wanted[path]}
    files.update(dict.fromkeys((path for path in there if path not in wanted), None))
    ours = edits.newest_of_ours(repository, head, targets)
    found = edits.find(repository, head, ours, targets, wanted)
    found = [Edit(request.component, edit.file, edit.author, edit.commit, edit.diff) for edit in found]
    if found and not request.overwrite:
        raise refusal(found, repository)
    return Plan(head, there, files, ours, found)


def refusal(found: Sequence[Edit], repository: Repository) -> RefusedError:
    listed = ", ".join(str(edit) for edit in found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    where = f"{repository.url or repository.directory}, branch {repository.branch}"
    return RefusedError(
        f"others have edited files that are ours: {listed}",
        where=where,
        hint="Bring what they want into the inventory and revert their commits, or overwrite their edits for once with -e trinode_git_overwrite=true.",
        details={"edits": [edit.as_dict() for edit in found]},
    )


def _deliver(repository: Repository, request: Request, plan: Plan, *, diff: bool) -> Published:
    """Commit and push, again and again while others are faster. One process of this machine at a time: more would only overtake each other."""
    with repository.locked():
        seen = repository.last_seen()
        refused_at: Head | None = None
        while True:
            if seen.commit != plan.head:
                plan = examine(repository, request, seen.commit)
            if not plan.files and (not repository.url or seen.remote == seen.commit):
                return Published(edits.last_change(repository, seen.commit, request.wanted.targets)[0], seen.commit, changed=False)
            commit, subject = plan.head, ""
            if plan.files:
                story = _story(repository, request, plan)
                commit, subject = repository.commit(plan.head, plan.files, message.message(story), request.author), message.subject(story)
            said = repository.push(commit)
            if not said:
                last = commit if plan.files else edits.last_change(repository, commit, request.wanted.targets)[0]
                diffs = _diffs(repository, plan) if diff else ()
                return Published(last, commit, True, bool(repository.url), subject, plan.edits, diffs)
            now = repository.fetch()
            if now == seen and refused_at == now:
                raise ConnectionFailed(f"the server takes no commit on top of {now.commit[:12]}: {said.strip()}", where=repository.url)
            refused_at, seen = now, now
            repository.deadline.check("the commit was overtaken by others each time, and did not get in", where=repository.url)


def _story(repository: Repository, request: Request, plan: Plan) -> message.Story:
    files = plan.files
    named = dict(list(files.items())[:_NAMED])
    gone = repository.texts(plan.there[path] for path, content in named.items() if content is None)
    texts = {path: gone.get(plan.there[path].id, "") if content is None else content.decode("utf-8", "replace") for path, content in named.items()}
    newest = next((plan.ours[target] for target in request.wanted.targets if target in plan.ours), None)
    return message.Story(
        component=request.component,
        targets=request.wanted.targets,
        added=sorted(path for path in files if path not in plan.there),
        changed=sorted(path for path, content in files.items() if path in plan.there and content is not None),
        removed=sorted(path for path, content in files.items() if content is None),
        existed=bool(plan.there),
        absent=request.absent,
        before=newest.versions if newest else {},
        after=request.versions,
        resources={path: message.resource(text) for path, text in texts.items()},
        overwritten=[str(edit) for edit in plan.edits],
    )


def _diffs(repository: Repository, plan: Plan) -> list[tuple[str, str]]:
    """The diff of each file, by path; of many files only the first."""
    paths = sorted(plan.files)
    listed = paths[: shown.FILES]
    texts = repository.texts(plan.there[path] for path in listed if path in plan.there)
    found = []
    for path in listed:
        before = texts.get(plan.there[path].id, "") if path in plan.there else None
        content = plan.files[path]
        found.append((path, shown.unified(path, before, None if content is None else content.decode("utf-8", "replace"))))
    if len(paths) > len(listed):
        found.append(("", f"and {len(paths) - len(listed)} more files\n"))
    return found
