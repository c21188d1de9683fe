"""A BMC on the loopback address with one machine, its faults, and a list of all that it was asked. It is simulated: no vendor's BMC, only the standard."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SYSTEM = "/redfish/v1/Systems/1"
DRIVE = "/redfish/v1/Managers/1/VirtualMedia/Cd"
USER, PASSWORD = "operator", "hunter2hunter2"


@dataclass
class Faults:
    """What goes wrong. ``busy``: so many calls are answered with 503; ``hanging_inserts``: so many images are taken and never appear;
    ``slow_inserts``: so many insertions are answered too late; ``stuck_power``: it is never switched; ``hang_up``: so many connections are dropped."""

    busy: int = 0
    failing: int = 0
    hanging_inserts: int = 0
    slow_inserts: int = 0
    slow_seconds: float = 3.0
    stuck_power: bool = False
    hang_up: int = 0
    sessions: bool = True
    forbidden: bool = False
    drives: bool = True


@dataclass
class FakeBmc:
    """Its machine and what happened."""

    url: str = ""
    certificate_file: str = ""
    power: str = "Off"
    serial: str = "ABC1234"
    sku: str = ""
    uuid: str = "4c4c4544-0042-3510-8052-b4c04f4b4433"
    manufacturer: str = "Example"
    macs: tuple[str, ...] = ("52:54:00:00:00:01",)
    image: str = ""
    boot: dict[str, str] = field(default_factory=lambda: {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"})
    faults: Faults = field(default_factory=Faults)
    calls: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    logins: int = 0
    tokens: set[str] = field(default_factory=set)
    systems: int = 1

    @property
    def changes(self) -> list[str]:
        """The calls that change something about the machine."""
        return [call for call in self.calls if not call.startswith("GET") and "Sessions" not in call]

    def resource(self, path: str) -> dict[str, Any] | None:  # noqa: PLR0911  a table of what there is
        members = {
            "/redfish/v1/Systems": [f"/redfish/v1/Systems/{number}" for number in range(1, self.systems + 1)],
            "/redfish/v1/Managers": ["/redfish/v1/Managers/1"],
            "/redfish/v1/Managers/1/VirtualMedia": [DRIVE] if self.faults.drives else [],
            f"{SYSTEM}/EthernetInterfaces": [f"{SYSTEM}/EthernetInterfaces/{number}" for number in range(len(self.macs))],
        }
        if path in members:
            listed = [{"@odata.id": member} for member in members[path]]
            return {"@odata.id": path, "Name": path, "Members": listed, "Members@odata.count": len(listed)}
        if path == "/redfish/v1":
            places = {name: {"@odata.id": f"/redfish/v1/{name}"} for name in ("Systems", "Managers")}
            return {"Id": "RootService", "Name": "Root", "RedfishVersion": "1.6.0", "Links": {"Sessions": {"@odata.id": "/redfish/v1/Sessions"}}, **places}
        if path.startswith("/redfish/v1/Systems/") and path.count("/") == 4:
            return self._system(path)
        if path == "/redfish/v1/Managers/1":
            return {"@odata.id": path, "Id": "1", "Name": "BMC", "VirtualMedia": {"@odata.id": f"{path}/VirtualMedia"}}
        if path == DRIVE:
            actions = {f"#VirtualMedia.{name}": {"target": f"{DRIVE}/Actions/VirtualMedia.{name}"} for name in ("InsertMedia", "EjectMedia")}
            return {
                "@odata.id": path,
                "Id": "Cd",
                "Name": "CD",
                "MediaTypes": ["CD", "DVD"],
                "Image": self.image,
                "Inserted": bool(self.image),
                "Actions": actions,
            }
        if path.startswith(f"{SYSTEM}/EthernetInterfaces/"):
            return {"@odata.id": path, "Id": path[-1], "Name": path[-1], "MACAddress": self.macs[int(path[-1])]}
        return None

    def _system(self, path: str) -> dict[str, Any]:
        return {
            "@odata.id": path,
            "Id": path[-1],
            "Name": f"machine {path[-1]}",
            "UUID": self.uuid,
            "SerialNumber": self.serial,
            "SKU": self.sku,
            "Manufacturer": self.manufacturer,
            "Model": "Model 1",
            "PowerState": self.power,
            "Boot": {**self.boot, "BootSourceOverrideTarget@Redfish.AllowableValues": ["Cd", "Pxe", "Hdd", "None"]},
            "EthernetInterfaces": {"@odata.id": f"{SYSTEM}/EthernetInterfaces"},
            "Links": {"ManagedBy": [{"@odata.id": "/redfish/v1/Managers/1"}]},
            "Actions": {
                "#ComputerSystem.Reset": {
                    "target": f"{path}/Actions/ComputerSystem.Reset",
                    "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown", "ForceRestart"],
                }
            },
        }

    def act(self, path: str, body: dict[str, Any]) -> int:
        """Carry out a POST or PATCH; the HTTP status."""
        if path == SYSTEM:
            self.boot.update(body["Boot"])
        elif path.endswith("ComputerSystem.Reset"):
            if not self.faults.stuck_power:
                self.power = "On" if "On" in body["ResetType"] or "Restart" in body["ResetType"] else "Off"
        elif path.endswith("VirtualMedia.InsertMedia"):
            if self.image:
                return 500
            if self.faults.slow_inserts > 0:
                self.faults.slow_inserts -= 1
                time.sleep(self.faults.slow_seconds)
                return 500
            if self.faults.hanging_inserts > 0:
                self.faults.hanging_inserts -= 1
            else:
                self.image = body["Image"]
        elif path.endswith("VirtualMedia.EjectMedia"):
            self.image = ""
        else:
            return 404
        return 204


class _Handler(BaseHTTPRequestHandler):
    bmc: FakeBmc

    def log_message(self, *_arguments: Any) -> None:
        """Nothing on the tests' output."""

    def _answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        text = json.dumps(body if body is not None else {"error": {"code": "Base.1.0.GeneralError", "message": f"status {status}"}}).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(0 if status == 204 else len(text)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if status != 204:
                self.wfile.write(text)

    def _allowed(self) -> bool:
        if self.headers.get("X-Auth-Token") in self.bmc.tokens:
            return True
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return self.headers.get("Authorization") == basic

    def _handle(self) -> None:
        bmc, path = self.bmc, self.path.rstrip("/")
        bmc.times.append(time.monotonic())
        bmc.calls.append(f"{self.command} {path}")
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if bmc.faults.hang_up > 0:
            bmc.faults.hang_up -= 1
            self.close_connection = True
            return
        for name, status in (("busy", 503), ("failing", 500)):
            if getattr(bmc.faults, name) > 0:
                setattr(bmc.faults, name, getattr(bmc.faults, name) - 1)
                self._answer(status)
                return
        if path == "/redfish/v1/Sessions" and self.command == "POST":
            self._log_in(body)
        elif self.command != "GET" and path.startswith("/redfish/v1/Sessions/"):
            bmc.tokens.discard(path.rpartition("/")[2])
            self._answer(204)
        elif path != "/redfish/v1" and not self._allowed():
            bmc.logins += "Authorization" in self.headers
            self._answer(401)
        elif self.command == "GET":
            found = bmc.resource(path)
            self._answer(200 if found else 404, found)
        elif bmc.faults.forbidden:
            self._answer(403)
        else:
            self._answer(bmc.act(path, body))

    def _log_in(self, body: dict[str, Any]) -> None:
        if not self.bmc.faults.sessions:
            self._answer(405)
            return
        self.bmc.logins += 1
        if (body.get("UserName"), body.get("Password")) != (USER, PASSWORD):
            self._answer(401)
            return
        token = f"token{self.bmc.logins}"
        self.bmc.tokens.add(token)
        self._answer(201, {"Id": token}, {"X-Auth-Token": token, "Location": f"/redfish/v1/Sessions/{token}"})

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815  the names that http.server calls


@contextlib.contextmanager
def serving(bmc: FakeBmc, directory: Path | None = None) -> Iterator[FakeBmc]:
    """The BMC, answering: with TLS when there is a directory for its certificate."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"bmc": bmc}))
    bmc.url = f"http://127.0.0.1:{server.server_port}"
    if directory:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        bmc.certificate_file = str(make_certificate(directory))
        context.load_cert_chain(bmc.certificate_file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        bmc.url = f"https://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield bmc
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_certificate(directory: Path, name: str = "bmc") -> Path:
    """Key and self-signed certificate for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(hours=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    path = directory / f"{name}.pem"
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path
