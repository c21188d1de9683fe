"""Doubles of Argo CD, Crossplane and Kyverno."""

from __future__ import annotations

import json
from typing import Any

from crds import definitions
from doubles import FULLNAME, Double, Object, Part
from programs import NAMESPACE, Operator, Program, Rule, condition, job, parts, watched, webhooks

_ARGO = definitions("argoproj.io", "Application/applications Ns v1alpha1*; ApplicationSet/applicationsets Ns v1alpha1*; AppProject/appprojects Ns v1alpha1*")
_ARGO_IMAGE = "quay.io/argoproj/argocd:v3.4.4"
_ARGO_ANSWERS: dict[str, Any] = {
    "/healthz": {"type": "text/plain", "text": "ok"},
    "/api/version": {"json": {"Version": "v3.4.4+double"}},
}


def _argo_cd(version: str) -> list[Part]:
    application = {
        "sync": {"status": "Synced", "revision": "double"},
        "health": {"status": "Healthy"},
        "operationState": {"phase": "Succeeded", "message": "a double says so"},
        "reconciledAt": "<< at . `status.reconciledAt` (now) >>",
    }
    condition_ok = {"conditions": [{"type": "ResourcesUpToDate", "status": "True", "reason": "LabDouble", "message": "a double says so"}]}
    password = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "argocd-initial-admin-secret", "namespace": NAMESPACE},
        "stringData": {"password": "double-of-a-password"},
    }
    n = FULLNAME
    metrics = "{}.metrics.serviceMonitor.enabled"

    def program(name: str, key: str, ports: list[int], services: dict[str, dict[int, int]], **more: Any) -> Program:
        more.setdefault("image", _ARGO_IMAGE)
        enabled = f".Values.{key}.metrics"
        monitor = f"and {enabled}.enabled {metrics.format(f'.Values.{key}')}" if key in ("controller", "server", "repoServer", "applicationSet") else ""
        replicas = 3 if name.startswith("redis-ha") else f"{{{{ .Values.{key}.replicas }}}}" if "replicas" in _ARGO_VALUES[key] else 1
        labels = {"app.kubernetes.io/name": f"argocd-{name}"}
        return Program(f"{n}-{name}", ports=ports, slug=name, services=services, monitor=monitor, replicas=replicas, labels=labels, **more)

    operator = Operator(
        rules=[
            Rule("/apis/argoproj.io/v1alpha1/applications", application),
            Rule("/apis/argoproj.io/v1alpha1/applicationsets", condition_ok),
        ],
        objects=[password],
    )
    kind = "{{ ternary `Deployment` `StatefulSet` .Values.controller.dynamicClusterDistribution }}"
    ha = "(index .Values `redis-ha`).enabled"
    return [
        Part("definitions", _ARGO, ".Values.crds.install"),
        Part("configuration", [_configuration(name) for name in ("argocd-cm", "argocd-rbac-cm", "argocd-cmd-params-cm")]),
        Part("secret", [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-secret", "namespace": NAMESPACE}}]),
        *parts(
            program("application-controller", "controller", [8082], {f"{n}-application-controller-metrics": {8082: 8082}}, kind=kind, operator=operator),
            program("repo-server", "repoServer", [8081, 8084], {f"{n}-repo-server": {8081: 8081}}),
            program("server", "server", [8080, 8083], {f"{n}-server": {80: 8080, 443: 8080}}, answers=_ARGO_ANSWERS),
            program("applicationset-controller", "applicationSet", [8080, 7000], {f"{n}-applicationset-controller": {7000: 7000}}),
            program("notifications-controller", "notifications", [9001], {}, when=".Values.notifications.enabled"),
            program("dex-server", "dex", [5558, 5556], {f"{n}-dex-server": {5556: 5556}}, when=".Values.dex.enabled", image="ghcr.io/dexidp/dex:v2.45.1"),
            program("redis", "redis", [6379], {f"{n}-redis": {6379: 6379}}, when=f"not {ha}", image="ecr-public.aws.com/docker/library/redis:8.2.3-alpine"),
            program(
                "redis-ha-server", "redis", [6379], {f"{n}-redis-ha": {6379: 6379}}, when=ha, kind="StatefulSet", image="docker.io/library/redis:8.2.3-alpine"
            ),
            program("redis-ha-haproxy", "redis", [6379], {f"{n}-redis-ha-haproxy": {6379: 6379}}, when=ha, image="docker.io/library/haproxy:3.0.8-alpine"),
        ),
        Part("redis-secret-init", job(f"{n}-redis-secret-init", _ARGO_IMAGE, hook="pre-install,pre-upgrade"), ".Values.redisSecretInit.enabled"),
    ]


def _configuration(name: str) -> Object:
    """The double has of the configuration only what it is told in configs."""
    key = name.removeprefix("argocd-").removesuffix("-cm").replace("cmd-params", "params") if name != "argocd-cm" else "cm"
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "argocd"}}
    value = f"(.Values.configs.{key} | default dict)"
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"double.yaml": f"{{{{ {value} | toYaml | quote }}}}"}}


