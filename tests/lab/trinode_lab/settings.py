"""A lab's name, addresses and directories: everything else is derived from them."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trinode_lab.errors import LabError

ROOT = Path(__file__).resolve().parents[1]
SETTINGS_FILE = "lab.json"
MAXIMUM_MACHINES = 99


def cache_directory() -> Path:
    """Where built tools, the root file system and the images are kept, outside the checkout."""
    chosen = os.environ.get("TRINODE_LAB_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(chosen or Path(base) / "trinode-lab").expanduser()


def default_state(name: str) -> Path:
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return (Path(base) / "trinode-lab" / name).expanduser()


@dataclass(frozen=True)
class Machine:
    """One machine: ``name`` is m1, m2, ...; ``directory`` holds its state, disks, console and control socket."""

    number: int
    name: str
    address: str
    directory: Path
    link: str
    namespace: str

    @property
    def control(self) -> Path:
        return self.directory / "control"

    @property
    def uuid(self) -> str:
        """Of its system, as SMBIOS, Talos and its BMC tell it. The link's name holds the lab's."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.link}.trinode.lab"))

    @property
    def serial(self) -> str:
        """The lab's name and the machine's, as in the serial numbers of its disks."""
        return self.link.removeprefix("tl-").upper()

    @property
    def mac(self) -> str:
        """Of its network card: a locally administered address."""
        digits = uuid.UUID(self.uuid).bytes[:5]
        return ":".join(f"{number:02x}" for number in (0x02, *digits))

    @property
    def console(self) -> Path:
        return self.directory / "console.log"


@dataclass(frozen=True)
class Settings:
    """One lab. ``network`` is a /24: .1 the lab, .10 the virtual address, .11 and on the machines."""

    name: str
    network: ipaddress.IPv4Network
    machine_count: int
    state: Path
    front: bool = True
    powered_off: bool = False  # machines start without power, and boot only what is on their disks, in their drives or on the network

    def host(self, number: int) -> str:
        return str(self.network.network_address + number)

    @property
    def gateway(self) -> str:
        return self.host(1)

    @property
    def vip(self) -> str:
        return self.host(10)

    @property
    def bridge(self) -> str:
        return f"tl-{self.name}"

    @property
    def registry_url(self) -> str:
        return f"http://{self.gateway}:5000"

    @property
    def charts_url(self) -> str:
        return f"http://{self.gateway}:8879"

    @property
    def images_url(self) -> str:
        """Boot images, as an image factory serves them."""
        return f"http://{self.gateway}:8080"

    @property
    def boot_url(self) -> str:
        """What the network's boot server has: files of the directory boot in the state directory."""
        return f"{self.images_url}/boot"

    @property
    def bmc(self) -> Path:
        return self.state / "bmc"

    def bmc_port(self, machine: Machine) -> int:
        return 8400 + machine.number

    def bmc_url(self, machine: Machine) -> str:
        return f"https://{self.gateway}:{self.bmc_port(machine)}"

    @property
    def git(self) -> Path:
        return self.state / "git"

    @property
    def git_url(self) -> str:
        return f"http://{self.gateway}:3000/platform.git"

    @property
    def timeline(self) -> Path:
        return self.state / "timeline.jsonl"

    @property
    def cluster(self) -> Path:
        return self.state / "cluster"

    @property
    def vault_password(self) -> Path:
        return self.state / "vault-password"

    @property
    def machines(self) -> list[Machine]:
        return [self.machine(f"m{number}") for number in range(1, self.machine_count + 1)]

    def machine(self, name: str) -> Machine:
        """The machine of that name. Raises LabError, naming those that exist."""
        number = int(name[1:]) if re.fullmatch(r"m[1-9][0-9]?", name) else 0
        if not 1 <= number <= self.machine_count:
            raise LabError(f"lab {self.name} has no machine {name!r}: it has m1 to m{self.machine_count}")
        return Machine(number, name, self.host(10 + number), self.state / "machines" / name, f"{self.bridge}-{name}", f"trinode-{self.name}-{name}")

    def save_parts(self, parts: Mapping[str, Path | None]) -> None:
        """Pin the built things that this lab runs on, so that a later build does not change a lab that stands."""
        (self.state / "parts.json").write_text(json.dumps({name: str(path) if path else "" for name, path in parts.items()}, indent=2))

    def parts(self) -> dict[str, str]:
        """Paths of ``rootfs``, ``images``, ``shim``, ``front`` and ``ceph`` (programs of Rook's double); "" for one that is not needed or not there."""
        found: dict[str, str] = json.loads((self.state / "parts.json").read_text())
        return found

    def save(self) -> None:
        settings = {"name": self.name, "network": str(self.network), "machines": self.machine_count, "front": self.front, "powered_off": self.powered_off}
        text = json.dumps(settings, indent=2)
        temporary = self.state / f"{SETTINGS_FILE}.new"
        temporary.write_text(f"{text}\n")
        temporary.replace(self.state / SETTINGS_FILE)


def private_network(text: str, whose: str) -> ipaddress.IPv4Network:
    """A /24 of private addresses; LabError for anything else. ``whose`` is the message's: the lab's."""
    try:
        block = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise LabError(f"{whose} network {text!r} is not an IPv4 network: {error}") from error
    if block.prefixlen != 24 or not block.is_private:
        raise LabError(f"{whose} network {text} must be a private /24, such as 10.5.0.0/24")
    return block


def make_settings(name: str | None, network: str | None, machines: int | None, state: str | None, *, front: bool = True, powered_off: bool = False) -> Settings:
    """Settings from options, then the environment, then defaults; checked."""
    name = name or os.environ.get("TRINODE_LAB_NAME") or "lab"
    if not re.fullmatch(r"[a-z0-9]{1,8}", name):
        raise LabError(f"the lab's name {name!r} must be 1 to 8 lower-case letters and digits: links and namespaces carry it")
    text = network or os.environ.get("TRINODE_LAB_NETWORK") or "10.5.0.0/24"
    block = private_network(text, "the lab's")
    number = machines or int(os.environ.get("TRINODE_LAB_MACHINES") or 3)
    if not 1 <= number <= MAXIMUM_MACHINES:
        raise LabError(f"the number of machines must be 1 to {MAXIMUM_MACHINES}, not {number}")
    chosen = state or os.environ.get("TRINODE_LAB_STATE")
    directory = Path(chosen).expanduser().absolute() if chosen else default_state(name)
    return Settings(name, block, number, directory, front, powered_off)


def load_settings(wanted: Settings) -> Settings | None:
    """Settings of the lab that stands in ``wanted.state``, or None when none does."""
    try:
        found = json.loads((wanted.state / SETTINGS_FILE).read_text())
    except FileNotFoundError:
        return None
    return Settings(found["name"], ipaddress.IPv4Network(found["network"]), found["machines"], wanted.state, found["front"], found.get("powered_off", False))
