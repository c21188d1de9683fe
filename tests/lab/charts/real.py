"""Real charts in the lab's repository, in the place of the doubles of the same name (LAB_CHARTS).

Their images come from the lab's registry, which has no other content under the names' digests: so digests are taken out of the values.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_DIGEST = re.compile(rb"""(?P<key>\b(?:digest|sha|imageDigest|hash):[ \t]*)["']?sha256:[0-9a-f]{64}["']?""")
_PINNED = re.compile(rb"@sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Chart:
    """One chart's archive, without digests."""

    name: str
    version: str
    archive: bytes


def charts(directory: Path) -> Iterator[Chart]:
    """The charts of a directory (``*.tgz``). Raises ValueError with the file for one that is none."""
    for path in sorted(directory.glob("*.tgz")):
        yield _chart(path)


def _chart(path: Path) -> Chart:
    raw = io.BytesIO()
    description = b""
    with tarfile.open(path) as source, tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as target:
        for member in source:
            content = source.extractfile(member)
            if content is None:
                continue
            data = content.read()
            if member.name.rpartition("/")[2] == "values.yaml":
                data = _PINNED.sub(b"", _DIGEST.sub(rb'\g<key>""', data))
            if re.fullmatch(r"[^/]+/Chart\.yaml", member.name):
                description = data
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))
    found = {key: re.search(rf"^{key}:[ \t]*[\"']?([^\s\"']+)".encode(), description, re.MULTILINE) for key in ("name", "version")}
    if not all(found.values()):
        raise ValueError(f"{path} is no chart: it has no Chart.yaml with name and version")
    name, version = (match[1].decode() for match in found.values() if match)
    return Chart(name, version, gzip.compress(raw.getvalue(), mtime=0))
