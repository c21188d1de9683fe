# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.preflight.inventory import Entry, Host, Inventory
from ansible_collections.trinode.platform.plugins.module_utils.preflight.observed import check_observed, matches
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
        ({"nonsense": "x"}, False),
        ({"model": "Samsung*"}, True),
        ({"model": "samsung*"}, False),
        ({"model": "WD*"}, False),
        ({"type": "ssd"}, True),
        ({"type": "nvme"}, False),
        ({"type": "ssd", "model": "WD*"}, False),
    ],
)
def test_matches(selector: dict[str, Any], expected: bool) -> None:
    assert matches(selector, disk_from_values(DISK)) is expected


def inventory(**machine: str) -> Inventory:
    return Inventory(Host("all", {}), (Host("m1", {name: Entry(value) for name, value in machine.items()}),))


def test_before_the_talosconfig_is_made_from_the_secrets_nobody_is_foreign() -> None:
    observed = {"m1": {"trust": "foreign", "problem": "it wants a client certificate"}}
    assert len(check_observed(inventory(machine_address="192.0.2.11"), observed)) == 1
    assert check_observed(inventory(machine_address="192.0.2.11"), observed, credentials_pending=True) == []


def test_one_of_ours_that_cannot_be_read_now_is_not_refused() -> None:
    observed = {"m1": {"trust": "ours", "problem": "the client certificate has expired", "uuid": ""}}
    assert check_observed(inventory(machine_uuid="4c4c4544-0042-3510-8052-b4c04f4b4433"), observed) == []


def test_a_fingerprint_may_be_given_in_hexadecimal() -> None:
    observed = {"m1": {"trust": "maintenance", "fingerprint": "A" * 43 + "="}}
    assert check_observed(inventory(machine_certificate_fingerprint=":".join(["00"] * 32)), observed) == []
    (finding,) = check_observed(inventory(machine_certificate_fingerprint=":".join(["01"] * 32)), observed)
    assert finding.variable == "machine_certificate_fingerprint"
