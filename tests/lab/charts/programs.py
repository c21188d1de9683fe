"""Programs of a chart: a workload with its account, rights, services and monitors; and what an operator's double does (tests/lab/stub/operator.go)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from doubles import RESTRICTED, STUB, Object, Part, container

# The double of an operator may do everything: what it makes is other for each, and it is a lab.
ALL_RIGHTS = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]
CONFIGURATION = "/etc/stub/config.json"
NAMESPACE = "{{ .Release.Namespace }}"


@dataclass(frozen=True)
class Rule:
    """What becomes of the custom resources of one kind: objects made for each, and its status. Both are templates with << >>; "<<: expression >>" as a
    whole value gives what is no string.
    """

    path: str
    status: Mapping[str, Any] | str = ""
    children: Sequence[Mapping[str, Any] | str] = ()

    def configuration(self) -> dict[str, Any]:
        children = [item if isinstance(item, str) else bare(item) for item in self.children]
        return {"path": self.path, "children": children, "status": self.status if isinstance(self.status, str) else bare(self.status)}


@dataclass(frozen=True)
class Operator:
    """What a program does beyond answering. ``webhook``: see stub/webhook.go."""

    rules: Sequence[Rule] = ()
    duties: Sequence[str] = ()
    definitions: Sequence[Object] = ()
    objects: Sequence[Object] = ()
    webhook: Mapping[str, Any] | None = None

    def configuration(self) -> str:
        return json.dumps(
            {
                "definitions": self.definitions,
                "objects": self.objects,
                "webhook": self.webhook,
                "rules": [rule.configuration() for rule in self.rules],
                "duties": self.duties,
            }
        )


@dataclass(frozen=True)
class Program:
    """One workload. ``name`` may hold Helm expressions, ``slug`` (default: the name) none: it is in labels and the file's name. ``replicas`` is a number or
    a Helm expression. ``services`` maps a service's name to its ports: {port: target}. ``monitor`` is the Helm condition of a ServiceMonitor. ``answers``
    maps paths to what is said there. ``extra`` are further objects of the same file.
    """

    name: str
    image: str
    ports: Sequence[int | str]
    kind: str = "Deployment"
    slug: str = ""
    account: str = ""
    namespace: str = NAMESPACE
    replicas: Any = 1
    verb: str = "serve"
    services: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    operator: Operator | None = None
    rights: Sequence[Object] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    environment: Sequence[Object] = ()
    container: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    claims: Sequence[Object] = ()
    monitor: str = ""
    when: str = ""
    extra: Sequence[Object] = ()

    def part(self) -> list[Part]:
        """The files of this program: its objects, and its monitor where that has a condition of its own."""
        slug = self.slug or self.name
        found = [Part(slug, [*self._rights(), *self._configuration(), *self._services(), self._workload(), *self.extra], self.when)]
        if self.monitor:
            when = f"and ({self.when}) ({self.monitor})" if self.when else self.monitor
            found.append(Part(f"{slug}-monitor", [self._monitor()], when))
        return found

    @property
    def selector(self) -> dict[str, str]:
        return {"app.kubernetes.io/instance": "{{ .Release.Name }}", "app.kubernetes.io/component": self.slug or self.name}

    def metadata(self, name: str, namespaced: bool = True) -> dict[str, Any]:
        part_of = self.labels.get("app.kubernetes.io/part-of", "{{ .Chart.Name }}")
        labels = {**self.selector, "app.kubernetes.io/part-of": part_of}
        return {"name": name, **({"namespace": self.namespace} if namespaced else {}), "labels": labels}

    def _rights(self) -> list[Object]:
        name = self.account or self.name
        found: list[Object] = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": self.metadata(name)}]
        rules = ALL_RIGHTS if self.operator else list(self.rights)
        if rules:
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
            subject = {"kind": "ServiceAccount", "name": name, "namespace": self.namespace}
            common = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": self.metadata(name, namespaced=False)}
            found.append({**common, "kind": "ClusterRole", "rules": rules})
            found.append({**common, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]})
        return found

    def _configuration(self) -> list[Object]:
        if self.operator is None:
            return []
        content = {"config.json": self.operator.configuration()}
        return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": self.metadata(f"{self.name}-double"), "data": content}]

    def _services(self) -> list[Object]:
        return [service(name, ports, self.selector, self.metadata(name)) for name, ports in self.services.items()]

    def _workload(self) -> Object:
        slug = self.slug or self.name
        environment = [*self.environment]
        volumes = list(self.pod.get("volumes", []))
        mounts = list(self.container.get("volumeMounts", []))
        verb = self.verb
        if self.operator is not None:
            verb = "operator"
            environment.append({"name": "STUB_CONFIG", "value": CONFIGURATION})
            volumes.append({"name": "double", "configMap": {"name": f"{self.name}-double"}})
            mounts.append({"name": "double", "mountPath": CONFIGURATION.rpartition("/")[0]})
        if verb != "serve":
            environment.append({"name": "STUB_NAME", "value": slug})
            environment.append({"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}})
        if self.answers:
            environment.append({"name": "STUB_ANSWERS", "value": json.dumps(self.answers)})
        mounts += [{"name": claim["metadata"]["name"], "mountPath": "/data"} for claim in self.claims]
        main = container(slug, self.image, *self.ports, arguments=[verb], **{**self.container, "env": environment, "volumeMounts": mounts})
        pod = {"serviceAccountName": self.account or self.name, "terminationGracePeriodSeconds": 1, **self.pod, "containers": [main], "volumes": volumes}
        labels = {**self.selector, **self.labels}
        return {
            "apiVersion": "apps/v1",
            "kind": self.kind,
            "metadata": self.metadata(self.name),
            "spec": {
                **({} if self.kind == "DaemonSet" else {"replicas": self.replicas}),
                **({"serviceName": self.name} if self.kind == "StatefulSet" else {}),
                **({"volumeClaimTemplates": list(self.claims)} if self.claims else {}),
                "selector": {"matchLabels": self.selector},
                "template": {"metadata": {"labels": labels, **({"annotations": dict(self.annotations)} if self.annotations else {})}, "spec": pod},
                **self.spec,
            },
        }

    def _monitor(self) -> Object:
        spec = {"selector": {"matchLabels": self.selector}, "endpoints": [{"targetPort": int(str(self.ports[0]).partition("/")[0])}]}
        return {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": self.metadata(self.name), "spec": spec}


def parts(*programs: Program) -> list[Part]:
    return [part for program in programs for part in program.part()]


def service(name: str, ports: Mapping[int, int], selector: Mapping[str, str], metadata: Mapping[str, Any], **spec: Any) -> Object:
    entries = [{"name": f"port-{port}" if number else "http", "port": port, "targetPort": target} for number, (port, target) in enumerate(ports.items())]
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": dict(selector), "ports": entries, **spec}}


def role(name: str, rules: Sequence[Object], *, account: str = "", subject: Mapping[str, Any] | None = None) -> list[Object]:
    """A Role of the release's namespace and its binding, to the account of the same name unless told otherwise."""
    common = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name, "namespace": NAMESPACE}}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    bound = subject or {"kind": "ServiceAccount", "name": account or name, "namespace": NAMESPACE}
    return [{**common, "kind": "Role", "rules": list(rules)}, {**common, "kind": "RoleBinding", "roleRef": reference, "subjects": [bound]}]


