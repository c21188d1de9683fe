# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person may see of a file in the repository, and of its change: unified diffs without secrets, and not without end. Pure."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.talos.redact import redact_text
from ansible_collections.trinode.platform.plugins.module_utils.talos.vault import is_vaulted

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SECRET = re.compile(r"""\bkind["']?\s*:\s*["']?Secret\b(?!\w)""")
# A value that Sealed Secrets has encrypted: the length of the session key, which is 512, then all the rest, in base64.
_SEALED = re.compile(r"""(:\s*["']?)(A[A-Za-z0-9+/]{200,}={0,2})(["']?\s*)$""", re.MULTILINE)

LINES = 200
"""Most lines that the diff of a file has."""
FILES = 60
"""Most files whose diffs are shown."""
_LARGEST = 400_000  # difflib takes seconds for more


def may_be_secret(text: str) -> bool:
    """Whether a Secret could be in the text, which spares most files a parser."""
    return bool(_SECRET.search(text)) and not is_vaulted(text)


def documents(text: str) -> Iterator[Mapping[str, Any]]:
    """The objects in a YAML text, also those in lists. Raises YAMLError."""
    for document in yaml.load_all(text, Loader=_LOADER):
        if isinstance(document, Mapping):
            yield document
            items = document.get("items")
            yield from (item for item in items if isinstance(item, Mapping)) if isinstance(items, list) else ()


def visible(text: str) -> str:
    """A file's text as it may be shown. What is encrypted is replaced by a digest of the encrypted, so that a change of it can be seen."""
    if not text:
        return ""
    if is_vaulted(text):
        return f"<encrypted with Ansible Vault, {_digest(text)}>\n"
    if may_be_secret(text) and _holds_secret(text):
        return "<Secret, hidden>\n"
    return redact_text(_SEALED.sub(lambda match: f"{match[1]}<sealed, {_digest(match[2])}>{match[3]}", text))


def unified(path: str, before: str | None, after: str | None) -> str:
    """The diff of one file; None where there is no file."""
    names = ("/dev/null" if before is None else f"a/{path}", "/dev/null" if after is None else f"b/{path}")
    old, new = visible(before or ""), visible(after or "")
    header = f"--- {names[0]}\n+++ {names[1]}\n"
    if old == new and old and before != after:
        return f"{header}@@ hidden @@\n {old.rstrip()} changed\n"
    if len(old) + len(new) > _LARGEST:
        return f"{header}@@ {len(old.splitlines())} lines before, {len(new.splitlines())} lines after: too large to show @@\n"
    lines = [line.rstrip("\n") for line in difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="")][2:]
    more = [f"@@ and {len(lines) - LINES} more lines @@"] if len(lines) > LINES else []
    return header + "".join(f"{line}\n" for line in (*lines[:LINES], *more))


def _holds_secret(text: str) -> bool:
    """A Secret by its kind; where the text is not YAML, whatever looks like one."""
    try:
        return any(item.get("kind") == "Secret" for item in documents(text))
    except (yaml.YAMLError, RecursionError):
        return True


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:12]}"
