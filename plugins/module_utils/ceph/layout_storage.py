# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The storage section of a CephCluster, from the disks that the inventory names and the section that runs. Pure.

Nothing that runs is dropped because the inventory does not name it any more: an OSD is removed by a step of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.ceph import layout_links
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout_model import Disk, Host, Osd, Policy, Running, osds_on
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError

REMOVAL = "playbooks/osd_remove.yml"
_KEYS = ("useAllNodes", "useAllDevices", "config", "nearFullRatio", "backfillFullRatio", "fullRatio")


@dataclass(frozen=True)
class Kept:
    """What stays in the CephCluster although the inventory does not name it: a device or pattern of a host (empty: the whole host), and its OSDs."""

    host: str
    device: str
    osds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Storage:
    """The section, what it keeps, and warnings."""

    section: dict[str, Any]
    kept: tuple[Kept, ...]
    warnings: tuple[str, ...]


def build(hosts: Sequence[Host], policy: Policy, running: Running) -> Storage:
    """Raises InputError where Rook cannot say what is wanted."""
    notes = _Notes()
    runs = {str(node.get("name", "")): node for node in running.storage.get("nodes") or []}
    nodes = []
    for host in hosts:
        node = _node(host, runs.get(host.machine.hostname, {}), running, notes)
        if len(node) > 1:
            nodes.append(node)
    for name in sorted(runs.keys() - {host.machine.hostname for host in hosts}):
        osds = tuple(osd.id for osd in running.osds_of(name))
        if osds or running.osds is None:
            nodes.append(_comparable_node(runs[name]))
            notes.kept.append(Kept(name, "", osds))
    encrypted = {"config": {"encryptedDevice": "true"}} if policy.encrypted else {}
    if running.exists and bool(encrypted) != (str((running.storage.get("config") or {}).get("encryptedDevice", "")) == "true"):
        word = "on" if encrypted else "off"
        notes.warnings.append(f"Encryption is {word} for new OSDs only; those that exist stay as they are until they are removed and made anew.")
    section = {
        "useAllNodes": False,
        "useAllDevices": False,
        **encrypted,
        "nearFullRatio": policy.near_full,
        "backfillFullRatio": policy.backfill_full,
        "fullRatio": policy.full,
        "nodes": nodes,
    }
    return Storage(section, tuple(notes.kept), tuple(notes.warnings))


