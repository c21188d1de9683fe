# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`helm template` of a pinned chart: values in, objects out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils import command
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.helm import failures
from ansible_collections.trinode.platform.plugins.module_utils.helm.chart import helm_environment
from ansible_collections.trinode.platform.plugins.module_utils.kube import manifests


@dataclass(frozen=True)
class Release:
    """What is rendered: a name, a namespace, values, and the Kubernetes that templates may ask for. Hooks are among the rest, charts' tests never."""

    name: str
    namespace: str
    kubernetes_version: str
    values: Mapping[str, Any] = field(default_factory=dict)
    api_versions: Sequence[str] = ()
    include_crds: bool = True
    hooks: bool = True


def template_arguments(release: Release, chart_path: str, helm: str) -> list[str]:
    """The command line; values are read from standard input, so that secrets in them never lie in a file."""
    argv = [helm, "template", release.name, chart_path, "--namespace", release.namespace, "--kube-version", release.kubernetes_version, "--skip-tests"]
    argv += ["--values", "-"]
    if release.include_crds:
        argv.append("--include-crds")
    if not release.hooks:
        argv.append("--no-hooks")
    for version in release.api_versions:
        argv += ["--api-versions", version]
    return argv


def render_chart(release: Release, chart_path: str, *, chart: str, helm: str, deadline: Deadline) -> tuple[str, list[manifests.Object]]:
    """The manifests as helm prints them, and the objects in them. ``chart`` names the chart in messages.

    Raises InputError for values that the chart's schema or its templates refuse, CommandError otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="trinode-helm-") as directory:
        result = command.run(
            template_arguments(release, chart_path, helm), deadline=deadline, stdin=json.dumps(dict(release.values)), environment=helm_environment(directory)
        )
    if result.returncode != 0:
        raise failures.explain(result.stderr, chart=chart)
    objects = manifests.parse(result.stdout, source=chart)
    if not objects:
        raise InputError("it renders to nothing", where=chart, hint="Some value switches everything off.")
    return result.stdout, objects
