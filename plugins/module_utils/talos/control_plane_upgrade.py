# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Other API servers and schedulers, one machine after another, with the virtual address always at an API server that answers.

Talos keeps the address at a machine whose API server starts again, for half a minute and more, and may then give it to the machine whose turn is next. So the
machines without the address come first; then it moves to one of them, and its own machine is the last. Schedulers are done the same way, since Talos starts a
machine's API server again with every change of its scheduler's configuration (config-file-version, Talos 1.13).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import condition, part
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos import documents
from ansible_collections.trinode.platform.plugins.module_utils.talos.apply import read_running
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.kubernetes_plan import Component
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import link_of
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import own_link
from ansible_collections.trinode.platform.plugins.module_utils.talos.patches import VIP_KIND, vip_document

API_SERVER = "kube-apiserver"
# In the order of talosctl upgrade-k8s, with their sections of the machine config.
_SECTIONS = {API_SERVER: "apiServer", "kube-scheduler": "scheduler"}
_REGISTRY = "registry.k8s.io"
_ANNOTATIONS = "talos.dev/"
_PAUSE_SECONDS = 0.5
# etcd gives the address to the next machine at once, which then has to set it up.
_MOVE_SECONDS = 60.0


@dataclass(frozen=True)
class SharedAddress:
    """The virtual address of the control planes. ``link`` carries it; empty: the link that holds the machine's own. Raises InputError for what is none."""

    address: str
    link: str = ""

    def __post_init__(self) -> None:
        self.is_at(self.address)

    def is_at(self, address: str) -> bool:
        """Whether it is this address, however that is written."""
        try:
            return ipaddress.ip_address(self.address) == ipaddress.ip_address(address)
        except ValueError as error:
            raise InputError(f"{self.address!r} is not an address", where="vip", hint="Write it like 192.0.2.10.") from error


@dataclass(frozen=True)
class ControlPlane:
    """All control planes by node, their shared address, and what Kubernetes shows of their static pods now."""

    machines: Mapping[str, Talosctl]
    shared: SharedAddress
    pods: Callable[[], Iterable[Json]]

    def holder(self, deadline: Deadline) -> str:
        """The node that has the virtual address, empty while none has."""
        shared = str(ipaddress.ip_address(self.shared.address))
        return next((node for node, machine in self.machines.items() if link_of(shared, machine.get("addresses", deadline=deadline))), "")

    def document(self, node: str, deadline: Deadline) -> dict[str, Any] | None:
        """The document of the node's machine config that has it take part in the address. None: it gets the address in another way, which is not ours."""
        found = self._configured(node, deadline)
        # Another one has it: an interrupted run took it out here.
        if found is None and self.holder(deadline) != node and any(self._configured(other, deadline) for other in self.machines if other != node):
            return vip_document(self.shared.address, self.shared.link or own_link(self.machines[node], deadline))
        return found

    def _configured(self, node: str, deadline: Deadline) -> dict[str, Any] | None:
        config = documents.split(read_running(self.machines[node], deadline=deadline).active, where=node)
        return next((document for found, document in config.items() if found.kind == VIP_KIND and self.shared.is_at(found.name)), None)


def is_needed(behind: Iterable[Component]) -> bool:
    """Whether one of the programs that are behind is for us."""
    return any(component.name in _SECTIONS for component in behind)


def turns(nodes: Iterable[str], holder: str) -> list[str]:
    """The order of the nodes: the one that has the virtual address last. Pure."""
    return sorted(nodes, key=lambda node: (node == holder, node))


def upgrade(cluster: ControlPlane, behind: Sequence[Component], version: str, *, deadline: Deadline) -> None:
    """Give the API servers, then the schedulers, that are ``behind`` the version.

    Raises what talosctl does, and DeadlineExceeded. What is done stays, and the next call goes on from there.
    """
    for program in _SECTIONS:
        late = {component.node for component in behind if component.name == program}
        for node in turns(late, cluster.holder(deadline)):
            _upgrade(cluster, node, program, version, deadline)


def _upgrade(cluster: ControlPlane, node: str, program: str, version: str, deadline: Deadline) -> None:
    machine, image = cluster.machines[node], f"{_REGISTRY}/{program}:v{version.removeprefix('v')}"
    document = cluster.document(node, deadline)
    if document and cluster.holder(deadline) == node:
        _move(cluster, node, document, deadline)
    progress(f"{program} of {node}: {version}")
    # The address may come back to this machine: it waits behind all others now.
    change = {"cluster": {_SECTIONS[program]: {"image": image}}}
    machine.patch_config(_text(change, document) if document else _text(change), deadline=deadline)
    while missing := unsettled(node, program, image, [item.spec for item in machine.get("staticpods", deadline=deadline)], cluster.pods()):
        deadline.check(f"{missing} does not run as it is configured", where=node, hint="Look at that pod in kube-system. Run again: that goes on from there.")
        deadline.pause(_PAUSE_SECONDS)


def unsettled(node: str, program: str, image: str, rendered: Iterable[Mapping[str, Any]], pods: Iterable[Json]) -> str:
    """Which of the program and the API server does not run on the node, ready, as Talos has rendered it with this image of the program. Pure."""
    wanted = {str(part(pod, "metadata").get("name")): pod for pod in rendered}
    shown = {str(part(pod, "metadata", "labels").get("k8s-app")): pod for pod in pods if part(pod, "spec").get("nodeName") == node}
    for name in dict.fromkeys((program, API_SERVER)):
        if name not in wanted or name not in shown or (name == program and image not in _images(wanted[name])):
            return name
        if _versions(wanted[name]) != _versions(shown[name]) or condition(part(shown[name], "status"), "Ready").get("status") != "True":
            return name
    return ""


def _images(pod: Mapping[str, Any]) -> list[str]:
    return [str(container.get("image")) for container in part(dict(pod), "spec").get("containers") or []]


def _versions(pod: Mapping[str, Any]) -> dict[str, str]:
    """Talos's numbers of the configurations that went into a static pod."""
    return {key: value for key, value in part(dict(pod), "metadata", "annotations").items() if key.startswith(_ANNOTATIONS)}


def _move(cluster: ControlPlane, node: str, document: dict[str, Any], deadline: Deadline) -> None:
    """Take the address out of the machine's configuration, which makes it give the address away in order. Whoever calls this puts it back in."""
    progress(f"{cluster.shared.address} moves from {node} to another machine")
    limit = deadline.at_most(_MOVE_SECONDS)
    cluster.machines[node].patch_config(_text({**document, "$patch": "delete"}), deadline=deadline)
    try:
        while cluster.holder(deadline) in ("", node):
            limit.check(f"no other machine has taken the address {cluster.shared.address}", where=node, hint="Look at etcd: talosctl etcd status.")
            limit.pause(_PAUSE_SECONDS)
    except PlatformError:
        cluster.machines[node].patch_config(_text(document), deadline=deadline)
        raise


def _text(*documents: dict[str, Any]) -> str:
    return yaml.safe_dump_all(documents)
