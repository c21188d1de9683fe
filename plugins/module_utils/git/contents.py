# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be in the repository: targets, which are a directory or a file each, and the files in them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.git import shown

# Such names need no quotes anywhere: not in git's output, not in a ref, not in a trailer.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
FILE_MODE = "100644"


@dataclass(frozen=True)
class Entry:
    """A file in a commit: its mode and the name of its content."""

    mode: str
    id: str


@dataclass(frozen=True)
class Wanted:
    """``targets`` are full paths in the repository; ``files`` are the texts of all that is to be below them, by full path."""

    targets: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def entries(self) -> dict[str, Entry]:
        return {path: Entry(FILE_MODE, blob(content)) for path, content in self.files.items()}


def blob(content: bytes) -> str:
    """The name that git gives to a content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324  git's own, nothing is secured with it


def is_ours(path: str) -> bool:
    """Whether a file of such a path may be one that we have published."""
    return path.endswith(".yaml") and _is_path(path)


def check_component(name: str) -> None:
    if not _COMPONENT.fullmatch(name):
        raise InputError(f"{name!r} is not a name of a component", where="component", hint="Letters, digits, '_', '-' and '.' are possible.")


def check_branch(name: str) -> None:
    if not _BRANCH.fullmatch(name) or ".." in name or name.endswith((".lock", ".")):
        raise InputError(f"{name!r} is not a name of a branch", where="trinode_git_branch", hint="A name such as main, or platform/main.")


def prefix(path: str) -> str:
    """The directory in the repository that is ours, "" for all of it. Raises InputError for a path that leaves the repository."""
    cleaned = path.strip("/")
    if cleaned and not _is_path(cleaned):
        raise InputError(f"{path!r} is not a path in the repository", where="trinode_git_path", hint="Write directories such as clusters/lab.")
    return cleaned


def read(contents: Sequence[Mapping[str, Any]], path: str, *, absent: bool) -> Wanted:
    """The targets and their files. Raises InputError for what is not clear, RefusedError for a Secret in clear."""
    base = prefix(path)
    targets: list[str] = []
    files: dict[str, bytes] = {}
    for item in contents:
        target = _target(item["target"])
        full = f"{base}/{target}" if base else target
        if any(full == other or full.startswith(f"{other}/") or other.startswith(f"{full}/") for other in targets):
            raise InputError(f"the target {target} is listed twice, or lies inside another one", where="contents")
        targets.append(full)
        if absent:
            continue
        source, content = item.get("source"), item.get("content")
        if (source is None) == (content is None):
            raise InputError("either source or content is needed", where=f"contents, {target}", hint="source is a directory, content the text of a file.")
        files.update(_directory(full, source) if source is not None else {full: str(content).encode()})
    for name, data in files.items():
        _refuse_clear_secret(name, data)
    return Wanted(tuple(targets), files)


def _target(text: str) -> str:
    if not _is_path(text) or text.partition("/")[0] == "user":
        hint = "A path below trinode_git_path, such as components/cilium. What is below user/ belongs to the user."
        raise InputError(f"{text!r} cannot be a target", where="contents", hint=hint)
    return text


def _is_path(text: str) -> bool:
    return all(_NAME.fullmatch(part) and not part.endswith(".lock") and ".." not in part for part in text.split("/"))


def _directory(target: str, source: str) -> dict[str, bytes]:
    """The files of a directory that are ours to publish: visible ones that end in .yaml."""
    found = {}
    try:
        for name in sorted(os.listdir(source)):
            if not name.endswith(".yaml") or name.startswith("."):
                continue
            if not _NAME.fullmatch(name):
                raise InputError(f"the file name {name!r} has letters that a repository should not have", where=source, hint="Rename the file.")
            with open(os.path.join(source, name), "rb") as file:
                found[f"{target}/{name}"] = file.read()
    except OSError as error:
        hint = "Is the component rendered? component_render returns the path." if isinstance(error, FileNotFoundError) else ""
        raise InputError(f"the files cannot be read: {error.strerror}", where=source, hint=hint) from error
    return found


def _refuse_clear_secret(name: str, data: bytes) -> None:
    """A repository keeps for ever what was once in it, so a Secret in clear never gets there."""
    text = data.decode("utf-8", "replace")
    if not shown.may_be_secret(text):
        return
    try:
        secrets = [item for item in shown.documents(text) if item.get("kind") == "Secret" and (item.get("data") or item.get("stringData"))]
    except yaml.YAMLError as error:
        raise InputError("the file is not YAML, and it may hold a Secret", where=name) from error
    if secrets:
        raise RefusedError(
            "it is a Secret in clear, and what was once in a repository stays in its history",
            where=name,
            hint="Seal it (component sealed_secrets, module sealed_secret), or encrypt the file with Ansible Vault.",
        )
