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
        self.generate()

    def generate(self) -> None:
        """Configurations without install disk, with images from the lab's registry."""
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


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    work = tmp_path_factory.mktemp("front")
    lab = Lab(name="front", network=os.environ.get("TRINODE_TEST_FRONT_NETWORK", "10.83.0.0/24"), state=work / "state", machines=2)
    lab.up()
    try:
        yield Machines(lab, work)
    finally:
        lab.down()


@pytest.fixture
def maintenance(machines: Machines) -> Machines:
    """The first machine in maintenance mode, without a system."""
    if not machines.in_maintenance():
        machines.reset("--graceful=false")
    return machines


@pytest.fixture
def running(machines: Machines) -> Machines:
    """The first machine, running its configuration."""
    if machines.in_maintenance():
        machines.install()
    return machines


def test_disks_in_maintenance(maintenance: Machines) -> None:
    found = maintenance.resources("disks", "--insecure")
    assert set(found) == {disk["name"] for disk in maintenance.disks()}
    for disk in maintenance.disks():
        spec = found[disk["name"]]
        assert (spec["serial"], spec["wwid"], spec["size"], spec["transport"]) == (disk["serial"], disk["wwid"], disk["size_bytes"], disk["transport"])
        assert f"/dev/disk/by-id/{disk['by_id'][0]}" in spec["symlinks"]
    assert set(maintenance.resources("discoveredvolumes", "--insecure")) == set(found)
    assert set(maintenance.resources("blockdevices", "--insecure")) == set(found)
    assert maintenance.resources("systemdisk", "--insecure") == {}


def test_leftovers_are_found_and_wiped(maintenance: Machines) -> None:
    disk = maintenance.disks()[1]
    with Path(disk["path"]).open("r+b") as file:
        file.seek(512)
        file.write(b"LABELONE" + (1).to_bytes(8, "little") + bytes(4) + (32).to_bytes(4, "little") + b"LVM2 001" + b"x" * 32)

    def found() -> str:
        name: str = maintenance.resources("discoveredvolumes", "--insecure")[disk["name"]]["name"]
        return name

    wait_for(lambda: found() == "lvm2-pv", 5)
    maintenance.run("wipe", "disk", disk["name"], "--insecure", "--nodes", maintenance.lab.address(1))
    assert found() == ""
    assert maintenance.events("disk-wiped")[-1]["serial"] == disk["serial"]


def test_fingerprint_is_stable(maintenance: Machines) -> None:
    fingerprint = maintenance.fingerprint()
    selector = {"diskSelector": {"serial": maintenance.disks()[0]["serial"]}}
    maintenance.apply(selector, "--insecure", "--dry-run", "--cert-fingerprint", fingerprint)
    wrong = base64.b64encode(bytes(32)).decode()
    assert "doesn't match the provided fingerprints" in maintenance.apply(selector, "--insecure", "--dry-run", "--cert-fingerprint", wrong, check=False).stderr

    maintenance.reboot_in_maintenance()
    assert maintenance.fingerprint() == fingerprint

    maintenance.install()
    assert maintenance.fingerprint() != fingerprint
    maintenance.reset("--graceful=false")
    assert maintenance.fingerprint() == fingerprint


def test_certificate_fault(maintenance: Machines) -> None:
    fingerprint = maintenance.fingerprint()
    fault = Path(maintenance.facts["machines"][0]["directory"]) / "front" / "certificate-fault"
    fault.touch()
    try:
        assert maintenance.fingerprint() != fingerprint
    finally:
        fault.unlink()
    assert maintenance.fingerprint() == fingerprint


@pytest.mark.parametrize(
    ("install", "text"),
    [
        (None, "either install disk or diskSelector should be defined"),
        ({"diskSelector": {"serial": "NO-SUCH"}}, "no disks matched the expression"),
        ({"disk": "/dev/nvme9n1"}, "/dev/nvme9n1: no such file or directory"),
    ],
)
@pytest.mark.parametrize("options", [["--insecure"], ["--insecure", "--dry-run"]])
def test_wrong_install_disk_is_refused(maintenance: Machines, install: dict[str, Any] | None, text: str, options: list[str]) -> None:
    changes = maintenance.lab.changes()
    refused = maintenance.apply(install, *options, check=False)
    assert refused.returncode != 0
    assert "InvalidArgument" in refused.stderr
    assert text in refused.stderr
    assert maintenance.lab.changes() == changes
    assert maintenance.in_maintenance()
    assert maintenance.volumes("--insecure") == []