_ARGO_VALUES: dict[str, Any] = {
    "nameOverride": "argocd",
    "crds": {"install": True, "keep": True},
    "redis-ha": {"enabled": False},
    "redis": {"enabled": True},
    "redisSecretInit": {"enabled": True},
    "controller": {"replicas": 1, "dynamicClusterDistribution": False, "metrics": {"enabled": False, "serviceMonitor": {"enabled": False}}},
    "server": {"replicas": 1, "metrics": {"enabled": False, "serviceMonitor": {"enabled": False}}},
    "repoServer": {"replicas": 1, "metrics": {"enabled": False, "serviceMonitor": {"enabled": False}}},
    "applicationSet": {"replicas": 1, "metrics": {"enabled": False, "serviceMonitor": {"enabled": False}}},
    "notifications": {"enabled": True},
    "dex": {"enabled": True},
    "configs": {"cm": {}, "params": {}, "rbac": {}},
}

_CROSSPLANE = (
    definitions(
        "apiextensions.crossplane.io",
        "CompositeResourceDefinition/compositeresourcedefinitions Cl v1*,v2; CompositionRevision/compositionrevisions Cl v1*; Composition/compositions Cl v1*;"
        "EnvironmentConfig/environmentconfigs Cl v1beta1*; ManagedResourceActivationPolicy/managedresourceactivationpolicies Cl v1alpha1*;"
        "ManagedResourceDefinition/managedresourcedefinitions Cl v1alpha1*; Usage/usages Cl v1alpha1,v1beta1*",
    )
    + definitions(
        "ops.crossplane.io", "CronOperation/cronoperations Cl v1alpha1*; Operation/operations Cl v1alpha1*; WatchOperation/watchoperations Cl v1alpha1*"
    )
    + definitions(
        "pkg.crossplane.io",
        "ConfigurationRevision/configurationrevisions Cl v1*; Configuration/configurations Cl v1*;"
        "DeploymentRuntimeConfig/deploymentruntimeconfigs Cl v1beta1*;"
        "FunctionRevision/functionrevisions Cl v1*,v1beta1; Function/functions Cl v1*,v1beta1; ImageConfig/imageconfigs Cl v1beta1*; Lock/locks Cl v1beta1*;"
        "ProviderRevision/providerrevisions Cl v1*; Provider/providers Cl v1*",
    )
    + definitions("protection.crossplane.io", "ClusterUsage/clusterusages Cl v1beta1*; Usage/usages Ns v1beta1*")
)
# What a provider's package brings, by a word of its name.
_PACKAGES = {
    "provider-kubernetes": [
        *definitions("kubernetes.crossplane.io", "ProviderConfig/providerconfigs Cl v1alpha1*; Object/objects Cl v1alpha1,v1alpha2*"),
        *definitions(
            "kubernetes.m.crossplane.io",
            "ClusterProviderConfig/clusterproviderconfigs Cl v1alpha1*; ProviderConfig/providerconfigs Ns v1alpha1*; Object/objects Ns v1alpha1*",
        ),
    ],
    "provider-helm": [
        *definitions("helm.crossplane.io", "ProviderConfig/providerconfigs Cl v1beta1*; Release/releases Cl v1beta1*"),
        *definitions(
            "helm.m.crossplane.io",
            "ClusterProviderConfig/clusterproviderconfigs Cl v1beta1*; ProviderConfig/providerconfigs Ns v1beta1*; Release/releases Ns v1beta1*",
        ),
    ],
}


