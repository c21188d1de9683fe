# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: vault_password
author:
  - trinode.platform contributors (@trinode)
short_description: The password that this run's vault secrets were given with
version_added: 1.0.0
description:
  - Returns the password of Ansible Vault that the run was started with (C(--vault-password-file), C(--vault-id), C(--ask-vault-pass), or their settings).
  - Our modules get it as their option C(vault_password), and so read and write files that C(ansible-vault) reads and writes too.
  - Without a password it returns an empty string, which the modules take as "not encrypted".
options:
  _terms:
    description: Identities to look for (the C(ID) of C(--vault-id ID@source)), the first that there is wins. Without one, the run's first password.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: The cluster's secrets, encrypted when the run has a vault password
  trinode.platform.talos_secrets:
    path: "{{ inventory_dir }}/cluster/secrets.yaml"
    vault_password: "{{ lookup('trinode.platform.vault_password') }}"
    contract: v1.13
"""

RETURN = r"""
_raw:
  description: The password, or an empty string. One element.
  type: list
  elements: str
"""

from typing import Any

from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        return [password(self._loader._vault.secrets if self._loader else None, terms)]


def password(secrets: list[tuple[str, Any]] | None, identities: list[str]) -> str:
    """The password among a vault library's ``secrets``, which are pairs of identity and secret.

    With ``identities``, the first of them that has a secret; else the first secret. An empty string when there is none.
    """
    for wanted in identities or [None]:
        for identity, secret in secrets or []:
            if wanted is None or identity == wanted:
                return str(secret.bytes.decode("utf-8"))
    return ""
