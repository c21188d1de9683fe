#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: boot_image
short_description: Tell what a machine boots to come up in Talos's maintenance mode
version_added: 1.0.0
description:
  - Gives the URLs of the image factory's files for a schematic, whose identifier is computed here, or those of images of one's own; and a script for iPXE.
  - The factory serves a schematic once it knows it, so it is told, and has to answer with the same identifier.
author:
  - trinode.platform contributors (@trinode)
extends_documentation_fragment:
  - trinode.platform.attributes
  - trinode.platform.attributes.actiongroup_platform
options:
  iso:
    description: URL of an ISO of one's own. Empty takes the factory's.
    type: str
    default: ""
  network:
    description:
      - Files of one's own for the network, with C(kernel), C(initramfs) and C(command_line), or C(uki) (a unified kernel image). Empty takes the factory's,
        unless O(iso) is given.
    type: dict
    default: {}
  factory:
    description: URL of the image factory, or of a server that has its files under the same paths.
    type: str
    default: https://factory.talos.dev
  extensions:
    description: Official system extensions, such as V(siderolabs/iscsi-tools).
    type: list
    elements: str
    default: []
  kernel_arguments:
    description: Additional kernel arguments, in order.
    type: list
    elements: str
    default: []
  talos_version:
    description: Version of Talos, such as V(v1.13.8).
    type: str
    default: ""
  architecture:
    description: The machine's processor architecture.
    type: str
    choices: [amd64, arm64]
    default: amd64
  secure_boot:
    description: Take the images for UEFI Secure Boot.
    type: bool
    default: false
  register:
    description: Whether the factory is told the schematic. V(try) warns where it does not answer. In check mode it is not told.
    type: str
    choices: [always, try, never]
    default: always
  timeout:
    description: Seconds after which the task gives up.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
    details: What it tells the factory changes nothing there for others, and is left out.
  diff_mode:
    support: N/A
    details: It changes nothing.
  idempotent:
    support: full
seealso:
  - module: trinode.platform.image_schematic
  - module: trinode.platform.redfish_boot
"""

EXAMPLES = r"""
- name: What do these machines boot?
  trinode.platform.boot_image:
    talos_version: v1.13.8
    extensions: [siderolabs/iscsi-tools]
  register: image
"""

RETURN = r"""
id:
  description: The schematic's identifier. Empty for images of one's own.
  type: str
  returned: success
  sample: 376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba
iso:
  description: URL of the ISO. Empty when there is none.
  type: str
  returned: success
  sample: https://factory.talos.dev/image/376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba/v1.13.8/metal-amd64.iso
kernel:
  description: URL of the kernel.
  type: str
  returned: success
initramfs:
  description: URL of the initramfs.
  type: str
  returned: success
command_line:
  description: The kernel's command line.
  type: str
  returned: success
uki:
  description: URL of the unified kernel image, for Secure Boot.
  type: str
  returned: success
ipxe:
  description: A script for iPXE. Empty when there is nothing for the network.
  type: str
  returned: success
"""

from dataclasses import asdict
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed
from ansible_collections.trinode.platform.plugins.module_utils.talos.boot_image import factory_image, own_image, register
from ansible_collections.trinode.platform.plugins.module_utils.talos.schematic import make_schematic
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task, run_module

ARGUMENT_SPEC: dict[str, dict[str, Any]] = {
    "iso": {"type": "str", "default": ""},
    "network": {"type": "dict", "default": {}},
    "factory": {"type": "str", "default": "https://factory.talos.dev"},
    "extensions": {"type": "list", "elements": "str", "default": []},
    "kernel_arguments": {"type": "list", "elements": "str", "default": []},
    "talos_version": {"type": "str", "default": ""},
    "architecture": {"type": "str", "choices": ["amd64", "arm64"], "default": "amd64"},
    "secure_boot": {"type": "bool", "default": False},
    "register": {"type": "str", "choices": ["always", "try", "never"], "default": "always"},
    "timeout": {"type": "int", "default": 60},
}


def run(task: Task) -> Outcome:
    """Images of one's own as they are named, or the factory's."""
    params = task.params
    if params["iso"] or params["network"]:
        image = own_image(params["iso"], params["network"])
        return Outcome(values={"id": "", **asdict(image), "ipxe": image.ipxe})
    schematic = make_schematic(params["extensions"], params["kernel_arguments"])
    options = {name: params[name] for name in ("factory", "talos_version", "architecture", "secure_boot")}
    image = factory_image(schematic, **options)
    if params["register"] != "never" and not task.check_mode:
        try:
            register(schematic, params["factory"], Deadline(params["timeout"]))
        except ConnectionFailed as error:
            if params["register"] == "always":
                raise
            task.warn(str(error))
    return Outcome(values={"id": schematic.id, **asdict(image), "ipxe": image.ipxe})


def main() -> None:
    run_module(run, argument_spec=ARGUMENT_SPEC)


if __name__ == "__main__":
    main()
