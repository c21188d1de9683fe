# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines as a set: how many control planes, what only one of them may have, what each must have on metal."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.preflight.constraints import DISK_IDENTITIES
from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding, Origin
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import Values

_UNIQUE = {
    "machine_address": "address",
    "machine_hostname": "host name",
    "machine_uuid": "UUID",
    "machine_serial": "serial number",
    "machine_certificate_fingerprint": "certificate",
}


def check_machines(source: str, cluster: Values, machines: Sequence[Values]) -> Iterator[Finding]:
    """Everything about the machines together that can be said without asking one."""
    if not machines:
        yield Finding("there are no machines", "Name the machines in the inventory's group machines.", Origin(source), variable="machines")
        return
    yield from _control_planes(source, machines)
    for name, kind in _UNIQUE.items():
        yield from _twice(machines, name, kind)
    yield from _disks(cluster, machines)
    yield from _boot(cluster, machines)


def _control_planes(source: str, machines: Sequence[Values]) -> Iterator[Finding]:
    roles = [machine.get("machine_role") for machine in machines]
    count = roles.count("controlplane")
    if None in roles or count % 2 == 1:
        return
    what = f"{count} control planes cannot outvote one another" if count else "there is no control plane"
    names = ", ".join(machine.host.name for machine in machines if machine.get("machine_role") == "controlplane")
    where = f"{what} ({names})" if names else what
    yield Finding(where, "Have 3 control planes (1 for a trial, 5 at most): etcd needs an odd number of voters.", Origin(source), variable="machine_role")


def _twice(machines: Sequence[Values], name: str, kind: str) -> Iterator[Finding]:
    first: dict[str, Values] = {}
    for machine in machines:
        value = machine.get(name)
        if not value:
            continue
        other = first.setdefault(_normal(name, value), machine)
        if other is not machine:
            yield Finding(
                f"{value} is the {kind} of {other.host.name} too", f"Give each machine its own {kind}.", machine.origin(name), (machine.host.name,), name
            )


def _normal(name: str, value: str) -> str:
    if name == "machine_address":
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            return value.lower()
    return value if name == "machine_certificate_fingerprint" else value.lower()


def _disks(cluster: Values, machines: Sequence[Values]) -> Iterator[Finding]:
    """What can be said without looking. Serials may repeat between machines (virtual ones, say), so whose disk one is, is asked of the machines."""
    metal = cluster.get("trinode_talos_platform") == "metal"
    for machine in machines:
        install = machine.get("machine_install_disk")
        if metal and install == {}:
            yield Finding(
                "no install disk is named",
                'Name it by its serial, as `ansible-playbook playbooks/disks.yml` shows it: {serial: "S4X9NF0M"}.',
                machine.origin("machine_install_disk"),
                (machine.host.name,),
                "machine_install_disk",
            )
        named = [("machine_install_disk", install), *(("machine_osd_disks", disk) for disk in machine.get("machine_osd_disks") or ())]
        claimed: dict[tuple[str, str], str] = {}
        for name, disk in named:
            identity = _identity(disk)
            if identity and identity in claimed:
                yield Finding(
                    f"the disk with {identity[0]} {identity[1]!r} is claimed twice, first by {claimed[identity]}",
                    "Name each disk once.",
                    machine.origin(name),
                    (machine.host.name,),
                    name,
                )
            elif identity:
                claimed[identity] = name


def _identity(disk: Any) -> tuple[str, str] | None:
    """The key and value that name one disk, or None for a selector by attributes or by an expression."""
    return next(((key, str(disk[key])) for key in DISK_IDENTITIES if disk and key in disk), None)


_BMC_LOGIN = ("machine_bmc_username", "machine_bmc_password")


def _boot(cluster: Values, machines: Sequence[Values]) -> Iterator[Finding]:
    """What each way to boot needs."""
    for machine in machines:
        way, host = machine.get("machine_boot_way"), (machine.host.name,)
        if way == "redfish" and not _set(machine, "machine_bmc_address"):
            yield Finding("no BMC is named", "Set its address, such as 192.0.2.101.", machine.origin("machine_boot_way"), host, "machine_bmc_address")
        if way != "manual" and _set(machine, "machine_bmc_address"):
            for name in _BMC_LOGIN:
                if not _set(machine, name):
                    hint = "Set it, encrypted with ansible-vault." if name == "machine_bmc_password" else "Set it."
                    yield Finding("the BMC has an address and no login", hint, machine.origin("machine_bmc_address"), host, name)
        if machine.get("machine_bmc_ca_file") and machine.get("machine_bmc_certificate_fingerprint"):
            yield Finding(
                "both an authority and a fingerprint are named for the BMC's certificate",
                "Name one of them.",
                machine.origin("machine_bmc_certificate_fingerprint"),
                host,
                "machine_bmc_certificate_fingerprint",
            )
        if way == "pxe" and cluster.get("trinode_boot_image") and not cluster.get("trinode_boot_network"):
            yield Finding(
                "machines boot over the network, and only an ISO of your own is named",
                "Name kernel, initramfs and command_line, too, or leave trinode_boot_image out for the image factory's.",
                cluster.origin("trinode_boot_image"),
                variable="trinode_boot_network",
            )


def _set(machine: Values, name: str) -> bool:
    """Whether it has a value; what Ansible Vault encrypts is not among those that can be judged."""
    entry = machine.host.variables.get(name)
    return bool(machine.get(name)) or (entry is not None and entry.withheld)


def boot_warnings(machines: Sequence[Values]) -> list[str]:
    """What is allowed and unwise about BMCs."""
    clear = [machine.host.name for machine in machines if machine.get("machine_bmc_password")]
    unverified = [machine.host.name for machine in machines if machine.get("machine_bmc_validate_certs") is False and _set(machine, "machine_bmc_address")]
    plain = [machine.host.name for machine in machines if str(machine.get("machine_bmc_address") or "").startswith("http://")]
    return [
        f"{', '.join(names)}: {what}"
        for names, what in (
            (clear, "machine_bmc_password stands in clear text; encrypt it with ansible-vault encrypt_string."),
            (unverified, "the BMC's certificate is not verified, so anyone in between learns its password; name machine_bmc_certificate_fingerprint instead."),
            (plain, "the BMC is reached without TLS, so its password can be read on the way."),
        )
        if names
    ]
