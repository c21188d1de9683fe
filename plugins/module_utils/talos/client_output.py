# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parsers of what talosctl prints: resources as JSON, and the tables of the commands that know no JSON. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError


@dataclass(frozen=True)
class Resource:
    """One COSI resource: its id (``metadata.id``), what it says (``spec``), in a watch what happened to it (created, updated, destroyed).

    ``created`` is the time as Talos prints it. Resources live in memory, so it changes with every boot.
    """

    id: str
    spec: dict[str, Any] = field(default_factory=dict)
    event: str = ""
    created: str = ""


class ResourceStream:
    """Cuts talosctl's stream of indented JSON objects into resources, as it arrives."""

    def __init__(self) -> None:
        self._buffer = ""
        self._decoder = json.JSONDecoder()

    def feed(self, text: str) -> Iterator[Resource]:
        """Every resource that is whole by now. Raises CommandError for what is not JSON."""
        self._buffer += text
        while True:
            rest = self._buffer.lstrip()
            # An object ends with a brace in the first column, so a partial one is not parsed again and again.
            if not rest or "\n}" not in rest:
                return
            try:
                value, end = self._decoder.raw_decode(rest)
            except json.JSONDecodeError as error:
                raise CommandError(f"talosctl printed something other than JSON: {rest[:80]!r}") from error
            self._buffer = rest[end:]
            yield resource(value)


def parse_resources(text: str) -> list[Resource]:
    """The output of ``talosctl get KIND -o json``: none, one or several JSON objects one after another."""
    return list(ResourceStream().feed(text))


def resource(value: Any) -> Resource:
    """One decoded object as a resource. ``spec`` is a dictionary; a spec that is text (machine configuration) is kept under ``text``."""
    if not isinstance(value, dict) or not isinstance(value.get("metadata"), dict):
        raise CommandError("talosctl printed JSON that is not a resource")
    spec = value.get("spec")
    if not isinstance(spec, dict):
        spec = {"text": spec} if isinstance(spec, str) else {}
    metadata = value["metadata"]
    return Resource(str(metadata.get("id", "")), spec, str(value.get("event", "")), str(metadata.get("created", "")))


def parse_table(text: str) -> list[dict[str, str]]:
    """Rows of a table that Go's tabwriter made: columns are at least three blanks apart and start where their heading starts."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    headings = [(match.start(), match.group().strip()) for match in re.finditer(r"\S+(?: \S+)*", lines[0])]
    rows = []
    for line in lines[1:]:
        starts = [start for start, _name in headings] + [len(line) + 1]
        rows.append({name: line[start : starts[index + 1]].strip() for index, (start, name) in enumerate(headings)})
    return rows


@dataclass(frozen=True)
class ServiceState:
    """A Talos service: its state (Running, Preparing, Waiting, ...), health (``OK``, ``Fail``, ``?`` unknown) and last event."""

    id: str
    state: str
    health: str
    last_event: str


def parse_services(text: str) -> list[ServiceState]:
    """The output of ``talosctl services``."""
    return [ServiceState(row["SERVICE"], row["STATE"], row["HEALTH"], row["LAST EVENT"]) for row in parse_table(text)]


@dataclass(frozen=True)
class EtcdMember:
    """A member of etcd as a member sees it; ``id`` is 16 hexadecimal digits. A learner has no vote yet."""

    id: str
    hostname: str
    peer_urls: tuple[str, ...]
    client_urls: tuple[str, ...]
    learner: bool


def parse_etcd_members(text: str) -> list[EtcdMember]:
    """The output of ``talosctl etcd members`` of one machine."""
    return [EtcdMember(row["ID"], row["HOSTNAME"], _urls(row["PEER URLS"]), _urls(row["CLIENT URLS"]), row["LEARNER"] == "true") for row in parse_table(text)]


@dataclass(frozen=True)
class EtcdStatus:
    """What one member of etcd says of itself. ``leader`` is a member's id, all zeros when there is none; ``db_size`` as Talos prints it (``3.2 MB``)."""

    member_id: str
    leader: str
    db_size: str
    db_in_use: str
    raft_index: int
    raft_term: int
    learner: bool
    errors: str
    raft_applied: int = 0


_UNITS = ("B", "kB", "MB", "GB", "TB")


def byte_count(text: str) -> int:
    """Bytes of a size as Talos prints it, in units of 1000: "3.2 MB", or "9 MB (45.00%)". 0 for what is none."""
    found = re.match(r"([\d.]+) ?([kMGT]?B)", text)
    return int(float(found.group(1)) * 1000 ** _UNITS.index(found.group(2))) if found else 0


def parse_etcd_status(text: str) -> EtcdStatus | None:
    """The output of ``talosctl etcd status`` of one machine."""
    rows = parse_table(text)
    if not rows:
        return None
    row = rows[0]
    return EtcdStatus(
        member_id=row["MEMBER"],
        leader=row["LEADER"],
        db_size=row["DB SIZE"],
        db_in_use=row["IN USE"],
        raft_index=_number(row["RAFT INDEX"]),
        raft_term=_number(row["RAFT TERM"]),
        learner=row["LEARNER"] == "true",
        errors=row.get("ERRORS", ""),
        raft_applied=_number(row.get("RAFT APPLIED INDEX", "")),
    )


def parse_etcd_alarms(text: str) -> list[tuple[str, str]]:
    """The output of ``talosctl etcd alarm list``: member id and alarm (NOSPACE, CORRUPT)."""
    return [(row["MEMBER"], row["ALARM"]) for row in parse_table(text) if row["ALARM"] not in ("", "NONE")]


def parse_names(text: str) -> list[str]:
    """The names in the output of ``talosctl list DIRECTORY``, the directory itself left out."""
    return [row["NAME"] for row in parse_table(text) if row.get("NAME") not in ("", ".")]


def parse_images(text: str) -> list[str]:
    """The image references in the output of ``talosctl image list``."""
    return [row["IMAGE"] for row in parse_table(text) if row.get("IMAGE")]


@dataclass(frozen=True)
class DryRun:
    """What the server said to a dry run. The diff it prints holds secrets and is thrown away."""

    needs_reboot: bool
    no_changes: bool


def parse_dry_run(text: str) -> DryRun:
    """The output (standard error) of ``talosctl apply-config --dry-run``, of 1.12, 1.13 and older alike."""
    summary = text.partition("Config diff:")
    before_diff = summary[0]
    return DryRun(needs_reboot="with a reboot" in before_diff, no_changes=summary[2].strip().rstrip(".") == "No changes")


def _urls(text: str) -> tuple[str, ...]:
    return tuple(url for url in text.split(",") if url)


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
