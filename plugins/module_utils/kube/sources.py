# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where objects come from: files, directories and texts, cut into documents that are parsed only when somebody needs them.

Most of the time of a big re-apply would go into parsing YAML of objects that are found to be as they were; a document's digest tells that without.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object, parse

_ENDINGS = (".yaml", ".yml", ".json")
# At the start of a line these are always markers, also amid a quoted or block scalar.
_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^(?:%|\.\.\.(?:\s|$))", re.MULTILINE)


@dataclass(frozen=True)
class Manifest:
    """One document of YAML or JSON. ``line`` is the number of lines before it in ``source``."""

    text: str
    source: str
    line: int = 0

    @cached_property
    def objects(self) -> list[Object]:
        """The objects in it, usually one; none in an empty document, several in a List. Raises InputError that names file and line."""
        return parse(self.text, source=self.source, line=self.line)

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def parse_ahead(manifests: Iterable[Manifest], enough: Callable[[], bool]) -> None:
    """Parse them, one after the other, until it is ``enough``: each keeps its objects. Raises InputError."""
    for manifest in manifests:
        if enough():
            return
        len(manifest.objects)  # kept there


def split(text: str, *, source: str = "manifests") -> list[Manifest]:
    """The documents of a text; empty ones are left out."""
    if _DIRECTIVE.search(text):
        return [Manifest(text, source)]
    starts = [0, *(match.start() for match in _MARKER.finditer(text))]
    found, line = [], 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        part = text[start:end]
        if part.removeprefix("---").strip():
            found.append(Manifest(part, source, line))
        line += part.count("\n")
    return found


def read(paths: Iterable[str]) -> list[Manifest]:
    """The documents of files, and of all files below directories that end in .yaml, .yml or .json, in the order of their names."""
    found: list[Manifest] = []
    for path in paths:
        for name in _files(path):
            try:
                with open(name, encoding="utf-8") as file:
                    found += split(file.read(), source=name)
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"the file cannot be read: {error}", where=name) from error
    return found


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    for directory, folders, names in os.walk(path):
        folders.sort()
        yield from (os.path.join(directory, name) for name in sorted(names) if name.endswith(_ENDINGS))
