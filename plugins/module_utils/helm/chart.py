# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Charts by repository, name and exact version; pulled once into a cache of files."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from ansible_collections.trinode.platform.plugins.module_utils import command
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, InputError
from ansible_collections.trinode.platform.plugins.module_utils.helm import cache, failures
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress


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
        cache.require_exact(self.version, self.digest, str(self))
        if not self.name:
            raise InputError("the chart has no name", where=self.repository, hint="Give the name that it has in its repository.")
        if not self.repository.startswith(("http://", "https://", "oci://")):
            raise InputError(f"{self.repository!r} is not a chart repository", where=str(self), hint="Give an http://, https:// or oci:// URL.")


def fetch(chart: Chart, *, helm: str, cache_directory: str, deadline: Deadline) -> str:
    """The path of the chart's .tgz file in the cache; pulled when it is not there. Its digest is checked each time when there is one."""
    chart.validate()

    def pull(directory: str) -> str:
        return _pull(chart, helm, directory, deadline)

    name = f"{chart.name}-{chart.version}.tgz"
    return cache.fetch(cache_directory, chart.repository, name, chart.digest, pull, what=str(chart), source=chart.repository)


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
    return os.path.join(destination, files[0])
