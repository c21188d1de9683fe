"""The double of Argo CD: its real programs, configuration and rights; Redis without replication, and what stands before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crds import definitions
from doubles import FULLNAME, Double, Object, Part
from programs import ALL_RIGHTS, NAMESPACE, Program, job, parts, role, service

IMAGE = "quay.io/argoproj/argocd:v3.4.4"
_HA = "(index .Values `redis-ha`).enabled"
_PARAMS = "argocd-cmd-params-cm"
_PASSWORD = {"name": "argocd-redis", "key": "auth", "optional": True}
# As the real one: the user is the image's.
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}

# Which settings reach a program: by a key of argocd-cmd-params-cm, the variable of it. A name that ends in * stands for keys whose variable has the same
# words: "controller.status.processors" is ARGOCD_APPLICATION_CONTROLLER_STATUS_PROCESSORS.
_OF_ALL = {
    "redis.server": "REDIS_SERVER",
    "redis.compression": "REDIS_COMPRESSION",
    "redis.db": "REDISDB",
    "log.format.timestamp": "ARGOCD_LOG_FORMAT_TIMESTAMP",
}
_CONTROLLER = {
    "repo.server": "ARGOCD_APPLICATION_CONTROLLER_REPO_SERVER",
    "controller.repo.error.grace.period.seconds": "ARGOCD_REPO_ERROR_GRACE_PERIOD_SECONDS",
    "controller.log.format": "ARGOCD_APPLICATION_CONTROLLER_LOGFORMAT",
    "controller.log.level": "ARGOCD_APPLICATION_CONTROLLER_LOGLEVEL",
    "controller.sync.wave.delay.seconds": "ARGOCD_SYNC_WAVE_DELAY",
    "controller.app.state.cache.expiration": "ARGOCD_APP_STATE_CACHE_EXPIRATION",
    "controller.default.cache.expiration": "ARGOCD_DEFAULT_CACHE_EXPIRATION",
    "controller.sharding.algorithm": "ARGOCD_CONTROLLER_SHARDING_ALGORITHM",
    "controller.k8sclient.retry.max": "ARGOCD_K8SCLIENT_RETRY_MAX",
    "controller.k8sclient.retry.base.backoff": "ARGOCD_K8SCLIENT_RETRY_BASE_BACKOFF",
    "controller.diff.server.side": "ARGOCD_APPLICATION_CONTROLLER_SERVER_SIDE_DIFF",
    "controller.ignore.normalizer.jq.timeout": "ARGOCD_IGNORE_NORMALIZER_JQ_TIMEOUT",
    "controller.resource.health.persist": "ARGOCD_APPLICATION_CONTROLLER_PERSIST_RESOURCE_HEALTH",
    "controller.cluster.cache.batch.events.processing": "ARGOCD_CLUSTER_CACHE_BATCH_EVENTS_PROCESSING",
    "controller.cluster.cache.events.processing.interval": "ARGOCD_CLUSTER_CACHE_EVENTS_PROCESSING_INTERVAL",
    "application.namespaces": "ARGOCD_APPLICATION_NAMESPACES",
    **{
        f"controller.{key}": f"ARGOCD_APPLICATION_CONTROLLER_{key.upper().replace('.', '_')}"
        for key in (
            *("repo.server.timeout.seconds", "repo.server.plaintext", "repo.server.strict.tls", "status.processors", "operation.processors"),
            *("metrics.cache.expiration", "self.heal.timeout.seconds", "self.heal.backoff.timeout.seconds", "self.heal.backoff.factor"),
            *("self.heal.backoff.cap.seconds", "self.heal.backoff.cooldown.seconds", "sync.timeout", "kubectl.parallelism.limit"),
        )
    },
}
_REPO_SERVER = {
    "reposerver.log.format": "ARGOCD_REPO_SERVER_LOGFORMAT",
    "reposerver.log.level": "ARGOCD_REPO_SERVER_LOGLEVEL",
    "reposerver.repo.cache.expiration": "ARGOCD_REPO_CACHE_EXPIRATION",
    "reposerver.default.cache.expiration": "ARGOCD_DEFAULT_CACHE_EXPIRATION",
    "reposerver.enable.git.submodule": "ARGOCD_GIT_MODULES_ENABLED",
    "reposerver.git.lsremote.parallelism.limit": "ARGOCD_GIT_LS_REMOTE_PARALLELISM_LIMIT",
    "reposerver.git.request.timeout": "ARGOCD_GIT_REQUEST_TIMEOUT",
    "reposerver.revision.cache.lock.timeout": "ARGOCD_REVISION_CACHE_LOCK_TIMEOUT",
    "reposerver.grpc.max.size": "ARGOCD_GRPC_MAX_SIZE_MB",
    **{
        f"reposerver.{key}": f"ARGOCD_REPO_SERVER_{key.upper().replace('.', '_')}"
        for key in ("parallelism.limit", "disable.tls", "max.combined.directory.manifests.size", "include.hidden.directories")
    },
}
_SERVER = {
    "repo.server": "ARGOCD_SERVER_REPO_SERVER",
    "server.dex.server": "ARGOCD_SERVER_DEX_SERVER",
    "server.log.format": "ARGOCD_SERVER_LOGFORMAT",
    "server.default.cache.expiration": "ARGOCD_DEFAULT_CACHE_EXPIRATION",
    "server.app.state.cache.expiration": "ARGOCD_APP_STATE_CACHE_EXPIRATION",
    "server.staticassets": "ARGOCD_SERVER_STATIC_ASSETS",
    "server.api.content.types": "ARGOCD_API_CONTENT_TYPES",
    "application.namespaces": "ARGOCD_APPLICATION_NAMESPACES",
    **{
        f"server.{key}": f"ARGOCD_SERVER_{key.upper().replace('.', '_')}"
        for key in (
            *("insecure", "basehref", "rootpath", "log.level", "disable.auth", "enable.gzip", "x.frame.options", "content.security.policy"),
            *("repo.server.timeout.seconds", "repo.server.plaintext", "repo.server.strict.tls", "dex.server.plaintext", "dex.server.strict.tls"),
        )
    },
}
_APPLICATION_SETS = {
    "repo.server": "ARGOCD_APPLICATIONSET_CONTROLLER_REPO_SERVER",
    "applicationsetcontroller.log.format": "ARGOCD_APPLICATIONSET_CONTROLLER_LOGFORMAT",
    "applicationsetcontroller.log.level": "ARGOCD_APPLICATIONSET_CONTROLLER_LOGLEVEL",
    "applicationsetcontroller.enable.git.submodule": "ARGOCD_GIT_MODULES_ENABLED",
    "applicationsetcontroller.concurrent.reconciliations.max": "ARGOCD_APPLICATIONSET_CONTROLLER_CONCURRENT_RECONCILIATIONS",
    **{
        f"applicationsetcontroller.{key}": f"ARGOCD_APPLICATIONSET_CONTROLLER_{key.upper().replace('.', '_')}"
        for key in (
            *("enable.leader.election", "policy", "enable.policy.override", "dryrun", "enable.progressive.syncs", "repo.server.plaintext", "requeue.after"),
            *("repo.server.strict.tls", "repo.server.timeout.seconds", "namespaces", "global.preserved.annotations", "global.preserved.labels"),
        )
    },
}
_RECONCILIATION = {
    "ARGOCD_RECONCILIATION_TIMEOUT": "timeout.reconciliation",
    "ARGOCD_HARD_RECONCILIATION_TIMEOUT": "timeout.hard.reconciliation",
    "ARGOCD_RECONCILIATION_JITTER": "timeout.reconciliation.jitter",
}


def _environment(settings: Mapping[str, str], **fixed: str) -> list[Object]:
    def reference(name: str, kind: str, source: Mapping[str, Any]) -> Object:
        return {"name": name, "valueFrom": {kind: dict(source)}}

    found: list[Object] = [{"name": name, "value": value} for name, value in fixed.items()]
    found += [reference(name, "configMapKeyRef", {"name": "argocd-cm", "key": key, "optional": True}) for name, key in _RECONCILIATION.items()]
    for key, name in {**_OF_ALL, **settings}.items():
        found.append(reference(name, "configMapKeyRef", {"name": _PARAMS, "key": key, "optional": True}))
    found.append(reference("REDIS_PASSWORD", "secretKeyRef", _PASSWORD))
    return found


def _volumes(**paths: str) -> tuple[list[Object], list[Object]]:
    """Mounts and volumes by what is in them: a ConfigMap, the repo server's certificates (which nobody makes), else an empty directory."""
    maps = {"ssh": "argocd-ssh-known-hosts-cm", "tls": "argocd-tls-certs-cm", "gpg": "argocd-gpg-keys-cm"}
    mounts: list[Object] = []
    volumes: list[Object] = []
    for name, path in paths.items():
        slug = name.replace("_", "-")
        mounts.append({"name": slug, "mountPath": path})
        if name in maps:
            volumes.append({"name": slug, "configMap": {"name": maps[name]}})
        elif name == "certificates":
            volumes.append({"name": slug, "secret": {"secretName": "argocd-repo-server-tls", "optional": True}})
        else:
            volumes.append({"name": slug, "emptyDir": {}})
    return mounts, volumes


