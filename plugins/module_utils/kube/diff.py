# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person should see of a change: objects without the server's own fields, secret values hidden."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object

_SERVER_METADATA = ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds")
_SERVER_ANNOTATIONS = ("kubectl.kubernetes.io/last-applied-configuration", "deprecated.daemonset.template.generation", "deployment.kubernetes.io/revision")
HIDDEN = "<hidden>"
HIDDEN_CHANGED = "<hidden, changed>"
SEALED = "<sealed>"
SEALED_ANEW = "<sealed anew>"


def essence(item: Mapping[str, Any] | None) -> Object:
    """An object without status and what only the server writes: two objects with equal essence mean the same to their author."""
    if not item:
        return {}
    kept = {key: value for key, value in item.items() if key != "status"}
    metadata = {key: value for key, value in (item.get("metadata") or {}).items() if key not in _SERVER_METADATA}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in _SERVER_ANNOTATIONS}
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    kept["metadata"] = metadata
    return kept


def difference(key: Key, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, str]:
    """One entry of Ansible's diff: YAML text before and after, secrets hidden but for whether they change. None: the object is not there."""
    old, new = redact(essence(before), essence(after))
    return {"before_header": str(key), "after_header": str(key), "before": _text(old), "after": _text(new)}


def redact(before: Object, after: Object) -> tuple[Object, Object]:
    """Both objects with the values of a Secret hidden; in ``after`` a value that is new or differs says so. What is sealed says nothing to a person."""
    if "SealedSecret" in (before.get("kind"), after.get("kind")):
        values = _sealed(before)
        return _with_sealed(before, dict.fromkeys(values, SEALED)), _with_sealed(
            after, {name: SEALED if not before or values.get(name) == text else SEALED_ANEW for name, text in _sealed(after).items()}
        )
    if "Secret" not in (before.get("kind"), after.get("kind")):
        return before, after
    old, new = copy.deepcopy(before), copy.deepcopy(after)
    for field in ("data", "stringData"):
        values = before.get(field) or {}
        for item, changed in ((old, False), (new, True)):
            if isinstance(item.get(field), dict):
                item[field] = {name: HIDDEN_CHANGED if changed and before and values.get(name) != value else HIDDEN for name, value in item[field].items()}
    return old, new


def _sealed(item: Object) -> Mapping[str, Any]:
    return (item.get("spec") or {}).get("encryptedData") or {}


def _with_sealed(item: Object, values: Mapping[str, str]) -> Object:
    return {**item, "spec": {**item["spec"], "encryptedData": dict(values)}} if _sealed(item) else item


def _text(item: Object) -> str:
    return yaml.safe_dump(item, sort_keys=True, default_flow_style=False, width=160) if item else ""
