# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks a selector means."""

from __future__ import annotations

from typing import Any

import pytest
from disk_samples import GIB, SYSTEM, disk

from ansible_collections.trinode.platform.plugins.module_utils.disks.choose import chosen, facts, identity, link_of, resolved
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import disk_from_values

DISK = {
    "path": "/dev/sda",
    "size": 500 * 10**9,
    "model": "Samsung SSD 870",
    "serial": "S4X9NF0M",
    "wwid": "naa.5002538e40000000",
    "transport": "sata",
    "rotational": False,
    "by_id": ["/dev/disk/by-id/ata-Samsung_SSD_870_S4X9NF0M"],
}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"serial": "S4X9NF0M"}, True),
        ({"serial": "S4X9NF0"}, False),
        ({"wwid": "naa.5002538e40000000"}, True),
        ({"by_id": "ata-Samsung_SSD_870_S4X9NF0M"}, True),
        ({"by_id": "/dev/disk/by-id/ata-Samsung_SSD_870_S4X9NF0M"}, True),
        ({"by_id": "ata-other"}, False),
        ({"size": ">= 400GB"}, True),
        ({"size": "< 500GB"}, False),
        ({"size": "500GB"}, True),
        ({"size": "<= 466 GiB"}, True),
        ({"model": "Samsung*"}, True),
        ({"model": "samsung*"}, False),
        ({"model": "WD*"}, False),
        ({"type": "ssd"}, True),
        ({"type": "nvme"}, False),
        ({"type": "ssd", "model": "WD*"}, False),
    ],
)
def test_matches(selector: dict[str, Any], expected: bool) -> None:
    assert bool(chosen(selector, [disk_from_values(DISK)])) is expected


NVME = disk("nvme0n1", transport="nvme", size=2000 * GIB)
HDD = disk("sdb", rotational=True, size=8000 * GIB)
DISKS = [disk("sda"), HDD, NVME, disk("nvme1n1", transport="nvme", readonly=True)]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("transport == 'nvme'", ["nvme0n1", "nvme1n1"]),
        ("transport == 'nvme' && !readonly", ["nvme0n1"]),
        ("rotational", ["sdb"]),
        ("size > `1000000000000`", ["sdb", "nvme0n1"]),
        ("contains(model, 'SSD') && size < `1000000000000`", ["sda", "nvme1n1"]),
        ("contains(['S-sda', 'S-sdb'], serial)", ["sda", "sdb"]),
        ("by_id[?ends_with(@, 'S-sdb')]", ["sdb"]),
        # Kernel names and contents change, so an expression does not see them.
        ("name == 'sda' || path == '/dev/sda' || contents == 'empty'", []),
        ("nonsense", []),
    ],
)
def test_expressions(expression: str, names: list[str]) -> None:
    assert [found.name for found in chosen({"match": expression, "count": 2}, DISKS)] == names


def test_an_expression_that_fails_says_so() -> None:
    with pytest.raises(InputError, match="abs"):
        chosen({"match": "abs(serial)"}, DISKS)


def test_facts_are_json() -> None:
    found = facts(NVME)
    assert found["by_id"] == list(NVME.by_id)
    assert set(found) == {"name", "path", "by_id", "serial", "wwid", "model", "size", "transport", "rotational", "readonly", "removable", "system"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"serial": "S-sda"}),
        ({"serial": "S-sdb"}, {"wwid": "naa.1"}),
        ({"serial": ""}, {"wwid": "naa.1"}),
        ({"serial": "", "wwid": ""}, {"by_id": "ata-x"}),
        ({"serial": "S*", "wwid": ""}, {"by_id": "ata-x"}),
        ({"serial": "", "wwid": "", "by_id": []}, {}),
    ],
)
def test_a_disk_is_named_by_what_it_has_alone(changes: dict[str, Any], expected: dict[str, str]) -> None:
    one = disk_from_values({"name": "sda", "serial": "S-sda", "wwid": "naa.1", "by_id": ["/dev/disk/by-id/ata-x"], **changes})
    assert identity(one, [one, disk("sdb")]) == expected


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        (["nvme-eui.0025385", "nvme-SSD_990_S1", "nvme-SSD_990_S1_1"], "nvme-SSD_990_S1"),
        (["wwn-0x5002", "scsi-SATA_SSD_S1", "ata-SSD_S1"], "ata-SSD_S1"),
        (["wwn-0x5002", "scsi-35002538e"], "wwn-0x5002"),
        ([], ""),
    ],
)
def test_the_link_that_rook_is_told(links: list[str], expected: str) -> None:
    one = disk_from_values({"name": "sda", "serial": "S1", "by_id": [f"/dev/disk/by-id/{link}" for link in links]})
    assert link_of(one) == (f"/dev/disk/by-id/{expected}" if expected else "")


def test_the_install_disk_by_expression_becomes_a_name() -> None:
    assert resolved({"match": "transport == 'nvme' && !readonly"}, DISKS, where="m1") == {"serial": "S-nvme0n1"}
    assert resolved({"serial": "X"}, DISKS, where="m1") == {"serial": "X"}
    for expression, message in (("transport == 'sas'", "holds for no disk, not for one"), ("transport == 'nvme'", "holds for 2 disks, not for one")):
        with pytest.raises(InputError, match=message):
            resolved({"match": expression}, DISKS, where="m1")


def test_once_installed_the_disk_stays_whatever_else_the_expression_fits() -> None:
    system = disk("nvme7n1", transport="nvme", **SYSTEM)
    assert resolved({"match": "transport == 'nvme'"}, [*DISKS, system], where="m1") == {"serial": "S-nvme7n1"}
    with pytest.raises(InputError, match="Talos is installed on /dev/nvme7n1"):
        resolved({"match": "rotational"}, [*DISKS, system], where="m1")
