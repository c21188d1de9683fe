"""The double of the Cilium chart: workloads and switches of cilium 1.20; its agent makes a node's pod network with the real CNI plugins."""

from __future__ import annotations

from collections.abc import Sequence

from doubles import STUB, Double, Object, Part, account, cluster_role, container, metadata, schema, service, workload

_VALUES = {
    "ipam": {"mode": "cluster-pool"},
    "kubeProxyReplacement": False,
    "k8sServiceHost": "",
    "k8sServicePort": None,
    "cluster": {"name": "default", "id": 0},
    "securityContext": {"capabilities": {"ciliumAgent": ["NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_MODULE"], "cleanCiliumState": ["NET_ADMIN", "SYS_MODULE"]}},
    "cgroup": {"autoMount": {"enabled": True}, "hostRoot": "/run/cilium/cgroupv2"},
    "cni": {"exclusive": True, "confPath": "/etc/cni/net.d"},
    "bpf": {"masquerade": None},
    "socketLB": {"enabled": False, "hostNamespaceOnly": False},
    "l2announcements": {"enabled": False},
    "gatewayAPI": {"enabled": False},
    "tolerations": [{"operator": "Exists"}],
    "rollOutCiliumPods": False,
    "envoy": {"enabled": True},
    "operator": {"replicas": 2, "rollOutPods": False},
    "hubble": {
        "enabled": True,
        "relay": {"enabled": False, "replicas": 1},
        "ui": {"enabled": False, "replicas": 1},
        "tls": {"enabled": True, "auto": {"enabled": True, "method": "helm", "certValidityDuration": 365, "schedule": "0 0 1 */4 *"}},
    },
}

_CONFIG = {
    "cluster-name": ".Values.cluster.name",
    "ipam": ".Values.ipam.mode",
    "kube-proxy-replacement": ".Values.kubeProxyReplacement",
    "cgroup-root": ".Values.cgroup.hostRoot",
    "cni-exclusive": ".Values.cni.exclusive",
    "bpf-lb-sock": ".Values.socketLB.enabled",
    "bpf-lb-sock-hostns-only": ".Values.socketLB.hostNamespaceOnly",
    "enable-bpf-masquerade": "default false .Values.bpf.masquerade",
    "enable-l2-announcements": ".Values.l2announcements.enabled",
    "enable-gateway-api": ".Values.gatewayAPI.enabled",
    "enable-hubble": ".Values.hubble.enabled",
}

_OPERATOR_TOLERATIONS = [
    {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"},
    {"key": "node-role.kubernetes.io/master", "operator": "Exists"},
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists"},
    {"key": "node.cloudprovider.kubernetes.io/uninitialized", "operator": "Exists"},
    {"key": "node.cilium.io/agent-not-ready", "operator": "Exists"},
]
_HUBBLE = ".Values.hubble.enabled"
_CERTIFICATES = f'and {_HUBBLE} .Values.hubble.tls.enabled (eq .Values.hubble.tls.auto.method "cronJob")'


def _image(name: str, version: str) -> str:
    return f"quay.io/cilium/{name}:v{version}"


def _parts(version: str) -> Sequence[Part]:
    return [
        Part("agent", _agent(version)),
        Part("operator", _operator(version)),
        Part("envoy", _envoy(), ".Values.envoy.enabled"),
        Part("hubble", [service("hubble-peer", "cilium", 443, 4244, internalTrafficPolicy="Local")], _HUBBLE),
        Part("hubble-relay", _relay(version), f"and {_HUBBLE} .Values.hubble.relay.enabled"),
        Part("hubble-ui", _interface(), f"and {_HUBBLE} .Values.hubble.ui.enabled"),
        Part("hubble-certificates", _certificates(), _CERTIFICATES),
    ]


def _agent(version: str) -> list[Object]:
    environment = [
        {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        # Without a service network yet: the API server's own address, which on Talos is KubePrism's.
        {"name": "KUBERNETES_SERVICE_HOST", "value": "{{ .Values.k8sServiceHost | quote }}"},
        {"name": "KUBERNETES_SERVICE_PORT", "value": "{{ .Values.k8sServicePort | quote }}"},
        {"name": "CNI_CONFIGURATION", "value": "/host/etc/cni/net.d/05-cilium.conflist"},
    ]
    agent = container(
        "cilium-agent",
        _image("cilium", version),
        9879,
        arguments=["cni"],
        env=environment,
        securityContext={"capabilities": {"add": "{{ toJson .Values.securityContext.capabilities.ciliumAgent }}", "drop": ["ALL"]}},
        volumeMounts=[{"name": "etc-cni-netd", "mountPath": "/host/etc/cni/net.d"}],
    )
    pod = {
        "serviceAccountName": "cilium",
        "hostNetwork": True,
        "priorityClassName": "system-node-critical",
        "tolerations": "{{ toJson .Values.tolerations }}",
        "volumes": [{"name": "etc-cni-netd", "hostPath": {"path": "{{ .Values.cni.confPath }}", "type": "DirectoryOrCreate"}}],
    }
    rules = [{"apiGroups": [""], "resources": ["nodes", "pods", "services", "namespaces"], "verbs": ["get", "list", "watch"]}]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata("cilium-secrets", namespaced=False)},
        account("cilium"),
        *cluster_role("cilium", rules),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata("cilium-config"),
            "data": {key: f"{{{{ {value} | quote }}}}" for key, value in _CONFIG.items()},
        },
        workload("DaemonSet", "cilium", [agent], pod=pod, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}),
    ]


