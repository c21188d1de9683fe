# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network's agent is ready on each node, and the API server of each control plane is ready and reaches services by their ClusterIP.

The last is asked of an API that another server serves, such as metrics.k8s.io: the API server passes the request on to the service's ClusterIP, as it
does with webhooks. (The proxy of services and pods would prove nothing: it goes to a pod's own address.) The kube-apiserver of a machine may fail there
while Cilium says that all is well (cilium#48420).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources, each
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, Policy
from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import is_ready
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import condition, part, said

AGENTS = {"cilium": "Cilium", "calico-node": "Calico", "flannel": "Flannel"}
"""By the label k8s-app of the agents' pods."""
_SELECTOR = f"k8s-app in ({','.join(AGENTS)})"
_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


@dataclass(frozen=True)
class Call:
    """An API server's request to a service. ``problem`` says why it got no answer from it."""

    server: str
    api: str
    service: str
    problem: str = ""


@dataclass(frozen=True)
class Network:
    """``ready`` are the nodes whose agent is ready. ``broken`` are APIs that the cluster itself calls unavailable, ``silent`` addresses whose API server is not
    ready, both with the reason."""

    agent: str
    nodes: tuple[str, ...]
    ready: frozenset[str]
    calls: tuple[Call, ...] = ()
    broken: tuple[tuple[str, str], ...] = ()
    silent: tuple[tuple[str, str], ...] = ()


def read(sources: Sources, deadline: Deadline) -> Network:
    pods = sources.client(deadline).list("/api/v1/pods", {"labelSelector": _SELECTOR}, deadline=deadline)[0]
    nodes = tuple(node.name for node in sources.nodes(deadline))
    agent = next((name for app, name in AGENTS.items() if any(_app(pod) == app for pod in pods)), "")
    ready = frozenset(str(part(pod, "spec").get("nodeName")) for pod in pods if AGENTS[_app(pod)] == agent and is_ready(pod))
    served = [item for item in sources.require(_SERVICES, deadline) if part(item, "spec", "service")]
    broken = [(_name(item), said(_available(item), "no reason given")) for item in served if _available(item).get("status") != "True"]
    servers = sources.servers()
    silent = dict(zip(servers, each(lambda server: _silent(sources, server[1], deadline), servers), strict=True))
    asked = [(server, item) for server, why in silent.items() if not why for item in served if _available(item).get("status") == "True"]
    calls = each(lambda one: _call(sources, one[0][0], one[0][1], one[1], deadline), asked)
    return Network(agent, nodes, ready, calls, tuple(broken), tuple((address, why) for (address, _url), why in silent.items() if why))


def _silent(sources: Sources, url: str, deadline: Deadline) -> str:
    """Why the API server is not ready; "" where it is."""
    try:
        code, body = sources.client(deadline, url).exchange("/readyz", deadline=deadline)
    except PlatformError as error:
        return error.what
    failed = [line for line in body.decode("utf-8", "replace").splitlines() if line.startswith("[-]")]
    # Who may not ask has been answered all the same.
    return "" if code in (200, 401, 403) else f"it answered {code}{': ' if failed else ''}{'; '.join(failed)}"


def _call(sources: Sources, address: str, url: str, item: Json, deadline: Deadline) -> Call:
    spec, service = part(item, "spec"), part(item, "spec", "service")
    name = f"{service.get('namespace')}/{service.get('name')}"
    try:
        sources.client(deadline, url).get(f"/apis/{spec.get('group')}/{spec.get('version')}", deadline=deadline)
    except PlatformError as error:
        return Call(address, _name(item), name, error.what)
    return Call(address, _name(item), name)


def judge(view: Network, _policy: Policy) -> list[Finding]:
    findings = []
    if view.agent:
        advice = f"Look at the pods of {view.agent} on that node and their logs."
        findings = [Finding("network", node, f"no agent of {view.agent} is ready there", advice) for node in view.nodes if node not in view.ready]
    advice = "Look at the pod kube-apiserver there, and `talosctl dmesg`."
    findings += [Finding("network", address, f"its API server is not ready: {why}", advice) for address, why in view.silent]
    findings += [Finding("network", api, f"this API is not available: {why}", "Look at the pods of its service.") for api, why in view.broken]
    return [*findings, *_unreached(view.calls)]


def _unreached(calls: Sequence[Call]) -> Iterable[Finding]:
    reached = {call.api for call in calls if not call.problem}
    for call in calls:
        if not call.problem:
            continue
        # Where other API servers reach it, the way from this machine is broken; else it may be the service.
        advice = "Look at the pods of that service, and at the network's agents."
        if call.api in reached:
            advice = "Restart the network's agent on that machine, and then its kube-apiserver if that does not help."
        yield Finding("network", call.server, f"its API server does not reach {call.service} by the service's ClusterIP: {call.problem}", advice)


def seen(view: Network) -> str:
    agents = f"{view.agent} ready on {len(view.ready & set(view.nodes))} of {len(view.nodes)} nodes" if view.agent else "no network agent that is known here"
    servers = {call.server for call in view.calls}
    if view.silent:
        agents += f"; API servers that are not ready: {', '.join(address for address, _why in view.silent)}"
    if not servers:
        return f"{agents}; no API is served by a service, so no ClusterIP was tried"
    reaching = servers - {call.server for call in view.calls if call.problem}
    return f"{agents}; ClusterIPs reached by {len(reaching)} of {len(servers)} API servers ({', '.join(sorted({call.service for call in view.calls}))})"


def _app(pod: Json) -> str:
    return str(part(pod, "metadata", "labels").get("k8s-app"))


def _name(item: Json) -> str:
    return str(part(item, "metadata").get("name"))


def _available(item: Json) -> Json:
    return dict(condition(part(item, "status"), "Available"))
