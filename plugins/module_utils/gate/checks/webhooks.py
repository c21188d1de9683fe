# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every admission webhook that refuses when nobody answers has a ready pod behind its service, and keeps one when the machine goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources, each
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, Policy
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import part

_GROUP = "/apis/admissionregistration.k8s.io/v1"
_CONFIGURATIONS = (f"{_GROUP}/validatingwebhookconfigurations", f"{_GROUP}/mutatingwebhookconfigurations")
_SERVICE_NAME = "kubernetes.io/service-name"
_SHOWN = 3


@dataclass(frozen=True)
class Webhook:
    """Webhooks of one configuration with the same service. ``nodes`` are those of its ready endpoints; "" for one outside of the cluster's nodes."""

    configuration: str
    service: str
    guards: tuple[str, ...]
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Webhooks:
    """``lost`` is the name of the node that is about to go."""

    webhooks: tuple[Webhook, ...]
    lost: str = ""


def read(sources: Sources, deadline: Deadline) -> Webhooks:
    configurations = [item for items in each(lambda path: sources.require(path, deadline), _CONFIGURATIONS) for item in items]
    guards: dict[tuple[str, str, str], set[str]] = {}
    for item in configurations:
        for webhook in item.get("webhooks") or []:
            service = part(webhook, "clientConfig", "service")
            # Where nothing is said, v1 refuses.
            if service and webhook.get("failurePolicy", "Fail") == "Fail":
                key = (str(part(item, "metadata").get("name")), str(service.get("namespace")), str(service.get("name")))
                guards.setdefault(key, set()).update(_guarded(webhook))
    if not guards:
        return Webhooks(())
    slices = sources.require("/apis/discovery.k8s.io/v1/endpointslices", deadline)
    found = [
        Webhook(configuration, f"{namespace}/{service}", tuple(sorted(what)), _nodes(slices, namespace, service))
        for (configuration, namespace, service), what in sorted(guards.items())
    ]
    return Webhooks(tuple(found), sources.lost(deadline))


def _guarded(webhook: Json) -> set[str]:
    return {str(resource) for rule in webhook.get("rules") or [] for resource in rule.get("resources") or []}


def _nodes(slices: Sequence[Json], namespace: str, service: str) -> tuple[str, ...]:
    ours = [item for item in slices if part(item, "metadata").get("namespace") == namespace and part(item, "metadata", "labels").get(_SERVICE_NAME) == service]
    endpoints = [endpoint for item in ours for endpoint in item.get("endpoints") or []]
    # An endpoint that says nothing of itself counts as ready.
    return tuple(str(endpoint.get("nodeName") or "") for endpoint in endpoints if part(endpoint, "conditions").get("ready") is not False)


def judge(view: Webhooks, _policy: Policy) -> list[Finding]:
    findings = []
    for webhook in view.webhooks:
        where, effect = webhook.configuration, f"so that changes of {_short(webhook.guards)} are refused"
        if not webhook.nodes:
            advice = "Look at its pods. playbooks/kyverno_break_glass.yml is for Kyverno; of others, delete the configuration if its component cannot start."
            findings.append(Finding("webhooks", where, f"no pod is ready behind {webhook.service}, {effect}", advice))
        elif view.lost and set(webhook.nodes) == {view.lost}:
            advice = "Run 2 replicas or more of it on different nodes, or move its pod to another node first."
            findings.append(Finding("webhooks", where, f"all ready pods behind {webhook.service} are on {view.lost}, which is about to go, {effect}", advice))
    return findings


def seen(view: Webhooks) -> str:
    if not view.webhooks:
        return "none that is fail-closed"
    ready = sum(bool(webhook.nodes) for webhook in view.webhooks)
    return f"{ready} of {len(view.webhooks)} that are fail-closed have ready pods"


def _short(guards: Sequence[str]) -> str:
    shown = ["everything" if name == "*" else name for name in guards[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(guards) - _SHOWN} more" if len(guards) > _SHOWN else "") if shown else "what it guards"
