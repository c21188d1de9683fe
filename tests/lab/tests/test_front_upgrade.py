"""Upgrades of Talos on the lab: what talosctl and the product see is what would be on metal, and every way to fail fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from driver import Lab
from machines import Machines, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.chaos]

SCHEMATIC = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"
OTHER = "b" * 64


def image(version: str, schematic: str = SCHEMATIC) -> str:
    return f"factory.talos.dev/metal-installer/{schematic}:{version}"


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    work = tmp_path_factory.mktemp("upgrade")
    lab = Lab(name="upgrade", network=os.environ.get("TRINODE_TEST_UPGRADE_NETWORK", "10.87.0.0/24"), state=work / "state", machines=1)
    lab.up()
    try:
        machines = Machines(lab, work)
        machines.install()
        yield machines
    finally:
        lab.down()


def upgrade(machines: Machines, reference: str, *options: str, check: bool = True) -> str:
    """``talosctl upgrade`` without drain, since there is no Kubernetes here; everything that it printed. With ``check``, the machine has started again then.

    talosctl itself would wait for a machine that is ready, which one without etcd never is.
    """
    booted = len(machines.events("upgrade"))
    waits = [] if {"--wait=false", "--no-reboot"} & set(options) else ["--wait=false"]
    result = machines.run("upgrade", "--image", reference, "--drain=false", "--nodes", machines.lab.address(1), *options, *waits, check=check, timeout=180)
    assert check or result.returncode != 0
    if check and waits:
        wait_for(lambda: len(machines.events("upgrade")) > booted, 90)
        come_back(machines)
    return result.stdout + result.stderr


def system(machines: Machines) -> tuple[str, str, str]:
    """What the machine says of itself: version by call and by resource, and schematic."""
    called = machines.run("version", "--short", "--nodes", machines.lab.address(1)).stdout
    resource = machines.resources("version")["version"]["version"]
    extensions = [each["metadata"] for each in machines.resources("extensions").values()]
    schematic = next((each["version"] for each in extensions if each["name"] == "schematic"), "")
    return next(line.split()[-1] for line in called.splitlines() if "Tag" in line or ("Talos" in line and "Client" not in line)), resource, schematic


def last(machines: Machines, event: str) -> dict[str, Any]:
    return machines.events(event)[-1]


def come_back(machines: Machines) -> None:
    address = machines.lab.address(1)
    wait_for(lambda: machines.run("version", "--endpoints", address, "--nodes", address, check=False, timeout=10).returncode == 0, 90)


def test_upgrade_changes_version_and_schematic(machines: Machines) -> None:
    boots = len(machines.events("boot"))
    machines.run("image", "pull", "--namespace", "system", image("v1.13.9"), "--nodes", machines.lab.address(1))
    assert machines.resources("version")["version"]["version"] == machines.facts["versions"]["talos"]
    upgrade(machines, image("v1.13.9"))
    assert system(machines)[1:] == ("v1.13.9", SCHEMATIC)
    assert len(machines.events("boot")) == boots + 1
    event = last(machines, "upgrade")
    assert (event["from"], event["to"], event["schematic"], event["rolled_back"]) == (machines.facts["versions"]["talos"], "v1.13.9", SCHEMATIC, False)
    assert "v1.13.9" in machines.run("read", "/etc/os-release", "--nodes", machines.lab.address(1)).stdout


def test_it_outlives_a_power_cut(machines: Machines) -> None:
    before = system(machines)
    machines.lab.command("power", "cut", "m1")
    machines.lab.command("power", "on", "m1")
    come_back(machines)
    assert system(machines) == before


def test_without_reboot_nothing_changes_yet(machines: Machines) -> None:
    before = system(machines)
    upgrade(machines, image("v1.13.10", OTHER), "--no-reboot")
    assert system(machines) == before
    booted = len(machines.events("upgrade"))
    machines.run("reboot", "--wait=false", "--nodes", machines.lab.address(1), timeout=60)
    wait_for(lambda: len(machines.events("upgrade")) > booted, 90)
    come_back(machines)
    assert system(machines)[1:] == ("v1.13.10", OTHER)


def test_legacy_call_and_rollback(machines: Machines) -> None:
    upgrade(machines, image("v1.13.11"), "--legacy")
    assert system(machines)[1:] == ("v1.13.11", SCHEMATIC)
    assert last(machines, "upgrade-request")["method"] == "legacy"
    machines.run("rollback", "--nodes", machines.lab.address(1))
    wait_for(lambda: last(machines, "upgrade")["to"] == "v1.13.10", 90)
    come_back(machines)
    assert system(machines)[1:] == ("v1.13.10", OTHER)


def test_rollback_by_the_machine_happens_once(machines: Machines) -> None:
    before = system(machines)
    machines.lab.command("fault", "upgrade", "m1", "rollback")
    upgrade(machines, image("v1.13.12"))
    assert system(machines) == before
    assert last(machines, "upgrade")["rolled_back"] is True
    upgrade(machines, image("v1.13.12"))
    assert system(machines)[1] == "v1.13.12"


def test_a_machine_that_hangs_comes_back_at_the_next_boot(machines: Machines) -> None:
    machines.lab.command("fault", "upgrade", "m1", "hang")
    upgrade(machines, image("v1.13.13"), "--wait=false")
    wait_for(lambda: machines.events("no-boot") != [], 90)
    assert "hangs" in last(machines, "no-boot")["reason"]
    assert '"nothing runs"' in machines.lab.command("status", "--json")
    machines.lab.command("power", "reboot", "m1")
    come_back(machines)
    assert system(machines)[1] == "v1.13.13"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (image("v1.20.0"), "upgrade failed with exit code 1"),
        (image("v1.11.0"), "upgrade failed with exit code 1"),
        ("factory.talos.dev/metal-installer/latest:latest", "upgrade failed with exit code 1"),
        ("Not/A Reference", "invalid reference format"),
    ],
)
def test_what_cannot_be_is_refused(machines: Machines, reference: str, words: str) -> None:
    before = system(machines)
    boots = len(machines.events("boot"))
    assert words in upgrade(machines, reference, check=False)
    assert (system(machines), len(machines.events("boot"))) == (before, boots)


def test_an_image_that_cannot_be_pulled(machines: Machines) -> None:
    reference = image("v1.13.14")
    machines.lab.command("fault", "image-unpullable", reference)
    try:
        assert "not found" in upgrade(machines, reference, check=False)
        assert "error validating installer image" in upgrade(machines, reference, "--legacy", check=False)
    finally:
        machines.lab.command("fault", "image-restore", reference)


def test_an_installer_that_fails(machines: Machines) -> None:
    before = system(machines)
    machines.lab.command("fault", "upgrade", "m1", "install-fails")
    assert "exit code 1" in upgrade(machines, image("v1.13.15"), check=False)
    assert system(machines) == before
    upgrade(machines, image("v1.13.15"), "--no-reboot")


def test_roles(machines: Machines) -> None:
    operator = machines.work / "operator"
    address = machines.lab.address(1)
    machines.run("config", "new", "--roles", "os:operator", str(operator), "--nodes", address)
    for options in (["--no-reboot"], ["--legacy", "--wait=false"]):
        refused = machines.run(
            "upgrade", "--image", image("v1.13.9"), "--drain=false", "--talosconfig", str(operator), "--nodes", address, *options, check=False, timeout=60
        )
        assert "PermissionDenied" in refused.stderr + refused.stdout, options
