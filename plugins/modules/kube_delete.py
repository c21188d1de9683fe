#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: kube_delete
short_description: Delete Kubernetes objects by name or label, and wait until they are gone
version_added: 1.0.0
description:
  - Deletes all objects that O(targets) name, at once, and returns when they are gone. What is not there, or whose kind is not served, is as it should be.
  - Nothing is protected. Components are uninstalled by M(trinode.platform.component_deliver), which keeps what holds data.
author:
  - trinode.platform contributors (@trinode)
options:
  targets:
    description: What to delete. Each entry has a name or a selector, so that no entry can mean everything.
    type: list
    elements: dict
    required: true
    suboptions:
      api_version:
        description: The objects' apiVersion.
        type: str
        required: true
      kind:
        description: The objects' kind.
        type: str
        required: true
      namespace:
        description: Their namespace. Empty for kinds that have none.
        type: str
        default: ""
      name:
        description: Name of one object.
        type: str
        default: ""
      selector:
        description: A label selector, such as C(app=example).
        type: str
        default: ""
extends_documentation_fragment:
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_kubernetes
attributes:
  check_mode:
    support: full
    details: RV(deleted) lists what would be deleted.
  diff_mode:
    support: none
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Take Kyverno out of the way of all requests
  trinode.platform.kube_delete:
    kubeconfig: "{{ trinode_kubeconfig }}"
    targets:
      - api_version: admissionregistration.k8s.io/v1
        kind: ValidatingWebhookConfiguration
        selector: webhook.kyverno.io/managed-by=kyverno
"""

RETURN = r"""
deleted:
  description: The objects that were deleted.
  type: list
  elements: str
  returned: success
  sample: [ValidatingWebhookConfiguration kyverno-resource-validating-webhook-cfg]
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube import gone
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource, discover
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key
from ansible_collections.trinode.platform.plugins.module_utils.kube.retry import retried
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 600},
    "targets": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "api_version": {"type": "str", "required": True},
            "kind": {"type": "str", "required": True},
            "namespace": {"type": "str", "default": ""},
            "name": {"type": "str", "default": ""},
            "selector": {"type": "str", "default": ""},
        },
    },
}


def run(task: Task) -> Outcome:
    targets = task.params["targets"]
    for target in targets:
        if bool(target["name"]) == bool(target["selector"]):
            raise InputError(
                "it has neither a name nor a selector" if not target["name"] else "it has both a name and a selector",
                where=f"targets, {target['kind']}",
                hint="Give one of the two.",
            )
    deadline = Deadline(task.params["timeout"])
    client = connect(task.params["kubeconfig"], task.params["context"], deadline)
    try:
        resources = retried(lambda: discover(client), deadline, client.server)
        found: dict[Key, Resource] = {}
        for target in targets:
            resource = resources.get((target["api_version"], target["kind"]))
            if resource is not None:
                if resource.namespaced and not target["namespace"]:
                    raise InputError("it has no namespace", where=f"targets, {target['kind']}", hint="Objects of this kind are in namespaces: name one.")
                found.update((key, resource) for key in _keys(client, target, resource, deadline))
        if not task.check_mode:
            gone.delete(client, list(found.items()), deadline)
    finally:
        client.close()
    deleted = sorted(str(key) for key in found)
    return Outcome(changed=bool(found), message=f"{len(deleted)} objects deleted", values={"deleted": deleted})


def _keys(client: Client, target: dict[str, Any], resource: Resource, deadline: Deadline) -> Iterator[Key]:
    """The objects of a target that are there."""
    params = {"labelSelector": target["selector"]} if target["selector"] else {"fieldSelector": f"metadata.name={target['name']}"}
    listing = partial(client.list, resource.path(target["namespace"]), params, deadline=deadline)
    items, _version = retried(listing, deadline, target["kind"])
    for item in items:
        yield Key(target["api_version"], target["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"])


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