def comparable(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section as ``build`` writes it, from one that the API server returned: without what it filled in."""
    if not section:
        return {}
    found = {key: section[key] for key in _KEYS if section.get(key) not in (None, {}, "")}
    return {**found, "nodes": [_comparable_node(node) for node in section.get("nodes") or []]}


def entry_of(disk: Disk, node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The entry of a running node's devices that means this disk; empty when there is none."""
    paths = {disk.link, *disk.links}
    return next((device for device in node.get("devices") or [] if _path(device) in paths), {})


def established(disk: Disk, node: Mapping[str, Any], host: str, running: Running) -> bool:
    """Whether the disk has OSDs already, as far as can be known: by their serial numbers, else because Rook was given the disk before."""
    osds = running.osds_of(host)
    if osds_on(disk, osds):
        return True
    if running.osds is not None and disk.serial and all(osd.serial for osd in osds):
        return False
    return bool(entry_of(disk, node))


@dataclass
class _Notes:
    """What comes up while the section is built."""

    kept: list[Kept] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def _node(host: Host, runs: Mapping[str, Any], running: Running, notes: _Notes) -> dict[str, Any]:
    """One entry of ``nodes``; only its name where there is nothing to give to Ceph."""
    name = host.machine.hostname
    if any(not disk.exact for disk in host.disks):
        return _pattern_node(host, runs, running, notes)
    devices: list[dict[str, Any]] = []
    for disk in host.disks:
        wanted, runs_as = _device(disk), entry_of(disk, runs)
        if runs_as and established(disk, runs, name, running):
            if _config(runs_as) != _config(wanted):
                notes.warnings.append(
                    f"{name}: disk {disk.label} has its OSDs as {_described(_config(runs_as))}; the inventory says {_described(_config(wanted))}, which only "
                    f"holds for OSDs made anew: remove them with {REMOVAL}, and add the disk again."
                )
            wanted = _comparable_device(runs_as)
        devices.append(wanted)
    named = {path for disk in host.disks for path in (disk.link, *disk.links)}
    unaccounted = _unaccounted(host, running)
    for device in _running_devices(runs, host):
        if _path(device) in named:
            continue
        osds = _osds_of_path(_path(device), host, unaccounted)
        if osds is not None:
            devices.append(_comparable_device(device))
            notes.kept.append(Kept(name, _path(device), osds))
    return {"name": name, **({"devices": devices} if devices else {})}


def _pattern_node(host: Host, runs: Mapping[str, Any], running: Running, notes: _Notes) -> dict[str, Any]:
    """For disks that were not judged: Rook takes either names or one pattern, and options for all disks of it."""
    name = host.machine.hostname
    configs = [_config(_device(disk)) for disk in host.disks]
    if any(config != configs[0] for config in configs):
        raise InputError(
            "its disks have different options, and some are named by serial numbers whose links are not known, as the machine was not asked",
            where=f"machine_osd_disks of {host.machine.name}",
            hint="Name them all by by_id.",
        )
    parts = [re.escape(disk.link.removeprefix(layout_links.LINKS)) if disk.exact else disk.link for disk in host.disks]
    before = layout_links.alternatives(str(runs["devicePathFilter"])) if runs.get("devicePathFilter") else []
    before += [re.escape(_path(device).removeprefix(layout_links.LINKS)) for device in runs.get("devices") or []]
    unaccounted = _unaccounted(host, running)
    for part in before:
        covered = part in parts or any(re.fullmatch(ours, re.sub(r"\\(.)", r"\1", part)) for ours in parts)
        if not covered and (unaccounted is None or unaccounted):
            parts.append(part)
            notes.kept.append(Kept(name, part, tuple(osd.id for osd in unaccounted or ())))
    return {"name": name, "devicePathFilter": layout_links.path_filter(parts), **({"config": configs[0]} if configs[0] else {})}


def _device(disk: Disk) -> dict[str, Any]:
    config = {
        **({"deviceClass": disk.device_class} if disk.device_class and disk.device_class != disk.kind else {}),
        **({"osdsPerDevice": str(disk.osds)} if disk.osds > 1 else {}),
        **({"metadataDevice": disk.metadata} if disk.metadata else {}),
        **({"databaseSizeMB": str(disk.database // 1024**2)} if disk.database else {}),
    }
    return {"name": disk.link, **({"config": config} if config else {})}


def _running_devices(runs: Mapping[str, Any], host: Host) -> list[Mapping[str, Any]]:
    """Devices of a running node, those that its pattern means too."""
    devices = list(runs.get("devices") or [])
    pattern = str(runs.get("devicePathFilter") or "")
    if pattern:
        common = {"config": runs["config"]} if runs.get("config") else {}
        devices += [
            {"name": link, **common} for disk in host.present if (link := next((link for link in (disk.link, *disk.links) if re.search(pattern, link)), ""))
        ]
    return devices


def _unaccounted(host: Host, running: Running) -> list[Osd] | None:
    """OSDs of the host that are on none of its named disks; None where that cannot be known."""
    if running.osds is None:
        return None
    osds = running.osds_of(host.machine.hostname)
    on_named = {osd.id for disk in host.disks for osd in osds_on(disk, osds)}
    return [osd for osd in osds if osd.id not in on_named]


def _osds_of_path(path: str, host: Host, unaccounted: Sequence[Osd] | None) -> tuple[int, ...] | None:
    """The OSDs behind a path that the inventory does not name, as far as known; None when it is sure that there is none, so that the path can go."""
    if unaccounted is None:
        return ()
    disk = next((disk for disk in host.present if path in (disk.link, *disk.links)), None)
    if disk and disk.serial:
        mine = tuple(osd.id for osd in unaccounted if osd.serial in ("", disk.serial))
        return mine or None
    by_link = tuple(osd.id for osd in unaccounted if osd.serial and osd.serial in path)
    return by_link or (tuple(osd.id for osd in unaccounted) or None)


def _path(device: Mapping[str, Any]) -> str:
    return str(device.get("fullpath") or device.get("name") or "")


def _config(device: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in (device.get("config") or {}).items()}


def _comparable_device(device: Mapping[str, Any]) -> dict[str, Any]:
    config = _config(device)
    return {"name": _path(device), **({"config": config} if config else {})}


def _comparable_node(node: Mapping[str, Any]) -> dict[str, Any]:
    config, devices, pattern = _config(node), node.get("devices") or [], node.get("devicePathFilter")
    return {
        "name": str(node.get("name", "")),
        **({"devices": [_comparable_device(device) for device in devices]} if devices else {}),
        **({"devicePathFilter": str(pattern)} if pattern else {}),
        **({"config": config} if config else {}),
    }


def _described(config: Mapping[str, str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(config.items())) or "the default"
