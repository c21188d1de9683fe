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
from functools import cached_property
from typing import Any, TypeVar

from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import ApplicationOf, annotate
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import ignored
from ansible_collections.trinode.platform.plugins.module_utils.component import definition as definitions
from ansible_collections.trinode.platform.plugins.module_utils.component import pins, sealed, tree
from ansible_collections.trinode.platform.plugins.module_utils.component.assemble import Gateway, Source, assemble, reached
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import ChartUse, Definition
from ansible_collections.trinode.platform.plugins.module_utils.component.pins import Origin
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog
from ansible_collections.trinode.platform.plugins.module_utils.component.sealed import Sealed
from ansible_collections.trinode.platform.plugins.module_utils.component.sealed_there import Places
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.helm import cache, chart, manifest_file
from ansible_collections.trinode.platform.plugins.module_utils.helm.chart import Chart
from ansible_collections.trinode.platform.plugins.module_utils.helm.render import Release, render_chart
from ansible_collections.trinode.platform.plugins.module_utils.kube import manifests
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.sealing import keys
from ansible_collections.trinode.platform.plugins.module_utils.sealing.keys import KeyPair

# Raise it when the same inputs render to other files than before.
_FORMAT = 1

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Request:
    """``definition`` as the role wrote it; ``pins`` by name. The files go to ``tree``/NAME, with ``temporary`` to a directory of this run.

    With ``sealing_keys``, the file of key pairs, Secrets are sealed; then ``kubeconfig`` names the cluster that may have values which the tree has not.
    ``application`` is for objects that Argo CD takes over.
    """

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
    sealing_keys: str = ""
    kubeconfig: str = ""
    application: ApplicationOf | None = None


@dataclass(frozen=True)
class Rendered:
    """``path`` is the directory with the files; ``changes`` what differs from before. ``fresh`` says whether anything had to be rendered.

    ``sealing`` says that Secrets are sealed, and ``sealed`` how many there are. ``ignore`` are the differences that Argo CD has to pass over.
    """

    path: str
    revision: str
    objects: int
    hooks: int
    versions: Mapping[str, str]
    routes: Sequence[Mapping[str, str]]
    changes: Sequence[tree.Change]
    fresh: bool
    sealing: bool = False
    sealed: int = 0
    ignore: Sequence[manifests.Object] = ()


def render(request: Request, deadline: Deadline) -> Rendered:
    """Render the component. Raises InputError for all mistakes of the definition before anything is started."""
    definition, origins = _read(request)
    RunLog(request.run_directory).record(definition.name, "rendering", ", ".join(f"{pin} {version}" for pin, version in definition.versions.items()))
    paths = _each(origins, lambda item: _fetch(item[1], request, deadline))
    inputs = _inputs(request, origins, paths)
    directory = os.path.join(os.path.abspath(os.path.expanduser(request.tree)), definition.name)
    record = _Record(request.cache, directory)
    routes = reached(definition, request.gateway)
    sealer = _Sealer(definition, request, directory, deadline)
    last = record.read()
    if last and last["inputs"] == inputs and last["files"] == tree.digests(directory) and sealer.has_sealed(last):
        number = last.get("sealed", 0)
        ignore = last.get("ignore", ())
        return Rendered(directory, last["revision"], last["objects"], last["hooks"], definition.versions, routes, (), False, sealer.on, number, ignore)
    found = sealer.seal(_objects(definition, request, origins, paths, deadline))
    files = tree.files(_annotated(found.objects, request), found.resealed)
    target = os.path.join(request.run_directory, "rendered", definition.name) if request.temporary else directory
    try:
        changes = tree.write(target, files, base=directory, password=request.vault_password)
    except PlatformError as error:
        raise type(error)(error.what, where=error.where or f"component {definition.name}", hint=error.hint) from error
    number = len([file for file in files if file.hook])
    ignore = ignored(found.objects) if request.application else ()
    rendered = Rendered(target, tree.revision(files), len(files), number, definition.versions, routes, changes, True, sealer.on, found.count, ignore)
    if not request.temporary:
        about = {"revision": rendered.revision, "objects": rendered.objects, "hooks": rendered.hooks, **({"ignore": ignore} if ignore else {})}
        record.write({"inputs": inputs, "files": tree.digests(directory), **about, **sealer.noted(found)})
    return rendered


class _Sealer:
    """Seals the component's Secrets, if it is ``on``. The key file is read when there are some, and once."""

    def __init__(self, definition: Definition, request: Request, directory: str, deadline: Deadline) -> None:
        self.on = bool(request.sealing_keys) and sealed.applies(definition)
        self._definition = definition
        self._request = request
        self._there = Places(definition.name, directory, request.kubeconfig, deadline, lenient=request.temporary)

    @cached_property
    def _keys(self) -> Sequence[KeyPair]:
        if self._request.temporary and not os.path.lexists(self._request.sealing_keys):
            return [keys.throw_away()]
        return keys.read(self._request.sealing_keys, self._request.vault_password)

    def has_sealed(self, last: Mapping[str, Any]) -> bool:
        """Whether what was sealed the last time was so with the newest key."""
        return not last.get("sealed") or last.get("key") == self._keys[0].fingerprint

    def noted(self, found: Sealed) -> dict[str, Any]:
        return {"sealed": found.count, "key": self._keys[0].fingerprint} if found.count else {}

    def seal(self, objects: Sequence[manifests.Object]) -> Sealed:
        if not self.on or not (self._definition.generated_secrets or any(tree.is_secret(item) for item in objects)):
            return Sealed(objects)
        try:
            return sealed.seal(objects, self._definition, self._there, self._keys)
        finally:
            self._there.close()


def _annotated(objects: Sequence[manifests.Object], request: Request) -> Sequence[manifests.Object]:
    """The objects as Argo CD wants them. Raises RefusedError for Secrets that are not sealed: what is in Git, it applies as it is."""
    if request.application is None:
        return objects
    if left := [str(manifests.key_of(item)) for item in objects if tree.is_secret(item)]:
        raise RefusedError(
            f"{', '.join(left)} cannot be sealed, so it cannot lie in Git: the component comes before Sealed Secrets, or the type is the cluster's own",
            where=f"component {request.application.component}",
            hint="Make the Secret yourself, and let a value name it.",
        )
    return annotate(objects, request.application)


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


def _objects(
    definition: Definition, request: Request, origins: Sequence[tuple[ChartUse, Origin]], paths: Sequence[str], deadline: Deadline
) -> list[manifests.Object]:
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
    return assemble(definition, sources, request.gateway)


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
    content: dict[str, Any] = {
        "format": _FORMAT,
        "definition": request.definition,
        "origins": [[str(origin), cache.digest_of(path)] for (_use, origin), path in zip(origins, paths, strict=True)],
        "gateway": asdict(request.gateway) if request.gateway else None,
        "kubernetes": request.kubernetes_version,
        "helm": _program(request.helm) if any(isinstance(origin, Chart) for _use, origin in origins) else None,
    }
    # Left out where they do not matter, as they once did not exist.
    content |= {"sealing": True} if request.sealing_keys else {}
    content |= {"application": asdict(request.application)} if request.application else {}
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
