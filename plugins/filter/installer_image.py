# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installer image that a machine's configuration names, without rendering it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: installer_image
short_description: The installer image of a machine
author:
  - trinode.platform contributors (@trinode)
version_added: 1.0.0
description:
  - Takes what a machine's configuration is rendered from, as M(trinode.platform.talos_config) takes it, and returns the installer image that the
    configuration then names.
positional: _input
options:
  _input:
    description: The render options.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show which image the machine is installed from
  ansible.builtin.debug:
    msg: "{{ machine_config_render | trinode.platform.installer_image }}"
"""

RETURN = r"""
_value:
  description: The reference.
  type: str
  sample: factory.talos.dev/metal-installer/376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba:v1.13.8
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.talos.render import installer
from ansible_collections.trinode.platform.plugins.module_utils.talos.render_options import with_defaults


def installer_image(options: Mapping[str, Any]) -> str:
    """See DOCUMENTATION."""
    try:
        image, _schematic = installer(with_defaults(dict(options)))
    except PlatformError as error:
        raise AnsibleFilterError(str(error)) from error
    return image


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"installer_image": installer_image}
