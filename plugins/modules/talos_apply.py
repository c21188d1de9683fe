#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_apply
short_description: Bring a Talos machine to its configuration
version_added: 0.1.0
description:
  - Gives a machine in maintenance mode its first configuration, or a running one what differs from its configuration, and waits until the machine
    has done what that promises. A new machine then runs, or, as a control plane of a cluster that does not exist yet, waits for its etcd to be
    bootstrapped. The wait is a watch, not a fixed time.
  - A running machine is changed without a reboot wherever Talos can do that. The machine itself is asked. What becomes of a change that needs a reboot
    is O(reboot)'s choice; a reboot is refused while etcd would lose its quorum, or while another control plane is not running.
  - Talos overwrites the install disk, so one that holds anything but a Talos that is installed there is refused; M(trinode.platform.talos_disk_wipe)
    empties it.
  - A machine that belongs to another cluster is refused, and so is one that is trying out a configuration (C(talosctl apply-config --mode=try))
    or has one staged for its next boot, since any apply would end that.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.talos
  - trinode.platform.talos.first_contact
  - trinode.platform.render.suboption
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_talos
options:
  config_file:
    description: A file with the whole machine configuration. Instead of O(render).
    type: path
  endpoints:
    description:
      - Addresses of all control planes, O(address) among them. They are asked whether the cluster exists already, and before a reboot whether etcd
        keeps its quorum.
    type: list
    elements: str
    default: []
  keep_kubernetes_images:
    description: Leave the images of Kubernetes' components as a running machine has them, because C(talosctl upgrade-k8s) owns them.
    type: bool
    default: true
  reboot:
    description:
      - What to do with a change that needs a reboot. V(refuse) fails; V(postpone) leaves the machine as it is and says so in RV(reboot_required), for a
        later task; V(allow) reboots, for plays with C(serial) set to 1.
    type: str
    choices: [refuse, postpone, allow]
    default: refuse
attributes:
  check_mode:
    support: full
    details: The machine is asked by a dry run, which validates the configuration there.
  diff_mode:
    support: full
    details: One diff per document of the configuration, without secrets.
  idempotent:
    support: full
seealso:
  - module: trinode.platform.talos_config
  - module: trinode.platform.talos_bootstrap
"""

EXAMPLES = r"""
- name: Apply a configuration that lies in a file
  trinode.platform.talos_apply:
    address: 192.0.2.11
    talosconfig: cluster/talosconfig
    config_file: cluster/m1.yaml

- name: Render and apply
  trinode.platform.talos_apply:
    address: 192.0.2.11
    talosconfig: cluster/talosconfig
    certificate_fingerprint: "{{ machine_certificate_fingerprint }}"
    render:
      secrets_file: cluster/secrets.yaml
      cluster_name: example
      cluster_endpoint: https://192.0.2.10:6443
      contract: v1.13
      talos_version: v1.13.8
      kubernetes_version: v1.36.3
      hostname: m1
      install_disk:
        serial: S3Z1NB0K123456
"""

RETURN = r"""
step:
  description: What was done, or in check mode would be done.
  type: str
  returned: success
  sample: no-reboot
  choices: [install, none, no-reboot, reboot, postponed]
reboot_required:
  description: Whether the change needs a reboot.
  type: bool
  returned: success, and failure for that reason
documents:
  description: The documents of the configuration that differ, each with C(document), C(action) (added, removed, changed) and C(paths).
  type: list
  elements: dict
  returned: success
stage:
  description: The machine's stage at the end.
  type: str
  returned: success
  sample: running
kept_images:
  description: Images of Kubernetes' components that stay as they are on the machine, each with C(component), C(running) and C(rendered).
  type: list
  elements: dict
  returned: success
"""

from collections.abc import Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks.choose import resolved
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.apply import Applied, Request, apply
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine
from ansible_collections.trinode.platform.plugins.module_utils.talos.render import render
from ansible_collections.trinode.platform.plugins.module_utils.talos.render_options import RENDER_OPTIONS
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module
from ansible_collections.trinode.platform.plugins.module_utils.vaulted_file import read_text

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "address": {"type": "str", "required": True},
    "talosconfig": {"type": "path"},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 600},
    "certificate_fingerprint": {"type": "str", "default": ""},
    "render": {"type": "dict", "options": RENDER_OPTIONS},
    "config_file": {"type": "path"},
    "endpoints": {"type": "list", "elements": "str", "default": []},
    "keep_kubernetes_images": {"type": "bool", "default": True},
    "reboot": {"type": "str", "choices": ["refuse", "postpone", "allow"], "default": "refuse"},
}


def run(task: Task) -> Outcome:
    """Render or read the configuration, apply it, tell."""
    params, deadline = task.params, Deadline(task.params["timeout"])
    machine = Machine(params["address"], talosctl=params["talosctl"], talosconfig=params["talosconfig"], fingerprint=params["certificate_fingerprint"])
    if machine.context is None and not task.check_mode:
        raise InputError(
            "the talosconfig does not exist, without which the machine could not be reached after this",
            where=params["talosconfig"] or "talosconfig",
            hint="Make it first, with talos_credentials.",
        )
    request = Request(
        machine=machine,
        label=params["render"]["hostname"] if params["render"] else params["address"],
        render=lambda link, disks: _config(task, link, disks, deadline),
        needs_link=bool(
            params["render"] and params["render"]["vip"] and not params["render"]["vip_link"] and params["render"]["machine_role"] == "controlplane"
        ),
        needs_disks=bool(params["render"] and "match" in params["render"]["install_disk"]),
        endpoints=tuple(params["endpoints"]),
        keep_kubernetes_images=params["keep_kubernetes_images"],
        reboot=params["reboot"],
        check_mode=task.check_mode,
    )
    return _outcome(task, apply(request, deadline=deadline))


def _config(task: Task, link: str, disks: Sequence[Disk], deadline: Deadline) -> str:
    options = task.params["render"]
    if options is None:
        return read_text(task.params["config_file"])[0]
    install_disk = resolved(options["install_disk"], disks, where=options["hostname"])
    return render(
        {**options, "vip_link": options["vip_link"] or link, "install_disk": install_disk},
        talosctl=task.params["talosctl"],
        deadline=deadline,
        throwaway_secrets=task.check_mode,
    ).text


def _outcome(task: Task, applied: Applied) -> Outcome:
    plan = applied.plan
    if plan.step == "reboot" and task.check_mode and task.params["reboot"] == "refuse":
        task.warn(f"{task.params['address']}: this change needs a reboot. A real run refuses it unless trinode_allow_reboot is set.")
    for note in applied.notes:
        task.warn(note)
    return Outcome(
        changed=plan.changed,
        message=plan.summary,
        diff=[change.ansible for change in plan.changes] if plan.changed else None,
        values={
            "step": plan.step,
            "reboot_required": plan.reboot_required,
            "documents": [{"document": change.document.label, "action": change.action, "paths": list(change.paths)} for change in plan.changes],
            "stage": applied.stage,
            "kept_images": [{"component": image.component, "running": image.running, "rendered": image.rendered} for image in applied.kept],
        },
    )


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC, required_one_of=[("render", "config_file")], mutually_exclusive=[("render", "config_file")])


if __name__ == "__main__":
    main()
