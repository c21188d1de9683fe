# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table, and the lines to paste."""

from __future__ import annotations

import yaml
from disk_samples import GIB, SYSTEM, disk, machine

from ansible_collections.trinode.platform.plugins.module_utils.disks.claims import Machine
from ansible_collections.trinode.platform.plugins.module_utils.disks.judge import Judgement, judge
from ansible_collections.trinode.platform.plugins.module_utils.disks.membership import membership_from
from ansible_collections.trinode.platform.plugins.module_utils.disks.show import suggestions, table


def judged(*machines: Machine, ours: list[dict[str, object]] | None = None) -> Judgement:
    return judge(machines, membership_from(ours, machines))


def test_table() -> None:
    disks = [
        disk("sda", **SYSTEM),
        disk("sdb", wwid="naa.2", contents="bluestore", detail="BlueStore"),
        disk("sdc", wwid="", contents="filesystem", detail="ext4 «home»", rotational=True, size=4096 * GIB),
        disk("sdd", "", wwid="naa.4", contents="swap", detail="swap"),
        disk("sde", wwid="naa.5"),
        disk("sdf", wwid="naa.6", contents="swap", detail="swap"),
        disk("sdg", wwid="naa.7", contents="bluestore", detail="BlueStore"),
    ]
    settings = {
        "install_disk": {"serial": "S-sda"},
        "osd_disks": [{"serial": f"S-sd{letter}"} for letter in "bcfg"],
        "wipe_disks": ["S-sdf"],
    }
    ours = [{"host": "node-m1", "serial": "S-sdb", "osd": 3}, {"host": "", "serial": "", "osd": 4}]
    lines = table(judged(machine(*disks, running=True, **settings), ours=ours))
    rows = [line.split() for line in lines[:8]]
    assert rows[0] == ["MACHINE", "DISK", "SIZE", "KIND", "SERIAL", "WWID", "ON", "IT", "USE", "VERDICT"]
    assert [row[-2:] for row in rows[1:]] == [
        ["install", "ok"],
        ["osd", "ok"],
        ["osd", "refused"],
        ["not", "used"],
        ["not", "used"],
        ["be", "wiped"],
        ["not", "decided"],
    ]
    assert lines[3].split()[2:8] == ["4.0", "TiB", "sata", "hdd", "S-sdc", "-"]
    assert "ext4 «home»  osd      refused" in lines[3]
    assert "osd.3" in lines[2]
    assert [line.partition(":")[0] for line in lines[8:]] == ["refused", "note"]
    # The columns are straight.
    assert lines[0].index("SERIAL") == lines[1].index("S-sda") == lines[7].index("S-sdg")


def test_an_empty_inventory_gets_lines_that_pass() -> None:
    disks = [
        disk("sda", rotational=True, size=4000 * GIB),
        disk("sdb", "0815", size=200 * GIB),
        disk("nvme0n1", size=1000 * GIB, transport="nvme"),
        disk("sdc", removable=True, transport="usb"),
        disk("sdd", contents="lvm", detail="LVM «x»"),
        disk("sde", size=GIB),
        disk("sdf", readonly=True),
    ]
    bare = machine(*disks)
    found = suggestions([bare], judged(bare))
    text = "\n".join(found["m1"])
    values = yaml.safe_load(text)
    assert values == {
        "machine_install_disk": {"serial": "0815"},
        "machine_osd_disks": [{"serial": "S-sda"}, {"serial": "S-nvme0n1"}],
    }
    assert '# sdd holds LVM «x»; to use it: machine_wipe_disks: ["S-sdd"]' in text
    assert 'machine_install_disk: {serial: "0815"}  # sdb now: SSD 870, 200.0 GiB' in text
    finished = machine(*disks, install_disk=values["machine_install_disk"], osd_disks=values["machine_osd_disks"])
    judgement = judged(finished)
    assert not judgement.findings
    assert suggestions([finished], judgement) == {}


def test_a_reset_machine_keeps_its_system_disk() -> None:
    bare = machine(disk("sda", **SYSTEM), disk("sdb"))
    assert yaml.safe_load("\n".join(suggestions([bare], judged(bare))["m1"])) == {
        "machine_install_disk": {"serial": "S-sda"},
        "machine_osd_disks": [{"serial": "S-sdb"}],
    }


def test_a_disk_that_was_refused_is_replaced_in_the_lines() -> None:
    wrong = machine(disk("sda"), disk("sdb"), install_disk={"serial": "X"}, osd_disks=[{"serial": "S-sdb"}])
    assert yaml.safe_load("\n".join(suggestions([wrong], judged(wrong))["m1"])) == {"machine_install_disk": {"serial": "S-sda"}}
