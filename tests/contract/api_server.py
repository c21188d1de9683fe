# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real kube-apiserver with its etcd on loopback ports, for the time of a test session."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import ipaddress
import os
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_START_SECONDS = 60


def find_hyper() -> Path | None:
    """The program that is etcd and kube-apiserver by its name: TRINODE_HYPER, else as the lab built it."""
    if named := os.environ.get("TRINODE_HYPER"):
        return Path(named)
    lab = Path(__file__).parents[1] / "lab" / "lab"
    if not lab.exists():
        return None
    answer = subprocess.run([str(lab), "bin"], capture_output=True, text=True, timeout=300, check=False)
    kubectl = Path(answer.stdout.strip()) / "kubectl"
    return kubectl.resolve() if answer.returncode == 0 and kubectl.exists() else None


@dataclass
class Cluster:
    """API servers that share one etcd. ``kubeconfig`` names the first; ``servers`` are the URLs of all, ``processes`` theirs in the same order."""

    kubeconfig: Path
    servers: list[str] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)


@contextlib.contextmanager
def running(hyper: Path, directory: Path) -> Iterator[Path]:
    """Start etcd and one API server; yields the path of a kubeconfig of a cluster administrator. Ends them by pid."""
    with cluster(hyper, directory) as started:
        yield started.kubeconfig


@contextlib.contextmanager
def cluster(hyper: Path, directory: Path, count: int = 1) -> Iterator[Cluster]:
    """Start etcd and ``count`` API servers, on loopback addresses of their own. Ends them by pid."""
    for name in ("etcd", "kube-apiserver"):
        (directory / name).symlink_to(hyper)
    client, peer = _free_port(), _free_port()
    authority = Authority(directory)
    addresses = [f"127.0.0.{number}" for number in range(1, count + 1)]
    certificate, key = authority.issue("kube-apiserver", names=["localhost"], addresses=addresses)
    admin_certificate, admin_key = authority.issue("tester", organisation="system:masters")
    urls = [f"https://{address}:{_free_port(address)}" for address in addresses]
    started = Cluster(_kubeconfig(directory, urls[0], authority.certificate, admin_certificate, admin_key), urls)
    etcd = [
        directory / "etcd",
        f"--data-dir={directory / 'data'}",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]
    tls = _tls(authority.certificate, admin_certificate, admin_key)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_process(etcd, directory / "etcd.log"))
        for address, url in zip(addresses, urls, strict=True):
            server = [
                directory / "kube-apiserver",
                f"--etcd-servers=http://127.0.0.1:{client}",
                f"--bind-address={address}",
                f"--secure-port={url.rpartition(':')[2]}",
                f"--tls-cert-file={certificate}",
                f"--tls-private-key-file={key}",
                f"--client-ca-file={authority.certificate}",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--authorization-mode=RBAC",
                # As Talos has it; Rook and the look at disks need it.
                "--allow-privileged=true",
            ]
            started.processes.append(stack.enter_context(_process(server, directory / f"kube-apiserver-{address}.log")))
        for address, url, process in zip(addresses, urls, started.processes, strict=True):
            _await_ready(process, f"{url}/readyz", tls, directory / f"kube-apiserver-{address}.log")
        yield started


@contextlib.contextmanager
def _process(argv: list[object], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen([str(item) for item in argv], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=300)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _tls(authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    tls = ssl.create_default_context(cafile=str(authority))
    # Python 3.13 wants extensions that the certificates here lack on purpose, as those of many clusters do.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    tls.load_cert_chain(certificate, key)
    return tls


def _await_ready(process: subprocess.Popen[bytes], url: str, tls: ssl.SSLContext, log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls))
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"kube-apiserver ended: {log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), opener.open(url, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)  # it listens when it listens; there is nothing to watch before
    raise RuntimeError(f"kube-apiserver was not ready after {_START_SECONDS} s: {log.read_text()[-2000:]}")


class Authority:
    """A certificate authority whose files lie in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        certificate = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = directory / "ca.crt"
        self.certificate.write_bytes(certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *, organisation: str = "", names: list[str] | None = None, addresses: list[str] | None = None) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if organisation:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = self._builder(x509.Name(attributes), key).add_extension(usages, critical=False)
        alternatives: list[x509.GeneralName] = [x509.DNSName(item) for item in names or []]
        alternatives += [x509.IPAddress(ipaddress.ip_address(item)) for item in addresses or []]
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate_path, key_path = self._directory / f"{name}.crt", self._directory / f"{name}.key"
        certificate_path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        key_path.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()),
        )
        key_path.chmod(0o600)
        return certificate_path, key_path

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(days=1))
        )


def _kubeconfig(directory: Path, server: str, authority: Path, certificate: Path, key: Path) -> Path:
    def inline(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    text = yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "tester"}}],
            "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": inline(authority)}}],
            "users": [{"name": "tester", "user": {"client-certificate-data": inline(certificate), "client-key-data": inline(key)}}],
        }
    )
    path = directory / "kubeconfig"
    path.write_text(text)
    path.chmod(0o600)
    return path


def _free_port(address: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
