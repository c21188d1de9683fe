# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering a component: its charts and files at once, into a directory of files. Nothing is started when the inputs are those of the last time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from ansible_collections.trinode.platform.plugins.module_utils.component import definition as definitions
from ansible_collections.trinode.platform.plugins.module_utils.component import pins, tree
from ansible_collections.trinode.platform.plugins.module_utils.component.assemble import Gateway, Source, assemble, reached
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import ChartUse, Definition
from ansible_collections.trinode.platform.plugins.module_utils.component.pins import Origin
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.helm import cache, chart, manifest_file
from ansible_collections.trinode.platform.plugins.module_utils.helm.chart import Chart
from ansible_collections.trinode.platform.plugins.module_utils.helm.render import Release, render_chart
from ansible_collections.trinode.platform.plugins.module_utils.kube import manifests
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress

# Raise it when the same inputs render to other files than before.
_FORMAT = 1

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Request:
    """``definition`` as the role wrote it; ``pins`` by name. The files go to ``tree``/NAME, with ``temporary`` to a directory of this run."""

    definition: Mapping[str, Any]
    pins: Mapping[str, Any]
    tree: str
    cache: str
    run_directory: str
    kubernetes_version: str
    helm: str = "helm"
    mirror: str = ""
    gateway: Gateway | None = None
    vault_password: str = ""
    temporary: bool = False


@dataclass(frozen=True)
class Rendered:
    """``path`` is the directory with the files; ``changes`` what differs from before. ``fresh`` says whether anything had to be rendered."""

    path: str
    revision: str
    objects: int
    hooks: int
    versions: Mapping[str, str]
    routes: Sequence[Mapping[str, str]]
    changes: Sequence[tree.Change]
    fresh: bool


def render(request: Request, deadline: Deadline) -> Rendered:
    """Render the component. Raises InputError for all mistakes of the definition before anything is started."""
    definition, origins = _read(request)
    RunLog(request.run_directory).record(definition.name, "rendering", ", ".join(f"{pin} {version}" for pin, version in definition.versions.items()))
    paths = _each(origins, lambda item: _fetch(item[1], request, deadline))
    inputs = _inputs(request, origins, paths)
    directory = os.path.join(os.path.abspath(os.path.expanduser(request.tree)), definition.name)
    record = _Record(request.cache, directory)
    routes = reached(definition, request.gateway)
    if (last := record.read()) and last["inputs"] == inputs and last["files"] == tree.digests(directory):
        return Rendered(directory, last["revision"], last["objects"], last["hooks"], definition.versions, routes, (), fresh=False)
    files = _files(definition, request, origins, paths, deadline)
    target = os.path.join(request.run_directory, "rendered", definition.name) if request.temporary else directory
    try:
        changes = tree.write(target, files, base=directory, password=request.vault_password)
    except PlatformError as error:
        raise type(error)(error.what, where=error.where or f"component {definition.name}", hint=error.hint) from error
    number = len([file for file in files if file.hook])
    found = Rendered(target, tree.revision(files), len(files), number, definition.versions, routes, changes, fresh=True)
    if not request.temporary:
        record.write({"inputs": inputs, "files": tree.digests(directory), "revision": found.revision, "objects": found.objects, "hooks": found.hooks})
    return found


def _read(request: Request) -> tuple[Definition, list[tuple[ChartUse, Origin]]]:
    name = str(request.definition.get("name") or "component")
    definition, problems = definitions.examine(request.definition)
    if definition is None:
        raise definitions.mistakes(name, problems)
    origins, problems = pins.resolve(definition, request.pins, request.mirror)
    if problems:
        raise definitions.mistakes(name, problems)
    return definition, origins


def _fetch(origin: Origin, request: Request, deadline: Deadline) -> str:
    if isinstance(origin, Chart):
        return chart.fetch(origin, helm=request.helm, cache_directory=request.cache, deadline=deadline)
    return manifest_file.fetch(origin, cache_directory=request.cache, deadline=deadline)


