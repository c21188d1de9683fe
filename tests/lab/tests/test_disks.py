# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk contract on machines in maintenance mode: each refusal with the real thing on a sparse disk, whose bytes are then still the same.

Software RAID that is not running is the one content of these that Talos does not recognise; a test shows that, too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from driver import Lab, share_settings
from machines import Machines, wait_for
from sparse import fingerprint

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.disks.ask import ask
from ansible_collections.trinode.platform.plugins.module_utils.disks.judge import Judgement, judge
from ansible_collections.trinode.platform.plugins.module_utils.disks.membership import membership_from
from ansible_collections.trinode.platform.plugins.module_utils.disks.wipe import Wiped, WipeRequest, wipe
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.observe import Machine

pytestmark = pytest.mark.lab

GIB = 1 << 30
BLUESTORE = b"bluestore block device"
# What happens to a machine because somebody writes to it; faults and plugged disks are the test's own doing.
WRITES = ("apply-configuration", "install", "disk-wiped", "reset-request", "bootstrap")


class DiskLab(Lab):
    """Machines in maintenance mode, and an inventory with the settings that a test gives them."""

    def write(self, **settings: dict[str, Any]) -> None:
        """The inventory: machines by name with their settings; each has its address."""
        directory = self.state / "contract"
        directory.mkdir(exist_ok=True)
        hosts = {name: {"machine_address": self.address(int(name[1:])), **values} for name, values in settings.items()}
        (directory / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": {"machines": {"hosts": hosts}, "components": {"hosts": {}}}}}))
        share_settings(directory)

    def inventory(self, components: Sequence[str] | None = ()) -> Path:
        return self.state / "contract"


class Disks:
    """The machines, their disks by the ends of their serials, and the bytes of these."""

    def __init__(self, lab: DiskLab, work: Path) -> None:
        self.lab = lab
        self.talos = Machines(lab, work)
        self.talosctl = str(Path(self.talos.facts["programs"]) / "talosctl")

    def serial(self, name: str, machine: int = 1) -> str:
        return f"{self.lab.name}-m{machine}-{name}".upper()

    def file(self, name: str, machine: int = 1) -> Path:
        return Path(self.talos.disks(machine)[0]["path"]).with_name(name)

    def fingerprints(self) -> dict[str, str]:
        """Of every disk of every machine: the hash of all that was ever written to it, and where."""
        files = sorted(path for machine in range(1, self.lab.machines + 1) for path in self.file("SYS", machine).parent.iterdir())
        return {str(path): fingerprint(path) for path in files}

    def foreign(self, **contents: str) -> None:
        """Put these contents on disks of machine 1, and wait until Talos has seen them."""
        for name, kind in contents.items():
            self.lab.command("fault", "foreign", "m1", name, kind)
        wanted = {self.serial(name): kind for name, kind in contents.items() if kind != "raid"}
        wait_for(lambda: all(self._found(serial) == {"lvm": "lvm2-pv"}.get(kind, kind) for serial, kind in wanted.items()), 15)

    def _found(self, serial: str) -> str:
        disks = self.talos.resources("disks", "--insecure")
        name = next(name for name, spec in disks.items() if spec.get("serial") == serial)
        return str(self.talos.resources("discoveredvolumes", "--insecure")[name].get("name", ""))

    def judge(self, **settings: dict[str, Any]) -> Judgement:
        """What the module disk_contract does, without Ansible."""
        wanted = [{"name": name, "address": self.lab.address(int(name[1:])), **values} for name, values in settings.items()]
        machines, silent = ask(wanted, talosctl=self.talosctl, talosconfig=None, deadline=Deadline(60))
        assert silent == []
        return judge(machines, membership_from(None, machines))

    def refusals(self, **settings: dict[str, Any]) -> list[str]:
        return [str(finding) for finding in self.judge(**settings).refusals]

    def wipe(self, name: str, path: str = "", *, check_mode: bool = False) -> Wiped:
        """What the module talos_disk_wipe does, without Ansible."""
        machine = Machine(self.lab.address(1), talosctl=self.talosctl, talosconfig=None)
        request = WipeRequest(machine, "m1", self.serial(name), path, membership_from(None, []), always=False, check_mode=check_mode)
        return wipe(request, deadline=Deadline(120))

    def writes(self) -> list[dict[str, Any]]:
        """Everything so far that wrote to a machine."""
        return [event for event in self.lab.timeline() if event["event"] in WRITES and event.get("changes")]


def piece(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(len(BLUESTORE))


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    work = tmp_path_factory.mktemp("contract")
    network = os.environ.get("TRINODE_TEST_DISKS_NETWORK", "10.84.0.0/24")
    lab = DiskLab(name="contract"[:8], network=network, state=work / "state", machines=int(os.environ.get("TRINODE_TEST_DISKS_MACHINES", "2")))
    lab.up()
    try:
        yield Disks(lab, work)
    finally:
        lab.down()


@pytest.fixture(autouse=True)
def untouched(disks: Disks, request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever is refused, or only looked at: nothing has written to a machine. Tests that wipe are marked by their name."""
    before = disks.writes()
    yield
    if "wiped" not in request.node.name:
        assert disks.writes() == before


def test_the_table_before_there_is_an_inventory(disks: Disks) -> None:
    disks.lab.write(m1={})
    run = disks.lab.playbook("playbooks/disks.yml")
    assert run.returncode == 0, run.output
    assert run.total("changed") == 0
    for text in ("VERDICT", disks.serial("SYS"), "host_vars/m1.yml:", f'machine_install_disk: {{serial: "{disks.serial("OSD1")}"}}', "machine_osd_disks:"):
        assert text in run.output, run.output


def test_foreign_contents_are_refused_by_preflight_and_nothing_is_written(disks: Disks) -> None:
    disks.foreign(SYS="ext4", OSD1="lvm", OSD2="gpt", NVME1="bluestore")
    before = disks.fingerprints()
    storage = [{"serial": disks.serial(name)} for name in ("OSD1", "OSD2", "NVME1")]
    disks.lab.write(m1={"machine_install_disk": {"serial": disks.serial("SYS")}, "machine_osd_disks": storage})
    run = disks.lab.playbook("site.yml")
    assert run.returncode != 0
    output = " ".join(run.output.split())
    for name, text in {
        "SYS": "it holds a filesystem (ext4 «home»)",
        "OSD1": "it holds LVM (LVM «",
        "OSD2": "it holds a partition table (GPT with",
        "NVME1": "it holds an OSD of another Ceph cluster, or of one that is gone (BlueStore)",
    }.items():
        assert text in output, output
        assert f"machine_wipe_disks: [{disks.serial(name)}] for m1" in output
    assert "4 findings; nothing was touched" in output
    assert disks.fingerprints() == before


def test_other_foreign_contents_are_refused(disks: Disks) -> None:
    disks.foreign(OSD1="luks", OSD2="swap", NVME1="xfs")
    before = disks.fingerprints()
    found = disks.refusals(m1={"osd_disks": [{"serial": disks.serial(name)} for name in ("OSD1", "OSD2", "NVME1")]})
    assert len(found) == 3
    for text in ("an encrypted volume (LUKS)", "swap space (swap «home»)", "a filesystem (xfs «home»)"):
        assert any(f"it is not empty: it holds {text}" in refusal for refusal in found), found
    assert disks.fingerprints() == before


def test_software_raid_that_does_not_run_is_not_seen(disks: Disks) -> None:
    """A limit of Talos: go-blockdevice knows no software RAID. ceph_disk_look sees it (tests/lab/tests/test_ceph.py), before Ceph is given the disk."""
    disks.foreign(HDD1="raid")
    judgement = disks.judge(m1={"osd_disks": [{"serial": disks.serial("HDD1")}]})
    assert [(entry.contents, entry.findings) for entry in judgement.disks if entry.use == "osd"] == [("empty", [])]


def test_talos_is_given_no_install_disk_that_holds_something(disks: Disks) -> None:
    """Without preflight: the task that would have Talos overwrite the disk looks itself, right before."""
    before = disks.fingerprints()
    disks.lab.write(m1={"machine_install_disk": {"serial": disks.serial("SYS")}})
    run = disks.lab.playbook("playbooks/cluster.yml")
    assert run.returncode != 0
    output = " ".join(run.output.split())
    assert f"the install disk /dev/sda (serial {disks.serial('SYS')}" in output
    assert "is not empty: it holds ext4 «home»; nothing was written" in output
    assert disks.fingerprints() == before


def test_disks_that_are_unfit_are_refused(disks: Disks) -> None:
    for name, options in {"RO1": ("--kind", "readonly"), "USB1": ("--kind", "usb"), "TINY": ("--size", "4"), "PATH2": ("--twin-of", "OSD1")}.items():
        disks.lab.command("disk", "add", "m1", name, *options)
    wait_for(lambda: len(disks.talos.resources("disks", "--insecure")) == 9, 15)
    before = disks.fingerprints()
    storage = [{"serial": disks.serial(name)} for name in ("RO1", "USB1", "TINY", "OSD1", "HDD1", "HDD1")]
    found = "\n".join(disks.refusals(m1={"install_disk": {"serial": "NOWHERE"}, "osd_disks": [*storage, {"match": "size > `1`", "count": 9}, "/dev/nvme0n1"]}))
    for text in (
        "no disk of the machine has serial NOWHERE. Its disks: /dev/",
        "it is read-only",
        "it is removable (USB)",
        "it is too small: 4.0 GiB",
        "the same disk is there a second time, as /dev/",
        "it is claimed twice, by machine_osd_disks[4] and machine_osd_disks[5]",
        "fit match size > `1`, and 9 should",
        f"/dev/nvme0n1 is now {{by_id: nvme-TRINODE_LAB_NVME_{disks.serial('NVME1')}}}",
    ):
        assert text in found, found
    assert disks.fingerprints() == before
    for name in ("RO1", "USB1", "TINY", "sdh"):
        disks.lab.command("disk", "remove", "m1", name)


def test_a_kernel_name_is_refused_with_the_name_to_copy(disks: Disks) -> None:
    disks.lab.write(m1={"machine_install_disk": "/dev/sda"})
    run = disks.lab.playbook("site.yml")
    assert run.returncode != 0
    output = " ".join(run.output.split())
    link = f"ata-TRINODE_LAB_DISK_{disks.serial('SYS')}"
    assert "'/dev/sda' is a kernel name, which may be another disk after the next boot. Copy the name that stays with the disk" in output, output
    assert f"/dev/sda is now {{by_id: {link}}}" in output, output


def test_the_serial_of_another_machines_disk_is_refused(disks: Disks) -> None:
    if disks.lab.machines < 2:
        pytest.skip("the lab has one machine")
    before = disks.fingerprints()
    wrong = {"machine_install_disk": {"serial": disks.serial("HDD1", machine=2)}}
    disks.lab.write(m1=wrong, m2={"machine_role": "worker", "machine_install_disk": {"serial": disks.serial("SYS", machine=2)}})
    run = disks.lab.playbook("site.yml")
    assert run.returncode != 0
    output = " ".join(run.output.split())
    assert f"no disk of the machine has serial {disks.serial('HDD1', machine=2)}; it is a disk of m2 (/dev/sdd)" in output, output
    assert "1 finding; nothing was touched" in output
    assert disks.fingerprints() == before


def test_a_disk_that_has_another_name_by_now_is_refused(disks: Disks) -> None:
    """Between the look and the wipe the machine boots, and two disks have each other's name."""
    disks.foreign(OSD1="ext4", OSD2="xfs")
    settings = {"osd_disks": [{"serial": disks.serial("OSD1")}], "wipe_disks": [disks.serial("OSD1")]}
    (seen,) = [entry for entry in disks.judge(m1=settings).disks if entry.wipe]
    assert seen.disk.path == "/dev/sdb"
    disks.lab.command("fault", "swap-disks", "m1", "OSD1", "OSD2")
    disks.talos.reboot_in_maintenance()
    before = disks.fingerprints()
    with pytest.raises(RefusedError, match=r"was seen as /dev/sdb, which is /dev/sdb \(serial .*OSD2.*now /dev/sdc; nothing was wiped"):
        disks.wipe("OSD1", seen.disk.path)
    assert disks.fingerprints() == before
    # What is named by its serial is the same disk under its new name.
    (again,) = [entry for entry in disks.judge(m1=settings).disks if entry.wipe]
    assert (again.disk.path, again.detail) == ("/dev/sdc", "ext4 «home»")


def test_a_permitted_disk_is_wiped_with_every_label_and_no_other(disks: Disks) -> None:
    disks.foreign(NVME1="bluestore")
    path = disks.file("NVME1")
    assert [piece(path, offset * GIB) for offset in (0, 1, 10)] == [BLUESTORE] * 3
    before = disks.fingerprints()
    assert disks.wipe("NVME1", "/dev/nvme0n1", check_mode=True).changed
    assert disks.fingerprints() == before
    assert disks.wipe("NVME1", "/dev/nvme0n1").changed
    after = disks.fingerprints()
    assert path.stat().st_blocks == 0
    assert [name for name in before if before[name] != after[name]] == [str(path)]
    assert not disks.wipe("NVME1", "/dev/nvme0n1").changed
    assert [(event["serial"], event["method"]) for event in disks.writes()] == [(disks.serial("NVME1"), "ZEROES")]


def test_an_install_disk_with_contents_is_wiped_and_installed_when_its_serial_is_given(disks: Disks) -> None:
    serial = disks.serial("SYS")
    disks.foreign(SYS="ext4")
    disks.lab.write(m1={"machine_install_disk": {"serial": serial}, "machine_wipe_disks": [serial]})

    def installed() -> bool:
        return any(event["event"] == "install" for event in disks.lab.timeline())

    # What follows is no matter of disks.
    assert disks.lab.killed_playbook("site.yml", 300, once=installed)
    happened = [event for event in disks.writes() if event["event"] in ("disk-wiped", "install")]
    assert [(event["event"], event.get("serial", serial)) for event in happened[-2:]] == [("disk-wiped", serial), ("install", serial)]
