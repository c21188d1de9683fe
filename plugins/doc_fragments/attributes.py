# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module of ours can do. Each part documents one attribute; a module adds its own level of support."""

from __future__ import annotations


class ModuleDocFragment:
    # Same for every module: where it runs.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the changed status prediction without modifying the target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
  platform:
    description: Where the module runs.
    platforms: posix
    support: full
    details: It runs on the controller. Machines and clusters are reached over their own APIs, never over SSH.
  action:
    description: Has an action plugin, so that part of it runs on the controller.
    support: full
    details:
      - The whole module runs inside the Ansible worker, which saves most of a task's cost. It runs the ordinary way with C(async), C(become), a
        connection other than C(local), another Python interpreter than Ansible's own, or with the variable C(trinode_in_process) set to V(false).
  async:
    description: Supports being used with the C(async) keyword.
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: It only reads.
  diff_mode:
    support: N/A
    details: It only reads.
  idempotent:
    support: full
    details: It only reads.
"""

    ACTIONGROUP_TALOS = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/trinode.platform.talos) or C(group/trinode.platform.platform) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - trinode.platform.platform
      - trinode.platform.talos
"""

    ACTIONGROUP_KUBERNETES = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/trinode.platform.kubernetes) or C(group/trinode.platform.platform) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - trinode.platform.kubernetes
      - trinode.platform.platform
"""

    ACTIONGROUP_PLATFORM = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/trinode.platform.platform) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - trinode.platform.platform
"""
