"""Bridge, links and network namespaces of a lab. All names carry the lab's name, so what a killed `up` left can be found."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trinode_lab.errors import LabError
from trinode_lab.settings import Machine, Settings

NAMESPACES = Path("/run/netns")
FRONT_PORT = 50500
API_PORT = 50000

# Deleting a table that may not be there: named first, so that it is.
_NO_FAULT = "table ip trinode_fault\ndelete table ip trinode_fault\n"


def command(*argv: str, text: str | None = None) -> str:
    result = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if result.returncode:
        raise LabError(f"`{' '.join(argv)}` failed: {result.stderr.strip()}" + (f"\nits input:\n{text}" if text else ""))
    return result.stdout


def _links() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(command("ip", "-json", "address", "show"))
    return found


def check_free(settings: Settings) -> None:
    """Raise LabError when the lab's addresses are already this host's on another link."""
    for link in _links():
        for address in link.get("addr_info", []):
            if address.get("local") == settings.gateway and link["ifname"] != settings.bridge:
                raise LabError(
                    f"the network {settings.network} is in use: {settings.gateway} is on {link['ifname']}. Choose another with --network, or take that lab down"
                )


def create(settings: Settings) -> None:
    """Bridge with the lab's address, and for each machine a namespace whose eth0 hangs on the bridge with no power (link down)."""
    check_free(settings)
    lines = [
        f"link add {settings.bridge} type bridge",
        f"address add {settings.gateway}/24 dev {settings.bridge}",
        f"link set {settings.bridge} up",
    ]
    for machine in settings.machines:
        command("ip", "netns", "add", machine.namespace)
        lines += [
            f"link add {machine.link} type veth peer name eth0 address {machine.mac} netns {machine.namespace}",
            f"link set {machine.link} master {settings.bridge}",
        ]
    command("ip", "-batch", "-", text="\n".join(lines) + "\n")


def power(machine: Machine, on: bool) -> None:
    """A machine without power has no carrier, so nothing in its namespace is reached (the front neither)."""
    command("ip", "link", "set", machine.link, "up" if on else "down")


def reset(settings: Settings, machine: Machine) -> None:
    """Bring a machine's namespace to what a machine has at power-on: no leftovers of the last boot (virtual address, routes, rules, links of pods)."""
    namespace = machine.namespace
    links = json.loads(command("ip", "-n", namespace, "-json", "link", "show"))
    lines = [f"link delete {link['ifname']}" for link in links if link["ifname"] not in ("lo", "eth0")]
    lines += [
        "address flush dev eth0",
        "route flush table all dev eth0",
        "link set lo up",
        "link set eth0 up",
        f"address add {machine.address}/24 dev eth0",
        f"route replace default via {settings.gateway}",
    ]
    command("ip", "-n", namespace, "-batch", "-", text="\n".join(lines) + "\n")
    redirect = f"""
        table ip trinode_front {{
            chain prerouting {{
                type nat hook prerouting priority dstnat
                iifname "eth0" tcp dport {API_PORT} redirect to :{FRONT_PORT}
            }}
        }}
    """
    command("ip", "netns", "exec", namespace, "nft", "-f", "-", text="flush ruleset\n" + (redirect if settings.front else ""))


def partition(machine: Machine, others: Sequence[Machine]) -> None:
    """Cut the machine off: from everything (its cable is pulled) or from some machines only (their packets are dropped)."""
    if not others:
        command("ip", "link", "set", machine.link, "down")
        return
    peers = ", ".join(other.address for other in others)
    rules = f"""
        table ip trinode_fault {{
            chain input {{
                type filter hook prerouting priority -300
                ip saddr {{ {peers} }} drop
            }}
            chain output {{
                type filter hook output priority -300
                ip daddr {{ {peers} }} drop
            }}
        }}
    """
    command("ip", "netns", "exec", machine.namespace, "nft", "-f", "-", text=f"{_NO_FAULT}{rules}")


def heal(machine: Machine, powered: bool) -> None:
    """Undo ``partition``. A machine without power stays without link."""
    command("ip", "netns", "exec", machine.namespace, "nft", "-f", "-", text=_NO_FAULT)
    if powered:
        command("ip", "link", "set", machine.link, "up")


def remove(name: str) -> None:
    """Remove every link and namespace of the lab of that name."""
    bridge, prefix = f"tl-{name}", f"trinode-{name}-"
    for link in _links():
        if link["ifname"] == bridge or link["ifname"].startswith(f"{bridge}-"):
            subprocess.run(["ip", "link", "delete", link["ifname"]], capture_output=True, check=False)  # its peer may have taken it along
    if NAMESPACES.is_dir():
        for namespace in NAMESPACES.iterdir():
            if namespace.name.startswith(prefix):
                command("ip", "netns", "delete", namespace.name)
    left = [link["ifname"] for link in _links() if link["ifname"] == bridge or link["ifname"].startswith(f"{bridge}-")]
    if left:
        raise LabError(f"links of the lab cannot be removed: {', '.join(left)}")
