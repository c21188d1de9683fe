# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's repository: what is needed to publish to it, and what must not end up in it in clear. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Inventory
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import Values

_OVER_SSH = (
    ("trinode_git_ssh_key", "no key for SSH is set", "Set a deploy key that may write, encrypted with ansible-vault."),
    ("trinode_git_known_hosts", "the SSH server's key is not known", "Set the lines of `ssh-keyscan HOST`, compared with what the server's owner publishes."),
)
_OVER_HTTPS = (
    ("trinode_git_token", "no token for https is set", "Set a token that may write, encrypted with ansible-vault; or use an SSH URL with a deploy key."),
)


def check_gitops(inventory: Inventory, cluster: Values) -> Iterator[Finding]:
    """Findings about the repository; none where there is none."""
    url = cluster.get("trinode_git_url")
    if not url:
        return
    needed = _OVER_HTTPS if url.startswith(("https://", "http://")) else _OVER_SSH
    for name, what, hint in needed:
        # What Ansible Vault encrypts is not among the values that can be judged, but it is set.
        if not cluster.get(name) and not (name in cluster.host.variables and name not in cluster.valid):
            yield Finding(f"{what}, and trinode_git_url is {url}", hint, cluster.origin("trinode_git_url"), variable=name)
    components = {component.name for component in inventory.components}
    if "argo_cd" in components and "sealed_secrets" not in components:
        yield Finding(
            "secrets would be in the repository in a form that nothing in the cluster opens",
            "Add sealed_secrets to the group components.",
            cluster.origin("trinode_git_url"),
            variable="trinode_git_url",
        )
