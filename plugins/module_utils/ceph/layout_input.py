# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading what a layout is made from: judged or only named disks, Kubernetes objects, the running Ceph. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.ceph import layout_links
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_model import Disk, Host, Machine, Osd, Policy, Running
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_units import quantity
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError


def read_policy(options: Mapping[str, Any]) -> Policy:
    """A policy from the module's option, defaults filled in."""
    coded, ratios, network = options["erasure_coded"] or {}, options["full_ratios"] or {}, options["network"] or {}
    for name, given, known in (
        ("erasure_coded", coded, {"data", "coding"}),
        ("full_ratios", ratios, {"near_full", "backfill_full", "full"}),
        ("network", network, {"public", "cluster"}),
    ):
        if set(given) - known:
            raise InputError(
                f"{name} has the unknown {', '.join(sorted(set(given) - known))}", where="policy", hint=f"It may have {' and '.join(sorted(known))}."
            )
    if coded and set(coded) != {"data", "coding"}:
        raise InputError("erasure_coded lacks a number", where="policy", hint="Write it like {data: 2, coding: 1}.")
    return Policy(
        osds_per_device=options["osds_per_device"],
        encrypted=options["encrypted"],
        database_size=quantity(options["database_size"], where="database_size") if options["database_size"] else 0,
        failure_domain=options["failure_domain"],
        copies=options["copies"],
        erasure_coded=(int(coded["data"]), int(coded["coding"])) if coded else (0, 0),
        device_class=options["device_class"],
        balance_tolerance=options["balance_tolerance"],
        imbalance=options["imbalance"],
        near_full=float(ratios.get("near_full", 0.85)),
        backfill_full=float(ratios.get("backfill_full", 0.90)),
        full=float(ratios.get("full", 0.95)),
        osd_memory=quantity(options["osd_memory"], where="osd_memory"),
        reserved_memory=quantity(options["reserved_memory"], where="reserved_memory"),
        reserved_cpus=options["reserved_cpus"],
        monitors=options["monitors"],
        managers=options["managers"],
        public_networks=tuple(network.get("public") or ()),
        cluster_networks=tuple(network.get("cluster") or ()),
    )


def read_hosts(
    disks: Sequence[Mapping[str, Any]], machines: Sequence[Mapping[str, Any]], objects: Sequence[Mapping[str, Any]], policy: Policy, *, judged: bool
) -> list[Host]:
    """Every machine with its disks, in the order of ``machines``. Without ``judged``, disks are taken as their ``osd_disks`` name them, sizes unknown."""
    nodes = {item["metadata"]["name"]: item.get("status", {}) for item in objects if item.get("kind") == "Node"}
    hosts = []
    for given in machines:
        name = str(given["name"])
        hostname = str(given.get("hostname") or name)
        node = nodes.get(hostname, {})
        amounts = node.get("capacity") or {}
        machine = Machine(
            name,
            hostname,
            cpus=float(given.get("cpus") or _cpus(amounts.get("cpu", "0"))),
            memory=quantity(given.get("memory") or amounts.get("memory") or 0, where=f"memory of {name}"),
            addresses=tuple(str(address) for address in given.get("addresses") or [entry["address"] for entry in node.get("addresses") or []]),
        )
        if judged:
            mine = [disk for disk in disks if disk.get("machine") == name]
            present = tuple(_judged(disk, policy) for disk in mine if disk.get("by_id") or disk.get("link"))
            chosen = {use: tuple(_judged(disk, policy) for disk in mine if disk.get("use") == use) for use in ("osd", "metadata")}
            hosts.append(Host(machine, chosen["osd"], chosen["metadata"], present))
        else:
            hosts.append(Host(machine, tuple(_named(disk, name, policy) for disk in given.get("osd_disks") or ())))
    return hosts


def read_running(info: Mapping[str, Any], objects: Sequence[Mapping[str, Any]]) -> Running:
    """What runs, from the result of ceph_info and the CephCluster among ``objects``."""
    spec: Mapping[str, Any] = next((item.get("spec", {}) for item in objects if item.get("kind") == "CephCluster"), {})
    osds = None
    if info.get("present") or info.get("osds"):
        osds = [_osd(entry) for entry in info.get("osds") or []]
    # The pool of an object store's data, whose kind cannot be changed.
    coded = next((bool(pool.get("erasure_coded")) for pool in info.get("pools") or [] if str(pool.get("name", "")).endswith(".rgw.buckets.data")), None)
    used = int((info.get("capacity") or {}).get("used") or 0)
    return Running(spec.get("storage") or {}, spec.get("network") or {}, osds, used, coded)


def _osd(entry: Mapping[str, Any]) -> Osd:
    return Osd(
        int(entry["id"]),
        str(entry.get("host") or ""),
        str(entry.get("serial") or ""),
        int(entry.get("size") or 0),
        str(entry.get("device_class") or ""),
        bool(entry.get("up", True)),
    )


def _judged(disk: Mapping[str, Any], policy: Policy) -> Disk:
    links = tuple(str(link) for link in disk.get("by_id") or ())
    link = str(disk.get("link") or next(iter(links), ""))
    if not link:
        raise InputError(
            f"disk {disk.get('serial') or disk.get('name')} has no link below {layout_links.LINKS}, by which Rook could be given it",
            where=f"machine_osd_disks of {disk.get('machine')}",
        )
    kind = "nvme" if disk.get("transport") == "nvme" else "hdd" if disk.get("rotational") else "ssd"
    return Disk(
        link,
        tuple(dict.fromkeys((link, *links))),
        serial=str(disk.get("serial") or ""),
        size=int(disk.get("size") or 0),
        kind=kind,
        device_class=str(disk.get("device_class") or kind),
        osds=int(disk.get("osds_per_device") or policy.osds_per_device),
        metadata=str(disk.get("metadata") or ""),
    )


def _named(disk: Mapping[str, Any], machine: str, policy: Policy) -> Disk:
    path, exact = layout_links.link(disk, machine)
    metadata = layout_links.link(disk["metadata"], machine) if disk.get("metadata") else ("", True)
    if not metadata[1]:
        raise InputError(
            "the disk for databases is named by its serial number, and the machine cannot be asked for its link",
            where=f"machine_osd_disks of {machine}",
            hint="Name it by by_id.",
        )
    return Disk(
        path,
        (path,),
        exact,
        serial=str(disk.get("serial") or ""),
        device_class=str(disk.get("device_class") or ""),
        osds=int(disk.get("osds_per_device") or policy.osds_per_device),
        metadata=metadata[0],
        database=policy.database_size if metadata[0] else 0,
    )


def _cpus(text: Any) -> float:
    """Kubernetes writes ``4`` or ``3920m``."""
    return float(str(text)[:-1]) / 1000 if str(text).endswith("m") else float(text)
