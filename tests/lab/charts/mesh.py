"""Doubles of Istio's ambient charts and Kiali. A Gateway gets a proxy that really leads requests by HTTPRoutes (tests/lab/stub/gateway.go)."""

from __future__ import annotations

import json
from typing import Any

from crds import definitions
from doubles import Double, Part
from programs import NAMESPACE, Operator, Program, Rule, bare, child, condition, parts, watched, webhooks

_KINDS = (
    definitions(
        "security.istio.io",
        "AuthorizationPolicy/authorizationpolicies Ns v1*,v1beta1; PeerAuthentication/peerauthentications Ns v1*,v1beta1;"
        "RequestAuthentication/requestauthentications Ns v1*,v1beta1",
    )
    + definitions(
        "networking.istio.io",
        "DestinationRule/destinationrules Ns v1*,v1alpha3,v1beta1; EnvoyFilter/envoyfilters Ns v1alpha3*; Gateway/gateways Ns v1*,v1alpha3,v1beta1;"
        "ProxyConfig/proxyconfigs Ns v1beta1*; ServiceEntry/serviceentries Ns v1*,v1alpha3,v1beta1; Sidecar/sidecars Ns v1*,v1alpha3,v1beta1;"
        "VirtualService/virtualservices Ns v1*,v1alpha3,v1beta1; WorkloadEntry/workloadentries Ns v1*,v1alpha3,v1beta1;"
        "WorkloadGroup/workloadgroups Ns v1*,v1alpha3,v1beta1",
    )
    + definitions("telemetry.istio.io", "Telemetry/telemetries Ns v1,v1alpha1*")
    + definitions("extensions.istio.io", "TrafficExtension/trafficextensions Ns v1alpha1*; WasmPlugin/wasmplugins Ns v1alpha1*")
)
_GATEWAY = "/apis/gateway.networking.k8s.io/v1"
_VALIDATED = watched("security.istio.io", ["*"], ["*"])
_VALIDATED["rules"][0]["apiGroups"] += ["networking.istio.io", "telemetry.istio.io", "extensions.istio.io"]
_CLASSES = {"istio": "istio.io/gateway-controller", "istio-waypoint": "istio.io/mesh-controller", "istio-remote": "istio.io/unmanaged-gateway"}


def _base(version: str) -> list[Part]:
    hook = webhooks(
        "ValidatingWebhookConfiguration", "istiod-default-validator", "istiod", {"validation.istio.io": _VALIDATED}, path="/validate", policy="Ignore"
    )
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "istio-reader-service-account", "namespace": NAMESPACE}}
    return [Part("definitions", _KINDS), Part("default", [account, hook])]


def _proxy() -> list[str]:
    """What istiod makes for a Gateway of the Gateway API; the class is part of the names."""
    name = "<< .metadata.name >>-<< .spec.gatewayClassName >>"
    labels = {"gateway.networking.k8s.io/gateway-name": "<< .metadata.name >>"}
    workload = child("Deployment", name, "docker.io/istio/proxyv2:1.30.3", 15021, verb="gateway", account=name, labels=labels)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    # Ports of the service by the listeners; the proxy itself listens above 1024.
    entry = '{"name": << json .name >>, "port": << int .port >>, "targetPort": << if eq .protocol `HTTP` >>8080<< else >>8443<< end >>, "protocol": "TCP"}'
    ports = f'<< range $i, $l := .spec.listeners >><< if $i >>,<< end >><< with $l >>{entry}<< end >><< end >>, {{"name": "status-port", "port": 15021}}'
    wanted = "<< key .metadata `annotations` `networking.istio.io/service-type` `LoadBalancer` >>"
    service: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": labels, "annotations": "<<: json (at . `spec.infrastructure.annotations` (dict)) >>"},
        "spec": {
            "type": f"<< if eq .spec.gatewayClassName `istio` >>{wanted}<< else >>ClusterIP<< end >>",
            "selector": {"lab.trinode/child": name},
            "ports": "PORTS",
        },
    }
    return [bare(account), bare(_binding(name)), workload, bare(service).replace('"PORTS"', f"[{ports}]")]


