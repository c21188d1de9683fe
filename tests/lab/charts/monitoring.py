"""Doubles of kube-prometheus-stack, Grafana, Loki and Alloy."""

from __future__ import annotations

from typing import Any

from basics import MONITORING
from crds import definitions
from doubles import FULLNAME, Double, Object, Part, schema
from programs import NAMESPACE, Operator, Program, Rule, child, condition, job, parts, watched, webhooks

_SERIES = {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {"job": "double"}, "value": [0, "100"]}]}}
_TARGET = {"health": "up", "scrapePool": "double", "labels": {"job": "double"}}
_PROMETHEUS_ANSWERS: dict[str, Any] = {
    "/api/v1/query": {"json": _SERIES},
    "/api/v1/targets": {"json": {"status": "success", "data": {"activeTargets": [_TARGET], "droppedTargets": []}}},
    "/api/v1/rules": {
        "json": {"status": "success", "data": {"groups": [{"name": "double", "rules": [{"name": "Watchdog", "type": "alerting", "health": "ok"}]}]}}
    },
    "/api/v1/alertmanagers": {
        "json": {"status": "success", "data": {"activeAlertmanagers": [{"url": f"http://double-{n}/api/v2/alerts"} for n in "012"], "droppedAlertmanagers": []}}
    },
    "/api/v1/status/runtimeinfo": {"json": {"status": "success", "data": {"reloadConfigSuccess": True}}},
    "/api/v1/status/buildinfo": {"json": {"status": "success", "data": {"version": "3.0.0 (double)"}}},
}
_GOSSIP = "<< if gt (at . `spec.replicas` 1.0) 1.0 >>ready<< else >>disabled<< end >>"
_ALERTMANAGER_ANSWERS: dict[str, Any] = {
    "/api/v2/status": {"json": {"cluster": {"status": _GOSSIP, "peers": [{"name": n} for n in "012"]}, "versionInfo": {"version": "0.34.0 (double)"}}},
    "/api/v2/alerts": {"json": [{"labels": {"alertname": "Watchdog"}, "status": {"state": "active"}}]},
}


def _server(kind: str, port: int, image: str, volume: str, answers: dict[str, Any]) -> Rule:
    """What the Prometheus operator makes of a Prometheus or an Alertmanager."""
    name = f"{kind}-<< .metadata.name >>"
    labels = {"app.kubernetes.io/name": kind, "operator.prometheus.io/name": "<< .metadata.name >>"}
    workload = child(
        "StatefulSet",
        name,
        image,
        port,
        replicas="<<: int (at . `spec.replicas` 1.0) >>",
        claim=f"at . `spec.{volume}.volumeClaimTemplate.spec` ``",
        answers=answers,
        labels=labels,
    )
    service: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{kind}-operated"},
        "spec": {"clusterIP": "None", "selector": {"app.kubernetes.io/name": kind}, "ports": [{"name": "web", "port": port}]},
    }
    status = {
        "conditions": [condition("Available", "ready"), condition("Reconciled")],
        "availableReplicas": "<<: if .ready >><< int (at . `spec.replicas` 1.0) >><< else >>0<< end >>",
        "replicas": "<<: int (at . `spec.replicas` 1.0) >>",
        "paused": False,
    }
    plural = "prometheuses" if kind == "prometheus" else "alertmanagers"
    return Rule(f"/apis/monitoring.coreos.com/v1/{plural}", status, [workload, service])


def _front(kind: str, port: int) -> Object:
    """The chart's own service for pods that the operator makes."""
    selector = {"app.kubernetes.io/name": kind, "operator.prometheus.io/name": f"{FULLNAME}-{kind}"}
    metadata = {"name": f"{FULLNAME}-{kind}", "namespace": NAMESPACE, "labels": {"app": f"kube-prometheus-stack-{kind}"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": selector, "ports": [{"name": "http-web", "port": port}]}}


def _resource(kind: str, name: str, spec: Any, namespace: str = NAMESPACE) -> Object:
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def _monitored(component: str, key: str, port: int) -> Part:
    """Service in kube-system (with endpoints where they are given) and monitor of a part of Kubernetes."""
    name = f"{FULLNAME}-{component}"
    metadata = {"name": name, "namespace": "kube-system", "labels": {"jobLabel": component}}
    selector = {"component": component}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"clusterIP": "None", "selector": selector, "ports": [{"port": port}]}}
    monitor = _resource("ServiceMonitor", name, {"selector": {"matchLabels": {"jobLabel": component}}, "endpoints": [{"targetPort": port}]})
    return Part(component, [service, monitor], f".Values.{key}.enabled")


