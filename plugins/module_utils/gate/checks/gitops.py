# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform's Applications of Argo CD are Synced and Healthy, and none is in the middle of a sync."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.argocd import status
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import NAMESPACE
from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import APPLICATIONS
from ansible_collections.trinode.platform.plugins.module_utils.argocd.platform import USER
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, Policy
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import part


@dataclass(frozen=True)
class GitOps:
    """The Applications in Argo CD's namespace; None where it is not installed."""

    applications: tuple[Json, ...] | None


def read(sources: Sources, deadline: Deadline) -> GitOps:
    items = sources.installed(APPLICATIONS.path(NAMESPACE), deadline)
    return GitOps(None if items is None else tuple(items))


def judge(view: GitOps, _policy: Policy) -> list[Finding]:
    findings = []
    for item in _ours(view):
        states = [status.synced(item, status.any_revision), status.healthy(item)]
        reasons = list(dict.fromkeys(state.reason for state in states if not state.ready))
        where, advice = f"Application {item['metadata']['name']}", "Look at it in Argo CD, or run playbooks/platform.yml."
        if status.in_progress(item):
            advice = "Wait until it is done."
        if reasons:
            findings.append(Finding("gitops", where, "; ".join(reasons), advice))
        findings += [Finding("gitops", where, text, "Look at it in Argo CD.", "warning") for text in status.warnings(item)]
    return findings


def seen(view: GitOps) -> str:
    if view.applications is None:
        return "not installed"
    ours = _ours(view)
    if not ours:
        return "Argo CD delivers nothing of the platform"
    well = sum(status.synced(item, status.any_revision).ready and status.healthy(item).ready for item in ours)
    others = len(view.applications) - len(ours)
    return f"{well} of {len(ours)} Applications Synced and Healthy" + (f"; {others} of users are not looked at" if others else "")


def _ours(view: GitOps) -> list[Json]:
    return [item for item in view.applications or () if part(item, "spec").get("project") != USER]
