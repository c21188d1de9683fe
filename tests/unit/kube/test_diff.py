# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is hidden in a diff of objects."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.trinode.platform.plugins.module_utils.kube.diff import difference
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key


def secret(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": data}


def sealed(**data: str) -> dict[str, Any]:
    return {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "x"}, "spec": {"encryptedData": data, "template": {}}}


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (None, secret(a="AAAA"), (None, {"a": "<hidden>"})),
        (secret(a="AAAA", b="BBBB"), secret(a="AAAA", b="CCCC"), ({"a": "<hidden>", "b": "<hidden>"}, {"a": "<hidden>", "b": "<hidden, changed>"})),
        (secret(a="AAAA"), None, ({"a": "<hidden>"}, None)),
        (None, sealed(a="AAAA"), (None, {"a": "<sealed>"})),
        (sealed(a="AAAA", b="BBBB"), sealed(a="AAAA", b="CCCC"), ({"a": "<sealed>", "b": "<sealed>"}, {"a": "<sealed>", "b": "<sealed anew>"})),
        (sealed(a="AAAA"), None, ({"a": "<sealed>"}, None)),
    ],
)
def test_values_of_secrets_are_hidden(before: Any, after: Any, shown: tuple[Any, Any]) -> None:
    found = difference(Key("v1", "Secret", "", "x"), before, after)
    texts = [yaml.safe_load(found[side]) or {} for side in ("before", "after")]
    assert tuple(text.get("data") or (text.get("spec") or {}).get("encryptedData") for text in texts) == shown
    assert not {"AAAA", "BBBB", "CCCC"} & set(str(found).split("'"))
