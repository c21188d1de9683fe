# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts by repository, name and exact version; pulled once into a cache of files."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass, replace

from ansible_collections.trinode.platform.plugins.module_utils import command
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, InputError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.helm import failures
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

_VERSION = re.compile(r"^v?\d+\.\d+\.\d+(?:[-+][0-9A-Za-z.+-]+)?$")
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")


@dataclass(frozen=True)
class Chart:
    """A pinned chart. ``repository`` is an http(s) URL with an index.yaml, or an oci:// URL under which the chart lies. ``digest`` may be empty."""

    name: str
    repository: str
    version: str
    digest: str = ""

    def __str__(self) -> str:
        return f"chart {self.name} {self.version}"

    @property
    def is_oci(self) -> bool:
        return self.repository.startswith("oci://")

    def mirrored(self, mirror: str) -> Chart:
        """The same chart from a mirror, which holds the charts of all repositories; an empty ``mirror`` means its own repository."""
        return replace(self, repository=mirror.rstrip("/")) if mirror else self

    def validate(self) -> None:
        """Raises InputError unless version, digest and repository are exact."""
        if not _VERSION.match(self.version):
            raise InputError(
                f"{self.version!r} is not an exact version", where=f"chart {self.name}", hint="Pin one, such as 1.20.0; ranges change by themselves."
            )
        if self.digest and not _DIGEST.match(self.digest):
            raise InputError(f"{self.digest!r} is not a digest", where=str(self), hint="Write sha256: and 64 hexadecimal digits: that of the .tgz file.")
        if not self.repository.startswith(("http://", "https://", "oci://")):
            raise InputError(f"{self.repository!r} is not a chart repository", where=str(self), hint="Give an http://, https:// or oci:// URL.")


def fetch(chart: Chart, *, helm: str, cache: str, deadline: Deadline) -> str:
    """The path of the chart's .tgz file in the cache; pulled when it is not there.

    A file in the cache is used again without asking the repository, but its digest is checked when there is one.
    """
    chart.validate()
    directory = os.path.join(os.path.expanduser(cache), _directory(chart.repository))
    path = os.path.join(directory, f"{chart.name}-{chart.version}.tgz")
    if os.path.exists(path):
        if not chart.digest or _digest(path) == chart.digest:
            return path
        os.unlink(path)
    try:
        os.makedirs(directory, mode=0o755, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory, prefix=".pull-") as temporary:
            os.replace(_pull(chart, helm, temporary, deadline), path)
    except OSError as error:
        raise InputError(f"the chart cache cannot be written: {error.strerror}", where=directory) from error
    return path


def helm_environment(directory: str) -> dict[str, str]:
    """Helm's own directories below ``directory``, so that neither the user's repositories nor his registry logins are touched."""
    return {f"HELM_{name}_HOME": os.path.join(directory, name.lower()) for name in ("CACHE", "CONFIG", "DATA")}


def pull_arguments(chart: Chart, helm: str, destination: str) -> list[str]:
    """The command line that pulls the chart into a directory."""
    if chart.is_oci:
        return [helm, "pull", f"{chart.repository.rstrip('/')}/{chart.name}", "--version", chart.version, "--destination", destination]
    return [helm, "pull", chart.name, "--repo", chart.repository, "--version", chart.version, "--destination", destination]


def _pull(chart: Chart, helm: str, destination: str, deadline: Deadline) -> str:
    progress(f"pulling {chart} from {chart.repository}")
    result = command.run(pull_arguments(chart, helm, destination), deadline=deadline, environment=helm_environment(destination))
    if result.returncode != 0:
        raise failures.explain(result.stderr, chart=str(chart), repository=chart.repository)
    files = [name for name in os.listdir(destination) if name.endswith(".tgz")]
    if len(files) != 1:
        raise CommandError(f"helm pull left {len(files)} files", where=str(chart))
    path = os.path.join(destination, files[0])
    if chart.digest and (found := _digest(path)) != chart.digest:
        raise RefusedError(
            f"its digest is {found}, not {chart.digest}",
            where=f"{chart} from {chart.repository}",
            hint="The chart was published anew, or this is another repository's chart of that name. Look at what differs before you pin the new digest.",
        )
    return path


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _directory(repository: str) -> str:
    """A directory name for a repository: readable, and different for different URLs."""
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", repository.partition("://")[2]).strip("-")
    return f"{readable}-{hashlib.sha256(repository.encode()).hexdigest()[:8]}"
