# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest version that a repository has of a chart, beside the pinned one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils import command
from ansible_collections.trinode.platform.plugins.module_utils.compatibility.version import Version
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.helm import failures
from ansible_collections.trinode.platform.plugins.module_utils.helm.chart import Chart, helm_environment
from ansible_collections.trinode.platform.plugins.module_utils.table import aligned

# Each is a helm that fetches and parses a repository's index.
_PARALLEL = 4


@dataclass(frozen=True)
class Newest:
    """One pin. ``newest`` and ``application`` are empty where the repository was not read, and ``problem`` says why."""

    pin: str
    pinned: str
    newest: str = ""
    application: str = ""
    problem: str = ""

    @property
    def behind(self) -> bool:
        """Whether the repository has a later version than the pinned one."""
        pinned, newest = Version.parse(self.pinned), Version.parse(self.newest)
        return pinned is not None and newest is not None and newest.numbers > pinned.numbers


def newest(pins: Mapping[str, Mapping[str, Any]], *, mirror: str, helm: str, deadline: Deadline) -> list[Newest]:
    """Every pin of ``pins``, in their order. Pins of manifest files have no repository to ask."""
    with tempfile.TemporaryDirectory(prefix="trinode-helm-") as directory, ThreadPoolExecutor(_PARALLEL) as pool:
        futures = [pool.submit(_newest, name, pin, mirror, _Helm(helm, f"{directory}/{name}", deadline)) for name, pin in pins.items()]
        return [future.result() for future in futures]


@dataclass(frozen=True)
class _Helm:
    """How helm is run: the program, a directory for its own files, and until when."""

    program: str
    directory: str
    deadline: Deadline


def _newest(name: str, pin: Mapping[str, Any], mirror: str, helm: _Helm) -> Newest:
    pinned = str(pin["version"])
    if "chart" not in pin:
        return Newest(name, pinned, problem="a file of manifests: no repository lists its versions")
    chart = Chart(pin["chart"], pin["repository"], pinned).mirrored(mirror)
    try:
        result = command.run(_arguments(chart, helm.program), deadline=helm.deadline, environment=helm_environment(helm.directory))
        if result.returncode != 0:
            raise failures.explain(result.stderr, chart=f"chart {chart.name}", repository=chart.repository)
        found = yaml.safe_load(result.stdout) or {}
    except PlatformError as error:
        return Newest(name, pinned, problem=str(error))
    except yaml.YAMLError as error:
        return Newest(name, pinned, problem=str(CommandError(f"helm show chart printed no YAML: {error}")))
    return Newest(name, pinned, str(found.get("version", "")), str(found.get("appVersion", "")))


def _arguments(chart: Chart, helm: str) -> list[str]:
    """Without a version, helm shows the newest that is not a pre-release."""
    if chart.is_oci:
        return [helm, "show", "chart", f"{chart.repository.rstrip('/')}/{chart.name}"]
    return [helm, "show", "chart", chart.name, "--repo", chart.repository]


def table(found: Sequence[Newest]) -> list[str]:
    """Lines for a person: those with a newer version are marked."""
    return aligned([("CHART", "PINNED", "NEWEST", "APPLICATION", ""), *map(_row, found)])


def _row(item: Newest) -> tuple[str, str, str, str, str]:
    remark = "newer" if item.behind else (item.problem.splitlines() or [""])[0]
    return item.pin, item.pinned, item.newest or "?", item.application, remark
