# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.trinode.platform.plugins.filter.disk_machines import FilterModule


def test_an_address_is_enough() -> None:
    hostvars = {
        "a": {"machine_address": "192.0.2.1", "machine_hostname": "node-a", "machine_osd_disks": [{"serial": "S"}], "machine_wipe_disks": ["S"]},
        "b": {"ansible_host": "192.0.2.2", "machine_install_disk": {"serial": "T"}},
    }
    assert FilterModule().filters()["disk_machines"](["b", "a"], hostvars) == [
        {"name": "b", "hostname": "b", "address": "192.0.2.2", "install_disk": {"serial": "T"}, "osd_disks": [], "wipe_disks": []},
        {"name": "a", "hostname": "node-a", "address": "192.0.2.1", "install_disk": {}, "osd_disks": [{"serial": "S"}], "wipe_disks": ["S"]},
    ]
