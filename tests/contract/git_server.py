"""Git servers on loopback: smart HTTP by ``git http-backend``, with a user and a token, with and without TLS; and SSH by a real sshd."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import getpass
import ipaddress
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, TOKEN = "deploy", "tok-hunter2hunter2"
SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@dataclass
class HttpServer:
    """``url`` of the server, below which are the repositories in its directory. ``paths`` are the requests that came with credentials."""

    url: str
    ca: str = ""
    paths: list[str] = field(default_factory=list)


@contextlib.contextmanager
def http_server(root: Path, *, tls: Path | None = None, redirect: str = "") -> Iterator[HttpServer]:
    """Serve the bare repositories in ``root``; with ``tls`` by HTTPS, with a certificate made there; with ``redirect`` it sends everybody away."""
    served = HttpServer("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(b"")

        def do_POST(self) -> None:
            self.answer(_body(self))

        def answer(self, body: bytes) -> None:
            if redirect:
                self.respond(301, {"Location": redirect + self.path}, b"")
                return
            expected = "Basic " + base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
            if self.headers.get("Authorization") != expected:
                self.respond(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"who are you?\n")
                return
            served.paths.append(self.path)
            self.respond(*_backend(root, self.command, self.path, self.headers, body))

        def respond(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  the base class names it so
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that was ended

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        certificate, key, served.ca = _certificate(tls)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    served.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def _body(request: BaseHTTPRequestHandler) -> bytes:
    """A request's body; git sends a large one in chunks."""
    if request.headers.get("Transfer-Encoding", "") != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length", "0")))
    content = b""
    while size := int(request.rfile.readline().split(b";")[0], 16):
        content += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return content


def _backend(root: Path, method: str, target: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
    """What git http-backend, a CGI program, makes of a request: status, headers and content."""
    path, _mark, query = target.partition("?")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "REMOTE_USER": USER,
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": headers.get("Git-Protocol", ""),
    }
    done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
    head, _gap, content = done.stdout.partition(b"\r\n\r\n")
    answered = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    return int(answered.pop("Status", "200").split()[0]), answered, content


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """The URL of something that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x.git"


@dataclass(frozen=True)
class SshServer:
    """``url`` of the server; the private key that it takes, and its line for known_hosts."""

    url: str
    key: str
    known_hosts: str


@contextlib.contextmanager
def ssh_server(directory: Path) -> Iterator[SshServer]:
    """A real sshd that lets one key in, as the user who runs the tests."""
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", directory / name], check=True)
    (directory / "authorized_keys").write_bytes((directory / "user.pub").read_bytes())
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd of Debian goes to drop its rights
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": directory / "host",
        "AuthorizedKeysFile": directory / "authorized_keys",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "MaxStartups": "100",
        "PermitRootLogin": "prohibit-password",
    }
    (directory / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    with (directory / "sshd.log").open("w") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", directory / "sshd_config"], stderr=log)
    try:
        _answers(port, process, directory / "sshd.log")
        host = (directory / "host.pub").read_text().split()
        yield SshServer(f"ssh://{getpass.getuser()}@127.0.0.1:{port}", (directory / "user").read_text(), f"[127.0.0.1]:{port} {host[0]} {host[1]}\n")
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20)
    while dt.datetime.now(dt.UTC) < end:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.settimeout(1)
            if connection.recv(4).startswith(b"SSH-"):
                return
    raise AssertionError(f"sshd does not answer: {log.read_text()}")


def _certificate(directory: Path) -> tuple[Path, Path, str]:
    """A certificate for 127.0.0.1 that is its own authority: files of certificate and key, and the certificate's text."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "git")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = made.public_bytes(serialization.Encoding.PEM).decode()
    (directory / "server.pem").write_text(text)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "server.key").write_bytes(pem)
    return directory / "server.pem", directory / "server.key", text
