# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may sign in to Argo CD: somebody must be able to, and a provider is described as a whole. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Component, Inventory

_ISSUER, _CLIENT, _ADMIN = "argo_cd_oidc_issuer", "argo_cd_oidc_client_id", "argo_cd_admin_enabled"
_GROUPS = ("argo_cd_oidc_admins", "argo_cd_oidc_readers")


def check_argo_cd(inventory: Inventory) -> Iterator[Finding]:
    """Findings about the settings of the component argo_cd; none where it is not in the inventory."""
    for component in inventory.components:
        if component.name == "argo_cd":
            yield from _sign_on(component)


def _sign_on(component: Component) -> Iterator[Finding]:
    def finding(variable: str, what: str, hint: str) -> Finding:
        entry = component.variables.get(variable)
        return Finding(what, hint, (entry.origin if entry else None) or component.origin, (component.name,), variable)

    issuer, client = _given(component, _ISSUER), _given(component, _CLIENT)
    if issuer and not client:
        yield finding(_CLIENT, f"it is missing, and {_ISSUER} is set", "Register Argo CD as a client at the provider, and set the client's name.")
    if client and not issuer:
        yield finding(_ISSUER, f"it is missing, and {_CLIENT} is set", "Set the provider's URL.")
    if issuer and not any(_given(component, name) for name in _GROUPS):
        yield finding(_GROUPS[0], "no group may do or see anything", "Name the groups of the provider that are admins, or those of argo_cd_oidc_readers.")
    admin = component.variables.get(_ADMIN)
    if admin and admin.readable and str(admin.value).lower() in ("false", "no", "off", "0") and not issuer:
        yield finding(_ADMIN, "nobody could sign in", f"Set up OpenID Connect with {_ISSUER}, or leave the user admin enabled.")


def _given(component: Component, name: str) -> bool:
    """Whether the user gives it a value; what is encrypted with Ansible Vault has one."""
    entry = component.variables.get(name)
    return bool(entry and (not entry.readable or entry.value))
