# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between a machine's running configuration and the rendered one, document by document, without secrets. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.talos.documents import DocumentId, split
from ansible_collections.trinode.platform.plugins.module_utils.talos.redact import redact_pair


@dataclass(frozen=True)
class DocumentChange:
    """One document that differs. ``before`` and ``after`` are redacted YAML (empty: no such document), ``paths`` the dotted places that differ."""

    document: DocumentId
    action: Literal["added", "removed", "changed"]
    paths: tuple[str, ...]
    before: str
    after: str

    @property
    def unified(self) -> str:
        """The unified diff, with the document's name in its headers."""
        lines = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), self._header("running"), self._header("rendered"), lineterm="")
        return "\n".join([*lines, ""])

    @property
    def ansible(self) -> dict[str, str]:
        """The same for Ansible's diff mode."""
        return {"before_header": self._header("running"), "after_header": self._header("rendered"), "before": self.before, "after": self.after}

    def _header(self, side: str) -> str:
        absent = (side == "running" and self.action == "added") or (side == "rendered" and self.action == "removed")
        return f"{self.document.label} ({'absent' if absent else side})"


def compare(running_text: str, desired_text: str) -> list[DocumentChange]:
    """The documents that differ in content (not in layout or order), in the order of the desired configuration, removed ones last.

    An empty ``running_text`` is a machine without a configuration. Raises InputError for text that is no configuration.
    """
    running = split(running_text, where="running configuration")
    desired = split(desired_text, where="rendered configuration")
    changes = []
    for identity in [*desired, *(identity for identity in running if identity not in desired)]:
        before, after = running.get(identity), desired.get(identity)
        if before == after and not _types_differ(before, after):
            continue
        action: Literal["added", "removed", "changed"] = "added" if before is None else "removed" if after is None else "changed"
        paths = tuple(dict.fromkeys(differing_paths(before, after))) if action == "changed" else ()
        shown_before, shown_after = redact_pair(before, after) if action == "changed" else redact_pair(before or {}, after or {})
        shown_before = _ordered_like(shown_before, shown_after)
        changes.append(
            DocumentChange(identity, action, paths, _dump(shown_before) if before is not None else "", _dump(shown_after) if after is not None else "")
        )
    return changes


def unified(changes: list[DocumentChange]) -> str:
    """All changes as one text."""
    return "".join(change.unified for change in changes)


def differing_paths(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """The dotted places in which two values differ; a list counts as one place."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            inner = f"{path}.{key}" if path else str(key)
            if key not in before or key not in after:
                yield inner
            else:
                yield from differing_paths(before[key], after[key], inner)
    elif before != after or _types_differ(before, after):
        yield path


def _types_differ(before: Any, after: Any) -> bool:
    """Python takes True and 1 for equal; a configuration does not."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return any(_types_differ(before[key], after[key]) for key in before if key in after)
    if isinstance(before, list) and isinstance(after, list):
        return any(_types_differ(left, right) for left, right in zip(before, after, strict=False))
    return isinstance(before, bool) != isinstance(after, bool)


def _ordered_like(value: Any, like: Any) -> Any:
    """The value with the keys of its mappings in the order of another, so that a difference in order shows no lines."""
    if isinstance(value, Mapping) and isinstance(like, Mapping):
        keys = [*(key for key in like if key in value), *(key for key in value if key not in like)]
        return {key: _ordered_like(value[key], like.get(key)) for key in keys}
    if isinstance(value, list) and isinstance(like, list):
        return [_ordered_like(item, like[index] if index < len(like) else None) for index, item in enumerate(value)]
    return value


def _dump(document: Any) -> str:
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=False, width=1000, allow_unicode=True, indent=2)
