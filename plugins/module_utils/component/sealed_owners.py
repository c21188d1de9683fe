# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a Secret is in the cluster: ours, or its SealedSecret's. What was ours is handed over and back with its values, so that nobody loses a password."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component.access import Access
from ansible_collections.trinode.platform.plugins.module_utils.component.sealed_there import may_take, owned
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.applyset import PART_OF_LABEL
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of, reference
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Applied
from ansible_collections.trinode.platform.plugins.module_utils.sealing.sealed_secret import KIND, MANAGED


def hand_over(access: Access, component: str, identity: str, sealed: Iterable[Object]) -> list[Applied]:
    """Let the controller take over the Secrets that are to come of these SealedSecrets, and that we made. ``identity`` is that of the component's ApplySet.

    Without the annotation it refuses to touch them; with the label they would be pruned, since they are no longer among the files.
    Raises RefusedError for Secrets of others.
    """
    found = []
    for item in sealed:
        secret = _secret(access, item)
        if secret is None or owned(secret):
            continue
        labels = secret["metadata"].get("labels") or {}
        if not (may_take(secret, component) or labels.get(PART_OF_LABEL) == identity):
            namespace, name = secret["metadata"]["namespace"], secret["metadata"]["name"]
            raise RefusedError(
                "it is there already and was made by somebody else",
                where=f"Secret {namespace}/{name}",
                hint=f"Delete it, or let {component} have it: kubectl -n {namespace} annotate secret {name} {MANAGED}=true",
            )
        if (secret["metadata"].get("annotations") or {}).get(MANAGED) == "true" and PART_OF_LABEL not in labels:
            continue
        found.append(_changed(access, secret, {"annotations": {MANAGED: "true"}, "labels": {PART_OF_LABEL: None}}))
    return found


def take_back(access: Access, secrets: Iterable[Object]) -> list[Applied]:
    """Make Secrets that came of SealedSecrets independent of them: they would be deleted with them."""
    found = []
    for item in secrets:
        secret = _secret(access, item)
        if secret is not None and owned(secret):
            others = [owner for owner in secret["metadata"]["ownerReferences"] if owner.get("kind") != KIND]
            found.append(_changed(access, secret, {"ownerReferences": others or None}))
    return found


def _secret(access: Access, item: Object) -> Object | None:
    metadata = access.place(reference(Key("v1", "Secret", item["metadata"].get("namespace", ""), item["metadata"]["name"])))["metadata"]
    return access.read(reference(Key("v1", "Secret", metadata["namespace"], metadata["name"])))


def _changed(access: Access, secret: Object, metadata: dict[str, Any]) -> Applied:
    access.merge(secret, {"metadata": metadata})
    return Applied(key_of(secret), "changed", secret, {**secret, "metadata": _merged(secret["metadata"], metadata)})


def _merged(before: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """As the API server merges a patch."""
    after = dict(before)
    for name, value in change.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = _merged(before.get(name) or {}, value) if isinstance(value, dict) else value
    return after