def _files(definition: Definition, request: Request, origins: Sequence[tuple[ChartUse, Origin]], paths: Sequence[str], deadline: Deadline) -> list[tree.File]:
    def source(item: tuple[ChartUse, Origin, str]) -> Source:
        use, origin, path = item
        if isinstance(origin, Chart):
            release = Release(use.release, use.namespace, request.kubernetes_version, values=use.values, api_versions=use.api_versions)
            progress(f"rendering {origin}")
            _text, objects = render_chart(release, path, chart=str(origin), helm=request.helm, deadline=deadline)
        else:
            objects = _parsed(path, str(origin))
        return Source(str(origin), use.namespace, objects)

    sources = _each([(use, origin, path) for (use, origin), path in zip(origins, paths, strict=True)], source)
    return tree.files(assemble(definition, sources, request.gateway))


def _parsed(path: str, what: str) -> list[manifests.Object]:
    try:
        with open(path, encoding="utf-8") as file:
            return manifests.parse(file.read(), source=what)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the file cannot be read: {error}", where=path) from error


def _each(items: Sequence[Item], work: Callable[[Item], Result]) -> list[Result]:
    """The work on each item, all at once. When some fail, one error tells all of it."""
    if not items:
        return []
    with ThreadPoolExecutor(max_workers=min(8, len(items))) as pool:
        futures = [pool.submit(work, item) for item in items]
    errors = [error for future in futures if (error := future.exception()) is not None]
    unexpected = [error for error in errors if not isinstance(error, PlatformError)]
    if unexpected or len(errors) == 1:
        raise (unexpected or errors)[0]
    if errors:
        raise InputError(" ".join(dict.fromkeys(str(error) for error in errors)))
    return [future.result() for future in futures]


def _inputs(request: Request, origins: Sequence[tuple[ChartUse, Origin]], paths: Sequence[str]) -> str:
    """A digest of everything that the files depend on."""
    content = {
        "format": _FORMAT,
        "definition": request.definition,
        "origins": [[str(origin), cache.digest_of(path)] for (_use, origin), path in zip(origins, paths, strict=True)],
        "gateway": asdict(request.gateway) if request.gateway else None,
        "kubernetes": request.kubernetes_version,
        "helm": _program(request.helm) if any(isinstance(origin, Chart) for _use, origin in origins) else None,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _program(name: str) -> list[Any]:
    """What tells one helm from another without starting it."""
    path = os.path.realpath(shutil.which(os.path.expanduser(name)) or name)
    try:
        status = os.stat(path)
    except OSError:
        return [path]
    return [path, status.st_size, status.st_mtime_ns]


class _Record:
    """What the last rendering into a directory was made from and came to; beside the cached charts, since it can be made anew at any time."""

    def __init__(self, cache_directory: str, directory: str) -> None:
        place = os.path.join(os.path.expanduser(cache_directory), ".rendered")
        self._path = os.path.join(place, f"{os.path.basename(directory)}-{hashlib.sha256(directory.encode()).hexdigest()[:12]}.json")

    def read(self) -> dict[str, Any] | None:
        """None where there is none, or one that cannot be read: then all is rendered."""
        try:
            with open(self._path, encoding="utf-8") as file:
                found = json.load(file)
        except (OSError, ValueError):
            return None
        known = isinstance(found, dict) and {"inputs", "files", "revision", "objects", "hooks"} <= set(found)
        return found if known else None

    def write(self, content: Mapping[str, Any]) -> None:
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o755, exist_ok=True)
            with open(f"{self._path}.partial", "w", encoding="utf-8") as file:
                json.dump(content, file)
            os.replace(f"{self._path}.partial", self._path)
        except OSError as error:
            raise InputError(f"the chart cache cannot be written: {error.strerror}", where=self._path) from error
