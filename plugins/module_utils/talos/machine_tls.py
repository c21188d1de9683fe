# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers on the Talos API's port: one TLS handshake (milliseconds) instead of a talosctl process (0.1 s of CPU).

A machine in maintenance shows a certificate made at boot and asks for none; a configured one asks for a client certificate; ours is signed
by the authority in our talosconfig. Nothing is sent, so this is safe towards any host.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import socket
import ssl
from dataclasses import dataclass

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine_certificate import subject_public_key_info

API_PORT = 50000
PROBE_SECONDS = 3.0

# OpenSSL's X509_V_ERR_* (x509_vfy.h): the chain is ours, something else about the certificate is wrong.
_OUR_PROBLEMS = {
    9: "its certificate is signed by our authority and not valid yet: check the clocks",
    10: "its certificate is signed by our authority and has expired: check the clocks",
    62: "its certificate is signed by our authority, but not for this name",
    64: "its certificate is signed by our authority, but not for this address",
}

OURS, MAINTENANCE, FOREIGN, UNREACHABLE = "ours", "maintenance", "foreign", "unreachable"


@dataclass(frozen=True)
class Handshake:
    """Result of a probe.

    ``trust`` is ``ours``, ``maintenance``, ``foreign`` (TLS, and neither of these) or ``unreachable``; ``fingerprint`` is that of the certificate
    shown, as talosctl defines it (base64 of the SHA-256 of the public key's DER form); ``problem`` says in words what is wrong, if anything.
    """

    trust: str
    fingerprint: str = ""
    problem: str = ""


def probe(address: str, authorities: str, *, deadline: Deadline, port: int = API_PORT) -> Handshake:
    """Look who answers. ``authorities`` are our CA certificates as PEM, empty when there are none yet. Never raises for what the other side does."""
    limit = deadline.at_most(PROBE_SECONDS)
    try:
        return (_probe_for_ours(address, port, authorities, limit) if authorities else None) or _probe_any(address, port, limit)
    except ssl.SSLError:
        return Handshake(FOREIGN, problem="something answers on port 50000 that does not speak as a Talos machine does")
    except OSError as error:
        return Handshake(UNREACHABLE, problem=_network_problem(error))


def _probe_for_ours(address: str, port: int, authorities: str, limit: Deadline) -> Handshake | None:
    """None when the certificate is not signed by our authority."""
    try:
        return Handshake(OURS, _handshake(address, port, _trusting(authorities), limit).fingerprint)
    except ssl.SSLCertVerificationError as error:
        problem = _OUR_PROBLEMS.get(error.verify_code)
        return Handshake(OURS, problem=problem) if problem else None


def _probe_any(address: str, port: int, limit: Deadline) -> Handshake:
    shown = _handshake(address, port, _unverified(), limit)
    if shown.speaks_http2 and shown.greets:
        return Handshake(MAINTENANCE, shown.fingerprint)
    return Handshake(FOREIGN, shown.fingerprint, "its certificate is not signed by this cluster's authority, and it wants a client certificate")


def shown_certificate(address: str, port: int, deadline: Deadline) -> bytes:
    """The certificate (DER) that a server shows, whoever signed it and expired or not: it is looked at, and nothing is sent. Raises OSError."""
    limit = deadline.at_most(PROBE_SECONDS)
    with (
        socket.create_connection((address, port), timeout=max(0.1, limit.remaining)) as plain,
        _unverified().wrap_socket(plain, server_hostname=address) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


def normalized_fingerprint(text: str) -> str:
    """A fingerprint in talosctl's form (base64) from base64 or hex, with or without colons. Raises InputError for anything else."""
    bare = text.strip().removeprefix("sha256:").replace(":", "")
    try:
        raw = bytes.fromhex(bare) if len(bare) == 64 else base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != hashlib.sha256().digest_size:
        raise InputError(
            f"{text!r} is not a SHA-256 fingerprint", where="certificate_fingerprint", hint="Copy it from the machine's console: 44 characters of base64."
        )
    return base64.b64encode(raw).decode()


def spki_fingerprint(certificate: bytes) -> str:
    """talosctl's fingerprint of a certificate in DER: base64 of the SHA-256 of its SubjectPublicKeyInfo (siderolabs/crypto x509.SPKIFingerprint)."""
    return base64.b64encode(hashlib.sha256(subject_public_key_info(certificate)).digest()).decode()


@dataclass(frozen=True)
class _Shown:
    fingerprint: str
    speaks_http2: bool
    greets: bool


def _handshake(address: str, port: int, context: ssl.SSLContext, limit: Deadline) -> _Shown:
    with (
        socket.create_connection((address, port), timeout=max(0.1, limit.remaining)) as plain,
        context.wrap_socket(plain, server_hostname=address) as secured,
    ):
        certificate = secured.getpeercert(binary_form=True) or b""
        http2 = secured.selected_alpn_protocol() == "h2"
        greets = False
        if context.verify_mode == ssl.CERT_NONE:
            # With TLS 1.3 the handshake ends before the server misses our certificate: its first words tell, settings of HTTP/2 or an alert.
            secured.settimeout(max(0.1, limit.remaining))
            try:
                greets = len(secured.recv(9)) > 0
            except OSError:
                greets = False
        return _Shown(spki_fingerprint(certificate), http2, greets)


def _trusting(authorities: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authorities)
    context.set_alpn_protocols(["h2"])
    return context


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context


def _network_problem(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens on port 50000"
    return (error.strerror or str(error)).lower()
