# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a single value must look like. Each constraint takes a value of the right type and returns a Problem, or None when the value is fine."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube import query
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_snapshot_bucket import check_url as check_bucket_url
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_tls import normalized_fingerprint

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_TALOS_VERSION = re.compile(r"v\d+\.\d+\.\d+(-(alpha|beta|rc)\.\d+)?")
_CONTRACT = re.compile(r"v\d+\.\d+")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_REGISTRY = re.compile(r"(\*|[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?(:\d+)?)")
_EXTENSION = re.compile(r"[a-z0-9]([-._a-z0-9]*[a-z0-9])?/[a-z0-9]([-._a-z0-9]*[a-z0-9])?")
GATE_CHECKS = ("machines", "etcd", "nodes", "network", "ceph", "databases", "webhooks", "certificates", "budgets", "gitops")
KERNEL_NAME = "is a kernel name"
_KERNEL_DISK = re.compile(r"(/dev/)?((sd|vd|hd|xvd)[a-z]+\d*|nvme\d+n\d+(p\d+)?|mmcblk\d+(p\d+)?)")

DISK_IDENTITIES = ("serial", "wwid", "by_id")
DISK_ATTRIBUTES = ("size", "model", "type", "bus_path", "modalias", "uuid")
DISK_TYPES = ("ssd", "hdd", "nvme", "sd")
DISK_MATCH = ("match", "count")
OSD_OPTIONS = ("device_class", "osds_per_device", "metadata")
_DISK_HINT = 'Name the disk by its serial: {serial: "S4X9NF0M"}, as `ansible-playbook playbooks/disks.yml` shows it.'


@dataclass(frozen=True)
class Problem:
    """What is wrong with a value, and what would be right (a full sentence each, without the closing dot in ``what``)."""

    what: str
    hint: str


Constraint = Callable[[Any], Problem | None]  # pylint: disable=unsupported-binary-operation


def rfc1123_label(value: str) -> Problem | None:
    """One label of a DNS name (RFC 1123): host names of machines and the cluster's name."""
    if len(value) <= 63 and _LABEL.fullmatch(value):
        return None
    first, _dot, _rest = value.partition(".")
    cleaned = re.sub(r"[^a-z0-9-]+", "-", first.lower()).strip("-")[:63].rstrip("-")
    example = f", such as {cleaned!r}" if cleaned else ""
    return Problem(f"{value!r} is not a name by RFC 1123", f"Use lower-case letters, digits and hyphens, at most 63, a letter or digit at both ends{example}.")


def bucket_url(value: str) -> Problem | None:
    """A bucket of an S3 store: https, a host, a bucket, a prefix if there is one."""
    what, _dot, hint = check_bucket_url(value).partition(". ")
    return Problem(what, hint) if what else None


def not_negative(value: int) -> Problem | None:
    return Problem(f"{value} is less than 0", "Give a number, or 0 for all.") if value < 0 else None


def ip_address(value: str) -> Problem | None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return Problem(f"{value!r} is not an IP address", "Write one such as 192.0.2.10, without a prefix length.")
    return None


def address(value: str) -> Problem | None:
    """An IP address or a DNS name. What looks like a wrong IP address is not taken for a name."""
    if re.fullmatch(r"[0-9./]+", value) or ":" in value:
        return ip_address(value)
    if len(value) <= 253 and all(len(part) <= 63 and _LABEL.fullmatch(part) for part in value.lower().split(".")):
        return None
    return Problem(f"{value!r} is neither an IP address nor a host name", "Write the machine's address, such as 192.0.2.11.")


def network(value: str) -> Problem | None:
    """A network in CIDR notation, without host bits."""
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        return Problem(f"{value!r} is not a network", "Write address and prefix length, such as 10.244.0.0/16.")
    if "/" not in value:
        return Problem(
            f"{value!r} has no prefix length", f"Write {value}/{interface.network.prefixlen} for one address, or the whole network such as 10.244.0.0/16."
        )
    if interface.ip != interface.network.network_address:
        return Problem(f"{value!r} has host bits set", f"The network is {interface.network}.")
    return None


