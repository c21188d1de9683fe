#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: image_schematic
short_description: Compute the image factory's schematic of a Talos image
version_added: 1.0.0
description:
  - Computes the schematic (which system extensions and kernel arguments an image of Talos holds), its identifier, and the installer's reference, as the
    image factory does. Nothing is asked over the network.
  - The factory knows a schematic once it has been posted to it; C(curl -X POST --data-binary @schematic.yaml https://factory.talos.dev/schematics)
    answers with the same identifier.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_platform
options:
  extensions:
    description: Official system extensions, such as V(siderolabs/iscsi-tools). Their order does not count.
    type: list
    elements: str
    default: []
  kernel_arguments:
    description: Additional kernel arguments, in order.
    type: list
    elements: str
    default: []
  talos_version:
    description: Version of Talos, such as V(v1.13.8); the tag of RV(installer_image), which has none without it.
    type: str
    default: ""
  image_factory:
    description: Host of the image factory, or of a registry that mirrors it.
    type: str
    default: factory.talos.dev
  secure_boot:
    description: Name the installer for SecureBoot.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    details: It changes nothing in either mode.
  diff_mode:
    support: N/A
    details: It changes nothing.
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Which image do these machines need?
  trinode.platform.image_schematic:
    talos_version: v1.13.8
    extensions: [siderolabs/iscsi-tools, siderolabs/util-linux-tools]
  register: image
"""

RETURN = r"""
id:
  description: The schematic's identifier.
  type: str
  returned: success
  sample: 376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba
schematic:
  description: The schematic in canonical YAML, fit for posting to the factory.
  type: str
  returned: success
  sample: "customization: {}\n"
installer_image:
  description: The installer's reference.
  type: str
  returned: success
  sample: factory.talos.dev/metal-installer/376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba:v1.13.8
"""

from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.talos.schematic import installer_image, make_schematic
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "extensions": {"type": "list", "elements": "str", "default": []},
    "kernel_arguments": {"type": "list", "elements": "str", "default": []},
    "talos_version": {"type": "str", "default": ""},
    "image_factory": {"type": "str", "default": "factory.talos.dev"},
    "secure_boot": {"type": "bool", "default": False},
}


def run(task: Task) -> Outcome:
    """Compute; nothing is read or changed."""
    params = task.params
    schematic = make_schematic(params["extensions"], params["kernel_arguments"])
    image = installer_image(schematic, talos_version=params["talos_version"], image_factory=params["image_factory"], secure_boot=params["secure_boot"])
    return Outcome(values={"id": schematic.id, "schematic": schematic.text, "installer_image": image})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
