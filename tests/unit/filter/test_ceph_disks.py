from __future__ import annotations

from ansible_collections.trinode.platform.plugins.filter.ceph_disks import FilterModule


def test_host_serial_and_number_of_each_osd() -> None:
    osds = [{"id": 3, "host": "m1", "serial": "S1", "up": True}, {"id": 4, "host": "", "serial": ""}]
    assert FilterModule().filters()["ceph_disks"](osds) == [{"host": "m1", "serial": "S1", "osd": 3}, {"host": "", "serial": "", "osd": 4}]
