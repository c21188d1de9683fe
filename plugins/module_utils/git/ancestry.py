# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a revision that Argo CD reports contains a commit of ours."""

from __future__ import annotations

from ansible_collections.trinode.platform.plugins.module_utils.git.repository import Repository


def is_ancestor(repository: Repository, commit: str, revision: str) -> bool:
    """Whether ``revision`` contains ``commit``, or is it. Asks the remote repository where one is not known here; what nobody knows contains nothing."""
    if not commit or not revision:
        return False
    if commit == revision:
        return True
    if repository.url and not (repository.knows(commit) and repository.knows(revision)):
        repository.look()
    return repository.knows(commit) and repository.knows(revision) and repository.is_ancestor(commit, revision)