def _binding(name: str) -> dict[str, Any]:
    """The proxy's double reads routes and certificates itself, where a real one is told by istiod."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"lab-{name}", "namespace": ""},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "istiod"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "<< .metadata.namespace >>"}],
    }


def _listeners() -> str:
    """Status of each listener: programmed when the proxy is there."""
    conditions = [condition(name, when) for name, when in (("Accepted", ""), ("ResolvedRefs", ""), ("Programmed", "ready"))]
    kinds = [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}]
    entry = json.dumps({"name": "NAME", "attachedRoutes": 0, "supportedKinds": kinds, "conditions": conditions})
    # Inside of the loop, the Gateway's own fields are those of $.
    entry = entry.replace('"NAME"', "<< json $l.name >>").replace("if .ready", "if $.ready")
    return f"[<< range $i, $l := .spec.listeners >><< if $i >>,<< end >>{entry}<< end >>]"


def _gateway_status() -> str:
    conditions = json.dumps([condition("Accepted"), condition("Programmed", "ready")])
    addresses = '[<< range $i, $a := .addresses >><< if $i >>,<< end >>{"type": "IPAddress", "value": "<< $a >>"}<< end >>]'
    return f'{{"addresses": {addresses}, "conditions": {conditions}, "listeners": {_listeners()}}}'


def _route_status() -> str:
    conditions = json.dumps([condition("Accepted"), condition("ResolvedRefs")])
    entry = f'{{"parentRef": << json $p >>, "controllerName": "istio.io/gateway-controller", "conditions": {conditions}}}'
    return f'{{"parents": [<< range $i, $p := .spec.parentRefs >><< if $i >>,<< end >>{entry}<< end >>]}}'


def _istiod(version: str) -> list[Part]:
    classes = [
        {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": name}, "spec": {"controllerName": controller}}
        for name, controller in _CLASSES.items()
    ]
    rules = [
        Rule(f"{_GATEWAY}/gatewayclasses", bare({"conditions": [condition("Accepted")]})),
        Rule(f"{_GATEWAY}/gateways", _gateway_status(), _proxy()),
        *(Rule(f"{_GATEWAY}/{kind}", _route_status()) for kind in ("httproutes", "grpcroutes")),
    ]
    validator = "istio-validator-istio-system"
    serving = {
        "port": 15017,
        "service": "istiod",
        "secret": "istiod-double-serving",
        "configurations": [
            {"kind": "ValidatingWebhookConfiguration", "name": "istiod-default-validator", "fail": True},
            {"kind": "ValidatingWebhookConfiguration", "name": validator, "fail": True},
            {"kind": "MutatingWebhookConfiguration", "name": "istio-sidecar-injector"},
        ],
    }
    pods = watched("", ["v1"], ["pods"])
    injected = {
        **pods,
        "namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}},
    }
    return parts(
        Program(
            "istiod",
            f"docker.io/istio/pilot:{version}",
            [8080, 15014],
            replicas="{{ .Values.replicaCount }}",
            operator=Operator(rules=rules, objects=classes, webhook=serving),
            services={"istiod": {15010: 15010, 15012: 15012, 443: 15017, 15014: 15014}},
            labels={"app": "istiod", "istio": "pilot"},
            extra=[
                webhooks("ValidatingWebhookConfiguration", validator, "istiod", {"rev.validation.istio.io": _VALIDATED}, path="/validate", policy="Ignore"),
                webhooks("MutatingWebhookConfiguration", "istio-sidecar-injector", "istiod", {"namespace.sidecar-injector.istio.io": injected}, path="/inject"),
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "istio", "namespace": NAMESPACE},
                    "data": {"mesh": "{{ .Values.meshConfig | default dict | toYaml | quote }}"},
                },
            ],
        )
    )


def _node(name: str, image: str, port: int, **labels: str) -> list[Part]:
    # As the real ones, they look into the machine.
    volumes = [{"name": "machine", "hostPath": {"path": "/opt/cni/bin"}}]
    pod = {"priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}], "volumes": volumes}
    account = name.removesuffix("-node")
    return parts(Program(name, image, [port], kind="DaemonSet", account=account, pod=pod, labels={"k8s-app": name, **labels}))


def _cni(version: str) -> list[Part]:
    return _node("istio-cni-node", f"docker.io/istio/install-cni:{version}", 8000)


def _ztunnel(version: str) -> list[Part]:
    return _node("ztunnel", f"docker.io/istio/ztunnel:{version}", 15021, app="ztunnel")


_KIALI_ANSWERS = {
    "/healthz": {"type": "text/plain", "text": "ok"},
    "/kiali/healthz": {"type": "text/plain", "text": "ok"},
    "/kiali/api": {"json": {"status": {"Kiali state": "running"}, "externalServices": [{"name": "Prometheus", "version": "3.13.0 (double)"}]}},
    "/kiali/api/auth/info": {"json": {"strategy": "{{ .Values.auth.strategy }}"}},
    "/kiali/api/status": {"json": {"status": {"Kiali state": "running", "Kiali version": "v2.29.0 (double)"}}},
    "/kiali/api/istio/status": {"json": []},
    "/kiali/api/namespaces": {"json": [{"name": "istio-system", "cluster": "Kubernetes"}]},
}


def _kiali(version: str) -> list[Part]:
    name = "kiali"
    return parts(
        Program(
            name,
            f"quay.io/kiali/kiali:v{version}",
            [20001, 9090],
            replicas="{{ .Values.deployment.replicas }}",
            services={name: {20001: 20001, 9090: 9090}},
            answers=_KIALI_ANSWERS,
            labels={"app.kubernetes.io/name": "kiali"},
            extra=[
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": name, "namespace": NAMESPACE},
                    "data": {"config.yaml": "{{ dict `external_services` .Values.external_services `auth` .Values.auth | toYaml | quote }}"},
                }
            ],
        )
    )


DOUBLES = (
    Double("base", ("1.30.3",), {}, _base),
    Double("istiod", ("1.30.3",), {"replicaCount": 1, "profile": ""}, _istiod),
    Double("cni", ("1.30.3",), {"profile": ""}, _cni),
    Double("ztunnel", ("1.30.3",), {}, _ztunnel),
    Double(
        "kiali-server",
        ("2.29.0",),
        {"deployment": {"replicas": 1}, "external_services": {}, "auth": {"strategy": "token"}, "login_token": {"signing_key": ""}},
        _kiali,
        refusals={
            "not .Values.login_token.signing_key": "The double does not make a signing key, since such a render differs each time; set login_token.signing_key."
        },
    ),
)