def test_dry_run_changes_nothing(maintenance: Machines) -> None:
    changes = maintenance.lab.changes()
    maintenance.apply({"disk": f"/dev/disk/by-id/{maintenance.disks()[0]['by_id'][0]}"}, "--insecure", "--dry-run")
    event = maintenance.events("apply-configuration")[-1]
    assert (event["dry_run"], event["stage"]) == (True, "maintenance")
    assert "error" not in event
    assert maintenance.lab.changes() == changes
    assert maintenance.in_maintenance()
    assert maintenance.volumes("--insecure") == []


def test_install(maintenance: Machines) -> None:
    boots = len(maintenance.events("boot"))
    maintenance.install()
    assert maintenance.events("install")[-1]["disk"] == SYSTEM_DISK
    wait_for(lambda: len(maintenance.events("boot")) == boots + 1, 30)
    assert maintenance.resources("systemdisk")["system-disk"]["diskID"] == SYSTEM_DISK
    assert maintenance.volumes() == PARTITIONS
    assert set(maintenance.resources("disks")) == {disk["name"] for disk in maintenance.disks()}


def test_running_machine(running: Machines) -> None:
    """A dry run is recorded as one; roles are those of the caller; the disks are the caller's machine's, whatever the endpoint."""
    changes = running.lab.changes()
    running.apply({"disk": "/dev/sda"}, "--dry-run")
    assert running.events("apply-configuration")[-1]["stage"] == "running"
    assert running.lab.changes() == changes

    reader = running.work / "reader"
    running.run("config", "new", "--roles", "os:reader", str(reader), "--nodes", running.lab.address(1))
    as_reader = ("--talosconfig", str(reader), "--nodes", running.lab.address(1))
    assert SYSTEM_DISK in running.run("get", "disks", *as_reader).stdout
    for command in (("reset", "--wait=false"), ("reboot", "--wait=false"), ("shutdown", "--wait=false"), ("bootstrap",)):
        assert "PermissionDenied" in running.run(*command, *as_reader, check=False).stderr
    assert running.lab.changes() == changes


@pytest.mark.slow
def test_reset_leaves_etcd_and_returns_to_maintenance(running: Machines) -> None:
    second = running.lab.address(2)
    if running.in_maintenance(2):
        running.install(2)
    wait_for(lambda: running.run("bootstrap", "--nodes", running.lab.address(1), check=False).returncode == 0, 60)

    def members() -> int:
        listed = running.run("etcd", "members", "--nodes", running.lab.address(1), check=False)
        return listed.stdout.count(":2380") if listed.returncode == 0 else 0

    wait_for(lambda: members() == 2, 90)
    # Across machines: endpoint one, node the other.
    assert running.disks(2)[0]["serial"] in running.run("get", "disks", "--endpoints", running.lab.address(1), "--nodes", second).stdout
    running.reset("--graceful", "--system-labels-to-wipe", "STATE", "--system-labels-to-wipe", "EPHEMERAL", number=2)
    wait_for(lambda: members() == 1, 30)
    assert [event["changes"] for event in running.events("etcd-left", 2)] == [True]
    # The system stays installed, only its state is gone.
    assert running.resources("systemdisk", "--insecure", number=2)["system-disk"]["diskID"] == SYSTEM_DISK


def test_worker(running: Machines) -> None:
    """Its configuration has no CA key; the front has it from a control plane's."""
    if not running.in_maintenance(2):
        running.reset("--graceful=false", number=2)
    running.install(2, role="worker")
    worker = running.lab.address(2)
    for endpoint in (worker, running.lab.address(1)):
        assert running.resources("systemdisk", "--endpoints", endpoint, number=2)["system-disk"]["diskID"] == SYSTEM_DISK


def test_reset_of_the_whole_disk(running: Machines) -> None:
    running.reset("--graceful=false")
    assert running.events("reset-request")[-1]["changes"]
    assert running.volumes("--insecure") == []
    assert running.resources("systemdisk", "--insecure") == {}
