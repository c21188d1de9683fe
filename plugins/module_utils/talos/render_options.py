# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of everything that renders a machine configuration: talos_config's own options, and talos_apply's suboption ``render``."""

from __future__ import annotations

import copy
from typing import Any

RENDER_OPTIONS: dict[str, dict[str, Any]] = {
    "secrets_file": {"type": "path", "required": True},
    "vault_password": {"type": "str", "no_log": True, "default": ""},
    "cluster_name": {"type": "str", "required": True},
    "cluster_endpoint": {"type": "str", "required": True},
    "contract": {"type": "str", "required": True},
    "talos_version": {"type": "str", "required": True},
    "kubernetes_version": {"type": "str", "required": True},
    "machine_role": {"type": "str", "choices": ["controlplane", "worker"], "default": "controlplane"},
    "hostname": {"type": "str", "required": True},
    "talos_platform": {"type": "str", "choices": ["metal", "container"], "default": "metal"},
    "install_disk": {"type": "dict", "default": {}},
    "installer_image": {"type": "str", "default": ""},
    "image_factory": {"type": "str", "default": "factory.talos.dev"},
    "extensions": {"type": "list", "elements": "str", "default": []},
    "kernel_arguments": {"type": "list", "elements": "str", "default": []},
    "secure_boot": {"type": "bool", "default": False},
    "pod_cidrs": {"type": "list", "elements": "str", "default": ["10.244.0.0/16"]},
    "service_cidrs": {"type": "list", "elements": "str", "default": ["10.96.0.0/12"]},
    "machine_cidrs": {"type": "list", "elements": "str", "default": []},
    "additional_sans": {"type": "list", "elements": "str", "default": []},
    "vip": {"type": "str", "default": ""},
    "vip_link": {"type": "str", "default": ""},
    "registry_mirrors": {"type": "dict", "default": {}},
    "patches": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "layer": {"type": "str", "required": True},
            "documents": {"type": "list", "elements": "raw", "required": True},
        },
    },
}


def with_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """These options with the defaults of RENDER_OPTIONS filled in, for callers that are not Ansible."""
    defaults = {name: specification["default"] for name, specification in RENDER_OPTIONS.items() if "default" in specification}
    return {**copy.deepcopy(defaults), **options}
