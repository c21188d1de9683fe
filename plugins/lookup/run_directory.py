# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: run_directory
author:
  - trinode.platform contributors (@trinode)
short_description: A directory that lives as long as this run of Ansible
version_added: 1.0.0
description:
  - Returns the path of a private directory that all workers of a run see, and that Ansible removes at the end of the run.
  - The components' modules keep their records of the run there.
"""

EXAMPLES = r"""
- name: Tell that cert-manager is ready
  trinode.platform.component_report:
    component: cert_manager
    state: ready
    run_directory: "{{ lookup('trinode.platform.run_directory') }}"
"""

RETURN = r"""
_raw:
  description: The path. One element.
  type: list
  elements: path
"""

from typing import Any

from ansible import constants
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:  # noqa: ARG002
        self.set_options(var_options=variables, direct=kwargs)
        # Made once by the process that the user started, for itself and what it forks; removed when it ends.
        return [str(constants.DEFAULT_LOCAL_TMP)]
