"""sushy-tools' application, with the lab's drivers, authentication, sessions (which sushy-tools lacks) and faults. Only the BMCs' process imports this."""

from __future__ import annotations

import json
import secrets
import socket
import time
from typing import Any

import flask
from sushy_tools.emulator import main as emulator

from trinode_lab import bmc_drivers, bmc_faults, bmc_identity, firmware
from trinode_lab.bmc import SYSTEMS, Bmcs
from trinode_lab.settings import Machine

SESSIONS = "/redfish/v1/SessionService/Sessions"
_OPEN_PATHS = ("/redfish", "/redfish/v1")
_SLOW_SECONDS = 5.0
_BUSY_ANSWERS = 3


def application(bmcs: Bmcs) -> Any:
    """The application for all BMCs: which one a request is for, its port says."""
    app, gate = emulator.app, Gate(bmcs)
    app.config["SUSHY_EMULATOR_STATE_DIR"] = str(bmcs.settings.bmc)
    systems, media = bmc_drivers.Systems(bmcs, gate.machine), bmc_drivers.Media(bmcs, gate.machine)
    emulator.Application.systems = property(lambda _: systems)
    emulator.Application.vmedia = property(lambda _: media)
    app.before_request(gate.before)
    app.after_request(gate.after)
    app.post(SESSIONS)(gate.log_in)
    app.delete(f"{SESSIONS}/<number>")(gate.log_out)
    return app


class Gate:
    """What happens to each request before and after sushy-tools has it."""

    def __init__(self, bmcs: Bmcs) -> None:
        self._bmcs = bmcs
        self._busy: dict[str, int] = {}  # machine -> answers that are still refused

    def machine(self) -> Machine:
        return self._bmcs.machines[int(flask.request.environ["SERVER_PORT"])]

    def before(self) -> Any:
        """The faults, then who is asking. An answer here is the request's."""
        machine, path = self.machine(), flask.request.path.rstrip("/")
        fault = self._bmcs.fault(machine)
        if fault in ("down", "frozen"):  # a connection that was open before the fault
            flask.request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        if fault == "slow":
            time.sleep(_SLOW_SECONDS)
        if fault == "busy":
            return self._refuse_as_busy(machine)
        if path in _OPEN_PATHS or (path == SESSIONS and flask.request.method == "POST") or self._bmcs.authorized(machine, flask.request.headers):
            return None
        return self._refuse_stranger(machine)

    def _refuse_as_busy(self, machine: Machine) -> Any:
        left = self._busy.pop(machine.name, _BUSY_ANSWERS) - 1
        if left > 0:
            self._busy[machine.name] = left
        else:
            bmc_faults.write(self._bmcs.settings.state, machine.name, "up")
        return _refusal(503, "the BMC is busy, try again")

    def _refuse_stranger(self, machine: Machine) -> Any:
        self._bmcs.record("bmc-refused", machine, path=flask.request.path)
        return _refusal(401, "user name or password is wrong")

    def after(self, response: Any) -> Any:
        """What sushy-tools leaves out of a system and of the root."""
        machine, path = self.machine(), flask.request.path.rstrip("/")
        if flask.request.method == "GET" and response.status_code == 200 and path in ("/redfish/v1", f"{SYSTEMS}/{self._bmcs.system(machine)}"):
            content = json.loads(response.get_data())
            self._root(content, machine) if path == "/redfish/v1" else self._system(content, machine)
            response.set_data(json.dumps(content))
        return response

    def _root(self, root: dict[str, Any], machine: Machine) -> None:
        root["UUID"] = self._bmcs.system(machine)
        root["Product"] = "The lab's BMC (sushy-tools)"
        root["Links"] = {"Sessions": {"@odata.id": SESSIONS}}

    def _system(self, system: dict[str, Any], machine: Machine) -> None:
        wrong = self._bmcs.fault(machine) == "wrong-machine"
        system |= {"Manufacturer": "trinode.platform", "Model": "Lab", "SerialNumber": f"NOT-{machine.serial}" if wrong else machine.serial}
        set_up = firmware.read(machine)
        system["Boot"] |= {"BootSourceOverrideEnabled": set_up.enabled, "BootSourceOverrideTarget": set_up.device}
        system["Boot"]["BootSourceOverrideTarget@Redfish.AllowableValues"] = list(firmware.DEVICES)

    def log_in(self) -> Any:
        given, machine = flask.request.get_json(), self.machine()
        if not self._bmcs.recognised(machine, str(given.get("UserName")), str(given.get("Password"))):
            return self._refuse_stranger(machine)
        token, number = secrets.token_urlsafe(24), secrets.token_hex(4)
        self._bmcs.sessions[token] = machine.name
        location = f"{SESSIONS}/{number}"
        body = {"@odata.id": location, "Id": number, "Name": "Session", "UserName": bmc_identity.USER}
        return flask.jsonify(body), 201, {"X-Auth-Token": token, "Location": location}

    def log_out(self, number: str) -> Any:
        self._bmcs.sessions.pop(flask.request.headers.get("X-Auth-Token", ""), None)
        return "", 204


def _refusal(status: int, message: str) -> Any:
    body = {"error": {"code": "Base.1.0.GeneralError", "message": message, "@Message.ExtendedInfo": [{"Message": message}]}}
    return flask.jsonify(body), status
