# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: template
author:
  - trinode.platform contributors (@trinode)
short_description: The text that a template of a role comes to
version_added: 1.0.0
description:
  - Like P(ansible.builtin.template#lookup) without its options, C(template_path) and its like, and includes of other templates.
  - It does not copy every variable of the host before each template, which takes longer than most templates.
options:
  _terms:
    description: Names of template files, looked for where Ansible looks for templates.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: The component's own objects
  ansible.builtin.set_fact:
    objects: "{{ lookup('trinode.platform.template', 'resources.yml.j2') | from_yaml_all | list }}"
"""

RETURN = r"""
_raw:
  description: The text of each.
  type: list
  elements: str
"""

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template


class LookupModule(LookupBase):
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:  # noqa: ARG002
        return [self._text(term, variables or {}) for term in terms]

    def _text(self, name: str, variables: dict[str, Any]) -> str:
        path = self.find_file_in_search_path(variables, "templates", name)
        if not path:
            raise AnsibleError(f"The template {name} was not found.")
        templar = self._templar.copy_with_new_env(available_variables=variables)
        found = templar.template(trust_as_template(self._loader.get_text_file_contents(path)), escape_backslashes=False)
        # Where nothing comes out, Ansible says None.
        return "" if found is None else str(found)
