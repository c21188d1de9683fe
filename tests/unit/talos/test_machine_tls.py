"""Probing real TLS servers on the loopback: a machine in maintenance, one of ours, a foreign one, and things that are no machine."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos import machine_certificate, machine_tls

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
SETTINGS_FRAME = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@dataclass
class Authority:
    key: ed25519.Ed25519PrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def issue(name: str, authority: Authority | None, *, address: str = "127.0.0.1", start: dt.datetime | None = None, end: dt.datetime | None = None) -> Authority:
    key = ed25519.Ed25519PrivateKey.generate()
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.certificate.subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start or now - dt.timedelta(hours=1))
        .not_valid_after(end or now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(authority.key if authority else key, None)
    )
    return Authority(key, certificate)


class Server:
    """A TLS server on the loopback that greets as HTTP/2 does, once per connection."""

    def __init__(self, directory: Path, identity: Authority, *, wants_certificate: bool, http2: bool = True, greeting: bytes = SETTINGS_FRAME) -> None:
        certificate, key = directory / "tls.crt", directory / "tls.key"
        certificate.write_text(identity.pem)
        key.write_bytes(identity.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        if http2:
            self._context.set_alpn_protocols(["h2"])
        if wants_certificate:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(cadata=identity.pem)
        self._greeting = greeting
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _peer = self._socket.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(connection, server_side=True) as secured:
                    secured.sendall(self._greeting)
                    secured.recv(1)
            except OSError:
                connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[type[Server]]:
    running: list[Server] = []

    class Tracked(Server):
        def __init__(self, identity: Authority, **options: object) -> None:
            directory = tmp_path / str(len(running))
            directory.mkdir()
            super().__init__(directory, identity, **options)  # type: ignore[arg-type]
            running.append(self)

    yield Tracked
    for server in running:
        server.close()


OURS = issue("ours", None)
OTHER = issue("other", None)


def probe(server: Server, authorities: str = "") -> machine_tls.Handshake:
    return machine_tls.probe("127.0.0.1", authorities, deadline=Deadline(5), port=server.port)


def fingerprint(identity: Authority) -> str:
    spki = identity.certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(spki).digest()).decode()


@pytest.mark.parametrize("authorities", ["", OURS.pem])
def test_maintenance(servers: type[Server], authorities: str) -> None:
    identity = issue("maintenance-service.talos.dev", None)
    shown = probe(servers(identity, wants_certificate=False), authorities)  # type: ignore[call-arg, arg-type]
    assert shown == machine_tls.Handshake("maintenance", fingerprint(identity))


def test_ours(servers: type[Server]) -> None:
    identity = issue("m1", OURS)
    shown = probe(servers(identity, wants_certificate=True), OURS.pem)  # type: ignore[call-arg, arg-type]
    assert shown == machine_tls.Handshake("ours", fingerprint(identity))


@pytest.mark.parametrize("authorities", ["", OURS.pem])
def test_another_cluster(servers: type[Server], authorities: str) -> None:
    shown = probe(servers(issue("m1", OTHER), wants_certificate=True), authorities)  # type: ignore[call-arg, arg-type]
    assert shown.trust == "foreign"
    assert "certificate" in shown.problem


def test_ours_for_another_address(servers: type[Server]) -> None:
    shown = probe(servers(issue("m1", OURS, address="192.0.2.11"), wants_certificate=True), OURS.pem)  # type: ignore[call-arg, arg-type]
    assert shown.trust == "ours"
    assert "not for this address" in shown.problem


def test_ours_and_expired(servers: type[Server]) -> None:
    then = dt.datetime.now(dt.UTC) - dt.timedelta(days=2)
    identity = issue("m1", OURS, start=then, end=then + dt.timedelta(days=1))
    shown = probe(servers(identity, wants_certificate=True), OURS.pem)  # type: ignore[call-arg, arg-type]
    assert shown.trust == "ours"
    assert "expired" in shown.problem


def test_another_kind_of_server(servers: type[Server]) -> None:
    shown = probe(servers(issue("web", OTHER), wants_certificate=False, http2=False, greeting=b""), OURS.pem)  # type: ignore[call-arg, arg-type]
    assert shown.trust == "foreign"


def test_no_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: listener.accept()[0].sendall(b"SSH-2.0-OpenSSH_9.2\r\n"), daemon=True)
        thread.start()
        shown = machine_tls.probe("127.0.0.1", "", deadline=Deadline(5), port=listener.getsockname()[1])
    assert shown.trust == "foreign"


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    shown = machine_tls.probe("127.0.0.1", "", deadline=Deadline(5), port=port)
    assert shown.trust == "unreachable"
    assert "nothing listens" in shown.problem


def test_a_name_that_does_not_resolve() -> None:
    shown = machine_tls.probe("no-such-host.invalid", "", deadline=Deadline(5))
    assert shown.trust == "unreachable"
    assert shown.problem


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shown = machine_tls.probe("127.0.0.1", "", deadline=Deadline(0.3), port=listener.getsockname()[1])
    assert shown == machine_tls.Handshake("unreachable", problem="no answer")


GOOD = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize("text", [GOOD, f" {GOOD}\n", bytes(range(32)).hex(), bytes(range(32)).hex(":").upper(), "sha256:" + bytes(range(32)).hex()])
def test_forms_of_a_fingerprint(text: str) -> None:
    assert machine_tls.normalized_fingerprint(text) == GOOD


@pytest.mark.parametrize("text", ["abc", GOOD[:-4], "zz" * 32, base64.b64encode(b"short").decode()])
def test_what_is_no_fingerprint(text: str) -> None:
    with pytest.raises(InputError, match="certificate_fingerprint"):
        machine_tls.normalized_fingerprint(text)


@pytest.mark.parametrize("years", [(2026, 2027), (2026, 2060)])
def test_validity(years: tuple[int, int]) -> None:
    start, end = (dt.datetime(year, 11, 24, 1, 2, 3, tzinfo=dt.UTC) for year in years)
    found = machine_certificate.validity(issue("m1", OURS, start=start, end=end).pem)
    assert (found.not_before, found.not_after) == (start, end)


def test_share_left() -> None:
    life = machine_certificate.Validity(NOW - dt.timedelta(days=75), NOW + dt.timedelta(days=25))
    assert life.share_left(NOW) == pytest.approx(0.25)
    assert life.share_left(NOW + dt.timedelta(days=30)) == 0
    assert life.share_left(NOW - dt.timedelta(days=300)) == 1


@pytest.mark.parametrize("pem", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate(pem: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the message is the standard library's for some of them
        machine_certificate.validity(pem)
