# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every expected node is there and Ready, and takes pods unless it may be cordoned."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, NodeView, Policy


@dataclass(frozen=True)
class Nodes:
    """All nodes."""

    nodes: tuple[NodeView, ...]


def read(sources: Sources, deadline: Deadline) -> Nodes:
    return Nodes(sources.nodes(deadline))


def judge(view: Nodes, policy: Policy) -> list[Finding]:
    names = {node.name for node in view.nodes}
    findings = [Finding("nodes", name, "the node has not registered", "Look at `talosctl logs kubelet` there.") for name in policy.nodes if name not in names]
    findings += [
        Finding("nodes", node.name, f"the node is not Ready: {node.reason or 'no reason given'}", "Look at its kubelet and its CNI.")
        for node in view.nodes
        if not node.ready and node.name not in policy.gone
    ]
    findings += [
        Finding("nodes", node.name, "the node is cordoned, so it takes no pods", f"`kubectl uncordon {node.name}`, if nobody works on it.")
        for node in view.nodes
        if node.unschedulable and node.name not in (*policy.allowed_cordoned, *policy.gone) and node.address != (policy.planned_loss or None)
    ]
    return findings


def seen(view: Nodes) -> str:
    ready = sum(node.ready for node in view.nodes)
    cordoned = [node.name for node in view.nodes if node.unschedulable]
    versions = sorted({node.version for node in view.nodes if node.version})
    text = f"{ready} of {len(view.nodes)} Ready" + (f", Kubernetes {' and '.join(versions)}" if versions else "")
    return text + (f", cordoned: {', '.join(cordoned)}" if cordoned else "")
