# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks by name: each is a module of gate/checks. They are imported here one by one, since Ansible packs only what is imported by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import (
    budgets,
    ceph,
    certificates,
    databases,
    etcd,
    gitops,
    machines,
    network,
    nodes,
    webhooks,
)
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, Policy


class Check(Protocol):
    """``read`` looks, and raises PlatformError where it cannot. ``judge`` and ``seen`` are pure: what is wrong with it, and what there is, in a line."""

    def read(self, sources: Sources, deadline: Deadline, /) -> Any: ...

    def judge(self, view: Any, policy: Policy, /) -> list[Finding]: ...

    def seen(self, view: Any, /) -> str: ...


CHECKS: Mapping[str, Check] = {
    "machines": machines,
    "etcd": etcd,
    "nodes": nodes,
    "network": network,
    "ceph": ceph,
    "databases": databases,
    "webhooks": webhooks,
    "certificates": certificates,
    "budgets": budgets,
    "gitops": gitops,
}
"""In the order in which they are shown."""

NAMES = tuple(CHECKS)
