"""Doubles of cert-manager, whose certificates are real, and of Sealed Secrets, which runs the real controller."""

from __future__ import annotations

from typing import Any

from crds import definitions
from doubles import FULLNAME, RESTRICTED, Double, Part, cluster_role, schema
from programs import NAMESPACE, Operator, Program, job, parts, role, watched, webhooks

_KINDS = definitions(
    "cert-manager.io",
    "CertificateRequest/certificaterequests Ns v1*; Certificate/certificates Ns v1*; ClusterIssuer/clusterissuers Cl v1*; Issuer/issuers Ns v1*",
) + definitions("acme.cert-manager.io", "Challenge/challenges Ns v1*; Order/orders Ns v1*")
_HOOK = "cert-manager-webhook"
_TRIAL = """{"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "trial", "namespace": "{{ .Release.Namespace }}"},
 "spec": {"dnsNames": ["trial.example"], "secretName": "trial", "issuerRef": {"name": "trial"}}}"""

_CERT_MANAGER: dict[str, Any] = {
    "installCRDs": False,
    "crds": {"enabled": False, "keep": True},
    "replicaCount": 1,
    "webhook": {"replicaCount": 1, "timeoutSeconds": 30},
    "cainjector": {"enabled": True, "replicaCount": 1},
    "startupapicheck": {"enabled": True},
    "prometheus": {"enabled": True, "servicemonitor": {"enabled": False}},
    "global": {},
    "config": {},
    "podDisruptionBudget": {"enabled": False},
}
# Unknown keys are refused by the real chart; these are its others.
_OTHERS = [
    "acmesolver",
    "affinity",
    "approveSignerNames",
    "automountServiceAccountToken",
    "clusterResourceNamespace",
    "containerSecurityContext",
    "creator",
    "deploymentAnnotations",
    "disableAutoApproval",
    "dns01RecursiveNameservers",
    "dns01RecursiveNameserversOnly",
    "enableCertificateOwnerRef",
    "enableServiceLinks",
    "enabled",
    "extraArgs",
    "extraContainers",
    "extraEnv",
    "extraObjects",
    "featureGates",
    "fullnameOverride",
    "hostAliases",
    "http_proxy",
    "https_proxy",
    "image",
    "imageNamespace",
    "imageRegistry",
    "ingressShim",
    "livenessProbe",
    "maxConcurrentChallenges",
    "nameOverride",
    "namespace",
    "networkPolicy",
    "no_proxy",
    "nodeSelector",
    "podAnnotations",
    "podDnsConfig",
    "podDnsPolicy",
    "podLabels",
    "resources",
    "runtimeClassName",
    "securityContext",
    "serviceAccount",
    "serviceAnnotations",
    "serviceIPFamilies",
    "serviceIPFamilyPolicy",
    "serviceLabels",
    "strategy",
    "tolerations",
    "topologySpreadConstraints",
    "volumeMounts",
    "volumes",
    "hostUsers",
]


def _cert_manager(version: str) -> list[Part]:
    def image(name: str) -> str:
        return f"quay.io/jetstack/cert-manager-{name}:{version}"

    hook = watched("cert-manager.io", ["v1"], ["*/*"])
    configurations = ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"]
    serving = {
        "port": 10250,
        "service": _HOOK,
        "secret": "cert-manager-webhook-ca",
        "configurations": [{"kind": kind, "name": _HOOK} for kind in configurations],
    }
    check = job(
        "cert-manager-startupapicheck",
        image("startupapicheck"),
        hook="post-install,post-upgrade",
        verb="accepted",
        environment=[{"name": "STUB_OBJECT", "value": _TRIAL}],
        weight=1,
    )
    return [
        Part("definitions", _KINDS, "or .Values.crds.enabled .Values.installCRDs"),
        *parts(
            Program(
                "cert-manager",
                image("controller"),
                [9403, 9402],
                replicas="{{ .Values.replicaCount }}",
                operator=Operator(duties=["certificates"]),
                services={"cert-manager": {9402: 9402}},
                monitor="and .Values.prometheus.enabled .Values.prometheus.servicemonitor.enabled",
            ),
            Program(
                _HOOK,
                image("webhook"),
                [6080],
                replicas="{{ .Values.webhook.replicaCount }}",
                operator=Operator(webhook=serving),
                services={_HOOK: {443: 10250, 9402: 6080}},
                extra=[webhooks(kind, _HOOK, _HOOK, {"webhook.cert-manager.io": hook}) for kind in configurations],
            ),
            Program(
                "cert-manager-cainjector", image("cainjector"), [9402], replicas="{{ .Values.cainjector.replicaCount }}", when=".Values.cainjector.enabled"
            ),
        ),
        Part("startupapicheck", check, ".Values.startupapicheck.enabled"),
    ]


