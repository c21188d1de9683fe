# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML as Kubernetes' own parser reads it, at the speed that megabytes of definitions ask for."""

from __future__ import annotations

import re
from typing import Any

import yaml

_STRING = "tag:yaml.org,2002:str"
_MAP = "tag:yaml.org,2002:map"
_LIST = "tag:yaml.org,2002:seq"
_MERGE = "tag:yaml.org,2002:merge"
_DROPPED = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_INTEGER = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0[0-7]+|0o[0-7]+|0x[0-9a-fA-F]+|0b[01]+)$")
_FLOAT = re.compile(r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")
# Libyaml's parser is used where PyYAML has it: it is ten times faster.
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_Base):  # type: ignore[misc]
    """A safe loader without dates, sexagesimal numbers and the value type.

    PyYAML follows YAML 1.1 where Go's parser does not: ``=`` is a value type nobody implements, an unquoted date becomes a date object
    and ``12:30`` a number of base 60; Go's parser makes strings of them. ``yes``, ``no``, ``on`` and ``off`` are booleans in both.

    PyYAML looks up each scalar's type anew and makes maps and lists in two steps, so that they may hold themselves, which no object of Kubernetes does:
    types are kept here and values made in one step.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._types: dict[str, str] = {}
        self._made: dict[int, Any] = {}
        self._merges = False

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """The tag of a node that is written without one."""
        if kind is not yaml.ScalarNode:
            return _MAP if kind is yaml.MappingNode else _LIST
        if not implicit[0]:
            return _STRING
        if value not in self._types:
            self._types[value] = str(super().resolve(kind, value, implicit))
            self._merges |= self._types[value] == _MERGE
        return self._types[value]

    def construct_document(self, node: yaml.Node) -> Any:
        """The document's value."""
        self._made = {}
        return self._value(node)

    def _value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return node.value if node.tag == _STRING else self.construct_object(node, deep=True)
        if node.tag != (_MAP if isinstance(node, yaml.MappingNode) else _LIST):
            return self.construct_object(node, deep=True)
        # What has an anchor is the same node wherever it is named, and made once.
        if id(node) in self._made:
            if self._made[id(node)] is None:
                raise yaml.constructor.ConstructorError(None, None, "it holds itself", node.start_mark)
            return self._made[id(node)]
        self._made[id(node)] = None
        made = self._map(node) if node.tag == _MAP else [self._value(item) for item in node.value]
        self._made[id(node)] = made
        return made

    def _map(self, node: yaml.Node) -> dict[Any, Any]:
        if self._merges:
            self.flatten_mapping(node)
        try:
            return {self._value(key): self._value(value) for key, value in node.value}
        except TypeError:
            raise yaml.constructor.ConstructorError("while constructing a mapping", node.start_mark, "found unhashable key", node.start_mark) from None


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node)).replace("_", "")
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if digits[:2] in ("0x", "0o", "0b"):
        return sign * int(digits, 0)
    if len(digits) > 1 and digits.startswith("0"):
        # An octal number, as in a defaultMode of 0644.
        return sign * int(digits, 8)
    return sign * int(digits)


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _DROPPED] for first, resolvers in _Base.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))
Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
Loader.add_constructor("tag:yaml.org,2002:int", _integer)
