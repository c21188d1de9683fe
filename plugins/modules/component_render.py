#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: component_render
short_description: Render a component of the platform into a directory of files
version_added: 1.0.0
description:
  - Renders all charts of a component at once and adds the component's own objects, namespaces and routes.
  - Writes one object a file under names and in a form that stay, so that a version control system shows a list of changes. Files of objects that are
    gone are removed.
  - Secrets that hold something are written as SealedSecrets (O(sealing_keys)) or encrypted with Ansible Vault, and only when their content changes.
  - Charts and files of manifests are fetched once into O(cache). When nothing has changed since the last time, C(helm) is not even started.
author:
  - trinode.platform contributors (@trinode)
options:
  definition:
    description:
      - The component, as the variable C(NAME_component) of its role describes it. C(docs/components/README.md) lists its keys.
      - All mistakes in it are reported at once, before anything is done.
    type: dict
    required: true
  pins:
    description:
      - Where each chart comes from, by the names that O(definition) uses. An entry has C(chart), C(repository), C(version) and C(digest), or for a file of
        manifests C(url), C(version) and C(digest).
    type: dict
    required: true
  mirror:
    description:
      - A repository to fetch from in place of all others. Files of manifests are then C(MIRROR/PIN-VERSION.yaml).
    type: str
    default: ""
  cache:
    description: Directory for what is fetched.
    type: path
    required: true
  tree:
    description: Directory with one directory for each component.
    type: path
    required: true
  gateway:
    description: The gateway that user interfaces are reached through. Empty where there is none; then no routes are made.
    type: dict
    default: {}
    suboptions:
      name:
        description: Name of the C(Gateway).
        type: str
      namespace:
        description: Its namespace.
        type: str
      domain:
        description: The domain below which the interfaces are.
        type: str
  kubernetes_version:
    description: Version of Kubernetes that charts see.
    type: str
    required: true
  helm:
    description: The program C(helm), version 3.
    type: str
    default: helm
  temporary:
    description: Write the files to a directory of the run instead of O(tree), as in check mode. Then nothing is reported as changed.
    type: bool
    default: false
  run_directory:
    description: Directory that lives as long as the run, from the lookup P(trinode.platform.run_directory#lookup).
    type: path
    required: true
  vault_password:
    description: Password of Ansible Vault for Secrets. Without one, a component that renders Secrets is refused.
    type: str
    default: ""
  sealing_keys:
    description:
      - The file of key pairs that M(trinode.platform.sealing_keys) keeps. With it, Secrets that hold something become SealedSecrets (scope strict), also the
        C(generated_secrets) of O(definition), whose values then exist there and in the cluster only. Empty means that Secrets are not sealed.
      - A value that is sealed already stays as it is, also the bytes of it; it is sealed anew when it changes, or when there is a newer key.
      - Components that Sealed Secrets itself needs are not sealed (Cilium, the Gateway API, the definitions of the Prometheus operator). Those that are
        sealed need it, which RV(definition) says.
    type: path
    default: ""
  kubeconfig:
    description:
      - The cluster that is asked for what the files do not have, before a value is made up. So a password that a component generated in the cluster before
        its secrets were sealed stays the same. Only used with O(sealing_keys).
      - A cluster that does not answer fails the task, but in check mode. One whose kubeconfig does not exist has nothing.
    type: path
    default: ""
  application:
    description:
      - The Application of Argo CD that takes the objects over. They get the annotations and the label that Argo CD would give them. Empty means none.
      - With it, Secrets that cannot be sealed are refused.
    type: dict
    default: {}
    suboptions:
      name:
        description: Its name. By default that of the component, with dashes.
        type: str
        default: ""
      namespace:
        description: The namespace that it delivers to. By default that of the component.
        type: str
        default: ""
      url:
        description: The repository that it delivers from. With it, RV(application) is returned.
        type: str
        default: ""
      branch:
        description: The branch of it.
        type: str
        default: main
      path:
        description: The directory in it that is the platform's.
        type: str
        default: ""
  timeout:
    description: Seconds after which the task gives up.
    type: int
    default: 300
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
attributes:
  check_mode:
    support: full
    details: The files are written to a directory of the run, and RV(path) names that one. O(tree) stays as it is.
  diff_mode:
    support: full
    details: By file. Nothing of Secrets is shown; of what is sealed only which values, and why they were sealed anew.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Render cert-manager
  trinode.platform.component_render:
    definition: "{{ cert_manager_component }}"
    pins: "{{ trinode_pins | combine(trinode_charts, recursive=true) }}"
    mirror: "{{ trinode_chart_mirror }}"
    cache: "{{ trinode_chart_cache }}"
    tree: "{{ trinode_tree }}"
    gateway: "{{ trinode_gateway }}"
    kubernetes_version: "{{ trinode_kubernetes_version }}"
    run_directory: "{{ lookup('trinode.platform.run_directory') }}"
    vault_password: "{{ lookup('trinode.platform.vault_password') }}"
    sealing_keys: "{{ trinode_sealing_keys if trinode_sealed else '' }}"
    kubeconfig: "{{ trinode_kubeconfig }}"
  register: rendered
"""

RETURN = r"""
path:
  description: The directory with the files.
  type: str
  returned: success
  sample: /home/user/inventory/mine/cluster/platform/cert_manager
revision:
  description: A digest of all content.
  type: str
  returned: success
  sample: 7c1e1ad2b5fb4dfc27e7e6c3bb9b32a1a8a4d0a5d6df9b14b9a2a8f7c3d1e0f9
count:
  description: Number of objects.
  type: int
  returned: success
  sample: 53
hooks:
  description: How many of them are hooks.
  type: int
  returned: success
  sample: 4
versions:
  description: The version of each pin.
  type: dict
  returned: success
  sample: {cert-manager: v1.21.1}
sealed:
  description: How many Secrets are sealed.
  type: int
  returned: success
  sample: 1
routes:
  description: The user interfaces.
  type: list
  elements: dict
  returned: success
  sample: [{title: Grafana, url: https://grafana.example.org, password: kubectl ...}]
application:
  description: The component's Application, as it belongs into the repository. Empty without a URL in O(application).
  type: dict
  returned: success
  sample: {apiVersion: argoproj.io/v1alpha1, kind: Application, metadata: {name: cert-manager, namespace: argocd}}
definition:
  description:
    - What M(trinode.platform.component_deliver) needs of the definition, without values, which are in the files, and without C(generated_secrets).
    - C(sealed) in it says that those are among the files. C(needs) then has C(sealed_secrets).
  type: dict
  returned: success
  sample: {name: cert_manager, namespace: cert-manager, needs: [cilium], charts: [{pin: cert-manager, release: cert-manager, version: v1.21.1}]}
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import ApplicationOf, application_of
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import Repository, application
from ansible_collections.trinode.platform.plugins.module_utils.component import definition as definitions
from ansible_collections.trinode.platform.plugins.module_utils.component.assemble import Gateway
from ansible_collections.trinode.platform.plugins.module_utils.component.render import Rendered, Request, render
from ansible_collections.trinode.platform.plugins.module_utils.component.sealed import CONTROLLER
from ansible_collections.trinode.platform.plugins.module_utils.component.secrets import hidden_values, shown_params
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object, key_of, reference
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "definition": {"type": "dict", "required": True},
    "pins": {"type": "dict", "required": True},
    "mirror": {"type": "str", "default": ""},
    "cache": {"type": "path", "required": True},
    "tree": {"type": "path", "required": True},
    "gateway": {
        "type": "dict",
        "default": {},
        "options": {
            "name": {"type": "str"},
            "namespace": {"type": "str"},
            "domain": {"type": "str"},
        },
        "required_together": [("name", "namespace", "domain")],
    },
    "kubernetes_version": {"type": "str", "required": True},
    "helm": {"type": "str", "default": "helm"},
    "temporary": {"type": "bool", "default": False},
    "run_directory": {"type": "path", "required": True},
    "vault_password": {"type": "str", "default": "", "no_log": True},
    "sealing_keys": {"type": "path", "default": "", "no_log": False},
    "kubeconfig": {"type": "path", "default": ""},
    "application": {
        "type": "dict",
        "default": {},
        "options": {
            **{name: {"type": "str", "default": ""} for name in ("name", "namespace", "url", "path")},
            "branch": {"type": "str", "default": "main"},
        },
    },
    "timeout": {"type": "int", "default": 300},
}
_PLAIN = ("definition", "pins", "mirror", "cache", "tree", "kubernetes_version", "helm", "run_directory", "vault_password", "sealing_keys", "kubeconfig")


def run(task: Task) -> Outcome:
    params = task.params
    request = Request(
        **{name: params[name] for name in _PLAIN},
        gateway=Gateway(**params["gateway"]) if params["gateway"].get("name") else None,
        temporary=task.check_mode or params["temporary"],
        application=_application(params["definition"], params["application"]),
    )
    found = render(request, Deadline(params["timeout"]))
    changes = () if params["temporary"] else found.changes
    return Outcome(
        changed=bool(changes),
        message=f"{found.objects} objects" + (f", {len(changes)} files differ" if changes else ""),
        diff=[{"before_header": change.name, "after_header": change.name, "before": change.before, "after": change.after} for change in changes],
        values={
            "path": found.path,
            "revision": found.revision,
            "count": found.objects,
            "hooks": found.hooks,
            "versions": dict(found.versions),
            "routes": [dict(route) for route in found.routes],
            "sealed": found.sealed,
            "application": _in_git(request.application, params["application"], found.ignore),
            "definition": _outline(task.params["definition"], found),
        },
    )


def _application(definition: dict[str, Any], wanted: dict[str, Any]) -> ApplicationOf | None:  # pylint: disable=unsupported-binary-operation
    if not any(wanted.get(name) for name in ("name", "namespace", "url")):
        return None
    usual = application_of(str(definition.get("name")), wanted.get("namespace") or str(definition.get("namespace")))
    return replace(usual, name=wanted.get("name") or usual.name)


def _in_git(of: ApplicationOf | None, wanted: dict[str, Any], ignore: Sequence[Object]) -> Object:  # pylint: disable=unsupported-binary-operation
    if of is None or not wanted.get("url"):
        return {}
    return application(of, Repository(wanted["url"], wanted["branch"], wanted["path"]), ignore=ignore)


def _outline(definition: dict[str, Any], found: Rendered) -> dict[str, Any]:
    """What delivery needs of a definition: without the values that are in the files now, and without secrets."""
    kept = {key: value for key, value in definition.items() if key not in ("generated_secrets", "resources")}
    if not definition.get("charts"):
        # Something has to be there to install.
        kept["resources"] = [reference(key_of(item)) for item in definitions.read(definition).resources]
    if found.sealing:
        kept["sealed"] = True
    if found.sealed:
        kept["needs"] = list(dict.fromkeys([*(definition.get("needs") or []), CONTROLLER]))
    charts = [{key: value for key, value in chart.items() if key != "values"} for chart in definition.get("charts") or []]
    return {**kept, "charts": charts} if charts else kept


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC, hide=lambda params: hidden_values(params["definition"]), show=shown_params)


if __name__ == "__main__":
    main()
