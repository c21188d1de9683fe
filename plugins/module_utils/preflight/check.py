# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks that need nothing but the inventory. Pure: an inventory in, findings out."""

from __future__ import annotations

from ansible_collections.trinode.platform.plugins.module_utils.preflight.argo_cd import check_argo_cd
from ansible_collections.trinode.platform.plugins.module_utils.preflight.arguments import check_arguments
from ansible_collections.trinode.platform.plugins.module_utils.preflight.components import check_components, check_storage
from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding, arrange
from ansible_collections.trinode.platform.plugins.module_utils.preflight.gitops import check_gitops
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Inventory
from ansible_collections.trinode.platform.plugins.module_utils.preflight.machines import check_machines
from ansible_collections.trinode.platform.plugins.module_utils.preflight.names import check_names, check_scope
from ansible_collections.trinode.platform.plugins.module_utils.preflight.networks import check_networks
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import cluster_values, machine_values
from ansible_collections.trinode.platform.plugins.module_utils.preflight.versions import check_versions


def check(inventory: Inventory) -> list[Finding]:
    """Everything that is wrong with the inventory, sorted by file and line."""
    cluster, cluster_findings = cluster_values(inventory)
    machines, machine_findings = machine_values(inventory)
    return arrange(
        [
            *cluster_findings,
            *machine_findings,
            *check_names(inventory),
            *check_scope(inventory),
            *check_machines(inventory.source, cluster, machines),
            *check_networks(cluster, machines),
            *check_versions(inventory, cluster),
            *check_components(inventory),
            *check_arguments(inventory),
            *check_storage(inventory, cluster, machines),
            *check_gitops(inventory, cluster),
            *check_argo_cd(inventory),
        ]
    )
