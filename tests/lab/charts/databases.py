"""Doubles of CloudNativePG, its Barman plugin and the OT Redis operator. Clusters are StatefulSets of stubs."""

from __future__ import annotations

from typing import Any

from crds import definitions
from doubles import FULLNAME, Double, Object, Part, schema
from programs import NAMESPACE, Operator, Program, Rule, child, condition, parts, watched, webhooks

_POSTGRES = definitions(
    "postgresql.cnpg.io",
    "Backup/backups Ns v1*; ClusterImageCatalog/clusterimagecatalogs Cl v1*; Cluster/clusters Ns v1*;"
    "DatabaseRole/databaseroles Ns v1*; Database/databases Ns v1*;"
    "FailoverQuorum/failoverquorums Ns v1*; ImageCatalog/imagecatalogs Ns v1*; Pooler/poolers Ns v1*; Publication/publications Ns v1*;"
    "ScheduledBackup/scheduledbackups Ns v1*; Subscription/subscriptions Ns v1*",
)
_REDIS = definitions(
    "redis.redis.opstreelabs.in",
    "Redis/redis Ns v1beta2*; RedisCluster/redisclusters Ns v1beta2*; RedisReplication/redisreplications Ns v1beta2*; RedisSentinel/redissentinels Ns v1beta2*",
)


def _service(name: str, port: int, selected: str = "<< .metadata.name >>") -> dict[str, Any]:
    spec = {"selector": {"lab.trinode/child": selected}, "ports": [{"name": "main", "port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _postgres_rules() -> list[Rule]:
    claim = "at . `spec.storage.size` ``"
    workload = child(
        "StatefulSet",
        "<< .metadata.name >>",
        "ghcr.io/cloudnative-pg/postgresql:18.4",
        8000,
        5432,
        replicas="<<: int (at . `spec.instances` 1.0) >>",
        claim=claim,
        labels={"cnpg.io/cluster": "<< .metadata.name >>", "cnpg.io/podRole": "instance"},
    )
    # Of the claim the resource knows the size and the class only.
    sized = '{"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": << json .spec.storage.size >>}}'
    classed = '<< with .spec.storage.storageClass >>, "storageClassName": << json . >><< end >>}'
    workload = workload.replace(f"<< json ({claim}) >>", sized + classed)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "<< .metadata.name >>-app"},
        "stringData": {"username": "app", "dbname": "app", "password": "<< .metadata.uid >>", "host": "<< .metadata.name >>-rw"},
    }
    cluster = {
        "phase": "<< if .ready >>Cluster in healthy state<< else >>Setting up primary<< end >>",
        "instances": "<<: int (at . `spec.instances` 1.0) >>",
        "readyInstances": "<<: if .ready >><< int (at . `spec.instances` 1.0) >><< else >>0<< end >>",
        "currentPrimary": "<< .metadata.name >>-0",
        "conditions": [condition("Ready", "ready", "ClusterIsReady"), condition("ContinuousArchiving", "ready", "ContinuousArchivingSuccess")],
    }
    services = [_service(f"<< .metadata.name >>-{role}", 5432) for role in ("rw", "ro", "r")]
    applied = {"applied": True, "observedGeneration": "<<: int .metadata.generation >>"}
    group = "/apis/postgresql.cnpg.io/v1"
    return [
        Rule(f"{group}/clusters", cluster, [workload, secret, *services]),
        Rule(f"{group}/backups", {"phase": "completed"}),
        *(Rule(f"{group}/{kind}", applied) for kind in ("databases", "databaseroles", "publications", "subscriptions")),
    ]


def _cloudnative_pg(version: str) -> list[Part]:
    kinds = watched("postgresql.cnpg.io", ["v1"], ["backups", "clusters", "databases", "scheduledbackups"])
    service = "cnpg-webhook-service"
    names = {"ValidatingWebhookConfiguration": "cnpg-validating-webhook-configuration", "MutatingWebhookConfiguration": "cnpg-mutating-webhook-configuration"}
    serving = {
        "port": 9443,
        "service": service,
        "secret": "cnpg-webhook-cert",
        "configurations": [{"kind": kind, "name": name} for kind, name in names.items()],
    }
    monitor = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": FULLNAME, "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": {"app.kubernetes.io/component": "cloudnative-pg"}}, "podMetricsEndpoints": [{"port": "metrics"}]},
    }
    return [
        Part("definitions", _POSTGRES, ".Values.crds.create"),
        *parts(
            Program(
                FULLNAME,
                "ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0",
                [8080],
                slug="cloudnative-pg",
                replicas="{{ .Values.replicaCount }}",
                operator=Operator(rules=_postgres_rules(), webhook=serving),
                services={service: {443: 9443}},
                labels={"app.kubernetes.io/name": "cloudnative-pg"},
                extra=[webhooks(kind, name, service, {"cluster.cnpg.io": kinds}) for kind, name in names.items()],
            )
        ),
        Part("monitor", [monitor], ".Values.monitoring.podMonitorEnabled"),
    ]


