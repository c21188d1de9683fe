# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a revision that Argo CD reports contains a commit of ours, by the repository on this machine."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.git.repository import Repository, exists

Knows = Callable[[str], bool | None]  # pylint: disable=unsupported-binary-operation
"""Whether a revision contains what is waited for; None for a revision that this machine has not seen."""


def containing(commit: str, directory: str, deadline: Deadline) -> Knows:
    """Judges revisions by the bare repository in ``directory``; without one, by equality. Every revision will do where there is no commit to wait for."""

    def knows(revision: str) -> bool | None:
        if not revision:
            return False
        if not commit or revision == commit:
            return True
        if not directory or not exists(directory):
            return None
        repository = Repository(directory, "", deadline)
        if not repository.knows(revision):
            return None
        return repository.knows(commit) and repository.is_ancestor(commit, revision)

    return knows
