# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's settings of components against the argument specs of their roles: types, choices and keys, as Ansible itself would judge them."""

from __future__ import annotations

from collections.abc import Iterator

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Inventory


def check_arguments(inventory: Inventory) -> Iterator[Finding]:
    """Values that a component's role would refuse once it is its turn. What is encrypted is not seen, and what cannot be read is reported elsewhere."""
    for component in inventory.components:
        for name, option in component.spec.items():
            entry = component.variables.get(name) or inventory.cluster.variables.get(name)
            if entry is None or entry.origin is None or not entry.readable:
                continue
            for error in ArgumentSpecValidator({name: dict(option)}).validate({name: entry.value}).error_messages:
                yield Finding(error.rstrip("."), f"docs/components/{component.name}.md tells what it takes.", entry.origin, (component.name,), name)