def _stack(version: str) -> list[Part]:
    admission = f"{FULLNAME}-admission"
    serving = {
        "port": 10250,
        "service": f"{FULLNAME}-operator",
        "secret": f"{FULLNAME}-admission-double",
        "configurations": [{"kind": kind, "name": admission} for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")],
    }
    rules = [
        _server("prometheus", 9090, "quay.io/prometheus/prometheus:v3.13.0", "storage", _PROMETHEUS_ANSWERS),
        _server("alertmanager", 9093, "quay.io/prometheus/alertmanager:v0.34.0", "storage", _ALERTMANAGER_ANSWERS),
    ]
    hook = watched("monitoring.coreos.com", ["*"], ["prometheusrules"])
    policy = "{{ .Values.prometheusOperator.admissionWebhooks.failurePolicy | default `Ignore` }}"
    operator = Program(
        f"{FULLNAME}-operator",
        "quay.io/prometheus-operator/prometheus-operator:v0.93.1",
        [8080],
        slug="operator",
        operator=Operator(rules=rules, webhook=serving),
        services={f"{FULLNAME}-operator": {443: 10250}},
        monitor="true",
        extra=[
            webhooks(kind, admission, f"{FULLNAME}-operator", {"prometheusrulemutate.monitoring.coreos.com": hook}, policy=policy)
            for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
        ],
    )
    node = {"hostNetwork": True, "hostPID": True, "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}]}
    programs = [
        operator,
        Program(
            "{{ .Release.Name }}-kube-state-metrics",
            "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.19.1",
            [8080],
            slug="kube-state-metrics",
            services={"{{ .Release.Name }}-kube-state-metrics": {8080: 8080}},
            monitor="true",
        ),
        Program(
            "{{ .Release.Name }}-prometheus-node-exporter",
            "quay.io/prometheus/node-exporter:v1.12.0",
            [9100],
            kind="DaemonSet",
            slug="node-exporter",
            pod=node,
            services={"{{ .Release.Name }}-prometheus-node-exporter": {9100: 9100}},
            monitor="true",
        ),
    ]
    prometheus = _resource("Prometheus", f"{FULLNAME}-prometheus", _PROMETHEUS_SPEC)
    alertmanager = _resource("Alertmanager", f"{FULLNAME}-alertmanager", "{{ omit .Values.alertmanager.alertmanagerSpec `useExistingSecret` | toJson }}")
    groups = [{"name": "general.rules", "rules": [{"alert": "Watchdog", "expr": "vector(1)", "labels": {"severity": "none"}}]}]
    dashboard = {"name": f"{FULLNAME}-nodes", "namespace": NAMESPACE, "labels": {"grafana_dashboard": "1"}}
    return [
        Part("definitions", MONITORING, ".Values.crds.enabled"),
        *parts(*programs),
        Part("prometheus", [prometheus, _front("prometheus", 9090)], ".Values.prometheus.enabled"),
        Part("alertmanager", [alertmanager, _front("alertmanager", 9093)], ".Values.alertmanager.enabled"),
        Part("rules", [_resource("PrometheusRule", f"{FULLNAME}-general.rules", {"groups": groups})]),
        Part("dashboards", [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": dashboard, "data": {"nodes.json": '{"title": "Nodes (double)"}'}}]),
        _monitored("kube-etcd", "kubeEtcd", 2381),
        _monitored("kube-controller-manager", "kubeControllerManager", 10257),
        _monitored("kube-scheduler", "kubeScheduler", 10259),
        Part("admission-create", _admission("create", "pre-install,pre-upgrade"), _BY_JOBS),
        Part("admission-patch", _admission("patch", "post-install,post-upgrade"), _BY_JOBS),
    ]


_BY_JOBS = "not .Values.prometheusOperator.admissionWebhooks.certManager.enabled"
# The chart's keys that are not the resource's own, and those of its that have another name.
_PROMETHEUS_SPEC = (
    "{{ mergeOverwrite (omit .Values.prometheus.prometheusSpec `storageSpec` `podAntiAffinity` `ruleSelectorNilUsesHelmValues`"
    " `serviceMonitorSelectorNilUsesHelmValues` `podMonitorSelectorNilUsesHelmValues` `probeSelectorNilUsesHelmValues`"
    " `scrapeConfigSelectorNilUsesHelmValues`) (dict `storage` (.Values.prometheus.prometheusSpec.storageSpec | default dict)) | toJson }}"
)


def _admission(task: str, hook: str) -> list[Object]:
    return job(f"{FULLNAME}-admission-{task}", "ghcr.io/jkroepke/kube-webhook-certgen:1.9.0", hook=hook)


_STACK: dict[str, Any] = {
    "crds": {"enabled": True},
    "prometheus": {"enabled": True, "prometheusSpec": {"replicas": 1}},
    "alertmanager": {"enabled": True, "alertmanagerSpec": {"replicas": 1}},
    "prometheusOperator": {"admissionWebhooks": {"failurePolicy": "", "certManager": {"enabled": False}}},
    "grafana": {"enabled": True},
    "kubeEtcd": {"enabled": True},
    "kubeControllerManager": {"enabled": True},
    "kubeScheduler": {"enabled": True},
}

_DATASOURCES = [{"id": 1, "uid": "prometheus", "name": "Prometheus", "type": "prometheus"}, {"id": 2, "uid": "loki", "name": "Loki", "type": "loki"}]
_GRAFANA_ANSWERS: dict[str, Any] = {
    "/api/health": {"json": {"database": "ok", "version": "13.2.0", "commit": "double"}},
    "/api/datasources": {"json": _DATASOURCES},
    "/api/datasources/*": {"json": {"status": "OK", "message": "a double says so"}},
    "/api/search": {"json": [{"id": 1, "uid": "nodes", "title": "Nodes (double)", "type": "dash-db"}]},
    "/login": {"type": "text/html", "text": "<title>Grafana</title> A double of Grafana in the lab of trinode.platform."},
}


# It does not start before its Secret is there.
_ADMIN = {
    "name": "GF_SECURITY_ADMIN_PASSWORD",
    "valueFrom": {
        "secretKeyRef": {
            "name": "{{ .Values.admin.existingSecret | default `none` }}",
            "key": "admin-password",
            "optional": "{{ not .Values.admin.existingSecret }}",
        }
    },
}


def _grafana(version: str) -> list[Part]:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": FULLNAME, "namespace": NAMESPACE},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "{{ .Values.persistence.storageClassName | default `` | quote }}",
            "resources": {"requests": {"storage": "{{ .Values.persistence.size }}"}},
        },
    }
    configuration = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": FULLNAME, "namespace": NAMESPACE},
        "data": {"datasources.yaml": "{{ .Values.datasources | toYaml | quote }}", "grafana.ini": "{{ get .Values `grafana.ini` | toYaml | quote }}"},
    }
    return [
        *parts(
            Program(
                FULLNAME,
                "docker.io/grafana/grafana:13.2.0",
                [3000],
                slug="grafana",
                replicas="{{ .Values.replicas }}",
                services={FULLNAME: {80: 3000}},
                answers=_GRAFANA_ANSWERS,
                monitor=".Values.serviceMonitor.enabled",
                labels={"app.kubernetes.io/name": "grafana"},
                environment=[_ADMIN],
                extra=[configuration],
            )
        ),
        Part("claim", [claim], "and .Values.persistence.enabled (ne .Values.persistence.type `statefulset`)"),
    ]


_GRAFANA: dict[str, Any] = {
    "replicas": 1,
    "persistence": {"enabled": False, "type": "pvc", "size": "10Gi", "storageClassName": ""},
    "serviceMonitor": {"enabled": False},
    "datasources": {},
    "grafana.ini": {},
    "admin": {"existingSecret": ""},
    "adminPassword": "",
}

_STREAMS = {
    "status": "success",
    "data": {"resultType": "streams", "result": [{"stream": {"namespace": "kube-system"}, "values": [["0", "a line of the double"]]}]},
}
_LABELS = {"status": "success", "data": ["cluster", "namespace", "pod"]}
_LOKI_ANSWERS: dict[str, Any] = {
    "/ready": {"type": "text/plain", "text": "ready"},
    "/metrics": {"type": "text/plain", "text": 'loki_ring_members{name="ingester",state="ACTIVE"} {{ .Values.singleBinary.replicas }}\n'},
    "/loki/api/v1/labels": {"json": _LABELS},
    "/loki/api/v1/label/*": {"json": {"status": "success", "data": [f"m{number}" for number in range(1, 10)]}},
    "/loki/api/v1/query": {"json": _SERIES},
    "/loki/api/v1/query_range": {"json": _STREAMS},
    "/loki/api/v1/push": {"status": 204},
}


def _loki(version: str) -> list[Part]:
    volume = ".Values.singleBinary.persistence"
    requests = f"dict `requests` (dict `storage` {volume}.size)"
    spec = f"dict `accessModes` (list `ReadWriteOnce`) `storageClassName` ({volume}.storageClass | default ``) `resources` ({requests})"
    claim = f"dict `metadata` (dict `name` `storage`) `spec` ({spec})"
    claims = f"{{{{ ternary (list ({claim})) list {volume}.enabled | toJson }}}}"
    configuration = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "loki", "namespace": NAMESPACE},
        "data": {"config.yaml": "{{ omit .Values.loki `image` | toYaml | quote }}"},
    }
    main = Program(
        "loki",
        "docker.io/grafana/loki:3.7.6",
        [3100, 9095],
        kind="StatefulSet",
        replicas="{{ .Values.singleBinary.replicas }}",
        labels={"app.kubernetes.io/name": "loki"},
        services={"loki": {3100: 3100}, "loki-headless": {3100: 3100}, "loki-memberlist": {7946: 3100}},
        answers=_LOKI_ANSWERS,
        spec={"volumeClaimTemplates": claims},
        container={"envFrom": "{{ .Values.singleBinary.extraEnvFrom | toJson }}"},
        extra=[configuration],
        monitor=".Values.monitoring.serviceMonitor.enabled",
    )
    gateway = Program(
        "loki-gateway",
        "docker.io/nginxinc/nginx-unprivileged:1.31-alpine",
        [8080],
        replicas="{{ .Values.gateway.replicas }}",
        when=".Values.gateway.enabled",
        services={"loki-gateway": {80: 8080}},
        answers={**_LOKI_ANSWERS, "/": {"type": "text/plain", "text": "OK"}},
    )
    canary = Program(
        "loki-canary",
        "docker.io/grafana/loki-canary:3.7.6",
        [3500],
        kind="DaemonSet",
        when=".Values.lokiCanary.enabled",
        services={"loki-canary": {3500: 3500}},
    )
    caches = [
        Program(
            f"loki-{name}",
            "docker.io/library/memcached:1.6.42-alpine",
            [11211],
            kind="StatefulSet",
            when=f".Values.{key}.enabled",
            services={f"loki-{name}": {11211: 11211}},
        )
        for name, key in (("chunks-cache", "chunksCache"), ("results-cache", "resultsCache"))
    ]
    return parts(main, gateway, canary, *caches)


