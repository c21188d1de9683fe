# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes is upgraded by talosctl upgrade-k8s: look, refuse or go, tell its lines as they come, and look whether everything runs the version.

talosctl goes on where an interrupted call of it has stopped, so there is nothing of ours to remember. Where there is a virtual address, API servers and
schedulers come before (control_plane_upgrade), and talosctl finds them done.
"""

from __future__ import annotations

import re
import selectors
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils import command
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import CommandError, DeadlineExceeded, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, Json, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import part
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos import control_plane_upgrade, kubernetes_plan
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.control_plane_upgrade import SharedAddress
from ansible_collections.trinode.platform.plugins.module_utils.talos.kubernetes_plan import Component, DeprecatedCall

_CONTROL_PLANE = (control_plane_upgrade.API_SERVER, "kube-controller-manager", "kube-scheduler")
_PODS = "/api/v1/namespaces/kube-system/pods"
_TAIL = 12
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Request:
    """``client`` is talosctl at a control plane; ``machines`` at every one: each API server counts its calls. ``shared``: their virtual address."""

    client: Talosctl
    kubeconfig: str
    context: str
    machines: Sequence[Talosctl]
    version: str
    endpoint: str
    check_mode: bool
    shared: SharedAddress | None = None

    @property
    def servers(self) -> list[str]:
        """URLs of the API servers."""
        return [f"https://{f'[{machine.address}]' if ':' in machine.address else machine.address}:6443" for machine in self.machines]


@dataclass(frozen=True)
class Upgraded:
    """What ran, what did not have the version, and what talosctl said."""

    before: tuple[Component, ...]
    behind: tuple[Component, ...]
    output: tuple[str, ...] = ()


def upgrade(request: Request, *, deadline: Deadline) -> Upgraded:
    """Bring Kubernetes to the version. Raises RefusedError with everything against it before anything is touched."""
    kube = connect(request.kubeconfig, request.context, deadline)
    try:
        before, talos = _look(kube, deadline)
        late = kubernetes_plan.behind(before, request.version)
        if not late:
            return Upgraded(tuple(before), ())
        against = kubernetes_plan.objections(before, request.version, talos, _calls(request, deadline))
        if against:
            raise RefusedError("Kubernetes is not upgraded:\n  " + "\n  ".join(against), hint="Nothing was touched.", details={"objections": against})
        # talosctl has a --dry-run, which fetches the images and applies every machine config as it is all the same (1.13.8).
        if request.check_mode:
            return Upgraded(tuple(before), tuple(late))
        output = []
        if request.shared is not None and len(request.machines) > 1 and control_plane_upgrade.is_needed(late):
            output += _upgrade_control_plane(request, request.shared, late, kube, deadline)
        output += _run(request, deadline)
        _wait(kube, request.version, deadline)
        return Upgraded(tuple(before), tuple(late), tuple(output))
    finally:
        kube.close()


def _look(kube: Client, deadline: Deadline) -> tuple[list[Component], list[str]]:
    """The programs of Kubernetes with their versions, and the versions of Talos below them."""
    nodes, _version = retried(lambda: kube.list("/api/v1/nodes", deadline=deadline), deadline, "the nodes")
    pods = _pods(kube, deadline)
    found = [Component("kubelet", str(node["metadata"]["name"]), str(_information(node).get("kubeletVersion") or "")) for node in nodes]
    found += [component for pod in pods for component in _components(pod)]
    talos = [match[1] for node in nodes if (match := re.search(r"\((v[^)]+)\)", str(_information(node).get("osImage") or "")))]
    return found, talos


def _pods(kube: Client, deadline: Deadline) -> list[Json]:
    """The static pods of all control planes."""
    return retried(lambda: kube.list(_PODS, {"labelSelector": "tier=control-plane"}, deadline=deadline), deadline, "the control plane's pods")[0]


def _information(node: Json) -> Json:
    return dict(part(node, "status", "nodeInfo"))


def _components(pod: Json) -> Iterator[Component]:
    """Static pods of the control plane, by the tag of the image."""
    for container in part(pod, "spec").get("containers") or []:
        image, name = str(container.get("image") or ""), str(container.get("name") or "")
        if name in _CONTROL_PLANE:
            tag = image.partition("@")[0].rpartition(":")[2]
            yield Component(name, str(part(pod, "spec").get("nodeName") or ""), tag)


def _calls(request: Request, deadline: Deadline) -> list[DeprecatedCall]:
    """Deprecated APIs that any of the API servers was asked for."""
    found: dict[DeprecatedCall, None] = {}
    for server in request.servers or [""]:
        kube = connect(request.kubeconfig, request.context, deadline, [server] if server else ())
        try:
            status, body = kube.exchange("/metrics", deadline=deadline.at_most(30))
        finally:
            kube.close()
        if status != 200:
            raise PlatformError(
                f"the API server does not show its metrics (status {status}), so that nobody knows whether removed APIs are in use",
                where=server or "Kubernetes API",
                hint="The kubeconfig needs the right to read /metrics.",
            )
        found |= dict.fromkeys(kubernetes_plan.deprecated_calls(body.decode("utf-8", "replace")))
    return list(found)


def _upgrade_control_plane(request: Request, shared: SharedAddress, late: Sequence[Component], kube: Client, deadline: Deadline) -> list[str]:
    """API servers and schedulers as control_plane_upgrade says. Returns what talosctl said of the upgrade before."""
    machines = {str(found.spec["nodename"]): machine for machine in request.machines for found in machine.get("nodename", deadline=deadline)}
    strangers = sorted({component.node for component in late if component.name == control_plane_upgrade.API_SERVER} - set(machines))
    if strangers:
        raise RefusedError(f"API servers run on {', '.join(strangers)} too", where="endpoints", hint="Name all control planes. Nothing was touched.")
    # talosctl looks at what it looks at before it begins, and fetches the images.
    output = _run(request, deadline, "--dry-run")
    cluster = control_plane_upgrade.ControlPlane(machines, shared, lambda: _pods(kube, deadline))
    control_plane_upgrade.upgrade(cluster, late, request.version, deadline=deadline)
    return output


def _run(request: Request, deadline: Deadline, *options: str) -> list[str]:
    """talosctl, its lines as progress. Documentation and examples in the configurations would differ from what we render."""
    arguments = ["upgrade-k8s", "--to", request.version.removeprefix("v"), "--with-docs=false", "--with-examples=false", *options]
    arguments += ["--endpoint", request.endpoint] if request.endpoint else []
    lines: list[str] = []
    with command.started(request.client.argv(*arguments)) as process, selectors.DefaultSelector() as selector:
        if process.stdout is None or process.stderr is None:
            raise CommandError("talosctl was started without pipes")
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stderr, selectors.EVENT_READ)
        while selector.get_map():
            if deadline.expired:
                raise DeadlineExceeded(
                    f"Kubernetes was not upgraded within {deadline.seconds:.0f} s; the last that talosctl said: {lines[-1] if lines else 'nothing'}",
                    hint="What is done stays, and the next run goes on from there.",
                )
            for key, _events in selector.select(min(1.0, deadline.remaining)):
                line = key.fileobj.readline()  # type: ignore[union-attr]  # a text stream
                if not line:
                    selector.unregister(key.fileobj)
                elif line.strip():
                    lines.append(line.rstrip())
                    progress(f"Kubernetes: {line.strip()}")
        returncode = process.wait()
    if returncode != 0:
        raise CommandError(
            "talosctl upgrade-k8s failed: " + "\n  ".join(lines[-_TAIL:]),
            where=request.client.address,
            hint="What is done stays: correct what this says, and run again; that goes on from there.",
        )
    return lines


def _wait(kube: Client, version: str, deadline: Deadline) -> None:
    """Until everything runs the version: the kubelets tell theirs a moment after they have restarted."""
    while True:
        late = kubernetes_plan.behind(_look(kube, deadline)[0], version)
        if not late:
            return
        names = ", ".join(f"{component.name} of {component.node} ({component.version})" for component in late)
        deadline.check(f"not everything runs {version}: {names}", hint="Run again: that goes on from there.")
        deadline.pause(_PAUSE_SECONDS)
