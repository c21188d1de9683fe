# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JMESPath expressions over what an API server or a service answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError


@dataclass(frozen=True)
class Query:
    """A parsed expression. ``text`` is as the user wrote it."""

    text: str
    _parsed: Any

    def search(self, data: Any) -> Any:
        """What the expression finds in ``data`` (JSON types). InputError where a function gets a value it does not take."""
        from jmespath import exceptions  # noqa: PLC0415  compile() explains its absence

        try:
            return self._parsed.search(data)
        except exceptions.JMESPathError as error:
            raise InputError(f"the expression fails: {error}", where=self.text) from error

    def holds(self, data: Any) -> bool:
        """Whether it is true of ``data``, as JMESPath has it: null, false and what is empty are not. What cannot be evaluated (yet) is not true."""
        try:
            return is_true(self.search(data))
        except InputError:
            return False


def compile(text: str, *, option: str) -> Query:  # noqa: A001  as in re
    """Parse an expression; InputError names the ``option`` that holds it."""
    try:
        import jmespath  # noqa: PLC0415  only for tasks that have an expression
    except ImportError as error:
        raise InputError(
            f"the Python package jmespath is missing, which {option} needs ({error})", hint="Install it into Ansible's environment: pip install jmespath."
        ) from error
    try:
        return Query(text, jmespath.compile(text))
    except jmespath.exceptions.JMESPathError as error:
        raise InputError(f"not a JMESPath expression: {str(error).strip()}", where=option, hint="See https://jmespath.org for the language.") from error


def is_true(value: Any) -> bool:
    """Truth as JMESPath has it: zero is true."""
    return value is not None and value is not False and value not in ("", [], {})
