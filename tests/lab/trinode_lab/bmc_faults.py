"""What a BMC of the lab does wrong. Faults are in ``<state>/bmc/faults.json``: machine -> fault; the BMCs' process reads them for every request."""

from __future__ import annotations

import json
from pathlib import Path

FAULTS = {
    "up": "nothing is wrong",
    "down": "its port refuses connections",
    "frozen": "it takes connections and never answers",
    "slow": "each answer takes five seconds",
    "busy": "the next three requests are answered with 503",
    "wrong-certificate": "it presents a certificate of another authority",
    "password-changed": "it knows another password",
    "media-hangs": "inserting media is not answered, until they are ejected; then it works again",
    "media-stuck": "inserting media is never answered",
    "media-fails": "inserting media is answered with an error",
    "boot-ignored": "it says that it has set the boot device, and has not",
    "power-ignored": "it says that it has switched the power, and has not",
    "wrong-machine": "it tells another UUID, serial number and network address, as after a mix-up of cables or addresses",
}


def path(state: Path) -> Path:
    return state / "bmc" / "faults.json"


def read(state: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(path(state).read_text())
    except FileNotFoundError:
        return {}
    return found


def write(state: Path, machine: str, fault: str) -> None:
    faults = {**read(state), machine: fault}
    temporary = path(state).with_suffix(".new")
    temporary.write_text(json.dumps({name: value for name, value in faults.items() if value != "up"}) + "\n")
    temporary.replace(path(state))
