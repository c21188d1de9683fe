# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories that are missing on this machine, from the repository: it alone is enough to build the platform again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.git.contents import FILE_MODE, is_ours, read
from ansible_collections.trinode.platform.plugins.module_utils.git.repository import Repository


def restore(contents: Sequence[Mapping[str, Any]], path: str, opened: Callable[[], AbstractContextManager[Repository]], *, check: bool) -> list[str]:
    """Write the directories (``source``) that are not there and whose target the repository has. Returns these targets.

    The repository is opened only when a directory is missing. Raises InputError for what cannot be written.
    """
    missing = [item for item in contents if not os.path.isdir(item["source"])]
    if not missing:
        return []
    targets = read(missing, path, absent=True).targets
    with opened() as repository:
        head = repository.look().commit
        entries = repository.entries(head, targets)
        texts = repository.texts(entries.values())
    found = []
    for item, target in zip(missing, targets, strict=True):
        found_in = {name.removeprefix(f"{target}/"): entry for name, entry in entries.items() if name.startswith(f"{target}/")}
        # What others have put there, such as links or paths that lead elsewhere, does not get onto this machine.
        files = {name: texts[entry.id] for name, entry in found_in.items() if entry.mode == FILE_MODE and is_ours(name)}
        if files:
            found.append(item["target"])
            if not check:
                _write(item["source"], files)
    return found


def _write(directory: str, files: Mapping[str, str]) -> None:
    """All files or none: half a directory would be taken for a whole one."""
    place, name = os.path.split(os.path.abspath(directory))
    try:
        os.makedirs(place, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=place) as temporary:
            whole = os.path.join(temporary, name)
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(whole, path)), exist_ok=True)
                with open(os.path.join(whole, path), "w", encoding="utf-8") as file:
                    file.write(text)
            os.rename(whole, directory)
    except OSError as error:
        raise InputError(f"the files from the repository cannot be written: {error.strerror}", where=directory) from error
