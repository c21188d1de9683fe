from __future__ import annotations

from ansible_collections.trinode.platform.plugins.filter.machine_addresses import FilterModule
from ansible_collections.trinode.platform.plugins.filter.machine_hostnames import machine_hostnames


def test_address_falls_back_and_workers_are_left_out() -> None:
    hostvars = {
        "a": {"machine_address": "192.0.2.1", "ansible_host": "192.0.2.99"},
        "b": {"ansible_host": "192.0.2.2", "machine_role": "controlplane"},
        "c.example.net": {},
        "d": {"machine_address": "192.0.2.4", "machine_role": "worker"},
    }
    addresses = FilterModule().filters()["machine_addresses"]
    names = ["c.example.net", "a", "b", "d"]
    assert addresses(names, hostvars, role="controlplane") == ["c.example.net", "192.0.2.1", "192.0.2.2"]
    assert addresses(names, hostvars) == ["c.example.net", "192.0.2.1", "192.0.2.2", "192.0.2.4"]


def test_host_name_falls_back_to_the_inventory_name() -> None:
    assert machine_hostnames(["a", "b"], {"a": {"machine_hostname": "node-a"}, "b": {}}) == ["node-a", "b"]
