"""The lab's BMCs as sushy sees them: power, boot device, virtual media and every fault. The machine behind is a supervisor's socket that is played here."""

from __future__ import annotations

import http.server
import json
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sushy = pytest.importorskip("sushy")
pytest.importorskip("sushy_tools")
requests = pytest.importorskip("requests")

from trinode_lab import bmc_faults, bmc_identity, factory, faults, firmware, lifecycle, status  # noqa: E402
from trinode_lab.errors import LabError  # noqa: E402
from trinode_lab.processes import Record, wait_until  # noqa: E402
from trinode_lab.settings import Machine, Settings, make_settings  # noqa: E402
from trinode_lab.timeline import Timeline  # noqa: E402

LAB = Path(__file__).resolve().parents[2] / "lab"
ISO = f"/image/{factory.EMPTY_SCHEMATIC}/v1.13.8/metal-amd64.iso"


class Machines:
    """A supervisor without a machine: it keeps the commands, and the firmware's settings by the real one's code."""

    def __init__(self, settings: Settings, machine: Machine) -> None:
        self.settings, self.machine = settings, machine
        self.power = "off"
        self.commands: list[str] = []
        owner = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    self.wfile.write(f"{owner.answer(line.decode().strip())}\n".encode())

        self.server = socketserver.ThreadingUnixStreamServer(str(machine.control), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, command: str) -> str:
        if command == "status":
            return json.dumps({"power": self.power})
        self.commands.append(command)
        name, *values = command.split()
        if name in firmware.COMMANDS:
            firmware.set_up(self.machine, name, *values)
            return "ok"
        self.power = "on" if name in ("on", "reboot", "restart") else "off"
        return "ok"


class Bmc:
    """One BMC, and how to talk to it."""

    def __init__(self, settings: Settings, machine: Machine, behind: Machines, images: str) -> None:
        self.settings, self.machine, self.behind, self.images = settings, machine, behind, images
        self.url = settings.bmc_url(machine)
        self.connections: list[Any] = []

    def fault(self, what: str) -> None:
        faults.bmc(self.settings, self.machine, what)

    def connect(self, password: str = "") -> Any:
        connection = sushy.Sushy(
            self.url, username=bmc_identity.USER, password=password or bmc_identity.password(self.settings.bmc), verify=str(self.settings.bmc / "ca.crt"),
            server_side_retries=0,
        )  # fmt: skip
        self.connections.append(connection)
        return connection

    def log_out(self) -> None:
        """sushy would do it whenever garbage is collected: minutes in the midst of another test, where the BMC is frozen by then."""
        while self.connections:
            connection = self.connections.pop()
            connection._auth.close()
            connection._auth = None

    def system(self) -> Any:
        return self.connect().get_system(f"/redfish/v1/Systems/{self.machine.uuid}")

    def drive(self) -> Any:
        return self.system().virtual_media.get_members()[0]


@pytest.fixture(scope="module")
def bmc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bmc]:
    state = tmp_path_factory.mktemp("bmc")
    settings = make_settings("units", "127.84.0.0/24", 2, str(state))
    settings.save()
    bmc_identity.prepare(settings.bmc, settings.gateway)
    behind = []
    for machine in settings.machines:
        machine.directory.mkdir(parents=True)
        behind.append(Machines(settings, machine))
    (state / "boot").mkdir()
    handler = type("Images", (factory.Factory,), {"state": state, "timeline": Timeline(settings.timeline), "log_message": lambda *_: None})
    images = http.server.ThreadingHTTPServer((settings.gateway, 0), handler)
    threading.Thread(target=images.serve_forever, daemon=True).start()
    with (settings.bmc / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "trinode_lab.bmc", str(state)], env={**os.environ, "PYTHONPATH": str(LAB)}, stdout=log, stderr=log)
    try:
        Record(settings.bmc / "process").write(process.pid)
        ready = wait_until(lambda: status.listens(settings.gateway, settings.bmc_port(settings.machines[1])), 90)
        assert ready, (settings.bmc / "log").read_text()
        yield Bmc(settings, settings.machines[0], behind[0], f"http://{settings.gateway}:{images.server_address[1]}")
    finally:
        process.terminate()
        process.wait(10)
        images.shutdown()
        for each in behind:
            each.server.shutdown()


@pytest.fixture(autouse=True)
def healthy(bmc: Bmc) -> Iterator[None]:
    yield
    bmc.fault("up")
    bmc.log_out()
    firmware.write(bmc.machine, firmware.Firmware())
    bmc.behind.power = "off"
    bmc.behind.commands.clear()


def test_identity_is_the_machines_own(bmc: Bmc) -> None:
    system = bmc.system()
    assert (system.uuid, system.json["SerialNumber"]) == (bmc.machine.uuid, "UNITS-M1")
    assert [card.mac_address for card in system.ethernet_interfaces.get_members()] == [bmc.machine.mac]
    assert [each.uuid for each in bmc.connect().get_system_collection().get_members()] == [bmc.machine.uuid]


def test_each_port_is_one_machine(bmc: Bmc) -> None:
    with pytest.raises(sushy.exceptions.ResourceNotFoundError):
        bmc.connect().get_system(f"/redfish/v1/Systems/{bmc.settings.machines[1].uuid}")


@pytest.mark.parametrize(
    ("before", "reset", "command"),
    [
        ("off", sushy.ResetType.ON, "on"),
        ("on", sushy.ResetType.FORCE_OFF, "cut"),
        ("on", sushy.ResetType.GRACEFUL_SHUTDOWN, "poweroff"),
        ("on", sushy.ResetType.GRACEFUL_RESTART, "reboot"),
        ("on", sushy.ResetType.FORCE_RESTART, "restart"),
    ],
)
def test_power(bmc: Bmc, before: str, reset: Any, command: str) -> None:
    bmc.behind.power = before
    system = bmc.system()
    assert system.power_state == (sushy.PowerState.ON if before == "on" else sushy.PowerState.OFF)
    system.reset_system(reset)
    assert bmc.behind.commands == [command]
    system.refresh(force=True)
    assert (system.power_state == sushy.PowerState.ON) is (command in ("on", "reboot", "restart"))


def test_a_machine_that_is_off_is_not_restarted(bmc: Bmc) -> None:
    with pytest.raises(sushy.exceptions.HTTPError, match="409"):
        bmc.system().reset_system(sushy.ResetType.FORCE_RESTART)
    assert bmc.behind.commands == []


def test_boot_device_once(bmc: Bmc) -> None:
    system = bmc.system()
    assert (system.boot.enabled, system.boot.target) == (sushy.BootSourceOverrideEnabled.DISABLED, sushy.BootSource.NONE)
    system.set_system_boot_options(sushy.BootSource.CD, enabled=sushy.BootSourceOverrideEnabled.ONCE)
    system.refresh(force=True)
    assert (system.boot.enabled, system.boot.target) == (sushy.BootSourceOverrideEnabled.ONCE, sushy.BootSource.CD)
    assert firmware.read(bmc.machine) == firmware.Firmware("Cd", "Once")
    firmware.consume(bmc.machine)
    assert firmware.read(bmc.machine) == firmware.Firmware()


def test_virtual_media(bmc: Bmc) -> None:
    drive, url = bmc.drive(), f"{bmc.images}{ISO}"
    assert (drive.inserted, drive.image) == (False, "")
    drive.insert_media(url)
    assert bmc.drive().inserted
    assert bmc.drive().image == url
    assert firmware.read(bmc.machine).media == url
    with pytest.raises(sushy.exceptions.HTTPError, match="409"):
        bmc.drive().insert_media(url)
    drive.eject_media()
    assert not bmc.drive().inserted
    assert bmc.behind.commands == [f"insert {url}", "eject"]


@pytest.mark.parametrize("url", ["http://127.84.0.1:1/x.iso", "{images}/image/unknown/v1.13.8/metal-amd64.iso", "ftp://127.84.0.1/x.iso"])
def test_an_image_that_cannot_be_read_is_refused(bmc: Bmc, url: str) -> None:
    with pytest.raises(sushy.exceptions.BadRequestError, match="cannot be read"):
        bmc.drive().insert_media(url.format(images=bmc.images))
    assert bmc.behind.commands == []


def test_wrong_password(bmc: Bmc) -> None:
    with pytest.raises(sushy.exceptions.AccessError):
        bmc.connect(password="wrong").get_system_collection()
    assert requests.get(f"{bmc.url}/redfish/v1/Systems", verify=str(bmc.settings.bmc / "ca.crt"), timeout=300).status_code == 401


def test_basic_authentication_works_too(bmc: Bmc) -> None:
    answer = requests.get(
        f"{bmc.url}/redfish/v1/Systems", auth=(bmc_identity.USER, bmc_identity.password(bmc.settings.bmc)), verify=str(bmc.settings.bmc / "ca.crt"), timeout=300
    )
    assert answer.json()["Members@odata.count"] == 1


