"""The record of everything that happens: one JSON object a line."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


class Timeline:
    """Appends to ``timeline.jsonl``; several processes may do so at once, since each event is one write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(self, event: str, *, machine: str = "", changes: bool = False, **fields: Any) -> None:
        """``changes`` says that the event changed a machine (so a run that must change nothing can be told)."""
        entry = {"time": round(time.time(), 3), "machine": machine, "event": event, **({"changes": True} if changes else {}), **fields}
        line = json.dumps(entry, separators=(",", ":")) + "\n"
        try:
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except FileNotFoundError:
            return  # `down` has already removed the lab under a process that is ending
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def read(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines() if line.strip()]