def https_url(value: str) -> Problem | None:
    """The URL of the Kubernetes API: https, a host, a port, no path."""
    hint = "Write it as https://192.0.2.10:6443."
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return Problem(f"{value!r} is not a URL", hint)
    if parts.scheme != "https" or not parts.hostname:
        return Problem(f"{value!r} is not an https URL", hint)
    if port is None:
        return Problem(f"{value!r} has no port", f"Write it as https://{parts.netloc}:6443.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        return Problem(f"{value!r} has more than a host and a port", f"Write it as https://{parts.netloc}.")
    return None


def talos_version(value: str) -> Problem | None:
    if _TALOS_VERSION.fullmatch(value):
        return None
    return Problem(f"{value!r} is not a full version", "Write it with a leading v and three numbers, such as v1.13.8.")


def contract(value: str) -> Problem | None:
    if _CONTRACT.fullmatch(value):
        return None
    return Problem(f"{value!r} is not a version contract", "Write the Talos version that the cluster was made with, as v1.13.")


def uuid(value: str) -> Problem | None:
    if _UUID.fullmatch(value):
        return None
    return Problem(f"{value!r} is not a UUID", "Write it as `talosctl get systeminformation` shows it, such as 4c4c4544-0042-3510-8052-b4c04f4b4433.")


def positive(value: float) -> Problem | None:
    if value > 0:
        return None
    return Problem(f"{value!r} is not a time", "Write seconds, more than 0.")


def milliseconds(value: float) -> Problem | None:
    if value >= 0:
        return None
    return Problem(f"{value!r} is no limit", "Write milliseconds, or 0 for no limit.")


def share(value: float) -> Problem | None:
    if 0 < value < 1:
        return None
    return Problem(f"{value!r} is not a share", "Write a number between 0 and 1, such as 0.5 for half of the certificate's life.")


def gate_check(value: str) -> Problem | None:
    """One of the gate's checks."""
    return None if value in GATE_CHECKS else Problem(f"{value!r} is no check of the gate", f"Use {', '.join(GATE_CHECKS)}.")


def gate_pattern(value: str) -> Problem | None:
    """A pattern of findings: the check, and where."""
    check, slash, _where = value.partition("/")
    if slash and (check in GATE_CHECKS or "*" in check or check.startswith(("command ", "job "))):
        return None
    return Problem(f"{value!r} names no finding of the gate", "Write CHECK/WHERE as the gate shows them, such as webhooks/my-policies*.")


def gate_command(value: dict[str, Any]) -> Problem | None:
    """A command that is a check of the user's."""
    return _gate_own(value, ("argv",), "{name: shop, argv: [curl, --fail, https://shop.example.org/health]}", "argv", list)


def gate_job(value: dict[str, Any]) -> Problem | None:
    """A Job that is a check of the user's."""
    return _gate_own(value, ("manifest", "namespace"), "{name: smoke, namespace: shop, manifest: {spec: ...}}", "manifest", dict)


def _gate_own(value: dict[str, Any], keys: tuple[str, ...], sample: str, needed: str, kind: type) -> Problem | None:
    hint = f"Write it like {sample}, with timeout in seconds if it takes long."
    if unknown := sorted(set(value) - {"name", "timeout", *keys}):
        return Problem(f"{', '.join(unknown)} is no part of a check", hint)
    if not _LABEL.fullmatch(str(value.get("name") or "")):
        return Problem(f"{value.get('name')!r} is no name of a check", f"Use small letters, digits and dashes. {hint}")
    return None if isinstance(value.get(needed), kind) and value[needed] else Problem(f"the check {value['name']} has no {needed}", hint)


def not_empty(value: Any) -> Problem | None:
    if value:
        return None
    return Problem("it is empty", "Leave the line out to get the default, or give a value.")


def registry_host(value: str) -> Problem | None:
    """A registry's name as it stands in image references: no scheme, no path."""
    if _REGISTRY.fullmatch(value):
        return None
    return Problem(f"{value!r} is not the name of a registry", "Write the host as image names have it, such as docker.io or registry.example.org:5000.")


def extension(value: str) -> Problem | None:
    if _EXTENSION.fullmatch(value):
        return None
    return Problem(f"{value!r} is not the name of a system extension", "Write it as the image factory lists it, such as siderolabs/iscsi-tools.")


def kernel_argument(value: str) -> Problem | None:
    if value and not re.search(r"\s", value):
        return None
    return Problem(f"{value!r} is not one kernel argument", "Write one argument per list entry, such as console=ttyS0.")


def fingerprint(value: str) -> Problem | None:
    """The SHA-256 of a certificate's public key, as Talos prints it on the console, or in hexadecimal."""
    try:
        normalized_fingerprint(value)
    except InputError as error:
        return Problem(error.what, error.hint)
    return None


def registry_mirrors(value: dict[str, Any]) -> Problem | None:
    """A mapping of registry name to a list of endpoint URLs."""
    for name, endpoints in value.items():
        if problem := registry_host(str(name)):
            return problem
        if not isinstance(endpoints, list) or not endpoints:
            return Problem(f"the mirror of {name!r} is not a list of endpoints", f'Write {{{name}: ["https://mirror.example.org"]}}.')
        for endpoint in endpoints:
            if urlsplit(str(endpoint)).scheme not in ("http", "https") or not urlsplit(str(endpoint)).netloc:
                return Problem(f"the mirror {endpoint!r} of {name!r} is not a URL", "Write it with http:// or https:// before the host.")
    return None


_CHART_KEYS = ("chart", "repository", "url", "version", "digest")


def charts(value: dict[str, Any]) -> Problem | None:
    """Changes to pinned charts: a mapping of a pin's name to what differs."""
    for name, changes in value.items():
        if not isinstance(changes, dict):
            return Problem(f"the changes to chart {name!r} are not a dictionary", f"Write {{{name}: {{version: 1.2.3}}}}.")
        if unknown := sorted(str(key) for key in set(changes) - set(_CHART_KEYS)):
            return Problem(f"chart {name!r} has the unknown key {unknown[0]!r}", f"Known are {', '.join(_CHART_KEYS)}.")
    return None


def addresses(value: str) -> Problem | None:
    """A network in CIDR notation, or the first and last address of a range."""
    first, dash, last = (part.strip() for part in value.partition("-"))
    if not dash:
        return network(value)
    try:
        ends = ipaddress.ip_address(first), ipaddress.ip_address(last)
    except ValueError:
        return Problem(f"{value!r} is not a range of addresses", "Write the first and the last address: 192.0.2.200-192.0.2.220.")
    if ends[0].version != ends[1].version or int(ends[0]) > int(ends[1]):
        return Problem(f"{value!r} ends before it begins", "Write the lower address first, and both of one family.")
    return None


def web_url(value: str) -> Problem | None:
    """An https URL with any path."""
    parts = urlsplit(value)
    if parts.scheme == "https" and parts.netloc:
        return None
    return Problem(f"{value!r} is not an https URL", "Write it with https:// and a host.")


def any_url(value: str) -> Problem | None:
    """An http or https URL, without user and password."""
    parts = urlsplit(value)
    if parts.scheme in ("http", "https") and parts.netloc and "@" not in parts.netloc:
        return None
    return Problem(f"{value!r} is not a URL", "Write it with http:// or https:// and a host, without user and password.")


def boot_network(value: dict[str, Any]) -> Problem | None:
    """Files to boot over the network: kernel and initramfs with a command line, or a unified kernel image."""
    if not value:
        return None
    if set(value) not in ({"kernel", "initramfs", "command_line"}, {"uki"}):
        return Problem(f"{', '.join(sorted(map(str, value)))} alone boots no machine", "Write kernel, initramfs and command_line, or uki alone.")
    return next((problem for name, url in value.items() if name != "command_line" and (problem := any_url(str(url)))), None)


def bmc_address(value: str) -> Problem | None:
    """A BMC: a name, an address, or a URL of these."""
    if "://" in value:
        return any_url(value)
    return address(value.strip("[]")) if value.count(":") != 1 else address(value.partition(":")[0])


def bmc_fingerprint(value: str) -> Problem | None:
    """The SHA-256 of a BMC's certificate, in hexadecimal."""
    digits = value.strip().replace(":", "").replace(" ", "")
    if re.fullmatch(r"[0-9A-Fa-f]{64}", digits):
        return None
    return Problem(f"{value!r} is not the SHA-256 fingerprint of a certificate", "Write 64 hexadecimal digits, as the BMC's own pages show them.")


def mac(value: str) -> Problem | None:
    """A hardware address."""
    if re.fullmatch(r"[0-9a-f]{12}", re.sub(r"[:.-]", "", value.lower())):
        return None
    return Problem(f"{value!r} is not a hardware address", "Write it such as 52:54:00:12:34:56.")


def git_url(value: str) -> Problem | None:
    """A repository over https (or http), or over SSH as a URL or as user@host:path; without a password, which would end up in the cluster in clear."""
    parts = urlsplit(value)
    if parts.scheme in ("https", "http") and parts.hostname and parts.path.strip("/"):
        if "@" not in parts.netloc:
            return None
        return Problem("the URL holds a user name or a password", "Leave them out, and set trinode_git_username and trinode_git_token.")
    if parts.scheme == "ssh" and parts.hostname and parts.path.strip("/") and not parts.password:
        return None
    if re.fullmatch(r"[\w.-]+@[\w.-]+:(?!//)\S+", value):
        return None
    return Problem(f"{value!r} is no URL of a repository", "Write it as https://HOST/PATH.git, ssh://git@HOST/PATH.git or git@HOST:PATH.git.")


def git_branch(value: str) -> Problem | None:
    """A name that git takes for a branch, as git-check-ref-format describes it."""
    parts = value.split("/")
    bad = re.search(r"[\x00-\x20~^:?*\[\\\x7f]|\.\.|@\{", value) or value.startswith("-") or value in ("@", "HEAD")
    if bad or value.endswith(".") or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts):
        return Problem(f"{value!r} is no name of a branch", "Write the branch's name alone, such as main.")
    return None