def _operator(version: str) -> list[Object]:
    anti_affinity = {"labelSelector": {"matchLabels": {"k8s-app": "cilium-operator"}}, "topologyKey": "kubernetes.io/hostname"}
    pod = {
        "serviceAccountName": "cilium-operator",
        "hostNetwork": True,
        "priorityClassName": "system-cluster-critical",
        "tolerations": _OPERATOR_TOLERATIONS,
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [anti_affinity]}},
    }
    rules = [
        {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "list", "watch", "delete"]},
        {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["create", "get", "list", "watch", "update"]},
    ]
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "50%"}}
    operator = container("cilium-operator", _image("operator-generic", version), 9234, ports=[{"name": "health", "containerPort": 9234, "hostPort": 9234}])
    return [
        account("cilium-operator"),
        *cluster_role("cilium-operator", rules),
        workload("Deployment", "cilium-operator", [operator], replicas="{{ .Values.operator.replicas }}", pod=pod, strategy=strategy),
    ]


def _envoy() -> list[Object]:
    image = "quay.io/cilium/cilium-envoy:v1.37.5-1782911245-7cffc778c923f68a77954a53b1a98d6b5353f004"
    pod = {"serviceAccountName": "cilium-envoy", "hostNetwork": True, "priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}]}
    return [
        account("cilium-envoy"),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("cilium-envoy-config"), "data": {"bootstrap-config.json": "{}"}},
        service("cilium-envoy", "cilium-envoy", 9964, 9964, clusterIP="None"),
        workload("DaemonSet", "cilium-envoy", [container("cilium-envoy", image, 9878)], pod=pod),
    ]


def _relay(version: str) -> list[Object]:
    relay = container("hubble-relay", _image("hubble-relay", version), 4222)
    return [
        account("hubble-relay"),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata("hubble-relay-config"),
            "data": {"config.yaml": "cluster-name: {{ .Values.cluster.name }}"},
        },
        service("hubble-relay", "hubble-relay", 80, 4245),
        workload("Deployment", "hubble-relay", [relay], replicas="{{ .Values.hubble.relay.replicas }}", pod={"serviceAccountName": "hubble-relay"}),
    ]


def _interface() -> list[Object]:
    containers = [
        container("frontend", "quay.io/cilium/hubble-ui:v0.13.5", 8081),
        container("backend", "quay.io/cilium/hubble-ui-backend:v0.13.5", 8090),
    ]
    rules = [{"apiGroups": ["cilium.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]}]
    return [
        account("hubble-ui"),
        *cluster_role("hubble-ui", rules),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("hubble-ui-nginx"), "data": {"nginx.conf": "# the double serves no pages"}},
        service("hubble-ui", "hubble-ui", 80, 8081),
        workload("Deployment", "hubble-ui", containers, replicas="{{ .Values.hubble.ui.replicas }}", pod={"serviceAccountName": "hubble-ui"}),
    ]


def _certificates() -> list[Object]:
    generator = {"name": "certgen", "image": "quay.io/cilium/certgen:v0.4.8", "imagePullPolicy": "IfNotPresent", "command": [STUB, "job"]}
    pod = {"serviceAccountName": "hubble-generate-certs", "restartPolicy": "OnFailure", "containers": [generator]}
    job = {"template": {"metadata": {"labels": {"k8s-app": "hubble-generate-certs"}}, "spec": pod}}
    # As in the real chart: a job cannot be changed, so its name follows what it is made of.
    name = "hubble-generate-certs-{{ .Values.hubble.tls.auto | toJson | sha256sum | trunc 10 }}"
    return [
        account("hubble-generate-certs"),
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {**metadata("hubble-generate-certs"), "name": name}, "spec": job},
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": metadata("hubble-generate-certs"),
            "spec": {"schedule": "{{ .Values.hubble.tls.auto.schedule | quote }}", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": job}},
        },
    ]


CILIUM = Double(
    name="cilium",
    versions=("1.20.0", "1.20.1"),
    values=_VALUES,
    parts=_parts,
    schema=schema(_VALUES),
    refusals={
        'eq (toString .Values.kubeProxyReplacement) "strict"': "kubeProxyReplacement must be explicitly set to a valid value (true or false) to continue.",
        'and (eq .Values.hubble.tls.auto.method "helm") .Values.hubble.enabled': (
            "The double does not make certificates by hubble.tls.auto.method=helm, since such a render differs each time; set cronJob."
        ),
    },
)
