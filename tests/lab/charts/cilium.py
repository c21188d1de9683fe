"""The double of the Cilium chart: workloads and switches of cilium 1.20; its agent makes a node's pod network with the real CNI plugins."""

from __future__ import annotations

from collections.abc import Sequence

from crds import definitions
from doubles import STUB, Double, Object, Part, account, cluster_role, container, metadata, schema, service, workload
from programs import NAMESPACE, Operator, Program

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
    "prometheus": {"enabled": False, "serviceMonitor": {"enabled": False}},
    "operator": {"replicas": 2, "rollOutPods": False, "prometheus": {"enabled": True, "serviceMonitor": {"enabled": False}}},
    "hubble": {
        "metrics": {"enabled": None, "serviceMonitor": {"enabled": False}},
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

# Made by the operator as it starts, not by the chart.
_KINDS = definitions(
    "cilium.io",
    "CiliumBGPAdvertisement/ciliumbgpadvertisements Cl v2*,v2alpha1; CiliumBGPClusterConfig/ciliumbgpclusterconfigs Cl v2*,v2alpha1;"
    "CiliumBGPNodeConfigOverride/ciliumbgpnodeconfigoverrides Cl v2*,v2alpha1; CiliumBGPNodeConfig/ciliumbgpnodeconfigs Cl v2*,v2alpha1;"
    "CiliumBGPPeerConfig/ciliumbgppeerconfigs Cl v2*,v2alpha1; CiliumCIDRGroup/ciliumcidrgroups Cl v2*,v2alpha1;"
    "CiliumClusterwideEnvoyConfig/ciliumclusterwideenvoyconfigs Cl v2*; CiliumClusterwideNetworkPolicy/ciliumclusterwidenetworkpolicies Cl v2*;"
    "CiliumDatapathPlugin/ciliumdatapathplugins Cl v2alpha1*; CiliumEgressGatewayPolicy/ciliumegressgatewaypolicies Cl v2*;"
    "CiliumEndpoint/ciliumendpoints Ns v2*; CiliumEndpointSlice/ciliumendpointslices Cl v2alpha1*; CiliumEnvoyConfig/ciliumenvoyconfigs Ns v2*;"
    "CiliumGatewayClassConfig/ciliumgatewayclassconfigs Ns v2alpha1*; CiliumIdentity/ciliumidentities Cl v2*;"
    "CiliumL2AnnouncementPolicy/ciliuml2announcementpolicies Cl v2alpha1*; CiliumLoadBalancerIPPool/ciliumloadbalancerippools Cl v2*,v2alpha1;"
    "CiliumLocalRedirectPolicy/ciliumlocalredirectpolicies Ns v2*; CiliumNetworkPolicy/ciliumnetworkpolicies Ns v2*; CiliumNodeConfig/ciliumnodeconfigs Ns v2*;"
    "CiliumNode/ciliumnodes Cl v2*; CiliumPodIPPool/ciliumpodippools Cl v2alpha1*",
)
_OPERATOR_TOLERATIONS = [
    {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"},
    {"key": "node-role.kubernetes.io/master", "operator": "Exists"},
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists"},
    {"key": "node.cloudprovider.kubernetes.io/uninitialized", "operator": "Exists"},
    {"key": "node.cilium.io/agent-not-ready", "operator": "Exists"},
]
# Without a service network yet: the API server's own address, which on Talos is KubePrism's.
_API_SERVER = [
    {"name": "KUBERNETES_SERVICE_HOST", "value": "{{ .Values.k8sServiceHost | quote }}"},
    {"name": "KUBERNETES_SERVICE_PORT", "value": "{{ .Values.k8sServicePort | quote }}"},
]
_HUBBLE = ".Values.hubble.enabled"
_CERTIFICATES = f'and {_HUBBLE} .Values.hubble.tls.enabled (eq .Values.hubble.tls.auto.method "cronJob")'


def _image(name: str, version: str) -> str:
    return f"quay.io/cilium/{name}:v{version}"


def _parts(version: str) -> Sequence[Part]:
    return [
        Part("agent", _agent(version)),
        *_operator(version),
        Part("envoy", _envoy(), ".Values.envoy.enabled"),
        Part("hubble", [service("hubble-peer", "cilium", 443, 4244, internalTrafficPolicy="Local")], _HUBBLE),
        Part("hubble-relay", _relay(version), f"and {_HUBBLE} .Values.hubble.relay.enabled"),
        Part("hubble-ui", _interface(), f"and {_HUBBLE} .Values.hubble.ui.enabled"),
        Part("hubble-certificates", _certificates(), _CERTIFICATES),
        Part("monitor", _monitor("cilium-agent", "cilium"), "and .Values.prometheus.enabled .Values.prometheus.serviceMonitor.enabled"),
        Part("operator-monitor", _monitor("cilium-operator", "cilium-operator"), ".Values.operator.prometheus.serviceMonitor.enabled"),
        Part("hubble-monitor", _monitor("hubble", "hubble"), f"and {_HUBBLE} .Values.hubble.metrics.enabled .Values.hubble.metrics.serviceMonitor.enabled"),
    ]


def _agent(version: str) -> list[Object]:
    environment = [
        {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        *_API_SERVER,
        {"name": "CNI_CONFIGURATION", "value": "/host/etc/cni/net.d/05-cilium.conflist"},
        {"name": "KUBE_PROXY", "value": "{{ ternary `/usr/local/bin/kube-proxy` `` (eq (toString .Values.kubeProxyReplacement) `true`) | quote }}"},
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
    rules = [
        {"apiGroups": [""], "resources": ["nodes", "pods", "services", "namespaces"], "verbs": ["get", "list", "watch"]},
        # For kube-proxy, and the Leases of announcements.
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["servicecidrs"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["events.k8s.io", ""], "resources": ["events"], "verbs": ["create", "patch", "update"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update", "patch"]},
    ]
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


def _operator(version: str) -> list[Part]:
    anti_affinity = {"labelSelector": {"matchLabels": {"app.kubernetes.io/component": "cilium-operator"}}, "topologyKey": "kubernetes.io/hostname"}
    pod = {
        "hostNetwork": True,
        "priorityClassName": "system-cluster-critical",
        "tolerations": _OPERATOR_TOLERATIONS,
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [anti_affinity]}},
    }
    return Program(
        "cilium-operator",
        _image("operator-generic", version),
        [9234],
        replicas="{{ .Values.operator.replicas }}",
        operator=Operator(definitions=_KINDS, duties=["addresses"]),
        pod=pod,
        labels={"k8s-app": "cilium-operator", "io.cilium/app": "operator", "name": "cilium-operator"},
        environment=_API_SERVER,
        container={"ports": [{"name": "health", "containerPort": 9234, "hostPort": 9234}]},
        spec={"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "50%"}}},
    ).part()


def _monitor(name: str, component: str) -> list[Object]:
    spec = {"selector": {"matchLabels": {"k8s-app": component}}, "endpoints": [{"port": "metrics"}]}
    return [{"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}]


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
