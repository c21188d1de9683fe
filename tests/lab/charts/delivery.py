"""Doubles of Crossplane and Kyverno."""

from __future__ import annotations

import json
from typing import Any

from crds import definitions
from doubles import Double, Object, Part
from programs import NAMESPACE, Operator, Program, Rule, condition, job, parts, watched, webhooks

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
    Double("crossplane", ("2.3.4",), {"replicas": 1, "rbacManager": {"deploy": True, "replicas": 1}, "provider": {"packages": []}}, _crossplane),
    Double(
        "kyverno",
        ("3.9.0",),
        {"crds": {"install": True}, **{name: {"replicas": 1, "serviceMonitor": {"enabled": False}} for name in _CONTROLLERS}},
        _kyverno,
    ),
    Double("kyverno-policies", ("3.9.0",), {"validationFailureAction": "Audit"}, _kyverno_policies),
)
