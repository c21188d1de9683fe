# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks and addresses against one another: overlaps, families, sizes, addresses used twice, the virtual address."""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.preflight.finding import Finding
from ansible_collections.trinode.platform.plugins.module_utils.preflight.values import Values

Network = ipaddress.IPv4Network | ipaddress.IPv6Network  # pylint: disable=unsupported-binary-operation
Address = ipaddress.IPv4Address | ipaddress.IPv6Address  # pylint: disable=unsupported-binary-operation

_KINDS = {"trinode_pod_cidrs": "pods", "trinode_service_cidrs": "services", "trinode_machine_cidrs": "machines"}
_NODE_PREFIX = 24
"""Prefix length of the network that each node gets from an IPv4 pod network, unless the controller manager is told otherwise."""


def check_networks(cluster: Values, machines: Sequence[Values]) -> Iterator[Finding]:
    """Everything about networks and addresses that can be said without asking a machine."""
    yield from _overlaps(cluster)
    yield from _families(cluster)
    yield from _pod_network_size(cluster, machines)
    yield from _machine_addresses(cluster, machines)
    yield from _virtual_address(cluster, machines)


def networks(cluster: Values, name: str) -> list[Network]:
    return [ipaddress.ip_network(text) for text in cluster.get(name) or ()]


def _inner_networks(cluster: Values) -> Iterator[tuple[str, Network]]:
    """Networks of pods and services that are apart from the machines' own; of the others the overlap itself is told."""
    homes = networks(cluster, "trinode_machine_cidrs")
    for name in ("trinode_pod_cidrs", "trinode_service_cidrs"):
        for network in networks(cluster, name):
            if not any(network.version == home.version and network.overlaps(home) for home in homes):
                yield name, network


def address(text: Any) -> Address | None:
    """The IP address that the text is; None for a host name or nothing."""
    try:
        return ipaddress.ip_address(text) if text else None
    except ValueError:
        return None


def _overlaps(cluster: Values) -> Iterator[Finding]:
    every = [(name, network) for name in _KINDS for network in networks(cluster, name)]
    for (name, network), (other_name, other) in itertools.combinations(every, 2):
        if network.version == other.version and network.overlaps(other):
            # The machines' network is what it is, so the finding stands at the network that can be chosen.
            variable, here, there = (name, network, other) if other_name == "trinode_machine_cidrs" else (other_name, other, network)
            partner = _KINDS[other_name if variable == name else name]
            yield Finding(
                f"the network {here} overlaps {there} of the {partner}",
                "Choose networks of pods, services and machines that have no address in common.",
                cluster.origin(variable),
                variable=variable,
            )


def _families(cluster: Values) -> Iterator[Finding]:
    families: dict[str, list[int]] = {}
    for name in ("trinode_pod_cidrs", "trinode_service_cidrs"):
        if cluster.get(name) is None:
            continue
        families[name] = [network.version for network in networks(cluster, name)]
        if not families[name]:
            yield Finding("it is empty", "Give one network, or leave the line out to get the default.", cluster.origin(name), variable=name)
        elif len(set(families[name])) != len(families[name]):
            yield Finding(
                "it has two networks of one address family", "Give one network, or one IPv4 and one IPv6 network.", cluster.origin(name), variable=name
            )
    if len(families) == 2 and all(families.values()) and len({frozenset(family) for family in families.values()}) == 2:
        name = "trinode_service_cidrs"
        yield Finding(
            "pods and services have different address families", "Give both the same: IPv4, IPv6, or one network of each.", cluster.origin(name), variable=name
        )


def _pod_network_size(cluster: Values, machines: Sequence[Values]) -> Iterator[Finding]:
    patches = str([cluster.get("trinode_patches"), cluster.get("trinode_control_plane_patches")])
    if "node-cidr-mask-size" in patches:
        return
    for network in networks(cluster, "trinode_pod_cidrs"):
        if (network.version == 4 and 2 ** max(0, _NODE_PREFIX - network.prefixlen) < len(machines)) or (
            network.version == 4 and network.prefixlen > _NODE_PREFIX
        ):
            yield Finding(
                f"the network {network} is too small for {len(machines)} machines",
                f"Each gets a /{_NODE_PREFIX} of it: choose a larger one, such as 10.244.0.0/16.",
                cluster.origin("trinode_pod_cidrs"),
                variable="trinode_pod_cidrs",
            )


def _machine_addresses(cluster: Values, machines: Sequence[Values]) -> Iterator[Finding]:
    homes = networks(cluster, "trinode_machine_cidrs")
    for machine in machines:
        own = address(machine.get("machine_address"))
        if own is None:
            continue
        for name, network in _inner_networks(cluster):
            if own in network:
                yield _about_address(machine, f"{own} lies in {network}, the network of the {_KINDS[name]}", f"Choose another network in {name}.")
        if homes and not any(own in network for network in homes):
            listed = ", ".join(str(network) for network in homes)
            yield _about_address(
                machine, f"{own} lies outside the machines' networks {listed}", "Correct the address, or add its network to trinode_machine_cidrs."
            )


def _about_address(machine: Values, what: str, hint: str) -> Finding:
    origin = machine.origin("machine_address")
    return Finding(what, hint, origin, (machine.host.name,), "machine_address")


def _virtual_address(cluster: Values, machines: Sequence[Values]) -> Iterator[Finding]:
    name = "trinode_vip"
    vip = address(cluster.get(name))
    if vip is None:
        return

    def finding(what: str, hint: str) -> Finding:
        return Finding(what, hint, cluster.origin(name), variable=name)

    for machine in machines:
        if address(machine.get("machine_address")) == vip:
            yield finding(f"the virtual address {vip} is the address of {machine.host.name}", "Choose a free address in the machines' network.")
    homes = networks(cluster, "trinode_machine_cidrs")
    if homes and not any(vip in network for network in homes):
        listed = ", ".join(str(network) for network in homes)
        yield finding(f"the virtual address {vip} lies outside the machines' networks {listed}", "Choose a free address in the machines' network.")
    for network in homes:
        if vip in network and vip in (network.network_address, network.broadcast_address) and network.num_addresses > 2:
            yield finding(f"the virtual address {vip} is not a host's address in {network}", "Choose a free address between the first and the last.")
    for other, network in _inner_networks(cluster):
        if vip in network:
            yield finding(f"the virtual address {vip} lies in {network}, the network of the {_KINDS[other]}", "Choose a free address in the machines' network.")
