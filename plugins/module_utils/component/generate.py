# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that are made up once, in the cluster, and never changed or written anywhere else."""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component.access import Access
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import GeneratedSecret
from ansible_collections.trinode.platform.plugins.module_utils.component.installed import COMPONENT_LABEL
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Object, key_of
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Applied

_LETTERS = string.ascii_letters + string.digits


def ensure(access: Access, component: str, wanted: Iterable[GeneratedSecret]) -> list[Applied]:
    """Make those that are missing, and add the keys that are missing in others. Keys that are there stay as they are."""
    return [_ensure(access, component, secret) for secret in wanted]


def there(access: Access, component: str, wanted: Iterable[GeneratedSecret]) -> list[Object]:
    """Those of the Secrets that are there and were made for this component."""
    found = [access.read(empty(secret, component)) for secret in wanted]
    return [item for item in found if item is not None and (item["metadata"].get("labels") or {}).get(COMPONENT_LABEL) == component]


def _ensure(access: Access, component: str, secret: GeneratedSecret) -> Applied:
    item = empty(secret, component)
    before = access.read(item)
    data = missing(secret, (before or {}).get("data") or {})
    if before is None:
        return Applied(key_of(item), "created", None, access.create({**item, "data": data}))
    if not data:
        return Applied(key_of(item), "unchanged", before, before)
    access.merge(item, {"data": data})
    return Applied(key_of(item), "changed", before, {**before, "data": {**(before.get("data") or {}), **data}})


def missing(secret: GeneratedSecret, data: Mapping[str, str]) -> dict[str, str]:
    """The keys that ``data`` lacks, with their values, encoded as in a Secret."""
    texts = {key: text for key, text in secret.values.items() if key not in data}
    texts |= {key: _made_up(length) for key, length in secret.generate.items() if key not in data}
    return {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}


def _made_up(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _number in range(length))


def empty(secret: GeneratedSecret, component: str) -> dict[str, Any]:
    """The Secret without its data."""
    metadata = {"name": secret.name, "namespace": secret.namespace, "labels": {COMPONENT_LABEL: component}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque"}
