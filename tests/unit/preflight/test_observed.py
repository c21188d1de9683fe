# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.preflight.observed import matches

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
        ({"size": "large"}, False),
        ({"model": "samsung*"}, True),
        ({"model": "WD*"}, False),
        ({"type": "ssd"}, True),
        ({"type": "nvme"}, False),
        ({"type": "ssd", "model": "WD*"}, False),
    ],
)
def test_matches(selector: dict[str, Any], expected: bool) -> None:
    assert matches(selector, DISK) is expected
