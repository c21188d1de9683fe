"""How a chart double is written down, and what becomes of it: the files of a Helm chart.

A double has the names, kinds and switches of the real chart and containers of the lab's stub program in place of the real ones. Text of the form
"{{ ... }}" anywhere in an object is a Helm expression.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

STUB = "/usr/local/bin/stub"
NOTICE = "A DOUBLE for tests, made by tests/lab/charts/build.py. It is not the real chart: its containers run a stub that only answers probes."

# The name of most charts' objects: the release's, with the chart's where that is not in it.
FULLNAME = "{{ include `fullname` . }}"
_FULLNAME = """{{- define "fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc LENGTH | trimSuffix "-" -}}
{{- end -}}
"""

# What Pod Security's level "restricted" wants, which most charts give.
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """Objects that go into one template file. ``when`` is a Helm condition (".Values.hubble.enabled"); empty means always. ``text`` is a template as it is."""

    name: str
    objects: Sequence[Object] = ()
    when: str = ""
    text: str = ""


@dataclass(frozen=True)
class Double:
    """One chart in some versions. ``parts`` gets the version; ``schema`` is a JSON schema for the values; ``definitions`` go into the chart's directory crds;
    ``refusals`` maps Helm conditions to messages; ``fullname`` is how long the name may be that the release and the chart make together (fullname).
    """

    name: str
    versions: Sequence[str]
    values: Mapping[str, Any]
    parts: Callable[[str], Sequence[Part]]
    schema: Mapping[str, Any] | None = None
    definitions: Sequence[Object] = ()
    refusals: Mapping[str, str] | None = None
    kubernetes: str = ">= 1.21.0-0"
    fullname: int = 63


def files(double: Double, version: str) -> dict[str, str]:
    """The chart's files by path."""
    chart = {
        "apiVersion": "v2",
        "name": double.name,
        "version": version,
        "appVersion": version,
        "description": NOTICE,
        "kubeVersion": double.kubernetes,
        "annotations": {"lab.trinode/double": "true"},
    }
    found = {"Chart.yaml": _json(chart), "values.yaml": _json(double.values), "templates/_names.tpl": _FULLNAME.replace("LENGTH", str(double.fullname))}
    for definition in double.definitions:
        found[f"crds/{definition['metadata']['name']}.yaml"] = _json(definition)
    if double.schema is not None:
        found["values.schema.json"] = _json(double.schema)
    if double.refusals:
        found["templates/validate.yaml"] = "".join(
            f"{{{{- if {condition} }}}}{{{{ fail {json.dumps(text)} }}}}{{{{ end }}}}\n" for condition, text in double.refusals.items()
        )
    for part in double.parts(version):
        text = part.text + "".join(f"---\n{_template(item)}" for item in part.objects)
        found[f"templates/{part.name}.yaml"] = f"{{{{- if {part.when} }}}}\n{text}{{{{- end }}}}\n" if part.when else text
    return found


def images(double: Double, version: str) -> set[str]:
    """Every image that the chart's containers name."""
    return {match for part in double.parts(version) for item in part.objects for match in re.findall(r'"image": "([^"{]+)"', json.dumps(item))}


def schema(values: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that wants the types of the default values, and accepts unknown keys, as most charts' schemas do."""
    names: dict[type, list[str]] = {bool: ["boolean", "string"], int: ["integer"], str: ["string"], list: ["array"]}
    properties = {}
    for key, value in values.items():
        properties[key] = schema(value) if isinstance(value, Mapping) else {"type": names[type(value)]} if type(value) in names else {}
    return {"type": "object", "properties": properties}


def metadata(name: str, namespaced: bool = True) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "{{ .Chart.Name }}"}
    return {"name": name, **({"namespace": "{{ .Release.Namespace }}"} if namespaced else {}), "labels": labels}


def container(name: str, image: str, *ports: int | str, arguments: Sequence[str] = (), **more: Any) -> dict[str, Any]:
    """A container of the stub that listens on ``ports`` ("443/tls" with TLS) and is probed on the first of them."""
    port, _, tls = str(ports[0]).partition("/")
    # Patient: with everything at once on two cores a process may well wait for seconds.
    probe = {"httpGet": {"path": "/healthz", "port": int(port), **({"scheme": "HTTPS"} if tls else {})}, "timeoutSeconds": 10}
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": [STUB, *(arguments or ["serve"])],
        # Ready within a second, and few probes afterwards: three machines with over a hundred of these share two cores.
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 600},
        "readinessProbe": {**probe, "periodSeconds": 10},
        "livenessProbe": {**probe, "periodSeconds": 60},
        "resources": {"requests": {"cpu": "2m", "memory": "8Mi"}},
        "securityContext": RESTRICTED,
        **more,
        "env": [{"name": "STUB_PORTS", "value": ",".join(map(str, ports))}, *more.get("env", [])],
    }


def workload(kind: str, name: str, containers: Sequence[Object], *, replicas: Any = None, pod: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A DaemonSet, Deployment or StatefulSet whose pods have the label k8s-app."""
    labels = {"k8s-app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": metadata(name),
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, **(pod or {}), "containers": list(containers)}},
            **spec,
        },
    }


def service(name: str, selector: str, port: int, target: int, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": port, "targetPort": target}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata(name), "spec": {"selector": {"k8s-app": selector}, "ports": ports, **spec}}


def account(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(name)}


def cluster_role(name: str, rules: Sequence[Object], account: str = "") -> list[Object]:
    """A ClusterRole and its binding, to the service account of the same name unless told otherwise."""
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    subject = {"kind": "ServiceAccount", "name": account or name, "namespace": "{{ .Release.Namespace }}"}
    common = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": metadata(name, namespaced=False)}
    return [{**common, "kind": "ClusterRole", "rules": list(rules)}, {**common, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]}]


def _template(item: Object) -> str:
    """The object as JSON, which is YAML too, with bare Helm expressions, so that they keep the type that they render to."""
    return re.sub(r'"(\{\{[^"]*\}\})"', r"\1", _json(item))


def _json(data: object) -> str:
    return json.dumps(data, indent=1) + "\n"
