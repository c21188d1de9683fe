# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether credentials are still good, and why not. Pure."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_kubeconfig import KubeContext
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_talosconfig import ClientContext
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_certificate import validity


@dataclass(frozen=True)
class Wanted:
    """What credentials have to match. ``machine_authority`` and ``kubernetes_authority`` are the bundle's CA certificates (PEM)."""

    cluster_name: str
    cluster_endpoint: str
    endpoints: tuple[str, ...]
    nodes: tuple[str, ...]
    machine_authority: str
    kubernetes_authority: str
    renew_below: float


def authorities(bundle: str, *, where: str) -> tuple[str, str]:
    """CA certificates (PEM) of the machines and of Kubernetes from a secrets bundle."""
    certificates = yaml.safe_load(bundle)["certs"]
    try:
        return base64.b64decode(certificates["os"]["crt"]).decode("ascii"), base64.b64decode(certificates["k8s"]["crt"]).decode("ascii")
    except (KeyError, TypeError, binascii.Error, UnicodeDecodeError) as error:
        raise InputError("the secrets bundle holds no readable certificate authorities", where=where) from error


def talosconfig_outdated(context: ClientContext | None, wanted: Wanted, now: dt.datetime) -> str:
    """Why the talosconfig has to be written anew; empty when it is good."""
    if context is None:
        return "it does not exist"
    if context.authorities.strip() != wanted.machine_authority.strip():
        return "it belongs to another certificate authority than the secrets bundle"
    if context.name != wanted.cluster_name:
        return f"its context is named {context.name}, not {wanted.cluster_name}"
    changed = _endpoints_changed(context, wanted.endpoints, wanted.nodes)
    return changed or _expiring(context.certificate, wanted.renew_below, now)


def kubeconfig_outdated(context: KubeContext | None, wanted: Wanted, now: dt.datetime) -> str:
    """Why the kubeconfig has to be fetched anew; empty when it is good."""
    if context is None:
        return "it does not exist"
    if context.authority.strip() != wanted.kubernetes_authority.strip():
        return "it belongs to another certificate authority than the secrets bundle"
    if context.server.rstrip("/") != wanted.cluster_endpoint.rstrip("/"):
        return f"it points to {context.server}, not {wanted.cluster_endpoint}"
    return _expiring(context.certificate, wanted.renew_below, now)


def _endpoints_changed(context: ClientContext, endpoints: Sequence[str], nodes: Sequence[str]) -> str:
    if list(context.endpoints) != list(endpoints):
        return f"its endpoints are {', '.join(context.endpoints) or 'none'}"
    if list(context.nodes) != list(nodes):
        return f"its nodes are {', '.join(context.nodes) or 'none'}"
    return ""


def _expiring(certificate: str, renew_below: float, now: dt.datetime) -> str:
    try:
        left = validity(certificate).share_left(now)
    except ValueError:
        return "its certificate is not readable"
    if left <= 0:
        return "its certificate has expired"
    return f"less than {renew_below:.0%} of its certificate's life is left" if left < renew_below else ""