def _listens(port: int) -> dict[str, Any]:
    """Probes that only connect."""
    probe = {"tcpSocket": {"port": port}, "timeoutSeconds": 10}
    return {
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 600},
        "readinessProbe": {**probe, "periodSeconds": 10},
        "livenessProbe": {**probe, "periodSeconds": 60},
    }


def _program(name: str, key: str, arguments: Sequence[str], ports: Sequence[int], **more: Any) -> Program:
    """One of the roles that the argocd program plays. The first port answers /healthz, unless ``probes`` say otherwise."""
    mounts, volumes = more.pop("volumes")
    enabled = f".Values.{key}.metrics"
    replicas = f"{{{{ .Values.{key}.replicas }}}}"
    return Program(
        f"{FULLNAME}-{name}",
        IMAGE,
        ports,
        slug=name,
        replicas=replicas,
        labels={"app.kubernetes.io/name": f"argocd-{name}", "app.kubernetes.io/part-of": "argocd"},
        monitor=f"and {enabled}.enabled {enabled}.serviceMonitor.enabled",
        container={
            "command": [f"/usr/local/bin/argocd-{name}", *arguments],
            "securityContext": _SECURITY,
            "volumeMounts": mounts,
            "workingDir": "/home/argocd",
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
            **more.pop("probes", {}),
        },
        pod={"terminationGracePeriodSeconds": 5, "volumes": volumes},
        **more,
    )


