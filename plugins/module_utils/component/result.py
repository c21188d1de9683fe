# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What delivering a component came to, or in check mode would come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ansible_collections.trinode.platform.plugins.module_utils.kube import diff
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Applied


@dataclass
class Result:
    """``hooks`` are the hooks that ran: event and object. ``warnings`` are for the user."""

    applied: list[Applied] = field(default_factory=list)
    hooks: list[tuple[str, Key]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def changes(self) -> list[Applied]:
        return [item for item in self.applied if item.action not in ("unchanged", "kept")]

    @property
    def changed(self) -> bool:
        return bool(self.changes or self.hooks)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many objects came to what."""
        return dict(Counter(item.action for item in self.applied))

    @property
    def message(self) -> str:
        parts = [f"{number} {action}" for action, number in self.counts.items()]
        return ", ".join([*parts, *([f"{len(self.hooks)} hooks run"] if self.hooks else [])]) or "nothing to do"

    def diff(self) -> list[dict[str, str]]:
        """Entries for Ansible, secrets hidden: each object that differs, and the hooks in the order in which they run."""
        found = [diff.difference(item.key, item.before, item.after) for item in self.changes]
        if self.hooks:
            text = "".join(f"{event}: {key}\n" for event, key in self.hooks)
            found.append({"before_header": "hooks to run", "after_header": "hooks to run", "before": "", "after": text})
        return found
