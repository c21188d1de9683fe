# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delivering a component that has been handed over: Argo CD does it, from Git; here it is waited for, and noted."""

from __future__ import annotations

from ansible_collections.trinode.platform.plugins.module_utils.argocd import arrival
from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import application_name
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import API_VERSION, ROOT
from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import PAUSED, Applications
from ansible_collections.trinode.platform.plugins.module_utils.argocd.commits import Knows
from ansible_collections.trinode.platform.plugins.module_utils.component import deliver, installed
from ansible_collections.trinode.platform.plugins.module_utils.component.access import Access
from ansible_collections.trinode.platform.plugins.module_utils.component.contents import Contents
from ansible_collections.trinode.platform.plugins.module_utils.component.definition import Definition
from ansible_collections.trinode.platform.plugins.module_utils.component.deliver import Moment
from ansible_collections.trinode.platform.plugins.module_utils.component.result import Result
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog
from ansible_collections.trinode.platform.plugins.module_utils.kube import applyset
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.manifests import Key, reference
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Applied


def present(  # pylint: disable=unsupported-binary-operation
    applications: Applications, definition: Definition, contents: Contents, log: RunLog, knows: Knows, *, check: bool
) -> Result | None:
    """Wait until Argo CD has delivered what ``knows`` knows. None where it does not deliver this component yet, and nothing was done.

    Raises PlatformError as arrival.present does.
    """
    name, client, deadline = definition.name, applications.client, applications.deadline
    parent = applyset.read(client, deliver.apply_set(name), deadline)
    moment = Moment(parent.data if parent else {}, contents.revision)
    if moment.noted.get(installed.DELIVERY) != installed.ARGO_CD:
        return None
    item = applications.read(application_name(name))
    if item is None and _taken_out(applications, application_name(name)):
        return None
    log.record(name, "applying", "Argo CD does" if moment.step else "comparing")
    access = Access(client, definition.namespace, deadline, check=check)
    deliver.begin(access, definition, moment)
    _resume(applications, item, check=check)
    found = arrival.present(applications, application_name(name), knows, check=check)
    key = Key(API_VERSION, "Application", applications.namespace, application_name(name))
    before, after = ({**reference(key), "status": status} for status in ({}, {"revision": found.revision}))
    result = Result([Applied(key, "changed" if found.changed else "unchanged", before, after)], warnings=list(found.warnings))
    result.applied.append(deliver.write_note(access, definition, moment))
    log.record(name, "verifying")
    return result


def _taken_out(applications: Applications, name: str) -> bool:
    """Whether Git names no such Application: an uninstallation that did not come to its end took it out. The handover brings it back."""
    root = applications.read(ROOT)
    return root is not None and name not in {entry.get("name") for entry in (root.get("status") or {}).get("resources") or []}


def _resume(applications: Applications, item: Json | None, *, check: bool) -> None:
    """End a pause (see ceph/remove.py), now that what is in Git is what is wanted."""
    if item is not None and not check and PAUSED in (item["metadata"].get("annotations") or {}):
        applications.pause(item["metadata"]["name"], paused=False)
