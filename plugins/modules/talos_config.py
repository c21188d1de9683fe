#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: talos_config
short_description: Render and validate the machine configuration of one Talos machine
version_added: 1.0.0
description:
  - Generates a machine configuration with C(talosctl gen config), under a pinned version contract, adds what the platform needs (Cilium instead of the
    built-in network and kube-proxy, KubePrism, rotation of the kubelet's serving certificate, workloads on control planes, the install disk, the
    installer of the wanted extensions), then the patches of all layers in order, and validates the result with C(talosctl validate --strict), for metal
    in any case.
  - The same options give the same bytes.
  - The machine is not talked to; M(trinode.platform.talos_apply) does that.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.render
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_platform
options:
  path:
    description:
      - Where to write the configuration, with mode 0600, encrypted with Ansible Vault when O(vault_password) is given. It holds secrets.
      - Without it, nothing is written.
    type: path
  talosctl:
    description: The program C(talosctl).
    type: str
    default: talosctl
  timeout:
    description: Seconds after which the task gives up.
    type: int
    default: 60
notes:
  - With O(vip), a control plane needs O(vip_link) here, since no machine is asked which link holds its address.
  - Version contracts V(v1.12) and V(v1.13) are supported.
attributes:
  check_mode:
    support: full
    details: Renders and validates, and writes nothing. The secrets file may be missing then.
  diff_mode:
    support: full
    details: Shows, without secrets, what differs from the file at O(path).
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Look at what a machine will get
  trinode.platform.talos_config:
    secrets_file: "{{ inventory_dir }}/cluster/secrets.yaml"
    vault_password: "{{ lookup('trinode.platform.vault_password') }}"
    cluster_name: home
    cluster_endpoint: https://192.0.2.10:6443
    contract: v1.13
    talos_version: v1.13.8
    kubernetes_version: v1.36.3
    hostname: node-1
    install_disk:
      serial: S5GXNF0R123456
    extensions: [siderolabs/iscsi-tools]
    patches:
      - layer: all
        documents:
          - machine:
              sysctls:
                vm.nr_hugepages: "1024"
    path: "{{ inventory_dir }}/cluster/node-1.yaml"
"""

RETURN = r"""
documents:
  description: The documents of the configuration.
  type: list
  elements: str
  returned: success
  sample: ["machine and cluster (v1alpha1)", "HostnameConfig", "RegistryMirrorConfig ghcr.io"]
sha256:
  description: SHA-256 of the configuration's text.
  type: str
  returned: success
  sample: 512025d11d0a4e0c8a6f1c7bb8ad9a8d0c3f6b2d6a5a4f0d2b9b3c3d1e0f4a5b
schematic:
  description: Identifier of the image factory's schematic; empty when O(installer_image) is not an image factory's.
  type: str
  returned: success
  sample: 376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba
installer_image:
  description: The installer that the machine uses.
  type: str
  returned: success
  sample: factory.talos.dev/metal-installer/376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba:v1.13.8
"""

import os
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils import vaulted_file
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.talos import vault
from ansible_collections.trinode.platform.plugins.module_utils.talos.config_diff import compare
from ansible_collections.trinode.platform.plugins.module_utils.talos.patches import secrets_of
from ansible_collections.trinode.platform.plugins.module_utils.talos.render import RenderedConfig, render
from ansible_collections.trinode.platform.plugins.module_utils.talos.render_options import RENDER_OPTIONS
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    **RENDER_OPTIONS,
    "path": {"type": "path"},
    "talosctl": {"type": "str", "default": "talosctl"},
    "timeout": {"type": "int", "default": 60},
}


def run(task: Task) -> Outcome:
    """Render, and write the file when one is asked for and differs."""
    params = task.params
    config = render(params, talosctl=params["talosctl"], deadline=Deadline(params["timeout"]), throwaway_secrets=task.check_mode)
    values = {
        "documents": [document.label for document in config.documents],
        "sha256": config.sha256,
        "schematic": config.schematic_id,
        "installer_image": config.installer_image,
    }
    if not params["path"]:
        return Outcome(values=values)
    return _written(task, config, values)


def _written(task: Task, config: RenderedConfig, values: dict[str, Any]) -> Outcome:
    path, password = task.params["path"], task.params["vault_password"]
    before, as_wanted = "", False
    if os.path.lexists(path):
        stored, mode = vaulted_file.read_text(path)
        before = vaulted_file.decrypted(stored, password, where=path)
        as_wanted = vault.is_vaulted(stored) == bool(password) and (bool(password) or not mode & 0o077)
    if before == config.text and as_wanted:
        return Outcome(values=values)
    diff = [change.ansible for change in compare(before, config.text)] if task.diff_mode else None
    if not task.check_mode:
        vaulted_file.replace(path, config.text, password)
    return Outcome(changed=True, diff=diff, values=values)


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC, hide=lambda params: secrets_of(params["patches"]))


if __name__ == "__main__":
    main()