def webhooks(kind: str, name: str, service: str, hooks: Mapping[str, Mapping[str, Any]], *, path: str = "/admit", policy: str = "Fail") -> Object:
    """A webhook configuration without its authority, which the operator writes into it. ``hooks`` maps names to rules and further fields."""
    entries = [
        {
            "name": hook,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": policy,
            "clientConfig": {"service": {"name": service, "namespace": NAMESPACE, "path": path}},
            **fields,
        }
        for hook, fields in hooks.items()
    ]
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "webhooks": entries}


def watched(group: str, versions: Sequence[str], resources: Sequence[str]) -> dict[str, Any]:
    """The rules of a webhook that is called when such objects are made or changed."""
    return {"rules": [{"apiGroups": [group], "apiVersions": list(versions), "operations": ["CREATE", "UPDATE"], "resources": list(resources)}]}


def job(
    name: str, image: str, *, hook: str, namespace: str = NAMESPACE, verb: str = "job", environment: Sequence[Object] = (), weight: int = 0
) -> list[Object]:
    """A hook's Job with its account, all hooks."""
    annotations = {"helm.sh/hook": hook, "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded", "helm.sh/hook-weight": str(weight)}
    metadata = {"name": name, "namespace": namespace, "annotations": annotations}
    task = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": [STUB, verb],
        "env": list(environment),
        "securityContext": RESTRICTED,
    }
    pod = {"serviceAccountName": name, "restartPolicy": "OnFailure", "containers": [task]}
    rights = {**metadata, "annotations": {**annotations, "helm.sh/hook-weight": str(weight - 1)}}
    common = {"apiVersion": "rbac.authorization.k8s.io/v1"}
    found: list[Object] = [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": rights}]
    if verb != "job":
        whole = {key: value for key, value in rights.items() if key != "namespace"}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
        found.append({**common, "kind": "ClusterRole", "metadata": whole, "rules": ALL_RIGHTS})
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
        found.append({**common, "kind": "ClusterRoleBinding", "metadata": whole, "roleRef": reference, "subjects": subjects})
    found.append({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": pod}}})
    return found


def condition(kind: str, when: str = "", reason: str = "LabDouble") -> dict[str, Any]:
    """A condition that is True, or as the template's expression ``when`` says ("ready": when all workloads are)."""
    if when == "ready":
        return {"type": kind, "status": "<< if .ready >>True<< else >>False<< end >>", "reason": reason, "message": "a double says so"}
    return {"type": kind, "status": "True", "reason": reason, "message": "a double says so"}


def child(
    kind: str,
    name: str,
    image: str,
    *ports: int | str,
    replicas: Any = 1,
    claim: str = "",
    answers: Mapping[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
    verb: str = "serve",
    account: str = "",
    pod: Mapping[str, Any] | None = None,
) -> str:
    """The template of a workload that an operator makes. ``claim`` is an expression of a volume claim's spec; null or empty is none."""
    marks = {"lab.trinode/child": name, **(labels or {})}
    environment = [{"name": "STUB_ANSWERS", "value": json.dumps(answers)}] if answers else []
    if verb != "serve":
        environment.append({"name": "STUB_NAME", "value": "<< .metadata.name >>"})
        environment.append({"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}})
    main = container("main", image, *ports, arguments=[verb], env=environment)
    spec: dict[str, Any] = {
        "replicas": replicas,
        "selector": {"matchLabels": {"lab.trinode/child": name}},
        "template": {
            "metadata": {"labels": marks},
            "spec": {**({"serviceAccountName": account} if account else {}), "terminationGracePeriodSeconds": 1, **(pod or {}), "containers": [main]},
        },
    }
    if kind == "StatefulSet":
        spec.update(serviceName=name, podManagementPolicy="Parallel")
    text = bare({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": marks}, "spec": spec})
    if not claim:
        return text
    mounted = text.replace('"name": "main"', '"name": "main", "volumeMounts": [{"name": "data", "mountPath": "/data"}]')
    volume = f'"volumeClaimTemplates": [{{"metadata": {{"name": "data"}}, "spec": << json ({claim}) >>}}], '
    stored = mounted.replace('"serviceName"', f'{volume}"serviceName"')
    return f"<< if {claim} >>{stored}<< else >>{text}<< end >>"


def bare(item: object) -> str:
    """JSON in which "<<: expression >>" has lost its quotes, so that the expression gives numbers and objects too."""
    return re.sub(r'"<<: ([^"]*?)>>"', r"<< \1>>", json.dumps(item))
