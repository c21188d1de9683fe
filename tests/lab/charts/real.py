"""Real charts in the lab's repository, in the place of the doubles of the same name (LAB_CHARTS): out of a directory, or pulled from a repository.

Their images come from the lab's registry, which has no other content under the names' digests: so digests are taken out of the values.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

# Stays a double: without its agent's, machines have no pod network.
KEPT = "cilium"
_SECONDS = 60.0
# What helm says of a chart that an HTTP repository, an OCI registry does not have.
_ABSENT = re.compile(r'chart "[^"]+" (version "[^"]+"|matching \S+) not found|: not found$', re.MULTILINE)

_DIGEST = re.compile(rb"""(?P<key>\b(?:digest|sha|imageDigest|hash):[ \t]*)["']?sha256:[0-9a-f]{64}["']?""")
_PINNED = re.compile(rb"@sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Chart:
    """One chart's archive, without digests."""

    name: str
    version: str
    archive: bytes


def charts(directory: Path) -> Iterator[Chart]:
    """The charts of a directory (``*.tgz``), but Cilium's. Raises ValueError with the file for one that is none."""
    for path in sorted(directory.glob("*.tgz")):
        chart = _chart(path)
        if chart.name != KEPT:
            yield chart


def pull(repository: str, wanted: Iterable[tuple[str, str]], manifests: Iterable[str], directory: Path) -> None:
    """Fill a directory with what a repository (http, https or oci) has of these charts (name, version) and, beside its index, of these files of manifests.

    Needs helm. Raises ValueError when the repository does not answer, or has none of the charts.
    """

    def one(chart: tuple[str, str]) -> bool:
        return _pull(repository, *chart, directory)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        if not any(list(pool.map(one, wanted))):
            raise ValueError(f"{repository} has none of the charts in the versions that the platform pins")
    for name in manifests if repository.startswith(("http://", "https://")) else ():
        try:
            with urllib.request.urlopen(f"{repository}/{name}", timeout=_SECONDS) as answer:  # noqa: S310 - its scheme is looked at above
                (directory / name).write_bytes(answer.read())
        except urllib.error.URLError as error:
            if not isinstance(error, urllib.error.HTTPError) or error.code != 404:
                raise ValueError(f"{repository}/{name}: {error}") from error


def _pull(repository: str, name: str, version: str, directory: Path) -> bool:
    """Whether the repository has the chart, which is in the directory then."""
    source = [f"{repository}/{name}"] if repository.startswith("oci://") else [name, "--repo", repository]
    # Helm's own directories, so that the user's repositories and logins are left alone.
    environment = {**os.environ, **{f"HELM_{kind}_HOME": str(directory / f"helm-{kind.lower()}") for kind in ("CACHE", "CONFIG", "DATA")}}
    command = ["helm", "pull", *source, "--version", version, "--destination", str(directory)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=_SECONDS)
    if result.returncode and not _ABSENT.search(result.stderr):
        raise ValueError(f"{repository}: {result.stderr.strip()}")
    return result.returncode == 0


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
