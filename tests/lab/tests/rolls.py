"""What rolls over the machines leave behind, and what they did meanwhile, for the tests of them."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from driver import Lab

MACHINES = ("m1", "m2", "m3")
KUBERNETES = "v1.36.4"
"""The lab has it beside the pinned one: the same programs, which say so."""
GOES = frozenset({"reboot", "power-off", "power-cut", "crash"})
"""Events at which a machine goes away, in whichever way."""
Outage = tuple[str, float, float]
"""A machine that was away, from when to when."""


def talosctl(lab: Lab, machine: str, *arguments: str) -> str:
    """What talosctl printed at one machine."""
    program, address = Path(lab.command("bin").strip()) / "talosctl", lab.address(MACHINES.index(machine) + 1)
    argv = [str(program), "--talosconfig", str(lab.state / "cluster" / "talosconfig"), "--endpoints", address, "--nodes", address]
    return subprocess.run([*argv, *arguments], capture_output=True, text=True, check=True, timeout=30).stdout


def running(lab: Lab) -> dict[str, str]:
    """The version that each machine says it runs."""
    return {name: json.loads(talosctl(lab, name, "get", "version", "-o", "json"))["spec"]["version"] for name in MACHINES}


def nodes(lab: Lab) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in json.loads(lab.kubectl("get", "nodes", "-o", "json"))["items"]}


def kubelets(lab: Lab) -> dict[str, str]:
    return {name: node["status"]["nodeInfo"]["kubeletVersion"] for name, node in nodes(lab).items()}


def assert_nothing_is_left(lab: Lab) -> None:
    """All nodes take pods, and none bears a mark."""
    for name, node in nodes(lab).items():
        assert not node["spec"].get("unschedulable"), name
        assert "trinode.platform/rolling" not in node["metadata"].get("annotations", {}), name


def outages(events: list[dict[str, Any]]) -> list[Outage]:
    """When each machine was away: from the end of one boot to the beginning of the next."""
    ended, found = dict[str, float](), list[Outage]()
    for event in events:
        if event["event"] in GOES:
            ended[event["machine"]] = event["time"]
        elif event["event"] == "boot" and event["machine"] in ended:
            found.append((event["machine"], ended.pop(event["machine"]), event["time"]))
    return found


def assert_one_after_another(away: Iterable[Outage]) -> None:
    for (_one, _start, end), (other, start, _end) in itertools.pairwise(sorted(away, key=lambda outage: outage[1])):
        assert start > end, f"{other} went before the one before was back"
