# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Argo CD is to follow: the Applications of the components, what they belong to, and all of it as files of the repository."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gitops
short_description: What Argo CD is to follow, from rendered components
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes results of M(trinode.platform.component_render) and returns what M(trinode.platform.argocd_handover) and M(trinode.platform.git_publish) take.
positional: _input
options:
  _input:
    description: Results of M(trinode.platform.component_render).
    type: list
    elements: dict
    required: true
  ready:
    description: The components of these that may be handed over.
    type: list
    elements: str
    required: true
  inventory:
    description: All components of the inventory with what they need, from the lookup P(trinode.platform.settings#lookup).
    type: list
    elements: dict
    required: true
  cluster:
    description: The cluster's name.
    type: str
    required: true
  url:
    description: The repository as Argo CD reaches it.
    type: str
    required: true
  branch:
    description: The branch of it.
    type: str
    required: true
  path:
    description: The directory in it that is the platform's.
    type: str
    default: ""
  user_repositories:
    description: Repositories that the user's own applications may come from, besides this one.
    type: list
    elements: str
    default: []
  user_cluster_kinds:
    description: Kinds (GROUP/KIND) without a namespace that the user's own applications may have, besides Namespace.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show the Applications
  ansible.builtin.debug:
    msg: "{{ (rendered | trinode.platform.gitops(**facts)).applications }}"
"""

RETURN = r"""
_value:
  description:
    - RV(_value) holds C(applications), C(others) (projects and sets of Applications) and C(root), as objects, and C(contents), as files.
    - The files of the cluster as a whole are among C(contents) only when every component of the inventory is given, since they name all namespaces.
  type: dict
  sample: {applications: [], others: [], root: {}, contents: [{target: apps/cert_manager.yaml, content: "..."}]}
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import SYNC_WAVE
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import Repository, waves
from ansible_collections.trinode.platform.plugins.module_utils.argocd.platform import UserRights, cluster_objects
from ansible_collections.trinode.platform.plugins.module_utils.component.yaml_text import text
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object


def gitops(
    rendered: Iterable[Mapping[str, Any]],
    *,
    ready: Sequence[str],
    inventory: Sequence[Mapping[str, Any]],
    cluster: str,
    url: str,
    branch: str,
    path: str = "",
    user_repositories: Sequence[str] = (),
    user_cluster_kinds: Sequence[str] = (),
) -> dict[str, Any]:
    """See DOCUMENTATION."""
    # Ansible's own kinds of dictionaries and texts become plain ones, which can be written.
    found = {str(item["definition"]["name"]): json.loads(json.dumps({key: item[key] for key in ("definition", "application")})) for item in rendered}
    needs = {str(item["name"]): [*item.get("needs", ()), *found.get(item["name"], {}).get("definition", {}).get("needs", ())] for item in inventory}
    depth = waves(needs)
    applications = {name: _in_order(item["application"], depth.get(name, 0)) for name, item in found.items() if name in ready and item["application"]}
    namespaces = [namespace for item in found.values() for namespace in _namespaces(item["definition"])]
    rights = UserRights(tuple(map(str, user_repositories)), tuple(namespaces), tuple(map(str, user_cluster_kinds)))
    *others, root = cluster_objects(Repository(str(url), str(branch), str(path)), str(cluster), rights)
    contents = [{"target": f"apps/{name}.yaml", "content": text(item)} for name, item in sorted(applications.items())]
    if needs.keys() <= found.keys():
        contents += [{"target": f"clusters/{cluster}/{_file(item)}", "content": text(item)} for item in (*others, root)]
    return {"applications": list(applications.values()), "others": others, "root": root, "contents": contents}


def _in_order(application: Mapping[str, Any], wave: int) -> Object:
    metadata = application["metadata"]
    return {**application, "metadata": {**metadata, "annotations": {**metadata["annotations"], SYNC_WAVE: str(wave)}}}


def _namespaces(definition: Mapping[str, Any]) -> list[str]:
    return [str(definition["namespace"]), *(str(item["name"]) for item in definition.get("namespaces") or ())]


def _file(item: Object) -> str:
    return f"{item['kind'].lower()}-{item['metadata']['name']}.yaml"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"gitops": gitops}
