# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All machines are asked for their disks at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks.claims import Machine
from ansible_collections.trinode.platform.plugins.module_utils.disks.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.talos import machine_tls, observe
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import MachineState

Wanted = Mapping[str, Any]
"""A machine as the inventory has it: name, hostname, address, install_disk, osd_disks, wipe_disks."""


def ask(wanted: Sequence[Wanted], *, talosctl: str, talosconfig: str | None, deadline: Deadline) -> tuple[list[Machine], list[Finding]]:
    """The machines that answered, with their disks, and for each other one why there is nothing to judge."""
    if not wanted:
        return [], []
    with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        states = list(pool.map(lambda entry: _observe(entry, talosctl, talosconfig, deadline), wanted))
    machines = [machine_of(entry, state) for entry, state in zip(wanted, states, strict=True) if not _silent(state)]
    return machines, [_missing(entry, state) for entry, state in zip(wanted, states, strict=True) if _silent(state)]


def machine_of(entry: Wanted, state: MachineState) -> Machine:
    """What the inventory says of a machine, and what the machine says."""
    return Machine(
        name=entry["name"],
        hostname=entry.get("hostname") or "",
        running=state.trust == machine_tls.OURS,
        disks=state.disks,
        install_disk=entry.get("install_disk") or {},
        osd_disks=entry.get("osd_disks") or (),
        wipe_disks=[str(serial) for serial in entry.get("wipe_disks") or ()],
    )


def _observe(entry: Wanted, talosctl: str, talosconfig: str | None, deadline: Deadline) -> MachineState:
    machine = observe.Machine(entry["address"], talosctl=talosctl, talosconfig=talosconfig)
    return observe.observe(machine, subjects=("disks",), deadline=deadline)


def _silent(state: MachineState) -> bool:
    return bool(state.problem) or state.trust not in (machine_tls.OURS, machine_tls.MAINTENANCE)


def _missing(entry: Wanted, state: MachineState) -> Finding:
    foreign = state.trust == machine_tls.FOREIGN
    reason = "is configured and does not belong to this cluster" if foreign else "does not answer"
    return Finding(
        entry["name"],
        "machine_address",
        f"the machine at {entry['address']} {reason}, so its disks cannot be judged" + (f" ({state.problem})" if state.problem else ""),
        "Give the talosconfig of its cluster, or correct the address." if foreign else "Check its power, network and address.",
    )
