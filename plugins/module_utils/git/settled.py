# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which directories the repository has as they are on this machine: one look for all of them, instead of one for each."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.git.contents import Entry, read
from ansible_collections.trinode.platform.plugins.module_utils.git.edits import all_of_ours
from ansible_collections.trinode.platform.plugins.module_utils.git.repository import Repository


def settled(repository: Repository, contents: Sequence[Mapping[str, Any]], path: str) -> dict[str, str]:
    """By the name of each directory in a ``source`` whose files are in the repository as they are: the commit of ours that brought them there."""
    head = repository.look()
    if not head.commit or (repository.url and head.remote != head.commit):
        return {}
    ours = all_of_ours(repository, head.commit, path)
    found = {}
    for item in contents:
        (target,) = read([item], path, absent=True).targets
        there: dict[str, dict[str, Entry]] = {}
        for name, entry in repository.entries(head.commit, [target]).items():
            there.setdefault("/".join(name.split("/")[: target.count("/") + 2]), {})[name] = entry
        for name in _directories(item["source"]):
            inside = f"{target}/{name}"
            wanted = read([{"target": f"{item['target']}/{name}", "source": os.path.join(item["source"], name)}], path, absent=False)
            if inside in ours and wanted.files and there.get(inside) == wanted.entries:
                found[name] = ours[inside].commit
    return found


def _directories(place: str) -> list[str]:
    """Visible directories, in their order; none where the place is not there."""
    try:
        return sorted(entry.name for entry in os.scandir(place) if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []
