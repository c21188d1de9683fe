"""The lab's BMCs: sushy-tools' Redfish emulator on one HTTPS port a machine, with drivers that act on the lab's machines through their supervisors.

Each port shows one system, as a BMC does. Run as ``python -m trinode_lab.bmc STATE``; SIGHUP has it look at the faults again (bmc_faults.py).
"""

from __future__ import annotations

import base64
import binascii
import functools
import hmac
import importlib.util
import signal
import socket
import ssl
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from trinode_lab import bmc_faults, bmc_identity
from trinode_lab.errors import LabError
from trinode_lab.settings import Machine, Settings, load_settings, make_settings
from trinode_lab.timeline import Timeline

SYSTEMS = "/redfish/v1/Systems"
_HANG_SECONDS = 600.0
_CONNECTION_SECONDS = 60.0


def available() -> bool:
    """Whether sushy-tools is installed: it is one of the tests' requirements."""
    return importlib.util.find_spec("sushy_tools") is not None


def shown_uuid(settings: Settings, machine: Machine) -> str:
    """The UUID that its BMC tells."""
    wrong = bmc_faults.read(settings.state).get(machine.name) == "wrong-machine"
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"not-{machine.uuid}")) if wrong else machine.uuid


class Bmcs:
    """What the emulator asks and tells, for the machine whose port the request came in on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.timeline = Timeline(settings.timeline)
        self.machines = {settings.bmc_port(machine): machine for machine in settings.machines}
        self.password = bmc_identity.password(settings.bmc)
        self.sessions: dict[str, str] = {}  # token -> machine
        self.attaching: dict[str, str] = {}  # machine -> image whose insertion hangs
        self.ejected: dict[str, threading.Event] = {machine.name: threading.Event() for machine in settings.machines}

    def fault(self, machine: Machine) -> str:
        return bmc_faults.read(self.settings.state).get(machine.name, "")

    def system(self, machine: Machine) -> str:
        return shown_uuid(self.settings, machine)

    def recognised(self, machine: Machine, user: str, given: str) -> bool:
        expected = f"{self.password}-changed" if self.fault(machine) == "password-changed" else self.password
        return user == bmc_identity.USER and hmac.compare_digest(given.encode(), expected.encode())

    def authorized(self, machine: Machine, headers: Any) -> bool:
        """By a session of this BMC, or by user and password."""
        if self.sessions.get(headers.get("X-Auth-Token", "")) == machine.name:
            return self.fault(machine) != "password-changed"
        scheme, _, encoded = headers.get("Authorization", "").partition(" ")
        try:
            user, _, given = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return scheme.lower() == "basic" and self.recognised(machine, user, given)

    def record(self, event: str, machine: Machine, **fields: Any) -> None:
        self.timeline.record(event, machine=machine.name, **fields)


class Ports:
    """The BMCs' ports. One that is down is closed."""

    def __init__(self, bmcs: Bmcs, app: Any) -> None:
        self.bmcs = bmcs
        self.app = app
        self.open: dict[int, Any] = {}

    def look(self) -> None:
        """Open or close them, as the faults say now."""
        for number, machine in self.bmcs.machines.items():
            down = self.bmcs.fault(machine) == "down"
            if down and number in self.open:
                server = self.open.pop(number)
                server.shutdown()
                server.server_close()
            elif not down and number not in self.open:
                self.open[number] = self._serve(number, machine)

    def _serve(self, number: int, machine: Machine) -> Any:
        from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

        bmcs = self.bmcs
        contexts = {name: _context(bmcs.settings.bmc / f"{name}.pem") for name in ("server", "wrong")}

        class Server(ThreadedWSGIServer):  # type: ignore[misc]
            daemon_threads = True
            request_queue_size = 64

            def process_request_thread(self, request: socket.socket, client_address: Any) -> None:
                """TLS in the connection's own thread, so that one client that does not speak keeps nobody else out."""
                fault = bmcs.fault(machine)
                until = time.monotonic() + _HANG_SECONDS
                while fault == "frozen" and time.monotonic() < until:
                    time.sleep(0.2)
                    fault = bmcs.fault(machine)
                request.settimeout(_CONNECTION_SECONDS)
                try:
                    connection = contexts["wrong" if fault == "wrong-certificate" else "server"].wrap_socket(request, server_side=True)
                except OSError:
                    self.shutdown_request(request)
                    return
                super().process_request_thread(connection, client_address)

        class Handler(WSGIRequestHandler):  # type: ignore[misc]
            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """A line without a terminal's colours."""
                self.log("info", "%s: %s %s", machine.name, self.requestline, code)

        server = Server(bmcs.settings.gateway, number, self.app, handler=Handler)
        server.ssl_context = contexts["server"]  # what makes werkzeug say https in URLs; the listening socket stays plain
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return server


@functools.cache
def _context(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def main(state: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # which would end this program while it starts
    from trinode_lab.bmc_application import application

    settings = load_settings(make_settings(None, None, None, state))
    if settings is None:
        raise LabError(f"there is no lab in {state}")
    bmcs = Bmcs(settings)
    ports = Ports(bmcs, application(bmcs))
    signals = {signal.SIGHUP, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before there are threads, so that all have it
    ports.look()
    while signal.sigwait(signals) == signal.SIGHUP:
        ports.look()


if __name__ == "__main__":
    main(sys.argv[1])
