"""A machine's console: kept in a file, and read for what the timeline should know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

from trinode_lab.timeline import Timeline

# What Talos prints, and the event that it means.
_SERVICE = re.compile(r"service\[(?P<service>[\w-]+)\]\((?P<state>\w+)\): (?P<text>.*)")
_SEQUENCE = re.compile(r"(?P<sequence>\w+) sequence: (?P<outcome>done|failed|\d+ phase\(s\))")


class Console:
    def __init__(self, path: Path, timeline: Timeline, machine: str) -> None:
        self.path = path
        self.timeline = timeline
        self.machine = machine
        self._services: dict[str, tuple[str, bool]] = {}

    def follow(self, stream: IO[bytes]) -> None:
        """Copy lines to the file until the machine ends."""
        with self.path.open("ab", buffering=0) as file:
            for line in stream:
                file.write(line)
                self._read(line.decode(errors="replace"))

    def _read(self, line: str) -> None:
        if match := _SERVICE.search(line):
            self._service(match["service"], match["state"], match["text"])
        elif match := _SEQUENCE.search(line):
            self.timeline.record("sequence", machine=self.machine, sequence=match["sequence"], outcome=match["outcome"])

    def _service(self, name: str, state: str, text: str) -> None:
        """A service's state, and its health once it runs; repeated lines of the same state are one event."""
        healthy = state == "Running" and "Health check successful" in text
        if self._services.get(name) == (state, healthy):
            return
        self._services[name] = (state, healthy)
        self.timeline.record("service", machine=self.machine, service=name, state=state, **({"healthy": True} if healthy else {}))
