# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of Ceph's daemons: the pods' own, or the machines' with ranges of addresses for storage. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_model import Host, Policy, Running
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, RefusedError


def build(hosts: Sequence[Host], policy: Policy, running: Running) -> dict[str, Any]:
    """The CephCluster's network section; empty for the pods' network.

    Raises InputError for ranges that are none or that a machine has no address in, RefusedError for a change that a running cluster does not survive.
    """
    ranges = {name: list(given) for name, given in (("public", policy.public_networks), ("cluster", policy.cluster_networks)) if given}
    where = "rook_ceph_network"
    for texts in ranges.values():
        for text in texts:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise InputError(f"{text!r} is not a network: {error}", where=where, hint="Write it like 192.0.2.0/24.") from error
    # The machines' addresses are those of their nodes; a network of its own for the OSDs among themselves is not among them.
    lacking = [host.machine.hostname for host in hosts if host.machine.addresses and ranges.get("public") and not _has_address(host, ranges["public"])]
    if lacking:
        raise InputError(
            f"{', '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no address in {', '.join(ranges['public'])}, where its clients are to reach Ceph",
            where=where,
            hint="Give the machines addresses there, or another range.",
        )
    section: dict[str, Any] = {"provider": "host", "addressRanges": ranges} if ranges else {}
    before = str(running.network.get("provider") or ("host" if running.network.get("hostNetwork") else ""))
    if running.exists and before != section.get("provider", ""):
        raise RefusedError(
            f"the running cluster uses {_word(before)}, and it is to use {_word(section.get('provider', ''))}",
            where=where,
            hint="The monitors' addresses, which all clients know, would change. Choose the network before the cluster is made.",
        )
    return section


def _has_address(host: Host, ranges: Sequence[str]) -> bool:
    networks = [ipaddress.ip_network(text) for text in ranges]
    for text in host.machine.addresses:
        try:
            address = ipaddress.ip_interface(text).ip
        except ValueError:
            continue  # nodes list their host name among their addresses
        if any(address in network for network in networks):
            return True
    return False


def _word(provider: str) -> str:
    return {"": "the pods' network", "host": "the machines' network"}.get(provider, provider)
