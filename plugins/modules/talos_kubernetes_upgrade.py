#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_kubernetes_upgrade
short_description: Upgrade Kubernetes on Talos
version_added: 1.0.0
description:
  - Runs C(talosctl upgrade-k8s), tells its lines as they come, and looks whether every program of the control planes and every kubelet runs the version
    afterwards. Where all run it already, nothing is done.
  - Refused before anything is touched, with all reasons at once, are a downgrade, a version more than one minor release ahead, a version that does not go with
    the Talos that runs, and one that no longer serves an API that somebody has called since the API servers started.
  - What an interrupted run has begun is gone on with.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.talos
  - trinode.platform.kubernetes
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_talos
options:
  address:
    description: Address of a control plane, through which all machines are reached.
  talosconfig:
    required: true
  version:
    description: The version of Kubernetes to run.
    type: str
    required: true
  endpoints:
    description: Addresses of all control planes, whose API servers are asked which APIs are in use. By default the one of O(kubeconfig) is.
    type: list
    elements: str
    default: []
  cluster_endpoint:
    description: URL of the Kubernetes API as O(address) reaches it. By default the one in the machines' configuration.
    type: str
    default: ""
  vip:
    description:
      - Virtual address that the control planes share. With it, and O(endpoints), the API servers and schedulers are upgraded before C(talosctl) does the
        rest, those of the machine that has the address last, after another machine has taken it. C(talosctl) by itself would leave the address for half a
        minute and more with a machine whose API server starts again.
    type: str
    default: ""
  vip_link:
    description: Link that carries O(vip). Empty means the link that holds the machine's own address.
    type: str
    default: ""
  timeout:
    default: 1800
attributes:
  check_mode:
    support: full
    details:
      - The same refusals, and RV(upgraded) is what would get the version. C(talosctl upgrade-k8s --dry-run) is not asked, since it fetches images and applies
        the machine configs as they are (Talos 1.13).
  diff_mode:
    support: full
  idempotent:
    support: full
seealso:
  - module: trinode.platform.talos_upgrade
"""

EXAMPLES = r"""
- name: Upgrade Kubernetes
  trinode.platform.talos_kubernetes_upgrade:
    address: 192.0.2.11
    endpoints: [192.0.2.11, 192.0.2.12, 192.0.2.13]
    version: v1.36.4
    talosconfig: cluster/talosconfig
    kubeconfig: cluster/kubeconfig
"""

RETURN = r"""
upgraded:
  description: The programs that did not run the version before.
  type: list
  elements: str
  returned: success
  sample: ["kube-apiserver of m1 (v1.36.3)", "kubelet of m1 (v1.36.3)"]
output:
  description: What C(talosctl) said. Empty in check mode.
  type: list
  elements: str
  returned: success
  sample: ["automatically detected the lowest Kubernetes version 1.36.3"]
objections:
  description: Why it is not upgraded.
  type: list
  elements: str
  returned: when it is refused
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.control_plane_upgrade import SharedAddress
from ansible_collections.trinode.platform.plugins.module_utils.talos.kubernetes_upgrade import Request, upgrade
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, Any] = {
    "address": {"type": "str", "required": True},
    "talosconfig": {"type": "path", "required": True},
    "talosctl": {"type": "str", "default": "talosctl"},
    "kubeconfig": {"type": "path", "required": True},
    "context": {"type": "str", "default": ""},
    "version": {"type": "str", "required": True},
    "endpoints": {"type": "list", "elements": "str", "default": []},
    "cluster_endpoint": {"type": "str", "default": ""},
    "vip": {"type": "str", "default": ""},
    "vip_link": {"type": "str", "default": ""},
    "timeout": {"type": "int", "default": 1800},
}


def run(task: Task) -> Outcome:
    """Upgrade unless that has been done."""
    params = task.params
    client = Talosctl(params["address"], program=params["talosctl"], talosconfig=params["talosconfig"])
    machines = [Talosctl(address, program=params["talosctl"], talosconfig=params["talosconfig"]) for address in params["endpoints"]]
    shared = SharedAddress(params["vip"], params["vip_link"]) if params["vip"] else None
    request = Request(client, params["kubeconfig"], params["context"], machines, params["version"], params["cluster_endpoint"], task.check_mode, shared)
    done = upgrade(request, deadline=Deadline(params["timeout"]))
    late = [f"{component.name} of {component.node} ({component.version})" for component in done.behind]
    diff = {
        "before_header": "Kubernetes",
        "after_header": "Kubernetes",
        "before": "".join(f"{component.name} of {component.node}: {component.version}\n" for component in done.behind),
        "after": "".join(f"{component.name} of {component.node}: {params['version']}\n" for component in done.behind),
    }
    message = f"{len(late)} programs {'would get' if task.check_mode else 'got'} {params['version']}" if late else f"all run {params['version']}"
    return Outcome(changed=bool(late), message=message, diff=diff if late else None, values={"upgraded": late, "output": list(done.output)})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