def git_path(value: str) -> Problem | None:
    """A directory below the repository's root."""
    if value.startswith("/") or any(part in ("", ".", "..") or part.startswith("-") or part.lower() == ".git" for part in value.rstrip("/").split("/")):
        return Problem(f"{value!r} is no directory of a repository", "Write it from the repository's root, such as clusters/home.")
    return None


def install_disk(value: dict[str, Any]) -> Problem | None:
    """The disk for Talos: by exactly one identity (serial, wwid, by_id), by attributes, or by an expression that matches one disk."""
    if problem := _first(_disk_problems(value, (*DISK_ATTRIBUTES, *DISK_MATCH))):
        return problem
    if value.get("count", 1) != 1:
        return Problem(f"count of the install disk is {value['count']!r}", "Talos is installed on one disk; leave count out.")
    return None


def osd_disk(value: dict[str, Any]) -> Problem | None:
    """A disk for storage, or as many as ``count`` says: by one identity or by an expression, and what is to be made of it."""
    return _first(_osd_problems(value))


def _osd_problems(value: dict[str, Any]) -> Iterator[Problem]:
    selector = {key: wanted for key, wanted in value.items() if key not in OSD_OPTIONS}
    if attributes := [key for key in DISK_ATTRIBUTES if key in selector]:
        yield Problem(
            f"a disk for storage is chosen by {attributes[0]}, which another disk may match one day",
            "Name it by serial, wwid or by_id; or use match, an expression with the number of disks that it must match.",
        )
    if not selector:
        yield Problem("a disk for storage names no disk", _DISK_HINT)
    yield from _disk_problems(selector, DISK_MATCH)
    device_class = value.get("device_class", "ssd")
    if not isinstance(device_class, str) or not _LABEL.fullmatch(device_class):
        yield Problem(f"device_class is {device_class!r}", "Write a word: hdd, ssd, nvme, or one of your own.")
    if not _is_count(value.get("osds_per_device", 1)):
        yield Problem(f"osds_per_device is {value['osds_per_device']!r}", "Write how many OSDs the disk is to carry: 1 or more.")
    if "metadata" in value:
        metadata = value["metadata"]
        if not isinstance(metadata, dict) or not metadata:
            yield Problem(f"metadata is {metadata!r}", 'Name the disk that holds the metadata as any other: {serial: "S4X9NF0M"}.')
        else:
            yield from _disk_problems(metadata, DISK_MATCH)


