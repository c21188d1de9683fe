# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that are part of what is installed (no hooks): their templates cannot be changed, and those that have ended may be gone by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.component.access import Access
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, Object, key_of


def to_replace(access: Access, jobs: Iterable[Object]) -> dict[Key, Object]:
    """The Jobs that have to be deleted before they can be applied, as they are now: another template, or one that has failed."""
    found = {}
    for job in jobs:
        item = access.place(job)
        before = access.read(item)
        if before is not None and (_failed(before) or _immutable(access, item)):
            found[key_of(item)] = before
    return found


def done(access: Access, jobs: Iterable[Object]) -> set[Key]:
    """The Jobs that ended, and were removed by Kubernetes because their time to live was over. For a component that is installed already."""
    mortal = [access.place(job) for job in jobs if (job.get("spec") or {}).get("ttlSecondsAfterFinished") is not None]
    return {key_of(job) for job in mortal if access.read(job) is None}


def _failed(job: Mapping[str, Any]) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(condition.get("type") == "Failed" and condition.get("status") == "True" for condition in conditions)


def _immutable(access: Access, job: Object) -> bool:
    refusal = access.refusal(job)
    return refusal is not None and refusal.code == 422 and "immutable" in refusal.what