def _sealed_secrets(version: str) -> list[Part]:
    """The real controller, with what the real chart tells it and allows it."""
    keys = [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["{{ .Values.secretName }}"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "list"]},
    ]
    reached = [
        {"apiGroups": [""], "resources": ["services"], "resourceNames": [FULLNAME], "verbs": ["get"]},
        {
            "apiGroups": [""],
            "resources": ["services/proxy"],
            "resourceNames": [f"http:{FULLNAME}:", f"http:{FULLNAME}:http", FULLNAME],
            "verbs": ["create", "get"],
        },
    ]
    everybody = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}
    arguments = ["--update-status", "--key-prefix", "{{ .Values.secretName }}", "--listen-addr", ":8080", "--listen-metrics-addr", ":8081"]
    # A period of "" is the controller's own; "0" means that keys are not renewed.
    periods = [f"{{{{ printf `--{flag}=%v` (ternary `{value}` .Values.{key} (eq (toString .Values.{key}) ``)) }}}}" for flag, value, key in _PERIODS]
    dashboard = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{FULLNAME}-dashboard", "namespace": NAMESPACE, "labels": {"grafana_dashboard": "1"}},
        "data": {"sealed-secrets.json": "{}"},
    }
    return parts(
        Program(
            FULLNAME,
            "docker.io/bitnami/sealed-secrets-controller:0.38.4",
            [8080, 8081],
            slug="sealed-secrets",
            services={FULLNAME: {8080: 8080}, f"{FULLNAME}-metrics": {8081: 8081}},
            labels={"name": FULLNAME},
            # The real chart takes all of them; this one restarts the controller.
            annotations={"trinode.dev/sealing-keys": "{{ printf `of-%v` (index .Values.podAnnotations `trinode.dev/sealing-keys`) }}"},
            monitor=".Values.metrics.serviceMonitor.enabled",
            container={
                "command": ["controller", *arguments, *periods],
                "securityContext": {**RESTRICTED, "readOnlyRootFilesystem": True, "runAsUser": 1001},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            },
            pod={"terminationGracePeriodSeconds": 5, "volumes": [{"name": "tmp", "emptyDir": {}}]},
            extra=[
                *cluster_role("secrets-unsealer", _UNSEALER, FULLNAME),
                *role(f"{FULLNAME}-key-admin", keys, account=FULLNAME),
                *role(f"{FULLNAME}-service-proxier", reached, subject=everybody),
                dashboard,
            ],
        )
    )


_PERIODS = (("key-renew-period", "720h", "keyrenewperiod"), ("key-ttl", "87600h", "keyttl"))
_UNSEALER = [
    {"apiGroups": ["bitnami.com"], "resources": ["sealedsecrets"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["bitnami.com"], "resources": ["sealedsecrets/status"], "verbs": ["update"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "create", "update", "delete", "watch"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
]


def _closed() -> dict[str, Any]:
    made = schema(_CERT_MANAGER)
    made["properties"].update({key: {} for key in _OTHERS})
    return {**made, "additionalProperties": False}


DOUBLES = (
    Double("cert-manager", ("v1.21.0", "v1.21.1", "v1.21.2"), _CERT_MANAGER, _cert_manager, schema=_closed()),
    Double(
        "sealed-secrets",
        ("2.19.0", "2.19.1"),
        {"secretName": "sealed-secrets-key", "keyrenewperiod": "", "keyttl": "", "podAnnotations": {}, "metrics": {"serviceMonitor": {"enabled": False}}},
        _sealed_secrets,
        definitions=definitions("bitnami.com", "SealedSecret/sealedsecrets Ns v1alpha1*"),
    ),
)
