# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate sees, what it finds wrong with it, and what it is told. Data only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import ServiceState
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import MachineState

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: which check found it, where, what, and what to do about it. A warning does not close the gate."""

    check: str
    where: str
    problem: str
    advice: str
    severity: Severity = "error"

    def line(self) -> str:
        """The finding as one plain line."""
        return f"{self.check}: {self.where}: {self.problem}. {self.advice}".rstrip()

    def as_values(self) -> dict[str, str]:
        """The finding as a return value."""
        return {"check": self.check, "where": self.where, "problem": self.problem, "advice": self.advice, "severity": self.severity}

    def matches(self, patterns: Sequence[str]) -> bool:
        """Whether one of the patterns "CHECK/WHERE" names it."""
        return any(fnmatchcase(f"{self.check}/{self.where}", pattern) for pattern in patterns)


@dataclass(frozen=True)
class Policy:
    """What the cluster has to be like.

    ``machines`` are the addresses of all machines, ``endpoints`` those of the control planes: all of them are to be voters of etcd. ``nodes`` are the names
    of the nodes that are expected. ``planned_loss`` is the address of the machine that is about to go. ``allowed`` are patterns of findings that only warn.
    ``ceph_allowed`` are health checks of Ceph that may warn, ``ceph_osds`` is how many OSDs there have to be, ``ceph_without`` which may be missing.
    ``gone`` are nodes of machines that are dead: what follows from that alone is allowed, in etcd, of their nodes and in Ceph.
    """

    machines: Sequence[str] = ()
    endpoints: Sequence[str] = ()
    nodes: Sequence[str] = ()
    planned_loss: str = ""
    allowed_cordoned: Sequence[str] = ()
    allowed: Sequence[str] = ()
    certificate_warn_days: float = 30
    certificate_refuse_days: float = 7
    ceph_allowed: Sequence[str] = ()
    ceph_osds: int = 0
    ceph_without: Sequence[int] = ()
    gone: Sequence[str] = ()


@dataclass(frozen=True)
class MachineView:
    """A machine and its services. ``services_problem`` says why they could not be read."""

    state: MachineState
    services: tuple[ServiceState, ...] = ()
    services_problem: str = ""


@dataclass(frozen=True)
class NodeView:
    """A Kubernetes node. ``reason`` says in Kubernetes's words why it is not Ready; ``address`` is its InternalIP."""

    name: str
    ready: bool
    reason: str
    unschedulable: bool
    version: str
    address: str
