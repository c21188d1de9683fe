# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small charts with what real ones have: hooks as argo-cd, cert-manager, kube-prometheus-stack and kyverno use them, definitions, Jobs, Secrets, tests."""

from __future__ import annotations

import contextlib
import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      containers: [{name: main, image: "{{ .Values.image }}"}]
"""
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  version: {{ .Chart.Version | quote }}
  setting: {{ .Values.setting | quote }}
{{- if .Values.extra }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-extra
{{- end }}
{{- if .Values.password }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}
stringData:
  password: {{ .Values.password | quote }}
{{- end }}
"""
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: gadgets.example.org
  annotations: {helm.sh/resource-policy: keep}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Gadget, plural: gadgets, singular: gadget, listKind: GadgetList}
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, properties: {size: {type: integer}}}
status:
  acceptedNames: {kind: "", plural: ""}
  conditions: []
  storedVersions: []
---
apiVersion: example.org/v1
kind: Gadget
metadata:
  name: {{ .Release.Name }}
spec:
  size: 1
  nothing: null
"""
PLAIN_JOB = """
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-migrate
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "migrate:{{ .Chart.Version }}"}]
"""
HOOK_POD = """
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-once
  annotations: {helm.sh/hook: pre-install}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "once:1"}]
"""
TEST_POD = """
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-test
  annotations: {helm.sh/hook: test}
spec:
  containers: [{name: main, image: test}]
"""


def hook_job(name: str, events: str, *, weight: str = "0", policy: str = "", image: str = "") -> str:
    annotations = {"helm.sh/hook": events, "helm.sh/hook-weight": weight, **({"helm.sh/hook-delete-policy": policy} if policy else {})}
    container = {"name": "main", "image": image or f"{name}:{{{{ .Chart.Version }}}}"}
    spec = {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    return yaml.safe_dump({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "annotations": annotations}, "spec": spec})


def hook_account(name: str, events: str, *, weight: str = "0") -> str:
    annotations = {"helm.sh/hook": events, "helm.sh/hook-weight": weight}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "annotations": annotations}})


# As in argo-cd (redis-secret-init), kube-prometheus-stack (admission-create, admission-patch), cert-manager (startupapicheck) and kyverno.
HOOKS = {
    "first.yaml": hook_job("redis-secret-init", "pre-install,pre-upgrade", policy="before-hook-creation"),
    "account.yaml": hook_account("redis-secret-init", "pre-install,pre-upgrade"),
    "early.yaml": hook_job("admission-create", "pre-install,pre-upgrade", weight="-5", policy="before-hook-creation,hook-succeeded"),
    "check.yaml": hook_job("startupapicheck", "post-install", weight="1", policy="before-hook-creation,hook-succeeded"),
    "migrate.yaml": hook_job("migrate-resources", "post-upgrade", policy="hook-succeeded"),
    "scale.yaml": hook_job("scale-to-zero", "pre-delete", policy="before-hook-creation,hook-succeeded,hook-failed"),
    "after.yaml": hook_job("last", "post-delete", policy="hook-succeeded"),
}

CHARTS: dict[str, dict[str, str]] = {
    "plain": {"deployment.yaml": DEPLOYMENT, "config.yaml": CONFIG, "test.yaml": TEST_POD},
    "hooked": {"deployment.yaml": DEPLOYMENT, "config.yaml": CONFIG, **HOOKS},
    "kinds": {"definition.yaml": DEFINITION},
    "migrating": {"job.yaml": PLAIN_JOB, "config.yaml": CONFIG},
    "once": {"config.yaml": CONFIG, "pod.yaml": HOOK_POD},
    "broken": {"config.yaml": CONFIG, "hook.yaml": hook_job("fails", "pre-install", image="fails:1")},
}
VALUES = {"replicas": 1, "image": "plain:1", "setting": "one", "extra": False, "password": ""}


def build(directory: Path, helm: str, versions: tuple[str, ...] = ("1.0.0", "1.1.0")) -> None:
    """Packages of all charts, and the index of a repository."""
    for name, templates in CHARTS.items():
        for version in versions:
            chart = directory / "sources" / version / name
            (chart / "templates").mkdir(parents=True)
            (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": name, "version": version, "appVersion": version}))
            (chart / "values.yaml").write_text(yaml.safe_dump(VALUES))
            for file, text in templates.items():
                (chart / "templates" / file).write_text(text)
            _helm([helm, "package", str(chart), "--destination", str(directory)])
    _helm([helm, "repo", "index", str(directory)])


def _helm(argv: list[str]) -> None:
    answer = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert answer.returncode == 0, answer.stderr


class _Handler(http.server.SimpleHTTPRequestHandler):
    requests: list[str] = []  # noqa: RUF012  one list for all requests is the point

    def log_message(self, *_: Any) -> None:
        self.requests.append(self.path)


@contextlib.contextmanager
def served(directory: Path) -> Iterator[str]:
    """The directory under a URL on loopback."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Handler, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
