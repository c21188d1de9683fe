# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into a machine's configuration: talos_config's options, and talos_apply's suboption ``render``.

The options are those of module_utils/talos/render_options.py; a unit test holds the two together.
"""

from __future__ import annotations

import textwrap


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  secrets_file:
    description: File with the cluster's secrets bundle, as M(trinode.platform.talos_secrets) makes it; encrypted with Ansible Vault or in the clear.
    type: path
    required: true
  vault_password:
    description: Password of Ansible Vault for the secrets file. Empty when the file is not encrypted.
    type: str
    default: ""
  cluster_name:
    description: Name of the cluster.
    type: str
    required: true
  cluster_endpoint:
    description: URL of the Kubernetes API as everybody reaches it, such as V(https://192.0.2.10:6443).
    type: str
    required: true
  contract:
    description:
      - Version contract of the configuration, such as V(v1.13). It is the Talos version that the cluster was created with.
      - It stays as it is for the cluster's whole life, upgrades included.
    type: str
    required: true
  talos_version:
    description: Talos version that the installer image holds, such as V(v1.13.8).
    type: str
    required: true
  kubernetes_version:
    description: Kubernetes version of the cluster, such as V(v1.36.3).
    type: str
    required: true
  machine_role:
    description: Whether the machine runs the control plane and etcd, or workloads alone.
    type: str
    choices: [controlplane, worker]
    default: controlplane
  hostname:
    description: The machine's host name, which becomes the name of its Kubernetes node.
    type: str
    required: true
  talos_platform:
    description: V(metal) for machines, V(container) for Talos in containers (the lab, Docker), which install nothing and have no disks or kernel of their own.
    type: str
    choices: [metal, container]
    default: metal
  install_disk:
    description:
      - Selects the disk that Talos is installed on. Exactly one of C(serial), C(wwid) and C(by_id), or keys that describe it, such as C(model) and C(size).
      - Or C(match), a JMESPath expression over the disk's facts, which M(trinode.platform.talos_apply) turns into the name of the one disk that it holds for.
      - Kernel names such as V(/dev/sda) are refused, since they move from boot to boot.
    type: dict
    default: {}
  installer_image:
    description: Installer image, whole. Empty composes it from the image factory, the schematic and the Talos version.
    type: str
    default: ""
  image_factory:
    description: Host name of the image factory that the installer image comes from.
    type: str
    default: factory.talos.dev
  extensions:
    description: Official system extensions that the image holds, such as V(siderolabs/util-linux-tools).
    type: list
    elements: str
    default: []
  kernel_arguments:
    description: Further kernel arguments that the image boots with.
    type: list
    elements: str
    default: []
  secure_boot:
    description: Whether the machine boots with Secure Boot.
    type: bool
    default: false
  pod_cidrs:
    description: Networks of the pods.
    type: list
    elements: str
    default: [10.244.0.0/16]
  service_cidrs:
    description: Networks of the Kubernetes services.
    type: list
    elements: str
    default: [10.96.0.0/12]
  machine_cidrs:
    description: Networks that the machines live in. Kubelet and etcd take their addresses from there. Empty leaves the choice to Talos.
    type: list
    elements: str
    default: []
  additional_sans:
    description: Further names and addresses that the API servers' certificates are valid for.
    type: list
    elements: str
    default: []
  vip:
    description: Virtual address that the control planes share. Empty means none.
    type: str
    default: ""
  vip_link:
    description: Link that carries the virtual address. Empty takes the one that holds the machine's own address.
    type: str
    default: ""
  registry_mirrors:
    description: Mirrors by registry host (such as V(docker.io)), each a list of URLs (such as V(http://192.0.2.1:5000)).
    type: dict
    default: {}
  patches:
    description: Patches on the generated configuration, applied in this order. A later layer wins.
    type: list
    elements: dict
    default: []
    suboptions:
      layer:
        description: Where the patch comes from, for messages, such as V(all), V(controlplane) or the host's name.
        type: str
        required: true
      documents:
        description: Strategic merge patches, each a dictionary or YAML text of one or several documents.
        type: list
        elements: raw
        required: true
"""

    # The same one level down, as the suboptions of ``render``.
    SUBOPTION: str = (
        "options:\n"
        "  render:\n"
        "    description: What goes into the configuration, which is then rendered in memory. Instead of O(config_file).\n"
        "    type: dict\n"
        "    suboptions:\n" + textwrap.indent(DOCUMENTATION.partition("options:\n")[2], "    ")
    )
