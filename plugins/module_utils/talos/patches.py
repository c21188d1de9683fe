# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patches of a machine configuration: what the platform itself needs, then the user's layers. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.documents import load_all
from ansible_collections.trinode.platform.plugins.module_utils.talos.redact import secrets_in

KUBEPRISM_PORT = 7445
"""Where every machine serves the Kubernetes API on localhost; Cilium is told the same."""

VIP_KIND = "Layer2VIPConfig"

_EXACT_DISK_KEYS = ("serial", "wwid")
_OTHER_DISK_KEYS = {"size": "size", "model": "model", "uuid": "uuid", "type": "type", "bus_path": "busPath", "modalias": "modalias"}
_DISK_TYPES = ("ssd", "hdd", "nvme", "sd")
_BY_ID = "/dev/disk/by-id/"
# A container installs nothing, yet its configuration must pass for metal too; this names a disk that cannot exist.
_NO_DISK = _BY_ID + "none-in-a-container"

# Characters that JSON lets stand in a string, and YAML takes for line breaks or refuses.
_YAML_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF)}


@dataclass(frozen=True)
class Patch:
    """One patch for talosctl: YAML text, and for people where it comes from."""

    where: str
    text: str


def user_patches(layers: Sequence[Mapping[str, Any]]) -> list[Patch]:
    """The user's layers (``{layer, documents}``) as patches, in order.

    A document is a mapping, or YAML text of one or more documents, which is handed on as it stands. Raises InputError that names layer and document.
    """
    patches = []
    for layer in layers:
        for number, document in enumerate(layer["documents"], 1):
            where = f"patch layer {layer['layer']!r}, document {number}"
            if isinstance(document, Mapping):
                patches.append(Patch(where, _as_yaml([document])))
            elif isinstance(document, str):
                _check_text(document, where)
                if document.strip():
                    patches.append(Patch(where, document))
            else:
                raise InputError(f"a patch is a mapping or YAML text, not {type(document).__name__}", where=where)
    return patches


def secrets_of(layers: Sequence[Mapping[str, Any]]) -> set[str]:
    """The secrets in the user's layers, so that they can be kept out of results and logs."""
    secrets: set[str] = set()
    for layer in layers:
        for document in layer["documents"]:
            if not isinstance(document, str):
                secrets |= secrets_in(document)
                continue
            try:
                found = secrets_in(load_all(document, where=""))
            except InputError:
                found = {document}
            # A secret over several lines stands in the text in another form; then all of the text is kept out.
            secrets |= found if all(secret in document for secret in found) else {document}
    return secrets


def base_patch(options: Mapping[str, Any], installer_image: str) -> Patch:
    """What the platform needs of every machine, from the options of rendering. Raises InputError for options that contradict each other."""
    documents: list[Mapping[str, Any]] = [_main_document(options, installer_image)]
    # The generator writes ``auto: stable``, which a fixed name excludes.
    documents.append({"apiVersion": "v1alpha1", "kind": "HostnameConfig", "auto": {"$patch": "delete"}, "hostname": options["hostname"]})
    if options["vip"] and options["machine_role"] == "controlplane":
        documents.append(vip_document(options["vip"], options["vip_link"]))
    for host, endpoints in sorted(options["registry_mirrors"].items()):
        if not isinstance(endpoints, list) or not endpoints or not all(isinstance(endpoint, str) for endpoint in endpoints):
            raise InputError(
                f"the mirrors of {host} are not a list of URLs", where="registry_mirrors", hint=f"Write it like {host}: [https://mirror.example.com]."
            )
        documents.append({"apiVersion": "v1alpha1", "kind": "RegistryMirrorConfig", "name": host, "endpoints": [{"url": endpoint} for endpoint in endpoints]})
    return Patch("the options of this machine", _as_yaml(documents))


def install_disk(selector: Mapping[str, Any], platform: str) -> dict[str, Any]:
    """The keys of ``machine.install`` that choose the disk.

    ``selector`` is one of serial, wwid (matched whole) or by_id (a link under /dev/disk/by-id), or any of size, model, uuid, type, bus_path, modalias.
    """
    where = "install_disk"
    if not selector:
        if platform == "container":
            return {"disk": _NO_DISK}
        raise InputError("no install disk is chosen", where=where, hint="Name it by serial, wwid or by_id, as talosctl get disks shows them.")
    if "match" in selector:
        raise InputError(
            f"the install disk is chosen by an expression ({selector['match']}), which only a task that asks the machine can turn into a disk",
            where=where,
            hint="Use talos_apply, or name the disk by its serial.",
        )
    unknown = sorted(set(selector) - {*_EXACT_DISK_KEYS, "by_id", *_OTHER_DISK_KEYS})
    if unknown:
        reason = " (names of the kernel change from boot to boot)" if {"name", "disk", "device", "path"} & set(unknown) else ""
        raise InputError(f"a disk cannot be chosen by {', '.join(unknown)}{reason}", where=where, hint="Use serial, wwid or by_id.")
    for key, value in selector.items():
        if not isinstance(value, (str, int)) or isinstance(value, bool) or not str(value).strip():
            raise InputError(f"{key} is empty or not a text", where=where)
    exact = [key for key in (*_EXACT_DISK_KEYS, "by_id") if key in selector]
    if exact and len(selector) > 1:
        raise InputError(f"{exact[0]} names one disk, so nothing else may stand beside it", where=where, hint=f"Keep {exact[0]} only.")
    if "by_id" in selector:
        return {"disk": _by_id(str(selector["by_id"]).strip())}
    if exact:
        value = str(selector[exact[0]]).strip()
        if set(value) & set("*?[]{}\\"):
            raise InputError(f"{exact[0]} is a pattern: {value!r}", where=where, hint="Give it whole, as talosctl get disks shows it.")
        return {"diskSelector": {exact[0]: value}}
    if selector.get("type", "ssd") not in _DISK_TYPES:
        raise InputError(f"type is {selector['type']!r}", where=where, hint=f"It is one of {', '.join(_DISK_TYPES)}.")
    return {"diskSelector": {_OTHER_DISK_KEYS[key]: str(value).strip() for key, value in sorted(selector.items())}}


