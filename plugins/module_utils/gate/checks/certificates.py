# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates are valid for a while yet: those of the client files, what API servers and machines show, and cert-manager's."""

from __future__ import annotations

import datetime as dt
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.gate.read import Sources, each
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Finding, Policy
from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import label
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Json
from ansible_collections.trinode.platform.plugins.module_utils.kube.readiness import readiness
from ansible_collections.trinode.platform.plugins.module_utils.kube.servers import PORT
from ansible_collections.trinode.platform.plugins.module_utils.kube.states import part
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_kubeconfig import client_certificate, server_of
from ansible_collections.trinode.platform.plugins.module_utils.talos.credentials_talosconfig import require_talosconfig
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_certificate import validity
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_tls import API_PORT, shown_certificate

_CERTIFICATES = "/apis/cert-manager.io/v1/certificates"
_RENEW = "Run playbooks/cluster.yml, which renews it."
_TALOS = "Talos renews it by itself: look at the machine's clock and `talosctl dmesg` there."
_CERT_MANAGER = "Look at `kubectl describe certificate` and cert-manager's log."
# Of certificates with a short life, such as Talos's own of a day, not days count but the share that is left.
_REFUSE_SHARE = 0.1
_WARN_SHARE = 0.25


@dataclass(frozen=True)
class Certificate:
    """``problem`` says why it cannot be read, or is not there."""

    where: str
    advice: str
    not_before: dt.datetime | None = None
    not_after: dt.datetime | None = None
    problem: str = ""


@dataclass(frozen=True)
class Certificates:
    """``managed`` is how many are cert-manager's, None where it is not installed."""

    certificates: tuple[Certificate, ...]
    managed: int | None
    now: dt.datetime


def read(sources: Sources, deadline: Deadline) -> Certificates:
    text = _kubeconfig(sources.kubeconfig)
    files = [_of_pem("talosconfig", require_talosconfig(sources.talosconfig).certificate, _RENEW)]
    # Who identifies himself by a token or a program has no certificate here.
    if pem := client_certificate(text, where=sources.kubeconfig):
        files.append(_of_pem("kubeconfig", pem, _RENEW))
    shown = [(f"Talos API of {address}", address, API_PORT) for address in sources.policy.machines]
    addresses = {server_of(text, where=sources.kubeconfig), *(url for _address, url in sources.servers())}
    for url in sorted(addresses):
        place = urlsplit(url)
        if place.scheme == "https" and place.hostname:
            shown.append((f"API server {place.hostname}", place.hostname, place.port or PORT))
    served = each(lambda one: _of_server(one[0], one[1], one[2], deadline), shown)
    managed = sources.installed(_CERTIFICATES, deadline)
    return Certificates(
        (*files, *served, *(_of_cert_manager(item) for item in managed or ())), None if managed is None else len(managed), dt.datetime.now(dt.UTC)
    )


def _kubeconfig(path: str) -> str:
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise InputError("the kubeconfig cannot be read", where=path, hint="Run playbooks/cluster.yml, which writes it.") from error


def _of_pem(where: str, pem: str, advice: str) -> Certificate:
    try:
        found = validity(pem)
    except ValueError:
        return Certificate(where, advice, problem="its certificate is not readable")
    return Certificate(where, advice, found.not_before, found.not_after)


def _of_server(where: str, address: str, port: int, deadline: Deadline) -> Certificate:
    try:
        return _of_pem(where, ssl.DER_cert_to_PEM_cert(shown_certificate(address, port, deadline)), _TALOS)
    except OSError as error:
        return Certificate(where, "Check that it answers.", problem=f"it shows no certificate: {error.strerror or error}")


def _of_cert_manager(item: Json) -> Certificate:
    status, state = part(item, "status"), readiness(item)
    begin, end = (_time(status.get(name)) for name in ("notBefore", "notAfter"))
    return Certificate(f"Certificate {label(item)}", _CERT_MANAGER, begin, end, "" if state.ready else f"it is not ready: {state.reason}")


def judge(view: Certificates, policy: Policy) -> list[Finding]:
    return [finding for certificate in view.certificates for finding in _judge(certificate, view.now, policy)]


def _judge(certificate: Certificate, now: dt.datetime, policy: Policy) -> Iterable[Finding]:
    where, advice, end = certificate.where, certificate.advice, certificate.not_after
    if certificate.problem:
        yield Finding("certificates", where, certificate.problem, advice)
    if end is None:
        return
    left = end - now
    life = end - (certificate.not_before or end)
    refuse = min(dt.timedelta(days=policy.certificate_refuse_days), life * _REFUSE_SHARE)
    warn = min(dt.timedelta(days=policy.certificate_warn_days), life * _WARN_SHARE)
    if left <= dt.timedelta(0):
        yield Finding("certificates", where, f"the certificate expired on {end:%Y-%m-%d %H:%M} UTC", advice)
    elif left < max(refuse, dt.timedelta(0)):
        yield Finding("certificates", where, f"the certificate expires in {_readable(left)}", advice)
    elif left < warn:
        yield Finding("certificates", where, f"the certificate expires in {_readable(left)}", advice, "warning")


def seen(view: Certificates) -> str:
    ends = [(certificate.not_after, certificate.where) for certificate in view.certificates if certificate.not_after]
    first = min(ends, default=None)
    text = f"{len(view.certificates)} read" + (f", the first to expire in {_readable(first[0] - view.now)}: {first[1]}" if first else "")
    return text + ("; cert-manager not installed" if view.managed is None else "")


def _readable(span: dt.timedelta) -> str:
    return f"{span.days} days" if span >= dt.timedelta(days=2) else f"{span.total_seconds() / 3600:.0f} hours"


def _time(text: object) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
