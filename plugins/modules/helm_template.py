#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: helm_template
short_description: Render a pinned Helm chart
version_added: 0.1.0
description:
  - Renders a chart with C(helm template) and returns its manifests. Nothing is installed, and no cluster is asked.
  - The chart is pulled once into O(cache) and used from there afterwards.
  - The chart's own schema (C(values.schema.json)) is enforced by helm.
author:
  - trinode.platform contributors (@trinode)
options:
  name:
    description: Name of the release.
    type: str
    required: true
  chart:
    description: Name of the chart in its repository.
    type: str
    required: true
  repository:
    description: URL of the chart's repository, C(http(s)://) with an C(index.yaml), or C(oci://) of the place under which the chart lies.
    type: str
    required: true
  version:
    description: Exact version of the chart.
    type: str
    required: true
  digest:
    description: Digest of the chart's C(.tgz) file, V(sha256:...). Another file is refused.
    type: str
    default: ""
  mirror:
    description: A repository to pull from in place of O(repository), as an air-gapped site has one.
    type: str
    default: ""
  cache:
    description: Directory for pulled charts. They lie there by repository, name and version.
    type: path
    required: true
  values:
    description: Values of the chart.
    type: dict
    default: {}
  namespace:
    description: Namespace of the release.
    type: str
    required: true
  kubernetes_version:
    description: Version of Kubernetes that the chart's templates see.
    type: str
    required: true
  api_versions:
    description: Further API versions that the chart's templates see as served, such as V(monitoring.coreos.com/v1).
    type: list
    elements: str
    default: []
  include_crds:
    description: Return the definitions in the chart's directory C(crds) too.
    type: bool
    default: true
  hooks:
    description: Return the chart's hooks too, among the other objects and with their annotations. Its tests are never returned.
    type: bool
    default: true
  helm:
    description: The program C(helm), version 3.
    type: str
    default: helm
  timeout:
    description: Seconds after which the task gives up.
    type: int
    default: 120
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_platform
attributes:
  check_mode:
    support: full
    details: Rendering changes nothing, so it is done in check mode too, and the cache of charts is filled.
  diff_mode:
    support: N/A
    details: It changes nothing.
  idempotent:
    support: full
    details: It never reports a change.
"""

EXAMPLES = r"""
- name: Render Cilium
  trinode.platform.helm_template:
    name: cilium
    chart: cilium
    repository: https://helm.cilium.io
    version: 1.20.0
    mirror: "{{ trinode_chart_mirror }}"
    cache: "{{ trinode_chart_cache }}"
    namespace: kube-system
    kubernetes_version: "{{ trinode_kubernetes_version }}"
    values:
      ipam:
        mode: kubernetes
  register: rendered
"""

RETURN = r"""
manifests:
  description: YAML text with one document per object, as helm prints it.
  type: str
  returned: success
  sample: "---\napiVersion: v1\nkind: ConfigMap\n..."
count:
  description: Number of objects.
  type: int
  returned: success
  sample: 43
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.helm.chart import Chart, fetch
from ansible_collections.trinode.platform.plugins.module_utils.helm.render import Release, render_chart
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "chart": {"type": "str", "required": True},
    "repository": {"type": "str", "required": True},
    "version": {"type": "str", "required": True},
    "digest": {"type": "str", "default": ""},
    "mirror": {"type": "str", "default": ""},
    "cache": {"type": "path", "required": True},
    "values": {"type": "dict", "default": {}},
    "namespace": {"type": "str", "required": True},
    "kubernetes_version": {"type": "str", "required": True},
    "api_versions": {"type": "list", "elements": "str", "default": []},
    "include_crds": {"type": "bool", "default": True},
    "hooks": {"type": "bool", "default": True},
    "helm": {"type": "str", "default": "helm"},
    "timeout": {"type": "int", "default": 120},
}


def run(task: Task) -> Outcome:
    params = task.params
    deadline = Deadline(params["timeout"])
    chart = Chart(params["chart"], params["repository"], params["version"], params["digest"]).mirrored(params["mirror"])
    path = fetch(chart, helm=params["helm"], cache_directory=params["cache"], deadline=deadline)
    release = Release(
        name=params["name"],
        namespace=params["namespace"],
        kubernetes_version=params["kubernetes_version"],
        values=params["values"],
        api_versions=params["api_versions"],
        include_crds=params["include_crds"],
        hooks=params["hooks"],
    )
    text, objects = render_chart(release, path, chart=str(chart), helm=params["helm"], deadline=deadline)
    return Outcome(message=f"{len(objects)} objects", values={"manifests": text, "count": len(objects)})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
