#!/usr/bin/python
# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second module with options of its own: module_defaults of the one must not become those of the other."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(argument_spec={"number": {"type": "int", "default": 1}}, supports_check_mode=True)
    module.exit_json(number=module.params["number"])


if __name__ == "__main__":
    main()
