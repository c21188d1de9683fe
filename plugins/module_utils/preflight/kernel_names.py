# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that is given by its kernel name is refused, with the name to copy: the machine is asked for it, and only then. Pure but for name_them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks.ask import ask
from ansible_collections.trinode.platform.plugins.module_utils.disks.claims import kernel_name_hint
from ansible_collections.trinode.platform.plugins.module_utils.preflight.constraints import KERNEL_NAME
from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Inventory
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import Values, machine_values
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk

_SETTINGS = ("machine_install_disk", "machine_osd_disks")
_NAME = re.compile(rf"'([^']+)' {KERNEL_NAME}")
# A machine that is off must not delay the other findings for long.
ASK_SECONDS = 10.0


def name_them(findings: Sequence[Finding], inventory: Inventory, cluster: Values, deadline: Deadline) -> list[Finding]:
    """The findings, those about kernel names with the names of the disks that the machines have now. A machine that does not answer changes nothing."""
    hosts = {host for finding in findings if _name(finding) for host in finding.hosts}
    machines, _findings = machine_values(inventory)
    wanted = [{"name": machine.host.name, "address": machine.get("machine_address")} for machine in machines if machine.host.name in hosts]
    wanted = [entry for entry in wanted if entry["address"]]
    talosctl, talosconfig = cluster.get("trinode_talosctl") or "talosctl", cluster.get("trinode_talosconfig")
    found, _silent = ask(wanted, talosctl=talosctl, talosconfig=talosconfig, deadline=deadline.at_most(ASK_SECONDS))
    return with_names(findings, {machine.name: machine.disks for machine in found})


def with_names(findings: Iterable[Finding], disks: Mapping[str, Sequence[Disk]]) -> list[Finding]:
    """A finding about a kernel name becomes one for each machine that answered, each with the machine's own names."""
    result: list[Finding] = []
    for finding in findings:
        name = _name(finding)
        known = [host for host in finding.hosts if name and kernel_name_hint(name, disks.get(host, ()))]
        rest = tuple(host for host in finding.hosts if host not in known)
        result += [dataclasses.replace(finding, hosts=(host,), hint=kernel_name_hint(name, disks[host])) for host in known]
        if rest or not known:
            result.append(dataclasses.replace(finding, hosts=rest))
    return result


def _name(finding: Finding) -> str:
    found = _NAME.match(finding.what) if finding.variable in _SETTINGS else None
    return found[1] if found else ""
