"""From power-off to an installed machine by its BMC, on the lab: what boots is what was inserted, offered by the network, or installed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sushy
import sushy.auth
from driver import Lab
from machines import Machines, wait_for

pytestmark = pytest.mark.lab


class Bmc:
    """The BMC of one machine, by sushy."""

    def __init__(self, facts: dict[str, Any], number: int) -> None:
        machine = facts["machines"][number - 1]
        # Without a session, which sushy would end whenever garbage is collected, whether the BMC answers by then or not.
        auth = sushy.auth.BasicAuth(facts["bmc"]["username"], Path(facts["bmc"]["password_file"]).read_text().strip())
        connection = sushy.Sushy(machine["bmc"]["url"], auth=auth, verify=facts["bmc"]["ca_file"])
        self.system = connection.get_system(machine["bmc"]["system"])

    @property
    def power(self) -> str:
        self.system.refresh(force=True)
        return str(self.system.power_state.value)

    def reset(self, kind: sushy.ResetType, power: str) -> None:
        self.system.reset_system(kind)
        wait_for(lambda: self.power == power, 90)

    def insert(self, url: str) -> None:
        self.system.virtual_media.get_members()[0].insert_media(url)

    def boot_once(self, device: sushy.BootSource) -> None:
        self.system.set_system_boot_options(device, enabled=sushy.BootSourceOverrideEnabled.ONCE)


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    work = tmp_path_factory.mktemp("bmc")
    lab = Lab(name="bmc", network=os.environ.get("TRINODE_TEST_BMC_NETWORK", "10.88.0.0/24"), state=work / "state", machines=2)
    lab.up("--powered-off")
    try:
        yield Machines(lab, work)
    finally:
        lab.down()


@pytest.fixture
def first(machines: Machines) -> Bmc:
    return Bmc(machines.facts, 1)


def test_all_are_off_and_their_bmcs_answer(machines: Machines) -> None:
    assert [Bmc(machines.facts, number).power for number in (1, 2)] == ["Off", "Off"]
    assert {entry["stage"] for entry in json.loads(machines.lab.command("status", "--json"))["machines"]} == {"off"}


def test_an_empty_disk_boots_nothing(machines: Machines, first: Bmc) -> None:
    first.reset(sushy.ResetType.ON, "On")
    wait_for(lambda: len(machines.events("no-boot")) == 1, 30)
    assert "no disk has a system" in machines.events("no-boot")[0]["reason"]
    assert not machines.in_maintenance()
    assert machines.events("boot") == []
    first.reset(sushy.ResetType.FORCE_OFF, "Off")


def test_virtual_media_boot_into_maintenance(machines: Machines, first: Bmc) -> None:
    first.boot_once(sushy.BootSource.CD)
    first.insert(machines.facts["bmc"]["image_url"])
    first.reset(sushy.ResetType.ON, "On")
    wait_for(machines.in_maintenance, 60)
    assert machines.events("boot")[-1]["source"] == "cd"
    first.system.refresh(force=True)
    assert first.system.boot.enabled == sushy.BootSourceOverrideEnabled.DISABLED


def test_bmc_and_talos_tell_the_same_machine(machines: Machines, first: Bmc) -> None:
    found = machines.resources("systeminformation", "--insecure")["systeminformation"]
    assert (found["uuid"], found["serialnumber"]) == (first.system.uuid, first.system.json["SerialNumber"])
    link = machines.resources("links", "--insecure")["eth0"]
    assert [card.mac_address for card in first.system.ethernet_interfaces.get_members()] == [link["hardwareAddr"]]


def test_an_installed_machine_boots_its_disk(machines: Machines, first: Bmc) -> None:
    """With the media still inserted: the boot device was set once."""
    machines.install()
    assert machines.events("boot")[-1]["source"] == "disk"
    first.reset(sushy.ResetType.FORCE_RESTART, "On")
    wait_for(lambda: [event["source"] for event in machines.events("boot")][-2:] == ["disk", "disk"], 30)


def test_an_installed_machine_halts_on_media(machines: Machines, first: Bmc) -> None:
    first.boot_once(sushy.BootSource.CD)
    first.reset(sushy.ResetType.FORCE_RESTART, "On")
    wait_for(lambda: "already installed" in machines.events("no-boot")[-1]["reason"], 30)
    first.reset(sushy.ResetType.FORCE_RESTART, "On")
    wait_for(lambda: machines.events("boot")[-1]["source"] == "disk", 30)
    address = machines.lab.address(1)
    wait_for(lambda: machines.run("version", "--endpoints", address, "--nodes", address, check=False, timeout=10).returncode == 0, 90)


def test_graceful_shutdown(machines: Machines, first: Bmc) -> None:
    first.reset(sushy.ResetType.GRACEFUL_SHUTDOWN, "Off")
    assert machines.events("power-off")


def test_network_boot(machines: Machines) -> None:
    second, facts = Bmc(machines.facts, 2), machines.facts
    second.boot_once(sushy.BootSource.PXE)
    second.reset(sushy.ResetType.ON, "On")
    wait_for(lambda: len(machines.events("boot-device-failed", 2)) == 1, 30)
    assert not machines.in_maintenance(2)
    base = facts["bmc"]["image_url"].rpartition("/")[0]
    script = f"#!ipxe\nkernel {base}/kernel-amd64 talos.platform=metal\ninitrd {base}/initramfs-amd64.xz\nboot\n"
    (Path(facts["bmc"]["boot_directory"]) / "boot.ipxe").write_text(script)
    second.boot_once(sushy.BootSource.PXE)
    second.reset(sushy.ResetType.FORCE_RESTART, "On")
    wait_for(lambda: machines.in_maintenance(2), 60)
    assert machines.events("boot", 2)[-1]["source"] == "pxe"


def test_a_dead_bmc(machines: Machines, first: Bmc) -> None:
    machines.lab.command("fault", "bmc", "m1", "down")
    try:
        with pytest.raises(sushy.exceptions.ConnectionError):
            Bmc(machines.facts, 1)
        assert Bmc(machines.facts, 2).power == "On"
    finally:
        machines.lab.command("fault", "bmc", "m1", "up")
    assert Bmc(machines.facts, 1).power == "Off"
