# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects as YAML text: the same object always gives the same text, and every parser of YAML reads the object back from it. Pure."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object

# Texts that one of the parsers in use (YAML 1.1 and 1.2, Go's and Python's) takes for a number, a date or a truth value where they stand unquoted.
# None takes what has two dots for a number, so versions and addresses need no quotes.
_AMBIGUOUS = re.compile(
    r"^(?![0-9]+\.[0-9]+\.[0-9.]+$)(?:[-+]?\.?[0-9][0-9a-fA-FoxXeE_.,:+-]*|[-+]?\.(?:inf|nan)|[0-9T:. Z+-]+|y|n|yes|no|on|off|true|false|null|~|=|<<)$",
    re.IGNORECASE,
)


def text(item: Object) -> str:
    """The object as one YAML document, without a document marker; keys in alphabetical order, texts of several lines as blocks."""
    return yaml.dump(item, Dumper=_dumper(), sort_keys=True, default_flow_style=False, width=1_000_000, allow_unicode=True)


@cache
def _dumper() -> type[yaml.SafeDumper]:
    base: type[yaml.SafeDumper] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

    class Dumper(base):  # type: ignore[valid-type,misc]
        """SafeDumper that quotes what is ambiguous, writes several lines as a block, and never uses aliases."""

        def ignore_aliases(self, _data: Any) -> bool:
            return True

    def represent(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
        style = "|" if "\n" in data else "'" if _AMBIGUOUS.match(data) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)

    Dumper.add_representer(str, represent)
    return Dumper
