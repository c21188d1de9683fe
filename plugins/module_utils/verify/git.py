# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of others inside the platform's files in Git, from what git_publish finds with state=inspected. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.verify.drift import Drift

_SHORT = 8


def judge(result: Mapping[str, Any], *, gitops: bool) -> list[Drift]:
    """``result`` is that of git_publish. ``gitops``: there has to be something to read."""
    if "edits" not in result:
        said = result.get("msg") or "nothing was asked of it in this run"
        return [Drift("git", "repository", f"It cannot be read: {said}", "Until then nobody knows whether others have edited the platform's files")]
    if gitops and not result.get("head"):
        return [Drift("git", "repository", "Nothing of the platform is in it", "Run playbooks/platform.yml")]
    return [_edit(edit) for edit in result["edits"]]


def _edit(edit: Mapping[str, Any]) -> Drift:
    limit = f" --limit {edit['component']}" if edit.get("component") else ""
    return Drift(
        "git",
        str(edit["file"]),
        f"{edit['author']} has edited it, in {str(edit['commit'])[:_SHORT]}",
        f"Take the change into the inventory; or overwrite it with playbooks/platform.yml{limit} -e trinode_git_overwrite=true",
    )