def test_a_session_is_of_one_bmc_only(bmc: Bmc) -> None:
    given = {"UserName": bmc_identity.USER, "Password": bmc_identity.password(bmc.settings.bmc)}
    ca, other = str(bmc.settings.bmc / "ca.crt"), bmc.settings.bmc_url(bmc.settings.machines[1])
    token = requests.post(f"{bmc.url}/redfish/v1/SessionService/Sessions", json=given, verify=ca, timeout=300).headers["X-Auth-Token"]
    codes = [requests.get(f"{url}/redfish/v1/Systems", headers={"X-Auth-Token": token}, verify=ca, timeout=300).status_code for url in (bmc.url, other)]
    assert codes == [200, 401]


def test_down_and_up(bmc: Bmc) -> None:
    bmc.fault("down")
    with pytest.raises(sushy.exceptions.ConnectionError):
        bmc.connect()
    assert status.listens(bmc.settings.gateway, bmc.settings.bmc_port(bmc.settings.machines[1]))
    bmc.fault("up")
    assert bmc.system().uuid == bmc.machine.uuid


def test_wrong_certificate(bmc: Bmc) -> None:
    bmc.fault("wrong-certificate")
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(bmc.url, verify=str(bmc.settings.bmc / "ca.crt"), timeout=300)


def test_frozen(bmc: Bmc) -> None:
    bmc.fault("frozen")
    with pytest.raises((requests.exceptions.ReadTimeout, requests.exceptions.ConnectTimeout, requests.exceptions.ConnectionError)):
        requests.get(bmc.url, verify=str(bmc.settings.bmc / "ca.crt"), timeout=1)


def test_busy_ends_by_itself(bmc: Bmc) -> None:
    bmc.fault("busy")
    codes = [requests.get(f"{bmc.url}/redfish/v1", verify=str(bmc.settings.bmc / "ca.crt"), timeout=300).status_code for _ in range(4)]
    assert codes == [503, 503, 503, 200]


def test_wrong_machine(bmc: Bmc) -> None:
    bmc.fault("wrong-machine")
    found = bmc.connect().get_system_collection().get_members()[0]
    assert found.uuid != bmc.machine.uuid
    assert found.json["SerialNumber"] == "NOT-UNITS-M1"


def test_ignored_power_and_boot_device(bmc: Bmc) -> None:
    system = bmc.system()
    bmc.fault("power-ignored")
    system.reset_system(sushy.ResetType.ON)
    bmc.fault("boot-ignored")
    system.set_system_boot_options(sushy.BootSource.PXE, enabled=sushy.BootSourceOverrideEnabled.ONCE)
    assert bmc.behind.commands == []


def test_media_that_hang_work_after_an_ejection(bmc: Bmc) -> None:
    bmc.fault("media-hangs")
    failed: list[Exception] = []

    def insert() -> None:
        try:
            bmc.drive().insert_media(f"{bmc.images}{ISO}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked at
            failed.append(error)

    thread = threading.Thread(target=insert)
    thread.start()
    assert wait_until(lambda: bmc.drive().image.endswith(".iso"), 10)
    assert not bmc.drive().inserted
    assert thread.is_alive()
    bmc.drive().eject_media()
    thread.join(10)
    assert "given up" in str(failed[0])
    bmc.drive().insert_media(f"{bmc.images}{ISO}")
    assert bmc.drive().inserted


def test_media_that_fail(bmc: Bmc) -> None:
    bmc.fault("media-fails")
    with pytest.raises(sushy.exceptions.ServerSideError):
        bmc.drive().insert_media(f"{bmc.images}{ISO}")


def test_slow(bmc: Bmc) -> None:
    bmc.fault("slow")
    started = time.monotonic()
    assert requests.get(f"{bmc.url}/redfish/v1", verify=str(bmc.settings.bmc / "ca.crt"), timeout=300).status_code == 200
    assert time.monotonic() - started > 4


def test_password_file_is_private_and_certificate_verifies(bmc: Bmc) -> None:
    modes = {name: (bmc.settings.bmc / name).stat().st_mode & 0o777 for name in ("password", "server.pem", "wrong.pem")}
    assert set(modes.values()) == {0o600}
    context = ssl.create_default_context(cafile=str(bmc.settings.bmc / "ca.crt"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    address = (bmc.settings.gateway, bmc.settings.bmc_port(bmc.machine))
    with socket.create_connection(address, 5) as plain, context.wrap_socket(plain, server_hostname=address[0]) as connection:
        assert connection.getpeercert()


def test_a_dead_process_is_said(tmp_path: Path) -> None:
    settings = make_settings("units", "127.85.0.0/24", 1, str(tmp_path))
    settings.bmc.mkdir()
    bmc_faults.write(settings.state, "m1", "slow")
    with pytest.raises(LabError, match="does not run"):
        lifecycle.look_at_bmc_faults(settings)