def _barman(version: str) -> list[Part]:
    issuer: Object = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": f"{FULLNAME}-selfsigned-issuer", "namespace": NAMESPACE},
        "spec": {"selfSigned": {}},
    }
    certificates = [
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": {"name": f"barman-cloud-{side}", "namespace": NAMESPACE},
            "spec": {
                "commonName": f"barman-cloud-{side}",
                "dnsNames": ["barman-cloud"],
                "secretName": f"barman-cloud-{side}-tls",
                "issuerRef": {"group": "cert-manager.io", "kind": "Issuer", "name": f"{FULLNAME}-selfsigned-issuer"},
            },
        }
        for side in ("client", "server")
    ]
    # As after a backup of a cluster that has the store's name. Nothing is backed up.
    window = {"serverRecoveryWindow": {"<< .metadata.name >>": {"firstRecoverabilityPoint": "<< .metadata.creationTimestamp >>"}}}
    plugin = Program(
        FULLNAME,
        "ghcr.io/cloudnative-pg/plugin-barman-cloud:v0.13.0",
        [8080, 9090],
        slug="barman-cloud",
        operator=Operator(rules=[Rule("/apis/barmancloud.cnpg.io/v1/objectstores", window)]),
        services={"barman-cloud": {9090: 9090}},
        extra=[issuer, *certificates],
        # As in life, it does not start before its certificates are there.
        pod={"volumes": [{"name": "server", "secret": {"secretName": "barman-cloud-server-tls"}}]},
        container={"volumeMounts": [{"name": "server", "mountPath": "/server"}]},
    )
    return [Part("definitions", definitions("barmancloud.cnpg.io", "ObjectStore/objectstores Ns v1*"), ".Values.crds.create"), *parts(plugin)]


def _redis_rules() -> list[Rule]:
    group = "/apis/redis.redis.opstreelabs.in/v1beta2"
    image = "quay.io/opstree/redis:v8.2.3"
    claim = "at . `spec.storage.volumeClaimTemplate.spec` ``"
    size = "<<: int (at . `spec.clusterSize` 3.0) >>"
    name = "<< .metadata.name >>"

    def workload(suffix: str = "", replicas: str | int = size, storage: str = claim) -> str:
        return child("StatefulSet", f"{name}{suffix}", image, 6379, replicas=replicas, claim=storage, labels={"app": f"{name}{suffix}"})

    cluster = {
        "state": "<< if .ready >>Ready<< else >>Bootstrap<< end >>",
        "readyLeaderReplicas": "<<: if .ready >><< int (at . `spec.clusterSize` 3.0) >><< else >>0<< end >>",
        "readyFollowerReplicas": "<<: if .ready >><< int (at . `spec.clusterSize` 3.0) >><< else >>0<< end >>",
    }
    replication = {"masterNode": f"<< if .ready >>{name}-0<< end >>"}
    leaders = [
        workload("-leader"),
        workload("-follower"),
        _service(f"{name}-leader", 6379, f"{name}-leader"),
        _service(f"{name}-follower", 6379, f"{name}-follower"),
    ]
    return [
        Rule(f"{group}/redis", "", [workload("", 1), _service(name, 6379)]),
        Rule(f"{group}/redisreplications", replication, [workload(), _service(name, 6379), _service(f"{name}-master", 6379, name)]),
        Rule(f"{group}/redisclusters", cluster, leaders),
        Rule(f"{group}/redissentinels", "", [workload("-sentinel", size, "")]),
    ]