def disk_serial(value: str) -> Problem | None:
    """A serial in a list of disks that may be wiped."""
    if value.strip() and not set(value) & set("*?[]{}\\"):
        return kernel_disk(value)
    return Problem(f"{value!r} is not a serial", "Give the serial of each disk whole, as `talosctl get disks` shows it.")


def _first(problems: Iterator[Problem]) -> Problem | None:
    return next(problems, None)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _disk_problems(selector: dict[str, Any], further: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with the keys that choose a disk; ``further`` keys are known beside the identities."""
    for key in ("name", "path", "disk", "device"):
        if problem := kernel_disk(str(selector.get(key, ""))):
            yield problem
    if unknown := sorted(str(key) for key in set(selector) - {*DISK_IDENTITIES, *further}):
        rest = ", ".join(key for key in further if key not in DISK_MATCH)
        known = f"Use exactly one of {', '.join(DISK_IDENTITIES)}, or match{f', or attributes: {rest}' if rest else ''}."
        yield Problem(f"the disk selector has the unknown key {unknown[0]!r}", known)
    for key, wanted in selector.items():
        if problem := _disk_value(key, wanted):
            yield problem
    exact = [key for key in (*DISK_IDENTITIES, "match") if key in selector]
    if len(exact) > 1:
        yield Problem(f"the disk selector has {' and '.join(exact)}", f"Give exactly one of {', '.join((*DISK_IDENTITIES, 'match'))}.")
    elif exact and set(selector) - {exact[0], "count"}:
        yield Problem(f"the disk selector has {exact[0]} and further keys", f"{exact[0]} names one disk already; leave the others out.")
    elif "count" in selector and "match" not in selector:
        yield Problem("the disk selector has count without match", "count says how many disks an expression in match must match.")


def _disk_value(key: str, wanted: Any) -> Problem | None:
    """What is wrong with the value of one key."""
    if key == "count":
        return None if _is_count(wanted) else Problem(f"count of the disk selector is {wanted!r}", "Write how many disks match must match: 1 or more.")
    if not isinstance(wanted, (str, int)) or isinstance(wanted, bool) or not str(wanted).strip():
        return Problem(f"{key} of the disk selector is {wanted!r}", _DISK_HINT)
    if key in ("serial", "wwid") and set(str(wanted)) & set("*?[]{}\\"):
        return Problem(f"{key} of the disk selector is the pattern {wanted!r}", "Give it whole, as `talosctl get disks` shows it.")
    if key == "by_id":
        return by_id(str(wanted))
    if key == "type" and wanted not in DISK_TYPES:
        return Problem(f"type of the disk selector is {wanted!r}", f"It is one of {', '.join(DISK_TYPES)}.")
    return expression(str(wanted)) if key == "match" else None


def expression(value: str) -> Problem | None:
    """A JMESPath expression."""
    try:
        query.compile(value, option="match")
    except InputError as error:
        return Problem(f"match of the disk selector is {value!r}: {' '.join(error.what.split())}", error.hint)
    return None


def kernel_disk(value: str) -> Problem | None:
    """A disk given as text: refused, with the reason when it is a kernel name."""
    if _KERNEL_DISK.fullmatch(value):
        return Problem(f"{value!r} {KERNEL_NAME}, which may be another disk after the next boot", _DISK_HINT)
    return None


def by_id(value: str) -> Problem | None:
    """A link under /dev/disk/by-id, whole or its last part."""
    if problem := kernel_disk(value):
        return problem
    if "/" in value.removeprefix("/dev/disk/by-id/"):
        return Problem(f"by_id is {value!r}", "Give a name under /dev/disk/by-id, which stays with its disk.")
    return None


def patches(value: list[Any]) -> Problem | None:
    """Machine config patches: dictionaries (one document each) or multi-document YAML text."""
    for number, patch in enumerate(value, start=1):
        if not isinstance(patch, (dict, str)) or not patch:
            return Problem(f"patch {number} is {type(patch).__name__} {patch!r}", "Each patch is a dictionary or YAML text with one or more documents.")
    return None
