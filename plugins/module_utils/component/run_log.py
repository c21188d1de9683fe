# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the components do in this run: the one thing that the workers of a run tell each other, and what the closing summary is made of.

One file of JSON lines in a directory that lives as long as the run (lookup ``trinode.platform.run_directory``). It is never read by a later run: what is
installed is read from the cluster.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError

FINAL = frozenset({"ready", "removed", "failed", "blocked"})
"""States after which nothing more comes from a component in this run, but that one which stood already fails its verification."""

_FILE = "components.jsonl"


@dataclass(frozen=True)
class Record:
    """One change of state. ``time`` in seconds since the epoch; ``detail`` for a person; ``values`` what the summary shows (routes, versions)."""

    component: str
    state: str
    time: float
    detail: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)


class RunLog:
    """The records in a directory. With an empty directory (a module used alone) records are dropped and none is found."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, _FILE) if directory else ""

    def record(self, component: str, state: str, detail: str = "", values: Mapping[str, Any] | None = None) -> None:
        """Append a record. States: rendering, waiting, applying, removing, verifying, and the FINAL ones."""
        if not self._path:
            return
        line = json.dumps(asdict(Record(component, state, time.time(), detail, dict(values or {}))), separators=(",", ":")) + "\n"
        try:
            # One write of a whole line in append mode, so that workers do not mix theirs.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)
        except OSError as error:
            raise InputError(f"the run's records cannot be written: {error.strerror}", where=self._path) from error

    def read(self) -> list[Record]:
        """All records so far, oldest first."""
        if not self._path or not os.path.exists(self._path):
            return []
        with open(self._path, encoding="utf-8") as file:
            return [Record(**json.loads(line)) for line in file if line.endswith("\n")]


def latest(records: Iterable[Record]) -> dict[str, Record]:
    """The newest record of each component."""
    return {record.component: record for record in records}