_LOKI: dict[str, Any] = {
    "deploymentMode": "Monolithic",
    "loki": {"auth_enabled": True, "storage": {"type": "s3", "bucketNames": {}}, "schemaConfig": {}},
    "singleBinary": {"replicas": 1, "extraEnvFrom": [], "persistence": {"enabled": True, "size": "10Gi", "storageClass": ""}},
    "gateway": {"enabled": True, "replicas": 1},
    "lokiCanary": {"enabled": True},
    "chunksCache": {"enabled": True},
    "resultsCache": {"enabled": True},
    "monitoring": {"serviceMonitor": {"enabled": False}},
    "test": {"enabled": False},
}


def _alloy(version: str) -> list[Part]:
    content = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": FULLNAME, "namespace": NAMESPACE},
        "data": {"config.alloy": "{{ .Values.alloy.configMap.content | quote }}"},
    }
    return [
        Part("definitions", definitions("monitoring.grafana.com", "PodLogs/podlogs Ns v1alpha2*"), ".Values.crds.create"),
        *parts(
            Program(
                FULLNAME,
                "docker.io/grafana/alloy:v1.18.1",
                [12345],
                kind="DaemonSet",
                slug="alloy",
                services={FULLNAME: {12345: 12345}},
                monitor=".Values.serviceMonitor.enabled",
                labels={"app.kubernetes.io/name": "alloy"},
                answers={
                    "/-/ready": {"type": "text/plain", "text": "Alloy is ready."},
                    "/-/healthy": {"type": "text/plain", "text": "All Alloy components are healthy."},
                },
                extra=[content],
            )
        ),
    ]


_ALLOY: dict[str, Any] = {"crds": {"create": True}, "alloy": {"configMap": {"content": ""}}, "serviceMonitor": {"enabled": False}}

_NO_PASSWORD = "Set admin.existingSecret: the double makes no password, since such a render differs each time."

DOUBLES = (
    Double("kube-prometheus-stack", ("88.5.3",), _STACK, _stack, fullname=26),
    Double(
        "grafana",
        ("12.11.1",),
        _GRAFANA,
        _grafana,
        refusals={"not (or .Values.admin.existingSecret .Values.adminPassword)": _NO_PASSWORD},
    ),
    Double(
        "loki",
        ("18.11.0",),
        _LOKI,
        _loki,
        schema=schema(_LOKI),
        refusals={
            "not .Values.loki.schemaConfig": "You must provide a schema_config for Loki (loki.schemaConfig)",
            "and (eq .Values.loki.storage.type `s3`) (not .Values.loki.storage.bucketNames.chunks)": "Please define loki.storage.bucketNames.chunks",
        },
    ),
    Double("alloy", ("1.11.1",), _ALLOY, _alloy),
)