def _redis_operator(version: str) -> list[Part]:
    issuer = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": "{{ .Values.issuer.name }}", "namespace": NAMESPACE},
        "spec": {"selfSigned": {}},
    }
    certificate = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "{{ .Values.certificate.name }}", "namespace": NAMESPACE},
        "spec": {
            "dnsNames": [f"{{{{ .Values.service.name }}}}.{NAMESPACE}.svc", f"{{{{ .Values.service.name }}}}.{NAMESPACE}.svc.cluster.local"],
            "secretName": "{{ .Values.certificate.secretName }}",
            "issuerRef": {"kind": "Issuer", "name": "{{ .Values.issuer.name }}"},
        },
    }
    name = "redis-operator-mutating-webhook-configuration"
    hook = webhooks(
        "MutatingWebhookConfiguration", name, "{{ .Values.service.name }}", {"ot-mutate-pod.opstree.com": {**watched("", ["v1"], ["pods"]), **_MARKED}}
    )
    serving = {
        "port": 9443,
        "service": "{{ .Values.service.name }}",
        "secret": "{{ .Values.certificate.secretName }}",
        "wait": True,
        "configurations": [{"kind": "MutatingWebhookConfiguration", "name": name}],
    }
    common: dict[str, Any] = {
        "ports": [8081, 8080],
        "slug": "redis-operator",
        "labels": {"name": "redis-operator"},
        "account": "{{ .Values.serviceAccountName }}",
        "replicas": "{{ .Values.replicas }}",
    }
    image = "quay.io/opstree/redis-operator:v0.26.0"
    operator = "{{ .Values.redisOperator.name }}"
    webhook = ".Values.redisOperator.webhook"
    with_webhook = Program(
        operator,
        image,
        operator=Operator(rules=_redis_rules(), webhook=serving),
        services={"{{ .Values.service.name }}": {443: 9443}},
        extra=[hook],
        when=webhook,
        **common,
    )
    without = Program(operator, image, operator=Operator(rules=_redis_rules()), when=f"not {webhook}", **common)
    [with_part], [without_part] = with_webhook.part(), without.part()
    return [
        Part("operator-with-webhook", with_part.objects, webhook),
        Part("operator-without-webhook", without_part.objects, f"not {webhook}"),
        Part("certificate", [issuer, certificate], f"and {webhook} .Values.certmanager.enabled"),
    ]


# Only pods of Redis are sent to the webhook.
_MARKED = {"objectSelector": {"matchLabels": {"redis_setup_type": "cluster"}}}

_CNPG: dict[str, Any] = {
    "crds": {"create": True},
    "replicaCount": 1,
    "monitoring": {"podMonitorEnabled": False, "grafanaDashboard": {"create": False}},
    "config": {"data": {}},
}

DOUBLES = (
    Double("cloudnative-pg", ("0.29.0",), _CNPG, _cloudnative_pg, schema=schema(_CNPG)),
    Double("plugin-barman-cloud", ("0.7.0",), {"crds": {"create": True}, "replicaCount": 1}, _barman),
    Double(
        "redis-operator",
        ("0.26.1",),
        {
            "redisOperator": {"name": "redis-operator", "webhook": False},
            "replicas": 1,
            "serviceAccountName": "redis-operator",
            "service": {"name": "webhook-service"},
            "certificate": {"name": "serving-cert", "secretName": "webhook-server-cert"},
            "issuer": {"name": "redis-operator-issuer"},
            "certmanager": {"enabled": False},
        },
        _redis_operator,
        definitions=_REDIS,
    ),
)
