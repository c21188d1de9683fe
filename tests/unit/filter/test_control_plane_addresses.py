from __future__ import annotations

from ansible_collections.trinode.platform.plugins.filter.control_plane_addresses import FilterModule


def test_address_falls_back_and_workers_are_left_out() -> None:
    hostvars = {
        "a": {"machine_address": "192.0.2.1", "ansible_host": "192.0.2.99"},
        "b": {"ansible_host": "192.0.2.2", "machine_role": "controlplane"},
        "c.example.net": {},
        "d": {"machine_address": "192.0.2.4", "machine_role": "worker"},
    }
    addresses = FilterModule().filters()["control_plane_addresses"]
    assert addresses(["c.example.net", "a", "b", "d"], hostvars) == ["c.example.net", "192.0.2.1", "192.0.2.2"]