def _packages() -> list[Rule]:
    healthy = {"conditions": [condition("Installed"), condition("Healthy", "ready")], "currentRevision": "<< .metadata.name >>-double"}
    brought = [f"<< if contains .spec.package `{word}` >>{json.dumps(item)}<< end >>" for word, items in _PACKAGES.items() for item in items]
    found = [Rule("/apis/pkg.crossplane.io/v1/providers", healthy, brought)]
    found += [Rule(f"/apis/pkg.crossplane.io/v1/{kind}", healthy) for kind in ("functions", "configurations")]
    ready = {"conditions": [condition("Synced"), condition("Ready")]}
    # provider-kubernetes makes the object that is in an Object.
    made = ["<< json .spec.forProvider.manifest >>"]
    found += [Rule(f"/apis/kubernetes.{group}/objects", ready, made) for group in ("crossplane.io/v1alpha2", "m.crossplane.io/v1alpha1")]
    found.append(Rule("/apis/apiextensions.crossplane.io/v1/compositeresourcedefinitions", {"conditions": [condition("Established"), condition("Offered")]}))
    return found


def _crossplane(version: str) -> list[Part]:
    image = f"xpkg.crossplane.io/crossplane/crossplane:v{version}"
    secrets = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}}
        for name in ("crossplane-root-ca", "crossplane-tls-server", "crossplane-tls-client")
    ]
    return parts(
        Program(
            "crossplane",
            image,
            [8081, 9443],
            replicas="{{ .Values.replicas }}",
            operator=Operator(definitions=_CROSSPLANE, rules=_packages()),
            services={"crossplane-webhooks": {9443: 9443}},
            labels={"app": "crossplane", "release": "{{ .Release.Name }}"},
            extra=secrets,
        ),
        Program(
            "crossplane-rbac-manager",
            image,
            [8081],
            replicas="{{ .Values.rbacManager.replicas }}",
            when=".Values.rbacManager.deploy",
            labels={"app": "crossplane-rbac-manager", "release": "{{ .Release.Name }}"},
        ),
    )


_KYVERNO = (
    definitions(
        "kyverno.io",
        "CleanupPolicy/cleanuppolicies Ns v2*,v2beta1; ClusterCleanupPolicy/clustercleanuppolicies Cl v2*,v2beta1;"
        "ClusterPolicy/clusterpolicies Cl v1*,v2beta1;"
        "GlobalContextEntry/globalcontextentries Cl v2,v2alpha1,v2beta1*; Policy/policies Ns v1*,v2beta1; PolicyException/policyexceptions Ns v2*,v2beta1;"
        "UpdateRequest/updaterequests Ns v1beta1(not served),v2*",
    )
    + definitions("reports.kyverno.io", "ClusterEphemeralReport/clusterephemeralreports Cl v1*; EphemeralReport/ephemeralreports Ns v1*")
    + definitions("wgpolicyk8s.io", "ClusterPolicyReport/clusterpolicyreports Cl v1alpha2*; PolicyReport/policyreports Ns v1alpha2*")
    + definitions(
        "policies.kyverno.io",
        "DeletingPolicy/deletingpolicies Cl v1,v1alpha1,v1beta1*; GeneratingPolicy/generatingpolicies Cl v1,v1alpha1,v1beta1*;"
        "ImageValidatingPolicy/imagevalidatingpolicies Cl v1,v1alpha1,v1beta1*; MutatingPolicy/mutatingpolicies Cl v1,v1alpha1,v1beta1*;"
        "NamespacedDeletingPolicy/namespaceddeletingpolicies Ns v1,v1beta1*; NamespacedGeneratingPolicy/namespacedgeneratingpolicies Ns v1,v1beta1*;"
        "NamespacedImageValidatingPolicy/namespacedimagevalidatingpolicies Ns v1,v1beta1*; NamespacedMutatingPolicy/namespacedmutatingpolicies Ns v1,v1beta1*;"
        "NamespacedValidatingPolicy/namespacedvalidatingpolicies Ns v1,v1beta1*; PolicyException/policyexceptions Ns v1,v1alpha1,v1beta1*;"
        "ValidatingPolicy/validatingpolicies Cl v1,v1alpha1,v1beta1*",
    )
)


def _kyverno_webhooks() -> tuple[list[Object], list[Object]]:
    """The configurations that Kyverno makes as it starts, and the list of them for its webhook's double."""
    policies = watched("kyverno.io", ["*"], ["clusterpolicies", "policies"])
    exceptions = watched("kyverno.io", ["*"], ["policyexceptions"])
    made = [
        webhooks("ValidatingWebhookConfiguration", "kyverno-policy-validating-webhook-cfg", _SERVICE, {"validate-policy.kyverno.svc": policies}),
        webhooks("MutatingWebhookConfiguration", "kyverno-policy-mutating-webhook-cfg", _SERVICE, {"mutate-policy.kyverno.svc": policies}),
        webhooks("ValidatingWebhookConfiguration", "kyverno-exception-validating-webhook-cfg", _SERVICE, {"kyverno-svc.kyverno.svc": exceptions}),
        webhooks("ValidatingWebhookConfiguration", "kyverno-resource-validating-webhook-cfg", _SERVICE, {}),
        webhooks("MutatingWebhookConfiguration", "kyverno-resource-mutating-webhook-cfg", _SERVICE, {}),
    ]
    for item in made:
        item["metadata"]["labels"] = {"webhook.kyverno.io/managed-by": "kyverno"}
    return made, [{"kind": item["kind"], "name": item["metadata"]["name"]} for item in made]


