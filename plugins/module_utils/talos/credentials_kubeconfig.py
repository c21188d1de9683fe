# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeconfig: reading the parts that matter to us, and merging one into another. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError


@dataclass(frozen=True)
class KubeContext:
    """The current context of a kubeconfig: the API's URL, its authority and the client certificate (PEM)."""

    name: str
    server: str
    authority: str
    certificate: str


def parse_kubeconfig(text: str, *, where: str) -> KubeContext:
    """The current context. Raises InputError, which names the file, for what is no kubeconfig with a client certificate."""
    name, cluster, user = _current(text, where)
    return KubeContext(
        name, str(cluster.get("server", "")), _decoded(cluster.get("certificate-authority-data"), where), _decoded(user.get("client-certificate-data"), where)
    )


def client_certificate(text: str, *, where: str) -> str:
    """The client certificate (PEM) of the current context; "" where its user has none in the file. Raises InputError for what is no kubeconfig."""
    _name, _cluster, user = _current(text, where)
    return _decoded(user["client-certificate-data"], where) if user.get("client-certificate-data") else ""


def server_of(text: str, *, where: str) -> str:
    """The API's URL of the current context; "" where it names none."""
    return str(_current(text, where)[1].get("server", ""))


def _current(text: str, where: str) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """Name, cluster and user of the current context."""
    document = load_kubeconfig(text, where=where)
    name = str(document.get("current-context", ""))
    context = _named(document, "contexts", name).get("context") or {}
    cluster = _named(document, "clusters", str(context.get("cluster", ""))).get("cluster") or {}
    user = _named(document, "users", str(context.get("user", ""))).get("user") or {}
    return name, cluster, user


def load_kubeconfig(text: str, *, where: str) -> dict[str, Any]:
    """The document. Empty text is an empty one."""
    try:
        document = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise InputError("not valid YAML", where=where) from error
    if not isinstance(document, dict):
        raise InputError("not a kubeconfig", where=where)
    return document


def merge(into: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """``into`` with the clusters, users and contexts of ``added``, which win where names are the same.

    The current context stays what it was, unless there was none.
    """
    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", **into}
    for section in ("clusters", "users", "contexts"):
        new = {entry["name"]: entry for entry in added.get(section) or []}
        old = [entry for entry in into.get(section) or [] if isinstance(entry, Mapping)]
        merged[section] = [new.pop(entry.get("name"), entry) for entry in old] + list(new.values())
    if not merged.get("current-context"):
        merged["current-context"] = added.get("current-context", "")
    return merged


def _named(document: Mapping[str, Any], section: str, name: str) -> Mapping[str, Any]:
    entries = document.get(section)
    return next((entry for entry in entries if isinstance(entry, dict) and entry.get("name") == name), {}) if isinstance(entries, list) else {}


def _decoded(value: Any, where: str) -> str:
    try:
        text = base64.b64decode(str(value or ""), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InputError("a certificate in the kubeconfig is not readable", where=where) from error
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise InputError("the kubeconfig holds no certificate", where=where)
    return text