def _programs() -> list[Part]:
    n = FULLNAME
    everything = ["create", "get", "list", "watch", "update", "patch", "delete"]
    own = {"apiGroups": ["argoproj.io"], "resources": ["applications", "applicationsets", "appprojects"], "verbs": everything}
    events = {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "list", "get", "patch", "watch"]}
    settings = {"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["get", "list", "watch"]}
    workloads = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch"]}
    lease = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update"]}
    parts_of_sets = {"apiGroups": ["argoproj.io"], "resources": ["applicationsets/finalizers", "applicationsets/status"], "verbs": everything}
    shown = [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["delete", "get", "patch"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["list", "create"]},
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"]},
        {"apiGroups": ["argoproj.io"], "resources": ["applications", "applicationsets"], "verbs": ["get", "list", "update", "watch"]},
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create"]},
    ]
    return parts(
        _program(
            "application-controller",
            "controller",
            ["--metrics-port=8082"],
            [8082],
            kind="{{ ternary `Deployment` `StatefulSet` .Values.controller.dynamicClusterDistribution }}",
            services={f"{n}-application-controller-metrics": {8082: 8082}},
            environment=_environment(
                _CONTROLLER,
                ARGOCD_ENABLE_DYNAMIC_CLUSTER_DISTRIBUTION="{{ toString .Values.controller.dynamicClusterDistribution | quote }}",
                ARGOCD_CONTROLLER_HEARTBEAT_TIME="10",
                ARGOCD_APPLICATION_CONTROLLER_NAME=f"{n}-application-controller",
            ),
            volumes=_volumes(certificates="/app/config/controller/tls", home="/home/argocd", tmp="/tmp"),
            rights=ALL_RIGHTS,
            extra=role(f"{n}-application-controller", [settings, own, events, workloads]),
        ),
        _program(
            "repo-server",
            "repoServer",
            ["--port=8081", "--metrics-port=8084"],
            [8084, 8081],
            services={f"{n}-repo-server": {8081: 8081}},
            environment=_environment(
                _REPO_SERVER, ARGOCD_REPO_SERVER_NAME=f"{n}-repo-server", HELM_CACHE_HOME="/helm", HELM_CONFIG_HOME="/helm", HELM_DATA_HOME="/helm"
            ),
            volumes=_volumes(
                ssh="/app/config/ssh",
                tls="/app/config/tls",
                gpg="/app/config/gpg/source",
                keyring="/app/config/gpg/keys",
                certificates="/app/config/reposerver/tls",
                helm="/helm",
                home="/home/argocd",
                tmp="/tmp",
            ),
            extra=role(f"{n}-repo-server", [settings]),
        ),
        _program(
            "server",
            "server",
            ["--port=8080", "--metrics-port=8083"],
            [8080, 8083],
            services={f"{n}-server": {80: 8080, 443: 8080}},
            environment=_environment(_SERVER, ARGOCD_SERVER_NAME=f"{n}-server"),
            volumes=_volumes(ssh="/app/config/ssh", tls="/app/config/tls", certificates="/app/config/server/tls", home="/home/argocd", tmp="/tmp"),
            rights=shown,
            extra=role(f"{n}-server", [{**settings, "verbs": everything}, own, events]),
        ),
        _program(
            "applicationset-controller",
            "applicationSet",
            ["--metrics-addr=:8080", "--probe-addr=:8081", "--webhook-addr=:7000"],
            [8081, 8080, 7000],
            probes=_listens(8081),
            services={f"{n}-applicationset-controller": {7000: 7000}},
            environment=[
                *_environment(_APPLICATION_SETS, ARGOCD_APPLICATIONSET_CONTROLLER_NAME=f"{n}-applicationset-controller"),
                {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            ],
            volumes=_volumes(ssh="/app/config/ssh", tls="/app/config/tls", gpg="/app/config/gpg/source", certificates="/app/config/reposerver/tls", tmp="/tmp"),
            extra=role(f"{n}-applicationset-controller", [own, parts_of_sets, events, {**settings, "verbs": everything}, workloads, lease]),
        ),
        Program(f"{n}-notifications-controller", IMAGE, [9001], slug="notifications-controller", when=".Values.notifications.enabled"),
        Program(
            f"{n}-dex-server",
            "ghcr.io/dexidp/dex:v2.45.1",
            [5558, 5556],
            slug="dex-server",
            services={f"{n}-dex-server": {5556: 5556}},
            when=".Values.dex.enabled",
        ),
    )


def _redis() -> list[Part]:
    """One Redis; or three that know nothing of each other (it is only a cache), and before them what passes connections on to the first that answers."""
    n = FULLNAME
    start = "umask 077; printf 'requirepass %s\\n' \"$AUTH\" > /data/redis.conf; exec redis-server /data/redis.conf --save '' --appendonly no --dir /data"

    def redis(name: str, image: str, **more: Any) -> Program:
        return Program(
            f"{n}-{name}",
            image,
            [6379],
            slug=name,
            labels={"app.kubernetes.io/name": f"argocd-{name}", "app.kubernetes.io/part-of": "argocd"},
            environment=[{"name": "AUTH", "valueFrom": {"secretKeyRef": {"name": "argocd-redis", "key": "auth"}}}],
            container={
                "command": ["sh", "-c", start],
                "securityContext": {**_SECURITY, "runAsUser": 999},
                **_listens(6379),
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            },
            pod={"volumes": [{"name": "data", "emptyDir": {}}]},
            **more,
        )

    three = redis("redis-ha-server", "docker.io/library/redis:8.2.3-alpine", when=_HA, kind="StatefulSet", replicas=3, spec={"serviceName": f"{n}-redis-ha"})
    announced = [
        service(
            f"{n}-redis-ha-announce-{number}",
            {6379: 6379},
            {**three.selector, "statefulset.kubernetes.io/pod-name": f"{n}-redis-ha-server-{number}"},
            three.metadata(f"{n}-redis-ha-announce-{number}"),
            publishNotReadyAddresses=True,
        )
        for number in range(3)
    ]
    headless = service(f"{n}-redis-ha", {6379: 6379}, three.selector, three.metadata(f"{n}-redis-ha"), clusterIP="None")
    return [
        *parts(
            redis("redis", "ecr-public.aws.com/docker/library/redis:8.2.3-alpine", when=f"not {_HA}", services={f"{n}-redis": {6379: 6379}}),
            three,
            Program(
                f"{n}-redis-ha-haproxy",
                "docker.io/library/haproxy:3.0.8-alpine",
                [8888],
                slug="redis-ha-haproxy",
                when=_HA,
                replicas=3,
                verb="forward",
                labels={"app.kubernetes.io/name": "argocd-redis-ha-haproxy"},
                services={f"{n}-redis-ha-haproxy": {6379: 6379}},
                environment=[
                    {"name": "STUB_FORWARD", "value": ":6379"},
                    {"name": "STUB_TARGETS", "value": ",".join(f"{n}-redis-ha-announce-{number}:6379" for number in range(3))},
                ],
            ),
        ),
        Part("redis-services", [headless, *announced], _HA),
        Part("redis-secret-init", job(f"{n}-redis-secret-init", IMAGE, hook="pre-install,pre-upgrade"), ".Values.redisSecretInit.enabled"),
    ]


# What the real chart makes of configs.cm and configs.params: what is set, over what the chart knows itself; all of it text.
_CONFIGURATION = """{{- define "argocd.cm" -}}
{{- $found := dict "url" (printf "https://%s" .Values.global.domain) -}}
{{- range $key, $value := omit .Values.configs.cm "create" "annotations" -}}
{{- if ne (toString $value) "" }}{{ $_ := set $found $key (toString $value) }}{{ end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}
{{- define "argocd.params" -}}
{{- $full := include "fullname" . -}}
{{- $found := dict "repo.server" (printf "%s-repo-server:8081" $full) "server.repo.server.strict.tls" "false" -}}
{{- $_ := set $found "redis.server" (printf "%s-redis%s:6379" $full (ternary "-ha-haproxy" "" (index .Values "redis-ha").enabled)) -}}
{{- $_ := set $found "applicationsetcontroller.enable.leader.election" (toString (gt (int .Values.applicationSet.replicas) 1)) -}}
{{- if .Values.dex.enabled }}{{ $_ := set $found "server.dex.server" (printf "https://%s-dex-server:5556" $full) }}{{ end -}}
{{- range tuple "applicationsetcontroller" "controller" "server" "reposerver" -}}
{{- $_ := set $found (printf "%s.log.format" .) "text" -}}
{{- $_ := set $found (printf "%s.log.level" .) "info" -}}
{{- end -}}
{{- range $key, $value := omit .Values.configs.params "create" "annotations" }}{{ $_ := set $found $key (toString $value) }}{{ end -}}
{{- toJson $found -}}
{{- end -}}
{{- define "argocd.rbac" -}}
{{- $found := dict -}}
{{- range $key, $value := omit .Values.configs.rbac "create" "annotations" }}{{ $_ := set $found $key (toString $value) }}{{ end -}}
{{- toJson $found -}}
{{- end -}}
"""


def _configuration() -> list[Part]:
    def labelled(kind: str, name: str, data: Any) -> Object:
        labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "argocd", "app.kubernetes.io/instance": "{{ .Release.Name }}"}
        return {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            **({} if data is None else {"data": data}),
        }

    hosts = "{{ printf `%s%s` .Values.configs.ssh.knownHosts .Values.configs.ssh.extraHosts | toJson }}"
    maps = {
        "argocd-cm": "{{ include `argocd.cm` . }}",
        _PARAMS: "{{ include `argocd.params` . }}",
        "argocd-rbac-cm": "{{ include `argocd.rbac` . }}",
        "argocd-ssh-known-hosts-cm": {"ssh_known_hosts": hosts},
        "argocd-tls-certs-cm": "{{ .Values.configs.tls.certificates | toJson }}",
        "argocd-gpg-keys-cm": "{{ .Values.configs.gpg.keys | toJson }}",
    }
    return [
        Part("configuration", [labelled("ConfigMap", name, data) for name, data in maps.items()], text=_CONFIGURATION),
        Part("secret", [labelled("Secret", "argocd-secret", None)], ".Values.configs.secret.createSecret"),
    ]


def _definitions() -> list[Object]:
    """Applications and projects have no status subresource: their status is written like everything else."""
    found = definitions(
        "argoproj.io", "Application/applications Ns v1alpha1*; ApplicationSet/applicationsets Ns v1alpha1*; AppProject/appprojects Ns v1alpha1*"
    )
    names = {"Application": ["app", "apps"], "ApplicationSet": ["appset", "appsets"], "AppProject": ["appproj", "appprojs"]}
    for item in found:
        item["metadata"]["labels"] = {"app.kubernetes.io/part-of": "argocd"}
        item["spec"]["names"]["shortNames"] = names[item["spec"]["names"]["kind"]]
        if item["spec"]["names"]["kind"] != "ApplicationSet":
            item["spec"]["versions"][0]["subresources"] = {}
        if item["spec"]["names"]["kind"] == "Application":
            columns = {"Sync Status": ".status.sync.status", "Health Status": ".status.health.status", "Revision": ".status.sync.revision"}
            item["spec"]["versions"][0]["additionalPrinterColumns"] = [{"name": name, "type": "string", "jsonPath": path} for name, path in columns.items()]
    return found


def _argo_cd(version: str) -> list[Part]:
    return [Part("definitions", _definitions(), ".Values.crds.install"), *_configuration(), *_programs(), *_redis()]


# What changes all the time and what controllers make for themselves is not watched, as the real chart has it.
_EXCLUSIONS = """- apiGroups: ['', discovery.k8s.io]
  kinds: [Endpoints, EndpointSlice]
- apiGroups: [coordination.k8s.io]
  kinds: [Lease]
- apiGroups: [authentication.k8s.io, authorization.k8s.io]
  kinds: [SelfSubjectReview, TokenReview, LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview]
- apiGroups: [certificates.k8s.io]
  kinds: [CertificateSigningRequest]
- apiGroups: [cert-manager.io]
  kinds: [CertificateRequest]
- apiGroups: [cilium.io]
  kinds: [CiliumIdentity, CiliumEndpoint, CiliumEndpointSlice]
- apiGroups: [kyverno.io, reports.kyverno.io, wgpolicyk8s.io]
  kinds: [PolicyReport, ClusterPolicyReport, EphemeralReport, ClusterEphemeralReport, AdmissionReport, ClusterAdmissionReport, BackgroundScanReport,
    ClusterBackgroundScanReport, UpdateRequest]
"""
_METRICS = {"enabled": False, "serviceMonitor": {"enabled": False}}
_VALUES: dict[str, Any] = {
    "nameOverride": "argocd",
    "global": {"domain": "argocd.example.com"},
    "crds": {"install": True, "keep": True},
    "redis-ha": {"enabled": False},
    "redis": {"enabled": True},
    "redisSecretInit": {"enabled": True},
    "controller": {"replicas": 1, "dynamicClusterDistribution": False, "metrics": _METRICS},
    "server": {"replicas": 1, "metrics": _METRICS},
    "repoServer": {"replicas": 1, "metrics": _METRICS},
    "applicationSet": {"replicas": 1, "metrics": _METRICS},
    "notifications": {"enabled": True},
    "dex": {"enabled": True},
    "configs": {
        "cm": {
            "admin.enabled": True,
            "application.instanceLabelKey": "argocd.argoproj.io/instance",
            "application.sync.impersonation.enabled": False,
            "exec.enabled": False,
            "statusbadge.enabled": False,
            "resource.exclusions": _EXCLUSIONS,
            "resource.customizations.ignoreResourceUpdates.all": "jsonPointers:\n  - /status\n",
            "timeout.reconciliation": "120s",
            "timeout.reconciliation.jitter": "60s",
            "timeout.hard.reconciliation": "0s",
        },
        "params": {},
        "rbac": {"policy.csv": "", "policy.default": "", "policy.matchMode": "glob", "scopes": "[groups]"},
        "ssh": {"knownHosts": "", "extraHosts": ""},
        "tls": {"certificates": {}},
        "gpg": {"keys": {}},
        "secret": {"createSecret": True},
    },
}

ARGO_CD = Double("argo-cd", ("10.1.1",), _VALUES, _argo_cd)