_SERVICE = "kyverno-svc"


def _kyverno(version: str) -> list[Part]:
    made, names = _kyverno_webhooks()
    serving = {"port": 9443, "service": _SERVICE, "secret": "kyverno-svc.kyverno.svc.kyverno-tls-pair", "configurations": names}
    classic = {"ready": True, "conditions": [condition("Ready")]}
    modern = {"conditionStatus": {"ready": True, "conditions": [condition("WebhookConfigured"), condition("PolicyCached")]}}
    rules = [Rule(f"/apis/kyverno.io/v1/{kind}", classic) for kind in ("clusterpolicies", "policies")]
    rules += [
        Rule(f"/apis/policies.kyverno.io/v1/{kind}", modern)
        for kind in ("validatingpolicies", "mutatingpolicies", "generatingpolicies", "imagevalidatingpolicies")
    ]

    def program(name: str, key: str, **more: Any) -> Program:
        return Program(
            f"kyverno-{name}",
            f"ghcr.io/kyverno/{more.pop('image')}:v1.19.0",
            [8000],
            slug=name,
            replicas=f"{{{{ .Values.{key}.replicas | default 1 }}}}",
            monitor=f".Values.{key}.serviceMonitor.enabled",
            **more,
        )

    return [
        Part("definitions", _KYVERNO, ".Values.crds.install"),
        *parts(
            program(
                "admission-controller",
                "admissionController",
                image="kyverno",
                operator=Operator(rules=rules, objects=made, webhook=serving),
                services={_SERVICE: {443: 9443}, "kyverno-svc-metrics": {8000: 8000}},
            ),
            program("background-controller", "backgroundController", image="background-controller"),
            program("cleanup-controller", "cleanupController", image="cleanup-controller", services={"kyverno-cleanup-controller": {443: 8000}}),
            program("reports-controller", "reportsController", image="reports-controller"),
        ),
        Part("migrate", job("kyverno-migrate-resources", "ghcr.io/kyverno/kyverno-cli:v1.19.0", hook="post-upgrade")),
        Part("remove", job("kyverno-rm-webhooks", "registry.k8s.io/kubectl:v1.36.0", hook="pre-delete")),
    ]


_POLICIES = [
    "disallow-capabilities",
    "disallow-host-namespaces",
    "disallow-host-path",
    "disallow-host-ports",
    "disallow-host-process",
    "disallow-privileged-containers",
    "disallow-proc-mount",
    "disallow-selinux",
    "restrict-apparmor-profiles",
    "restrict-seccomp",
    "restrict-sysctls",
]


def _kyverno_policies(version: str) -> list[Part]:
    watched_pods = {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}]}
    policies = [
        {
            "apiVersion": "policies.kyverno.io/v1",
            "kind": "ValidatingPolicy",
            "metadata": {"name": name, "annotations": {"policies.kyverno.io/title": f"{name} (double)"}},
            "spec": {
                "validationActions": ["{{ .Values.validationFailureAction | default `Audit` }}"],
                "matchConstraints": watched_pods,
                "validations": [{"expression": "true", "message": "a double refuses nothing"}],
            },
        }
        for name in _POLICIES
    ]
    return [Part("policies", policies)]


_CONTROLLERS = ("admissionController", "backgroundController", "cleanupController", "reportsController")

DOUBLES = (
    Double("argo-cd", ("10.1.1",), _ARGO_VALUES, _argo_cd),
    Double("crossplane", ("2.3.4",), {"replicas": 1, "rbacManager": {"deploy": True, "replicas": 1}, "provider": {"packages": []}}, _crossplane),
    Double(
        "kyverno",
        ("3.9.0",),
        {"crds": {"install": True}, **{name: {"replicas": 1, "serviceMonitor": {"enabled": False}} for name in _CONTROLLERS}},
        _kyverno,
    ),
    Double("kyverno-policies", ("3.9.0",), {"validationFailureAction": "Audit"}, _kyverno_policies),
)
