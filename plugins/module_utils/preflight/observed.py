# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines that were found, against what the inventory says of them. Pure: observations in, findings out."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.disks.claims import Machine
from ansible_collections.trinode.platform.plugins.module_utils.disks.judge import Judgement, judge
from ansible_collections.trinode.platform.plugins.module_utils.disks.membership import Membership
from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding, arrange
from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Inventory
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import Values, cluster_values, machine_values
from ansible_collections.trinode.platform.plugins.module_utils.redfish.identity import normal_mac, same_uuid
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import disk_from_values
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_tls import normalized_fingerprint

Observed = Mapping[str, Any]
"""What talos_machine_info returns as ``machine``."""


def check_observed(inventory: Inventory, observed: Mapping[str, Observed], *, credentials_pending: bool = False, absent_later: bool = False) -> list[Finding]:
    """Judge the machines in ``observed`` (by inventory name); with --limit these are not all.

    ``credentials_pending``: there is a secrets file and no talosconfig yet. ``absent_later``: machines that do not answer are booted and judged later.
    """
    cluster, _findings = cluster_values(inventory)
    machines, _findings = machine_values(inventory)
    seen = [(machine, observed[machine.host.name]) for machine in machines if machine.host.name in observed]
    if absent_later:
        seen = [(machine, found) for machine, found in seen if found.get("trust") != "unreachable"]
    return arrange(
        [
            *(finding for machine, found in seen for finding in _machine(machine, found, credentials_pending=credentials_pending)),
            *_same_machine(seen),
            *_disk_findings(machines, judge_disks(inventory, observed)),
            *_virtual_address(cluster, seen),
        ]
    )


def _machine(machine: Values, found: Observed, *, credentials_pending: bool) -> Iterator[Finding]:
    trust = found.get("trust")
    address = machine.get("machine_address")
    if trust == "unreachable":
        reason = f" ({found['problem']})" if found.get("problem") else ""
        entry = machine.host.variables.get("machine_address")
        named = address == machine.host.name and (entry is None or entry.origin is None)
        hint = (
            "Neither machine_address nor ansible_host is set, so its inventory name was taken for its address: set one."
            if named
            else "Check that it is switched on and booted from Talos (playbooks/provision.yml does that), that the address is right, and that nothing blocks "
            "port 50000."
        )
        yield _about(machine, "machine_address", f"the machine does not answer at {address}{reason}", hint)
        return
    if trust == "foreign":
        # Until this cluster's talosconfig has been made from its secrets, its own machines look foreign too; talos_apply judges them then.
        if not credentials_pending:
            reason = f" ({found['problem']})" if found.get("problem") else ""
            yield _about(
                machine,
                "machine_address",
                f"the machine at {address} is configured and does not belong to this cluster{reason}",
                "Correct the address. To take the machine over, reset it with its own cluster's talosconfig and boot it into maintenance mode.",
            )
        return
    # One of ours that cannot be read now is booting, or wants credentials that are renewed in this run.
    if found.get("problem"):
        return
    yield from _identity(machine, found)


def _identity(machine: Values, found: Observed) -> Iterator[Finding]:
    for name, key, kind in (("machine_uuid", "uuid", "UUID"), ("machine_serial", "serial_number", "serial number")):
        wanted, there = machine.get(name), str(found.get(key) or "")
        same = same_uuid(wanted or "", there) if key == "uuid" else there.lower() == (wanted or "").lower()
        if wanted and not same:
            yield _about(
                machine,
                name,
                f"another machine answers: its {kind} is {there or 'not known'}, not {wanted}",
                "Correct the address, or this setting if the machine was replaced.",
            )
    yield from _macs(machine, found)
    pinned, shown = machine.get("machine_certificate_fingerprint"), found.get("fingerprint")
    if pinned and found.get("trust") == "maintenance" and shown and shown != normalized_fingerprint(pinned):
        yield _about(
            machine,
            "machine_certificate_fingerprint",
            f"the machine shows a certificate with the fingerprint {shown}, not {pinned}",
            "Compare with the machine's console: after a boot into maintenance mode it may have a new certificate; an impostor has another.",
        )


def _macs(machine: Values, found: Observed) -> Iterator[Finding]:
    """Links are read in maintenance mode only; a machine of ours was judged then."""
    there = {normal_mac(str(link.get("hardware_address") or "")) for link in found.get("links") or ()} - {""}
    missing = [mac for mac in machine.get("machine_macs") or () if normal_mac(mac) not in there]
    if missing and found.get("trust") == "maintenance":
        yield _about(
            machine,
            "machine_macs",
            f"another machine answers: it has no link {', '.join(missing)} (it has {', '.join(sorted(there)) or 'none'})",
            "Correct the address, or this setting if the machine or its network card was replaced.",
        )


