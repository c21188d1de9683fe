# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to know about a machine, from Talos's resources. Pure; observe.py reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import Resource
from ansible_collections.trinode.platform.plugins.module_utils.talos.disk_contents import UNKNOWN, contents

# Resources by what a caller wants to know. Each is a talosctl process, so nobody reads more than needed.
KINDS: Mapping[str, tuple[str, ...]] = {
    "status": ("machinestatus",),
    "version": ("version", "hostname"),
    "identity": ("systeminformation",),
    "image": ("platformmetadata", "extensions"),
    "network": ("addresses", "links"),
    "disks": ("disks", "systemdisk", "discoveredvolumes"),
    "etcd": ("etcdmember",),
}


@dataclass(frozen=True)
class Link:
    """A physical network link."""

    name: str
    hardware_address: str
    up: bool
    speed_mbit: int
    driver: str
    bus_path: str


@dataclass(frozen=True)
class Disk:
    """A disk. ``size`` in bytes; ``by_id`` are its links below /dev/disk/by-id; ``system`` says that Talos is installed there.

    ``removable``: on USB, as Talos does not tell the kernel's own mark. ``used_by``: devices made of it, such as md0. ``contents`` and ``detail``:
    see disk_contents.
    """

    name: str
    path: str
    size: int
    model: str
    serial: str
    wwid: str
    uuid: str
    transport: str
    rotational: bool
    readonly: bool
    bus_path: str
    by_id: tuple[str, ...]
    system: bool
    removable: bool = False
    used_by: tuple[str, ...] = ()
    contents: str = UNKNOWN
    detail: str = ""


@dataclass(frozen=True)
class MachineState:
    """A machine as observed.

    ``trust``: ``ours`` | ``maintenance`` | ``foreign`` | ``unreachable``; ``stage``: Talos's own word (``maintenance``, ``booting``, ``running``,
    ``installing``, ``rebooting``, ...), empty when it cannot be read; ``unmet``: what keeps it from being ready, one text each.
    """

    address: str
    trust: str
    fingerprint: str = ""
    problem: str = ""
    stage: str = ""
    ready: bool = False
    unmet: tuple[str, ...] = ()
    version: str = ""
    hostname: str = ""
    platform: str = ""
    schematic: str = ""
    extensions: tuple[str, ...] = ()
    uuid: str = ""
    serial_number: str = ""
    manufacturer: str = ""
    product: str = ""
    addresses: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    disks: tuple[Disk, ...] = ()
    system_disk: str = ""
    etcd_member_id: str = ""

    @property
    def reachable(self) -> bool:
        """Whether anything answers on the Talos API's port."""
        return self.trust != "unreachable"

    def as_values(self) -> dict[str, Any]:
        """As a module's return value: JSON types, lists instead of tuples."""
        values: dict[str, Any] = asdict(self, dict_factory=_plain)
        return {"reachable": self.reachable, **values}


@dataclass(frozen=True)
class Status:
    """The resource MachineStatus. ``boot`` is the time at which this boot made it: another boot, another time."""

    stage: str = ""
    ready: bool = False
    unmet: tuple[str, ...] = field(default=())
    boot: str = ""


def read_status(resources: Sequence[Resource]) -> Status:
    """MachineStatus, or an empty status where there is none."""
    if not resources:
        return Status()
    spec = resources[0].spec
    status = spec.get("status") or {}
    unmet = tuple(f"{condition.get('name')}: {condition.get('reason')}" for condition in status.get("unmetConditions") or [])
    return Status(str(spec.get("stage", "")), bool(status.get("ready")), unmet, resources[0].created)


def describe(found: Mapping[str, Sequence[Resource]]) -> dict[str, Any]:
    """The fields of MachineState that these resources (by kind) give. Kinds that were not read give nothing."""
    fields: dict[str, Any] = {}
    if "machinestatus" in found:
        status = read_status(found["machinestatus"])
        fields |= {"stage": status.stage, "ready": status.ready, "unmet": status.unmet}
    fields |= _system(found)
    if "addresses" in found:
        fields["addresses"] = tuple(_addresses(found["addresses"]))
    if "links" in found:
        fields["links"] = tuple(_links(found["links"]))
    if "disks" in found:
        system_disk = next((str(item.spec.get("diskID", "")) for item in found.get("systemdisk", ())), "")
        volumes = {item.id: item.spec for item in found.get("discoveredvolumes", ())}
        disks = tuple(_disks(found["disks"], system_disk, volumes))
        fields |= {"disks": disks, "system_disk": next((disk.path for disk in disks if disk.system), "")}
    if "etcdmember" in found:
        fields["etcd_member_id"] = next((str(item.spec.get("memberID", "")) for item in found["etcdmember"]), "")
    return fields


