"""A kind cluster's name, addresses and directories."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from trinode_lab.errors import LabError
from trinode_lab.registry import CHARTS_PORT, REGISTRY_PORT
from trinode_lab.settings import private_network

SETTINGS_FILE = "kind.json"
API_PORT = 6443


def state_root() -> Path:
    """Where clusters and our own Docker daemon keep what must not outlive them."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return (Path(base) / "trinode-kind").expanduser()


@dataclass(frozen=True)
class Settings:
    """One cluster. ``network`` is a /24 of Docker's: .1 is this host, where the registry and the charts are."""

    name: str
    network: str
    control_planes: int
    workers: int
    state: str

    @property
    def directory(self) -> Path:
        return Path(self.state)

    @property
    def gateway(self) -> str:
        return str(ipaddress.IPv4Network(self.network).network_address + 1)

    @property
    def docker_network(self) -> str:
        return f"kind-{self.name}"

    @property
    def load_balancer_addresses(self) -> str:
        """A range that Docker, which gives addresses from the lowest on, does not come to."""
        first = ipaddress.IPv4Network(self.network).network_address
        return f"{first + 200}-{first + 220}"

    @property
    def registry_url(self) -> str:
        return f"http://{self.gateway}:{REGISTRY_PORT}"

    @property
    def charts_url(self) -> str:
        return f"http://{self.gateway}:{CHARTS_PORT}"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def api_host(self) -> str:
        """The name under which pods of the host's network and kubelets reach an API server."""
        return f"{self.name}-{'control-plane' if self.control_planes == 1 else 'external-load-balancer'}"

    @property
    def registry_record(self) -> Path:
        return self.directory / "registry" / "process"

    def save(self) -> None:
        temporary = self.directory / f"{SETTINGS_FILE}.new"
        temporary.write_text(json.dumps(asdict(self), indent=2) + "\n")
        temporary.replace(self.directory / SETTINGS_FILE)


def make_settings(name: str | None, network: str | None, control_planes: int | None, workers: int | None, state: str | None) -> Settings:
    """Settings from options, then the environment, then defaults; checked."""
    name = name or os.environ.get("TRINODE_KIND_NAME") or "trinode"
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise LabError(f"the cluster's name {name!r} must be 1 to 31 lower-case letters, digits and dashes: containers carry it")
    text = network or os.environ.get("TRINODE_KIND_NETWORK") or "10.6.0.0/24"
    block = private_network(text, "the cluster's")
    planes = 1 if control_planes is None else control_planes
    if planes not in (1, 3, 5):
        raise LabError(f"the number of control planes must be 1, 3 or 5, not {planes}: an even number of etcd members bears no more failures")
    chosen = state or os.environ.get("TRINODE_KIND_STATE")
    directory = Path(chosen).expanduser().absolute() if chosen else state_root() / name
    return Settings(name, str(block), planes, workers or 0, str(directory))


def load_settings(wanted: Settings) -> Settings | None:
    """Settings of the cluster that stands in ``wanted.state``, or None."""
    try:
        found = json.loads((wanted.directory / SETTINGS_FILE).read_text())
    except FileNotFoundError:
        return None
    return Settings(**{**found, "state": wanted.state})
