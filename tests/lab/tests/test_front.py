"""The hardware front: what it adds to a machine of the lab is there, and behaves as Talos on metal does."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from driver import Lab

pytestmark = pytest.mark.lab

SYSTEM_DISK = "sda"
PARTITIONS = ["EFI", "BIOS", "BOOT", "META", "STATE", "EPHEMERAL"]


class Machines:
    """Two machines and talosctl; machine 1 is the one that most is tried on."""

    def __init__(self, lab: Lab, work: Path) -> None:
        self.lab = lab
        self.work = work
        self.facts: dict[str, Any] = json.loads(lab.command("inventory"))
        self.config = work / "controlplane.yaml"
        self.generate()

    def generate(self) -> None:
        """A control plane's configuration without install disk, with images from the lab's registry."""
        mirrors = {host: {"endpoints": [self.facts["registry"]]} for host in ("ghcr.io", "registry.k8s.io")}
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
        """Resources of a kind: ID -> spec."""
        output = self.run("get", kind, *options, "--nodes", self.lab.address(number), "--output", "json").stdout
        decoder, position, found = json.JSONDecoder(), 0, {}
        while position < len(output.rstrip()):
            resource, position = decoder.raw_decode(output, position + len(output[position:]) - len(output[position:].lstrip()))
            found[resource["metadata"]["id"]] = resource["spec"]
        return found

    def apply(self, install: dict[str, Any] | None, *options: str, number: int = 1, check: bool = True) -> subprocess.CompletedProcess[str]:
        patch = json.dumps({"machine": {"install": install or {}}})
        return self.run("apply-config", "--nodes", self.lab.address(number), "--file", str(self.config), "--config-patch", patch, *options, check=check)

    def install(self, number: int = 1) -> None:
        """Configure a machine in maintenance mode, and wait until it runs that configuration."""
        self.apply({"diskSelector": {"serial": self.disks(number)[0]["serial"]}}, "--insecure", number=number)
        wait_for(lambda: self.run("version", "--short", "--nodes", self.lab.address(number), check=False, timeout=10).returncode == 0, 60)

    def wait_for_maintenance(self, number: int = 1) -> None:
        wait_for(lambda: self.run("get", "disks", "--insecure", "--nodes", self.lab.address(number), check=False, timeout=10).returncode == 0, 60)

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


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    work = tmp_path_factory.mktemp("front")
    lab = Lab(name="front", network=os.environ.get("TRINODE_TEST_FRONT_NETWORK", "10.9.0.0/24"), state=work / "state", machines=2)
    lab.up()
    try:
        yield Machines(lab, work)
    finally:
        lab.down()


@pytest.fixture
def maintenance(machines: Machines) -> Machines:
    """The first machine in maintenance mode, its disks empty."""
    if machines.resources_in_maintenance_or_none() is None:
        machines.run("reset", "--graceful=false", "--reboot", "--wait=false", "--nodes", machines.lab.address(1))
        machines.wait_for_maintenance()
    return machines


@pytest.fixture
def running(machines: Machines) -> Machines:
    """The first machine, running its configuration."""
    if machines.resources_in_maintenance_or_none() is not None:
        machines.install()
    return machines


def test_disks_in_maintenance(maintenance: Machines) -> None:
    found = maintenance.resources("disks", "--insecure")
    for disk in maintenance.disks():
        spec = found[disk["name"]]
        assert (spec["serial"], spec["wwid"], spec["size"]) == (disk["serial"], disk["wwid"], disk["size_bytes"])
        assert f"/dev/disk/by-id/{disk['by_id'][0]}" in spec["symlinks"]
    assert len(found) == len(maintenance.disks())
    assert set(maintenance.resources("discoveredvolumes", "--insecure")) == set(found)
    assert maintenance.resources("systemdisk", "--insecure") == {}


def test_leftovers_are_found(maintenance: Machines) -> None:
    """By their content, and at once."""
    disk = maintenance.disks()[1]
    magic = {8: b"\x53\xef"}  # of ext2/3/4, at offset 56 of the superblock
    del magic
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "leftover", disk["path"], "64M"], check=True, timeout=60)
    wait_for(lambda: maintenance.resources("discoveredvolumes", "--insecure")[disk["name"]].get("label") == "leftover", 5)
    assert maintenance.resources("discoveredvolumes", "--insecure")[disk["name"]]["name"] == "ext4"
    maintenance.run("wipe", "disk", disk["name"], "--insecure", "--nodes", maintenance.lab.address(1))
    assert maintenance.resources("discoveredvolumes", "--insecure")[disk["name"]]["name"] == ""


def test_fingerprint_is_stable(maintenance: Machines) -> None:
    fingerprint = maintenance.fingerprint()
    selector = {"diskSelector": {"serial": maintenance.disks()[0]["serial"]}}
    maintenance.apply(selector, "--insecure", "--dry-run", "--cert-fingerprint", fingerprint)
    wrong = base64.b64encode(bytes(32)).decode()
    assert "fingerprint" in maintenance.apply(selector, "--insecure", "--dry-run", "--cert-fingerprint", wrong, check=False).stderr

    maintenance.lab.command("power", "reboot", "m1")
    wait_for(lambda: len(maintenance.events("stage", 1)) >= 0 and maintenance.run("get", "disks", "--insecure", "--nodes", maintenance.lab.address(1), check=False).returncode == 0, 60)
    assert maintenance.fingerprint() == fingerprint

    maintenance.install()
    assert maintenance.fingerprint() != fingerprint
    maintenance.run("reset", "--graceful=false", "--reboot", "--wait=false", "--nodes", maintenance.lab.address(1))
    maintenance.wait_for_maintenance()
    assert maintenance.fingerprint() == fingerprint
