"""talosctl on the machines of a lab, for the tests of what the hardware front adds."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from driver import Lab

SYSTEM_DISK = "sda"


class Machines:
    """Machines and talosctl; machine 1 is the one that most is tried on."""

    def __init__(self, lab: Lab, work: Path) -> None:
        self.lab = lab
        self.work = work
        self.facts: dict[str, Any] = json.loads(lab.command("inventory"))
        self.generate()

    def generate(self) -> None:
        """Configurations without install disk, with images from the lab's registry."""
        mirrors = {host: {"endpoints": [self.facts["registry"]]} for host in ("factory.talos.dev", "ghcr.io", "registry.k8s.io")}
        patch = {
            "machine": {"time": {"disabled": True}, "registries": {"mirrors": mirrors}},
            "cluster": {"network": {"cni": {"name": "none"}}, "proxy": {"disabled": True}, "discovery": {"enabled": False}},
        }
        versions = self.facts["versions"]
        self.run(
            "gen", "config", "front", f"https://{self.lab.address(1)}:6443", "--output", str(self.work), "--install-disk", "",
            "--kubernetes-version", versions["kubernetes"], "--config-patch", json.dumps(patch),
        )  # fmt: skip
        self.run("config", "endpoint", self.lab.address(1))

    def run(self, *arguments: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        program = Path(self.facts["programs"]) / "talosctl"
        environment = {**os.environ, "TALOSCONFIG": str(self.work / "talosconfig")}
        result = subprocess.run([program, *arguments], capture_output=True, text=True, env=environment, timeout=timeout, check=False)
        assert not check or result.returncode == 0, f"talosctl {' '.join(arguments)}\n{result.stdout}\n{result.stderr}"
        return result

    def disks(self, number: int = 1) -> list[dict[str, Any]]:
        disks: list[dict[str, Any]] = self.facts["machines"][number - 1]["disks"]
        return disks

    def resources(self, kind: str, *options: str, number: int = 1) -> dict[str, dict[str, Any]]:
        """Resources of a kind: ID -> spec. The output is one JSON document after the other."""
        output = self.run("get", kind, *options, "--nodes", self.lab.address(number), "--output", "json").stdout.strip()
        found = {}
        while output:
            resource, end = json.JSONDecoder().raw_decode(output)
            found[resource["metadata"]["id"]] = resource["spec"]
            output = output[end:].lstrip()
        return found

    def volumes(self, *options: str) -> list[str]:
        """Labels of the system disk's partitions, in their order."""
        found = self.resources("discoveredvolumes", *options).values()
        partitions = [spec for spec in found if spec.get("parent") == SYSTEM_DISK]
        return [spec["partition_label"] for spec in sorted(partitions, key=lambda spec: int(spec["offset"]))]

    def apply(
        self, install: dict[str, Any] | None, *options: str, number: int = 1, role: str = "controlplane", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        file = str(self.work / f"{role}.yaml")
        patch = json.dumps({"machine": {"install": install or {}}})
        return self.run("apply-config", "--nodes", self.lab.address(number), "--file", file, "--config-patch", patch, *options, check=check)

    def install(self, number: int = 1, role: str = "controlplane") -> None:
        """Configure a machine in maintenance mode, and wait until it runs that configuration."""
        self.apply({"diskSelector": {"serial": self.disks(number)[0]["serial"]}}, "--insecure", number=number, role=role)
        address = self.lab.address(number)
        wait_for(lambda: self.run("version", "--short", "--endpoints", address, "--nodes", address, check=False, timeout=10).returncode == 0, 60)

    def in_maintenance(self, number: int = 1) -> bool:
        return self.run("get", "disks", "--insecure", "--nodes", self.lab.address(number), check=False, timeout=10).returncode == 0

    def reset(self, *options: str, number: int = 1) -> None:
        """Reset a running machine, and wait until it is in maintenance mode again."""
        self.run("reset", "--reboot", "--wait=false", *options, "--nodes", self.lab.address(number))
        wait_for(lambda: self.in_maintenance(number), 90)

    def reboot_in_maintenance(self) -> None:
        boots = len(self.events("boot"))
        self.lab.command("power", "reboot", "m1")
        wait_for(lambda: len(self.events("boot")) > boots and self.in_maintenance(), 90)

    def certificate(self, number: int = 1) -> x509.Certificate:
        return x509.load_pem_x509_certificate(ssl.get_server_certificate((self.lab.address(number), 50000), timeout=10).encode())

    def fingerprint(self, number: int = 1) -> str:
        """As talosctl has it: SHA-256 of the public key's description, base64."""
        key = self.certificate(number).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(key).digest()).decode()

    def events(self, name: str, number: int = 1) -> list[dict[str, Any]]:
        return [event for event in self.lab.timeline() if event["event"] == name and event["machine"] == f"m{number}"]


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)