def _by_id(value: str) -> str:
    name = value.removeprefix(_BY_ID)
    if not name or "/" in name:
        raise InputError(f"by_id is {value!r}", where="install_disk", hint=f"Give a name under {_BY_ID}, which unlike /dev/sda stays with its disk.")
    return _BY_ID + name


def check_networks(options: Mapping[str, Any]) -> None:
    """Raise InputError for a network or address that is none; preflight says more, this keeps nonsense from a machine in any case."""
    for option in ("pod_cidrs", "service_cidrs", "machine_cidrs"):
        for text in options[option]:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise InputError(f"{text!r} is not a network: {error}", where=option, hint="Write it like 10.244.0.0/16.") from error
    if options["vip"]:
        try:
            ipaddress.ip_address(options["vip"])
        except ValueError as error:
            raise InputError(f"{options['vip']!r} is not an address", where="vip", hint="Write it like 192.0.2.10.") from error


def _main_document(options: Mapping[str, Any], installer_image: str) -> dict[str, Any]:
    control_plane = options["machine_role"] == "controlplane"
    machine: dict[str, Any] = {
        "install": {**install_disk(options["install_disk"], options["talos_platform"]), "image": installer_image},
        "kubelet": {"extraArgs": {"rotate-server-certificates": "true"}},
        "features": {
            "kubePrism": {"enabled": True, "port": KUBEPRISM_PORT},
            # Forwarding cluster DNS to the host's resolver breaks as soon as Cilium masquerades by BPF (cilium/cilium#36852), so on metal it is off,
            # and CoreDNS asks the machine's own resolvers. In a container Talos insists on it: the outer resolver is on a loopback address there.
            "hostDNS": {"enabled": True, "forwardKubeDNSToHost": options["talos_platform"] == "container"},
        },
    }
    cluster: dict[str, Any] = {"network": {"podSubnets": list(options["pod_cidrs"]), "serviceSubnets": list(options["service_cidrs"])}}
    if options["machine_cidrs"]:
        machine["kubelet"]["nodeIP"] = {"validSubnets": list(options["machine_cidrs"])}
    if control_plane:
        # Three machines do everything here: their control planes carry workloads, and so they also take traffic of load balancers.
        machine["nodeLabels"] = {"node.kubernetes.io/exclude-from-external-load-balancers": {"$patch": "delete"}}
        cluster["allowSchedulingOnControlPlanes"] = True
        cluster["network"]["cni"] = {"name": "none"}
        cluster["proxy"] = {"disabled": True}
        if options["machine_cidrs"]:
            # etcd then listens on these addresses alone, and not on a virtual one, through which members would join fastest: they join a minute later.
            cluster["etcd"] = {"advertisedSubnets": list(options["machine_cidrs"])}
    return {"machine": machine, "cluster": cluster}


def vip_document(vip: str, link: str) -> dict[str, Any]:
    """The document of a machine config that shares a virtual address among control planes."""
    if not link:
        raise InputError(
            f"it is not known which link shall carry the virtual address {vip}",
            where="vip_link",
            hint="Name the link, like eth0, as talosctl get links shows it; only a task that talks to the machine can find it by itself.",
        )
    return {"apiVersion": "v1alpha1", "kind": VIP_KIND, "name": vip, "link": link}


def _check_text(text: str, where: str) -> None:
    for document in load_all(text, where=where):
        if isinstance(document, list):
            raise InputError(
                "a JSON patch (RFC 6902) cannot be applied to a configuration of several documents",
                where=where,
                hint="Write it as a strategic merge patch; to remove something, give it the value {$patch: delete}.",
            )
        if not isinstance(document, dict):
            raise InputError("a document of the patch is not a mapping", where=where)


def _as_yaml(documents: Iterable[Mapping[str, Any]]) -> str:
    # JSON is YAML in which every string is quoted, so that no reader takes 'off' or '0o644' for something else.
    return "\n---\n".join(json.dumps(document, ensure_ascii=False).translate(_YAML_ESCAPES) for document in documents) + "\n"