def _system(found: Mapping[str, Sequence[Resource]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    texts = {
        "version": ("version", "version"),
        "hostname": ("hostname", "hostname"),
        "platform": ("platformmetadata", "platform"),
        "uuid": ("systeminformation", "uuid"),
        "serial_number": ("systeminformation", "serialnumber"),
        "manufacturer": ("systeminformation", "manufacturer"),
        "product": ("systeminformation", "productName"),
    }
    for name, (kind, key) in texts.items():
        if kind in found:
            fields[name] = next((str(item.spec.get(key, "")) for item in found[kind]), "")
    if "extensions" in found:
        metadata = [item.spec.get("metadata") or {} for item in found["extensions"]]
        # The image factory writes the schematic's id as a pseudo-extension of this name.
        fields["schematic"] = next((str(entry.get("version", "")) for entry in metadata if entry.get("name") == "schematic"), "")
        fields["extensions"] = tuple(sorted(str(entry.get("name")) for entry in metadata if entry.get("name") not in ("schematic", "modules.dep", None)))
    return fields


def _addresses(resources: Sequence[Resource]) -> list[str]:
    """Addresses others can reach: with prefix length, global scope."""
    return sorted(str(item.spec.get("address", "")) for item in resources if item.spec.get("scope") == "global")


def link_of(address: str, resources: Sequence[Resource]) -> str:
    """The link that holds this IP address, from the resources AddressStatus; empty when none does."""
    return next((str(item.spec.get("linkName", "")) for item in resources if str(item.spec.get("address", "")).partition("/")[0] == address), "")


# Links that Talos, containers and CNIs make for themselves.
_VIRTUAL = re.compile(r"^(lo|dummy\d*|bonding_masters|tunl\d|sit\d|ip6tnl\d|teql\d|veth.*|lxc.*|cilium.*|flannel.*|cni\d|kube.*)$")


def _links(resources: Sequence[Resource]) -> list[Link]:
    links = []
    for item in resources:
        spec = item.spec
        if spec.get("type") != "ether" or _VIRTUAL.match(item.id):
            continue
        links.append(
            Link(
                name=item.id,
                hardware_address=str(spec.get("permanentAddr") or spec.get("hardwareAddr") or ""),
                up=bool(spec.get("linkState")),
                speed_mbit=max(0, _whole_number(spec.get("speedMbit"))),
                driver=str(spec.get("driver", "")),
                bus_path=str(spec.get("busPath", "")),
            )
        )
    return sorted(links, key=lambda link: link.name)


def _disks(resources: Sequence[Resource], system_disk: str, volumes: Mapping[str, Mapping[str, Any]]) -> list[Disk]:
    disks = []
    users = [(item.id, item.spec.get("secondary_disks") or ()) for item in resources]
    for item in resources:
        spec = item.spec
        # Loop and RAM devices, optical drives and network block devices are no disks to install on.
        if spec.get("cdrom") or re.match(r"(loop|ram|zram|nbd|dm-|md)\d*", item.id):
            continue
        links = [str(link) for link in spec.get("symlinks") or []]
        found = contents(item.id, links, volumes)
        disks.append(
            Disk(
                name=item.id,
                path=str(spec.get("dev_path") or f"/dev/{item.id}"),
                size=_whole_number(spec.get("size")),
                model=str(spec.get("model", "")),
                serial=str(spec.get("serial", "")),
                wwid=str(spec.get("wwid", "")),
                uuid=str(spec.get("uuid", "")),
                transport=str(spec.get("transport", "")),
                rotational=bool(spec.get("rotational")),
                readonly=bool(spec.get("readonly")),
                bus_path=str(spec.get("bus_path", "")),
                by_id=tuple(sorted(link for link in links if "/by-id/" in link)),
                system=bool(system_disk) and item.id == system_disk,
                removable=spec.get("transport") == "usb",
                used_by=tuple(sorted(user for user, parts in users if item.id in parts)),
                contents=found.kind,
                detail=found.detail,
            )
        )
    return sorted(disks, key=lambda disk: disk.name)


def disk_from_values(values: Mapping[str, Any]) -> Disk:
    """A disk from what as_values() made of it. What is missing is empty."""
    texts = ("name", "path", "model", "serial", "wwid", "uuid", "transport", "bus_path", "detail")
    given: dict[str, Any] = {name: str(values.get(name) or "") for name in texts}
    given |= {name: bool(values.get(name)) for name in ("rotational", "readonly", "system", "removable")}
    given |= {name: tuple(values.get(name) or ()) for name in ("by_id", "used_by")}
    return Disk(**given, size=_whole_number(values.get("size")), contents=str(values.get("contents") or UNKNOWN))


def _whole_number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _plain(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in pairs}
