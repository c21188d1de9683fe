# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets among a component's values, so that they are never shown. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.kube.diff import HIDDEN

# Keys that hold a secret itself, and not the name of one or of a key in one.
_SECRET_KEY = re.compile(r"(?:password|passwd|token|private_?key|secret_?access_?key|client_?secret|api_?key)$", re.IGNORECASE)
_SHORTEST = 6


def hidden_values(definition: Any) -> list[str]:
    """The texts in a definition that are secrets by the names of their keys: values of charts, given values of generated secrets, Secrets among resources."""
    if not isinstance(definition, Mapping):
        return []
    found: list[str] = []
    for chart in _dictionaries(definition.get("charts")):
        found += _under_secret_keys(chart.get("values"))
    for secret in _dictionaries(definition.get("generated_secrets")):
        found += _under_secret_keys(secret.get("values"))
    for item in _secrets(definition.get("resources")):
        encoded = list(_under_secret_keys(item.get("data")))
        found += [*_under_secret_keys(item.get("stringData")), *encoded, *(_decoded(text) for text in encoded)]
    return [text for text in found if len(text) >= _SHORTEST]


def shown_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """A module's parameters with the contents of all Secrets in its ``definition`` left out, whatever their keys are named."""
    definition = params.get("definition")
    if not isinstance(definition, Mapping) or "resources" not in definition:
        return dict(params)
    resources = definition["resources"]
    if isinstance(resources, str):
        shown: Any = HIDDEN if "Secret" in resources else resources
    else:
        shown = [_without_contents(item) for item in resources] if isinstance(resources, list) else resources
    return {**params, "definition": {**definition, "resources": shown}}


def _without_contents(item: Any) -> Any:
    if not isinstance(item, Mapping) or item.get("kind") != "Secret":
        return item
    return {key: HIDDEN if key in ("data", "stringData") else value for key, value in item.items()}


def _under_secret_keys(value: Any, *, secret: bool = False) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from _under_secret_keys(entry, secret=bool(_SECRET_KEY.search(str(key))))
    elif isinstance(value, list):
        for entry in value:
            yield from _under_secret_keys(entry, secret=secret)
    elif secret and isinstance(value, str):
        yield value


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text).decode()
    except ValueError:
        return ""


def _secrets(resources: Any) -> list[Mapping[str, Any]]:
    """The Secrets among a component's own objects, which are a list or text. What is wrong with them is reported elsewhere."""
    if isinstance(resources, str):
        try:
            resources = list(yaml.safe_load_all(resources)) if "kind: Secret" in resources else []
        except yaml.YAMLError:
            return []
    return [item for item in _dictionaries(resources) if item.get("kind") == "Secret"]


def _dictionaries(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