def absent(observed: Mapping[str, Observed]) -> list[str]:
    """Machines that do not answer."""
    return sorted(name for name, found in observed.items() if found.get("trust") == "unreachable")


def first_contacts(inventory: Inventory, observed: Mapping[str, Observed]) -> list[str]:
    """What a person can compare with the consoles of machines in maintenance mode whose certificate is not pinned: a line each."""
    machines, _findings = machine_values(inventory)
    return [
        f"{machine.host.name} at {machine.get('machine_address')}: certificate {found.get('fingerprint')}, UUID {found.get('uuid') or 'not known'}, "
        f"serial number {found.get('serial_number') or 'not known'}"
        for machine in machines
        if (found := observed.get(machine.host.name, {})).get("trust") == "maintenance" and not machine.get("machine_certificate_fingerprint")
    ]


def judge_disks(inventory: Inventory, observed: Mapping[str, Observed]) -> Judgement:
    """The disks of the machines in maintenance mode. One that is configured has its system disk, and Ceph's are judged again before Ceph is delivered."""
    machines, _findings = machine_values(inventory)
    bare = {name: found for name, found in observed.items() if found.get("trust") == "maintenance" and not found.get("problem")}
    seen = [_with_disks(machine, bare[machine.host.name]) for machine in machines if machine.host.name in bare]
    return judge(seen, Membership(None, cluster=any(found.get("trust") == "ours" for found in observed.values())))


def _with_disks(machine: Values, found: Observed) -> Machine:
    return Machine(
        name=machine.host.name,
        hostname=machine.get("machine_hostname") or "",
        disks=[disk_from_values(disk) for disk in found.get("disks") or ()],
        install_disk=machine.get("machine_install_disk") or {},
        osd_disks=machine.get("machine_osd_disks") or (),
        wipe_disks=machine.get("machine_wipe_disks") or (),
    )


def _disk_findings(machines: Sequence[Values], judgement: Judgement) -> Iterator[Finding]:
    by_name = {machine.host.name: machine for machine in machines}
    for finding in judgement.refusals:
        yield _about(by_name[finding.machine], finding.variable, finding.what, finding.hint)


def _same_machine(seen: Sequence[tuple[Values, Observed]]) -> Iterator[Finding]:
    """Two inventory hosts whose addresses lead to one machine (of several links, say)."""
    first: dict[str, Values] = {}
    for machine, found in seen:
        uuid = str(found.get("uuid") or "").lower()
        if not uuid or uuid.strip("0-") == "" or uuid.strip("f-") == "":
            continue
        other = first.setdefault(uuid, machine)
        if other is not machine:
            yield _about(
                machine, "machine_address", f"the machine is the same as {other.host.name} (UUID {uuid})", "Give each inventory host a machine of its own."
            )


def _virtual_address(cluster: Values, seen: Sequence[tuple[Values, Observed]]) -> Iterator[Finding]:
    vip = cluster.get("trinode_vip")
    if not vip or cluster.get("trinode_machine_cidrs"):
        return
    wanted = ipaddress.ip_address(vip)
    for machine, found in seen:
        if machine.get("machine_role") != "controlplane":
            continue
        networks = _networks(found)
        own = str(machine.get("machine_address"))
        if networks and not any(wanted in network for network in networks):
            listed = ", ".join(sorted({str(network) for network in networks}))
            yield Finding(
                f"the virtual address {vip} lies in no network of the machine at {own} ({listed})",
                "Choose a free address in the network that all control planes share.",
                cluster.origin("trinode_vip"),
                (machine.host.name,),
                "trinode_vip",
            )


def _networks(found: Observed) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """The machine's networks, of those addresses that were told with their prefix length; single addresses (virtual ones) say nothing."""
    networks = []
    for text in found.get("addresses") or ():
        value = text.get("address", "") if isinstance(text, Mapping) else str(text)
        if "/" not in value:
            continue
        interface = ipaddress.ip_interface(value)
        if not interface.ip.is_loopback and not interface.ip.is_link_local and interface.network.num_addresses > 1:
            networks.append(interface.network)
    return networks


def _about(machine: Values, name: str, what: str, hint: str) -> Finding:
    return Finding(what, hint, machine.origin(name), (machine.host.name,), name)
