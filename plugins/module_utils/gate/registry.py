# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks by name: each is a module of gate/checks, loaded when it is asked for, as some bring much with them."""

from __future__ import annotations

import importlib
from typing import Any, Protocol, cast

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, Policy

NAMES = ("machines", "etcd", "nodes", "network", "ceph", "databases", "webhooks", "certificates", "budgets", "gitops")
"""In the order in which they are shown."""


class Check(Protocol):
    """``read`` looks, and raises PlatformError where it cannot. ``judge`` and ``seen`` are pure: what is wrong with it, and what there is, in a line."""

    def read(self, sources: Sources, deadline: Deadline, /) -> Any: ...

    def judge(self, view: Any, policy: Policy, /) -> list[Finding]: ...

    def seen(self, view: Any, /) -> str: ...


def find(name: str) -> Check:
    """The check of this name."""
    return cast(Check, importlib.import_module(f"{__name__.rpartition('.')[0]}.checks.{name}"))


def _packed() -> tuple[Check, ...]:
    """All of them. Never called: Ansible packs into an ordinary module what is imported by name, and mypy sees that each is a check."""
    from ansible_collections.trinode.platform.plugins.module_utils.gate.checks import (  # noqa: PLC0415
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

    return budgets, ceph, certificates, databases, etcd, gitops, machines, network, nodes, webhooks
