# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of kube_apply apply, and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import kube_apply


def apply(kubeconfig: Path, *, check: bool = False, warnings: list[str] | None = None, **params: Any) -> Outcome:
    defaults = {name: option.get("default") for name, option in kube_apply.ARGUMENT_SPEC.items()}
    heard = warnings if warnings is not None else []
    return kube_apply.run(Task({**defaults, "kubeconfig": str(kubeconfig), "timeout": 300, **params}, check_mode=check, diff_mode=True, warn=heard.append))


def actions(outcome: Outcome) -> dict[str, str]:
    return {item["name"]: item["action"] for item in outcome.values["objects"]}


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(name: str, replicas: int = 1) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "registry.example/main:1"}]}},
        },
    }


WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets", "singular": "widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}},
            }
        ],
    },
}
