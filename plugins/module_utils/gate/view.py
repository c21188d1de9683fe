# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate sees, and what it finds wrong with it. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Ceph
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import ServiceState
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd import EtcdView
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import MachineState


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: which check found it, where, what, and what to do about it."""

    check: str
    where: str
    problem: str
    advice: str

    def line(self) -> str:
        """The finding as one plain line."""
        return f"{self.check}: {self.where}: {self.problem}. {self.advice}".rstrip()

    def as_values(self) -> dict[str, str]:
        """The finding as a return value."""
        return {"check": self.check, "where": self.where, "problem": self.problem, "advice": self.advice}


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


@dataclass(frozen=True)
class View:
    """One look at everything that was asked for. A part that was not asked for is empty.

    ``ceph`` is None also where none runs. ``planned_loss`` is the name of the node that is about to go.
    """

    machines: tuple[MachineView, ...] = ()
    etcd: tuple[EtcdView, ...] = ()
    nodes: tuple[NodeView, ...] = ()
    nodes_problem: str = ""
    ceph: Ceph | None = None
    ceph_problem: str = ""
    ceph_asked: bool = False
    planned_loss: str = ""
