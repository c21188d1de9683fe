"""The hardware front: what it adds to a machine of the lab is there, and behaves as Talos on metal does."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driver import Lab
from machines import SYSTEM_DISK, Machines, wait_for

pytestmark = pytest.mark.lab

PARTITIONS = ["EFI", "BIOS", "BOOT", "META", "STATE", "EPHEMERAL"]


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
        """Those that vote: a learner's service is not running yet, and such a machine does not leave."""
        listed = running.run("etcd", "members", "--nodes", running.lab.address(1), check=False)
        return sum(":2380" in line and line.split()[-1] == "false" for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0

    def etcd_runs() -> bool:
        return "Running" in running.run("service", "etcd", "--nodes", second, check=False).stdout

    wait_for(lambda: members() == 2 and etcd_runs(), 90)
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
