"""Talking to a machine's supervisor."""

from __future__ import annotations

import json
import socket
from typing import Any

from trinode_lab.errors import LabError
from trinode_lab.processes import Record
from trinode_lab.settings import Machine


def alive(machine: Machine) -> bool:
    return Record(machine.directory / "process").read() is not None


def send(machine: Machine, command: str) -> str:
    """Send one command and return the answer. Raises LabError when the supervisor does not answer or refuses."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(str(machine.control))
            connection.sendall(f"{command}\n".encode())
            answer = connection.makefile().readline().strip()
    except OSError as error:
        raise LabError(f"{machine.name}: its supervisor does not answer on {machine.control} ({error}); is the lab up?") from error
    if answer.startswith("error:"):
        raise LabError(f"{machine.name}: {answer.removeprefix('error:').strip()}")
    return answer


def status(machine: Machine) -> dict[str, Any]:
    """``{power: on|off, frozen, boots, init}``; init is the pid, on the host, of the machine's PID 1."""
    found: dict[str, Any] = json.loads(send(machine, "status"))
    return found
