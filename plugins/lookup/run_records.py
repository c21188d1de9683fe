# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: run_records
author:
  - trinode.platform contributors (@trinode)
short_description: What the components have done in this run
version_added: 1.0.0
description:
  - Returns the records that the components' modules have made in this run, oldest first, for the filter P(trinode.platform.summary#filter).
"""

EXAMPLES = r"""
- name: What has become of the components
  ansible.builtin.debug:
    msg: "{{ query('trinode.platform.run_records') }}"
"""

RETURN = r"""
_raw:
  description: Records with component, state, time (seconds since the epoch), detail and values.
  type: list
  elements: dict
"""

from dataclasses import asdict
from typing import Any

from ansible import constants
from ansible.plugins.lookup import LookupBase

from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog


class LookupModule(LookupBase):
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:  # noqa: ARG002
        self.set_options(var_options=variables, direct=kwargs)
        return [asdict(record) for record in RunLog(str(constants.DEFAULT_LOCAL_TMP)).read()]
