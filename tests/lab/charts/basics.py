"""Doubles of what a bare cluster lacks: approval of kubelets' certificates, metrics, snapshots, and the Gateway API's and Prometheus operator's definitions."""

from __future__ import annotations

from crds import definitions
from doubles import FULLNAME, Double, Object, Part
from programs import Operator, Program, parts

MONITORING = definitions(
    "monitoring.coreos.com",
    "AlertmanagerConfig/alertmanagerconfigs Ns v1alpha1*; Alertmanager/alertmanagers Ns v1*; PodMonitor/podmonitors Ns v1*; Probe/probes Ns v1*;"
    "PrometheusAgent/prometheusagents Ns v1alpha1*; Prometheus/prometheuses Ns v1*; PrometheusRule/prometheusrules Ns v1*;"
    "ScrapeConfig/scrapeconfigs Ns v1alpha1*; ServiceMonitor/servicemonitors Ns v1*; ThanosRuler/thanosrulers Ns v1*",
)
_SNAPSHOTS = definitions(
    "snapshot.storage.k8s.io",
    "VolumeSnapshotClass/volumesnapshotclasses Cl v1*,v1beta1(not served); VolumeSnapshotContent/volumesnapshotcontents Cl v1*,v1beta1(not served);"
    "VolumeSnapshot/volumesnapshots Ns v1*,v1beta1(not served)",
) + definitions(
    "groupsnapshot.storage.k8s.io",
    "VolumeGroupSnapshotClass/volumegroupsnapshotclasses Cl v1,v1beta1,v1beta2*; VolumeGroupSnapshotContent/volumegroupsnapshotcontents Cl v1,v1beta1,v1beta2*;"
    "VolumeGroupSnapshot/volumegroupsnapshots Ns v1,v1beta1,v1beta2*",
)


def gateway_api(version: str) -> list[Object]:
    """The manifest of the Gateway API's standard channel."""
    kinds = definitions(
        "gateway.networking.k8s.io",
        "BackendTLSPolicy/backendtlspolicies Ns v1*,v1alpha3(not served); GatewayClass/gatewayclasses Cl v1*,v1beta1; Gateway/gateways Ns v1*,v1beta1;"
        "GRPCRoute/grpcroutes Ns v1*; HTTPRoute/httproutes Ns v1*,v1beta1; ListenerSet/listenersets Ns v1*; ReferenceGrant/referencegrants Ns v1,v1beta1*;"
        "TCPRoute/tcproutes Ns v1*,v1alpha2(not served); TLSRoute/tlsroutes Ns v1*,v1alpha2(not served),v1alpha3(not served);"
        "UDPRoute/udproutes Ns v1*,v1alpha2(not served)",
    )
    annotations = {"gateway.networking.k8s.io/bundle-version": f"v{version}", "gateway.networking.k8s.io/channel": "standard"}
    for kind in kinds:
        kind["metadata"]["annotations"].update(annotations)
    name = "safe-upgrades.gateway.networking.k8s.io"
    # As the real one: no definitions of the experimental channel over these.
    group = "has(object.spec.group) && object.spec.group == 'gateway.networking.k8s.io'"
    standard = "object.metadata.annotations[?'gateway.networking.k8s.io/channel'].orValue('') == 'standard'"
    watched = {"apiGroups": ["apiextensions.k8s.io"], "apiVersions": ["v1"], "resources": ["customresourcedefinitions"], "operations": ["CREATE", "UPDATE"]}
    policy = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [watched]},
        "matchConditions": [{"name": "group", "expression": group}],
        "validations": [{"expression": standard, "message": "definitions of another channel than standard are refused (a double says so)"}],
    }
    common = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name, "annotations": annotations}}
    return [
        *kinds,
        {**common, "kind": "ValidatingAdmissionPolicy", "spec": policy},
        {**common, "kind": "ValidatingAdmissionPolicyBinding", "spec": {"policyName": name, "validationActions": ["Deny"]}},
    ]


def _operator_definitions(version: str) -> list[Part]:
    return [Part("definitions", MONITORING)]


def _approver(version: str) -> list[Part]:
    return parts(
        Program(
            FULLNAME,
            f"ghcr.io/postfinance/kubelet-csr-approver:v{version}",
            [8080],
            slug="kubelet-csr-approver",
            replicas="{{ .Values.replicas }}",
            operator=Operator(duties=["approve-certificates"]),
            services={FULLNAME: {8080: 8080}},
            monitor=".Values.metrics.serviceMonitor.enabled",
        )
    )


def _metrics_server(version: str) -> list[Part]:
    api = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": FULLNAME, "namespace": "{{ .Release.Namespace }}", "port": 443},
        },
    }
    return parts(
        Program(
            FULLNAME,
            "registry.k8s.io/metrics-server/metrics-server:v0.8.1",
            ["10250/tls"],
            slug="metrics-server",
            verb="metrics",
            replicas="{{ .Values.replicas }}",
            rights=[{"apiGroups": [""], "resources": ["nodes", "nodes/proxy", "nodes/metrics", "nodes/stats"], "verbs": ["get", "list"]}],
            services={FULLNAME: {443: 10250}},
            monitor=".Values.serviceMonitor.enabled",
            pod={"priorityClassName": "system-cluster-critical"},
            extra=[api],
        )
    )


def _snapshot_controller(version: str) -> list[Part]:
    return [
        Part("definitions", _SNAPSHOTS, ".Values.installCRDs"),
        *parts(
            Program(
                "snapshot-controller",
                "registry.k8s.io/sig-storage/snapshot-controller:v8.6.0",
                [8080],
                replicas="{{ .Values.controller.replicaCount }}",
                monitor=".Values.controller.serviceMonitor.create",
                services={"snapshot-controller": {8080: 8080}},
            )
        ),
    ]


DOUBLES = (
    Double("prometheus-operator-crds", ("31.0.1",), {}, _operator_definitions),
    Double("kubelet-csr-approver", ("1.2.12",), {"replicas": 2, "metrics": {"serviceMonitor": {"enabled": False}}}, _approver),
    Double("metrics-server", ("3.13.1",), {"replicas": 1, "serviceMonitor": {"enabled": False}}, _metrics_server),
    Double(
        "snapshot-controller", ("5.2.0",), {"installCRDs": True, "controller": {"replicaCount": 1, "serviceMonitor": {"create": False}}}, _snapshot_controller
    ),
)
