"""The layout as a table: a drawing of the disks of each machine, and what fits and what is lost.

A drawing has a machine a part (``|``) and its disks in TB: ``2 2 | 4`` is one machine with two disks of 2 TB and one with a disk of 4 TB. ``-`` has none.
"""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.ceph import layout_input, layout_storage, layout_text
from ansible_collections.trinode.platform.plugins.module_utils.ceph.layout import Layout, plan, refuse
from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.modules.ceph_layout import POLICY

TB = 10**12
LINKS = "/dev/disk/by-id/"
DEFAULTS = {name: option["default"] for name, option in POLICY.items()}


def disk(machine: str, serial: str, size: float, use: str = "osd", **facts: Any) -> dict[str, Any]:
    """A disk as disk_contract returns it."""
    found = {"machine": machine, "serial": serial, "size": int(size * TB), "use": use, "transport": "sata", "rotational": False}
    return {**found, "by_id": [f"{LINKS}ata-X_{serial}", f"{LINKS}wwn-{serial}"], "link": f"{LINKS}ata-X_{serial}", **facts}


def draw(drawing: str) -> list[dict[str, Any]]:
    return [
        disk(f"m{number}", f"M{number}-{letter}", float(size))
        for number, machine in enumerate(drawing.split("|"), 1)
        for letter, size in zip("abcdef", machine.replace("-", "").split(), strict=False)
    ]


def nodes(count: int, memory: str = "64Gi", cpus: str = "16") -> list[dict[str, Any]]:
    capacity = {"cpu": cpus, "memory": memory}
    addresses = [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "m"}]
    return [{"kind": "Node", "metadata": {"name": f"m{n}"}, "status": {"capacity": capacity, "addresses": addresses}} for n in range(1, count + 1)]


def lay_out(
    drawing: str = "",
    *,
    disks: list[dict[str, Any]] | None = None,
    machines: int = 0,
    objects: list[dict[str, Any]] | None = None,
    running: dict[str, Any] | None = None,
    storage: dict[str, Any] | None = None,
    running_network: dict[str, Any] | None = None,
    **policy: Any,
) -> Layout:
    count = machines or len(drawing.split("|"))
    read = layout_input.read_policy({**DEFAULTS, **policy})
    found = list(nodes(count) if objects is None else objects)
    if storage is not None:
        found.append({"kind": "CephCluster", "metadata": {"name": "rook-ceph"}, "spec": {"storage": storage, "network": running_network or {}}})
    named = [{"name": f"m{number}"} for number in range(1, count + 1)]
    hosts = layout_input.read_hosts(draw(drawing) if disks is None else disks, named, found, read, judged=True)
    return plan(hosts, read, layout_input.read_running(running or {}, found))


def osd(number: int, serial: str, *, host: str = "", size: float = 1.0) -> dict[str, Any]:
    return {"id": number, "host": host or serial.partition("-")[0].lower(), "serial": serial, "up": True, "size": int(size * TB)}


def runs(*devices: tuple[str, str]) -> dict[str, Any]:
    """A storage section of (node, serial), each as this module names it."""
    by_node: dict[str, list[dict[str, str]]] = {}
    for node, serial in devices:
        by_node.setdefault(node, []).append({"name": f"{LINKS}ata-X_{serial}"})
    return {"useAllNodes": False, "useAllDevices": False, "nodes": [{"name": node, "devices": found} for node, found in by_node.items()]}


def devices(layout: Layout, node: str) -> list[str]:
    entry = next((entry for entry in layout.storage.section["nodes"] if entry["name"] == node), {"devices": []})
    return [device["name"].removeprefix(LINKS) for device in entry["devices"]]


# drawing, policy: usable TB, idle TB
ROOM = [
    # Three copies on three machines: the smallest bounds.
    ("2 | 2 | 2", {}, 2.0, 0.0),
    ("2 2 | 2 2 | 2 2", {}, 4.0, 0.0),
    ("1 | 2 | 4", {}, 1.0, 4.0),
    ("4 | 4 | 2 2", {}, 4.0, 0.0),
    ("8 8 | 1 | 8", {}, 1.0, 22.0),
    # Four and five machines: what one has too little, others take, up to a copy of everything each.
    ("2 | 2 | 2 | 2", {}, 8 / 3, 0.0),
    ("9 | 1 | 1 | 1", {}, 1.5, 7.5),
    ("4 | 4 | 2 | 2", {}, 4.0, 0.0),
    ("6 | 2 | 2 | 2 | 2", {}, 4.0, 2.0),
    # Machines without disks take no part.
    ("2 | - | 2 | 2", {}, 2.0, 0.0),
    ("3 | 3 | -", {}, 3.0, 0.0),
    ("3 | - | -", {}, 3.0, 0.0),
    # Fewer copies.
    ("2 | 2 | 2", {"copies": 2}, 3.0, 0.0),
    ("2 | 2 | 8", {"copies": 2}, 4.0, 4.0),
    ("2 | 2 | 2", {"copies": 1}, 6.0, 0.0),
    # One machine, copies on its disks.
    ("1 1 1", {"failure_domain": "osd"}, 1.0, 0.0),
    ("1 1 1 1", {"failure_domain": "osd"}, 4 / 3, 0.0),
    ("3 1 1", {"failure_domain": "osd"}, 1.0, 2.0),
]


@pytest.mark.parametrize(("drawing", "policy", "usable", "idle"), ROOM, ids=lambda value: value if isinstance(value, str) else "")
def test_what_fits(drawing: str, policy: dict[str, Any], usable: float, idle: float) -> None:
    capacity = lay_out(drawing, **policy).capacity
    assert capacity
    assert capacity.usable / TB == pytest.approx(usable)
    assert capacity.idle / TB == pytest.approx(idle, abs=1e-6)
    assert capacity.warns == pytest.approx(capacity.usable * 0.85, abs=2)
    assert capacity.stops == pytest.approx(capacity.usable * 0.95, abs=2)


# drawing, policy, whose disk: what clients see, how many TB may be stored for all copies to be made anew
DISK = [
    ("2 2 | 2 2 | 2 2", {}, "m1", "stays", 1.8),
    ("2 | 2 | 2", {}, "m1", "stays", 0.0),
    ("4 | 2 2 | 1 3", {}, "m3", "stays", 0.9),
    ("4 | 2 2 | 1 3", {}, "m2", "stays", 1.8),
    ("2 | 2 | 2 | 2", {}, "m4", "stays", 1.8),
    ("2 2 | 2 2", {}, "m1", "stays", 1.8),
    ("2 2", {}, "m1", "lost", 0.0),
    ("1 1 1", {"failure_domain": "osd"}, "m1", "stays", 0.0),
    ("1 1 1 1", {"failure_domain": "osd"}, "m1", "stays", 0.9),
    ("2 | 2 | 2", {"copies": 1}, "m2", "lost", 0.0),
]


@pytest.mark.parametrize(("drawing", "policy", "host", "access", "heals"), DISK, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_lost_with_one_disk(drawing: str, policy: dict[str, Any], host: str, access: str, heals: float) -> None:
    [loss] = [loss for loss in lay_out(drawing, **policy).disk_losses if loss.host == host]
    assert (loss.access, loss.heals / TB) == (access, pytest.approx(heals))


HOST = [
    ("2 | 2 | 2", {}, "m1", "stays", 0.0),
    ("2 | 2 | 2 | 2", {}, "m1", "stays", 1.8),
    ("4 | 2 | 2 | 2", {}, "m1", "stays", 1.8),
    ("4 | 2 | 2 | 2", {}, "m2", "stays", 1.8),
    ("3 | 3", {}, "m2", "stays", 0.0),
    ("3", {}, "m1", "lost", 0.0),
    ("1 1 1", {"failure_domain": "osd"}, "m1", "lost", 0.0),
    ("1 1 | 1 1 | 1 1", {"failure_domain": "osd"}, "m1", "stops", 1.2),
    ("2 | 2 | 2", {"copies": 1}, "m1", "lost", 0.0),
]


@pytest.mark.parametrize(("drawing", "policy", "host", "access", "heals"), HOST, ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_lost_with_one_machine(drawing: str, policy: dict[str, Any], host: str, access: str, heals: float) -> None:
    [loss] = [loss for loss in lay_out(drawing, **policy).host_losses if loss.host == host]
    assert (loss.access, loss.heals / TB) == (access, pytest.approx(heals))


@pytest.mark.parametrize(
    ("drawing", "policy", "size", "minimum"),
    [
        ("2 | 2 | 2", {}, 3, 2),
        ("2 | 2 | 2 | 2 | 2", {}, 3, 2),
        ("2 | 2", {}, 2, 1),
        ("2", {}, 1, 1),
        ("- | - | -", {}, 3, 2),
        ("2 | 2 | 2 | 2", {"copies": 4}, 4, 2),
        ("1 1 1", {"failure_domain": "osd"}, 3, 2),
    ],
)
def test_copies_and_how_many_must_be_there(drawing: str, policy: dict[str, Any], size: int, minimum: int) -> None:
    layout = lay_out(drawing, **policy)
    assert (layout.pools.copies.pieces, layout.pools.copies.minimum) == (size, minimum)
    assert layout.pools.as_values(layout.policy)["replicated"]["replicated"] == {"size": size, "requireSafeReplicaSize": size > 1}


@pytest.mark.parametrize(
    ("drawing", "policy", "told"),
    [
        ("2 | 2 | 2", {"copies": 4}, "4 copies need 4 machines with disks for storage, and there are 3"),
        ("2 | - | -", {"copies": 2}, "2 copies need 2 machines with disks for storage, and there is one"),
        ("2 | 2 | 2", {"erasure_coded": {"data": 2, "coding": 2}}, r"erasure-coded 2\+2 needs 4 machines"),
        ("2 | 2", {"erasure_coded": {"data": 2, "coding": 1}}, r"erasure-coded 2\+1 needs 3 machines"),
        ("2 | 2 | 2", {"device_class": "nvme"}, "no disk is of class nvme; there are ssd"),
        ("2 | 2 | 2", {"erasure_coded": {"data": 2}}, "erasure_coded lacks a number"),
        ("2 | 2 | 2", {"full_ratios": {"near_full": 0.9, "full": 0.8}}, "the full ratios are 0.9"),
        ("2 | 2 | 2", {"osds_per_device": 9}, "osds_per_device is 9"),
        ("2 | 2 | 2", {"osd_memory": "4 gigs"}, "'4 gigs' is no amount of bytes"),
        ("2 | 2 | 2", {"network": {"public": ["198.51.100.0/24"]}}, "m1, m2, m3 have no address in 198.51.100.0/24"),
        ("2 | 2 | 2", {"network": {"public": ["192.0.2.1/24"]}}, "is not a network"),
        ("2 | 2 | 2", {"network": {"storage": []}}, "network has the unknown storage"),
    ],
)
def test_what_cannot_be_laid_out(drawing: str, policy: dict[str, Any], told: str) -> None:
    with pytest.raises(PlatformError, match=told):
        lay_out(drawing, **policy)


def test_chunks_hold_more_and_what_they_cost_is_said() -> None:
    layout = lay_out("3 | 3 | 3", erasure_coded={"data": 2, "coding": 1})
    assert layout.capacity
    assert (layout.capacity.usable / TB, layout.bulk_usable / TB) == (pytest.approx(3), pytest.approx(6))
    assert layout.pools.as_values(layout.policy)["bulk"] == {"failureDomain": "host", "erasureCoded": {"dataChunks": 2, "codingChunks": 1}}
    assert any("min_size 2 writes go on without protection" in warning for warning in layout.warnings)


@pytest.mark.parametrize(("before", "wanted"), [(True, {}), (False, {"data": 2, "coding": 1})])
def test_a_pool_is_not_changed_from_copies_to_chunks(before: bool, wanted: dict[str, int]) -> None:
    running = {"present": True, "osds": [], "pools": [{"name": "ceph-objectstore.rgw.buckets.data", "erasure_coded": before}]}
    with pytest.raises(RefusedError, match="a pool cannot be changed in that"):
        lay_out("2 | 2 | 2", running=running, erasure_coded=wanted)


@pytest.mark.parametrize(
    ("drawing", "policy", "count"), [("2 | 2 | 2", {}, 0), ("2 | 2 | 1.6", {}, 0), ("2 | 2 | 1", {}, 1), ("2 | 2 | 1", {"balance_tolerance": 0.6}, 0)]
)
def test_balance(drawing: str, policy: dict[str, Any], count: int) -> None:
    assert len([warning for warning in lay_out(drawing, **policy).warnings if "rook_ceph_balance_tolerance" in warning]) == count
    assert len(lay_out(drawing, imbalance="refuse", **policy).refusals) == count


def test_what_is_refused_is_told_all_at_once_with_the_plan() -> None:
    layout = lay_out("2 2 2 2 | 2 | 2", objects=nodes(3, memory="16Gi"), imbalance="refuse")
    with pytest.raises(RefusedError) as refused:
        refuse(layout, {"lines": ["plan"]})
    assert "for 2 reasons" in str(refused.value)
    assert "m1: 4 OSDs of 4.0 GiB take 16.0 GiB; Talos, etcd, the control plane and Ceph's other daemons 6.0 GiB, and it has 16.0 GiB" in str(refused.value)
    assert refused.value.details == {"lines": ["plan"]}


@pytest.mark.parametrize(
    ("memory", "cpus", "policy", "refused", "warned"),
    [
        ("64Gi", "16", {}, 0, 0),
        ("16Gi", "16", {}, 0, 1),  # 8 + 6 of 16: 2 GiB are left
        ("12Gi", "16", {}, 1, 0),
        ("12Gi", "16", {"osd_memory": "2Gi"}, 0, 1),
        ("12Gi", "16", {"osd_memory": "2Gi", "reserved_memory": "4Gi"}, 0, 0),
        ("64Gi", "3", {}, 0, 1),  # two OSDs and two processors for the rest
        ("64Gi", "3900m", {}, 0, 1),
        ("64Gi", "4", {}, 0, 0),
    ],
)
def test_memory_and_processors(memory: str, cpus: str, policy: dict[str, Any], refused: int, warned: int) -> None:
    layout = lay_out("1 1 | - | -", objects=nodes(3, memory, cpus), **policy)
    told = [warning for warning in layout.warnings if warning.startswith("m1: ")]
    assert (len(layout.refusals), len(told)) == (refused, warned)


def test_nodes_that_are_not_known_are_not_judged() -> None:
    layout = lay_out("1 1 | 1 1 | 1 1", objects=[])
    assert (layout.refusals, layout.warnings) == ((), ())


@pytest.mark.parametrize(("machines", "monitors", "managers"), [(1, 1, 1), (2, 1, 2), (3, 3, 2), (4, 3, 2), (6, 3, 2)])
def test_monitors_and_managers(machines: int, monitors: int, managers: int) -> None:
    layout = lay_out(" | ".join(["2"] * machines))
    assert (layout.monitors, layout.managers) == (monitors, managers)


def test_disks_become_devices_by_link_with_their_options() -> None:
    disks = [
        *(disk("m1", f"D{number}", 4, rotational=True, metadata=f"{LINKS}wwn-DB", device_class="slow") for number in (1, 2)),
        disk("m1", "DB", 1, use="metadata", transport="nvme"),
        disk("m1", "N", 2, transport="nvme", osds_per_device=2),
        disk("m1", "other", 9, use=""),
    ]
    layout = lay_out(disks=disks, machines=1, encrypted=True)
    slow = {"deviceClass": "slow", "metadataDevice": f"{LINKS}wwn-DB", "databaseSizeMB": str(int(4 * TB * 0.04) // 1024**2)}
    assert layout.storage.section == {
        "useAllNodes": False,
        "useAllDevices": False,
        "config": {"encryptedDevice": "true"},
        "nearFullRatio": 0.85,
        "backfillFullRatio": 0.9,
        "fullRatio": 0.95,
        "nodes": [
            {
                "name": "m1",
                "devices": [
                    {"name": f"{LINKS}ata-X_D1", "config": slow},
                    {"name": f"{LINKS}ata-X_D2", "config": slow},
                    {"name": f"{LINKS}ata-X_N", "config": {"osdsPerDevice": "2"}},
                ],
            }
        ],
    }
    assert layout.osds == 4
    # The disk with the databases takes both OSDs with it.
    assert (layout.disk_losses[0].what, layout.disk_losses[0].osds) == ("DB (databases)", 2)


@pytest.mark.parametrize(
    ("metadata", "data", "policy", "each"),
    [
        (1.0, (4.0,), {}, 160),  # 4 %
        (1.0, (0.1,), {}, 30 * 1.0737),  # 30 GiB at least
        (0.2, (4.0, 4.0), {}, (200 - 1.0737) / 2),  # an equal share
        (1.0, (4.0, 4.0), {"database_size": "60Gi"}, 60 * 1.0737),
    ],
)
def test_how_large_databases_are(metadata: float, data: tuple[float, ...], policy: dict[str, Any], each: float) -> None:
    disks = [disk("m1", f"D{n}", size, metadata=f"{LINKS}ata-X_DB") for n, size in enumerate(data)] + [disk("m1", "DB", metadata, use="metadata")]
    assert [entry.database / 1e9 for entry in lay_out(disks=disks, machines=1, **policy).hosts[0].disks] == [pytest.approx(each, rel=0.001)] * len(data)


@pytest.mark.parametrize(
    ("disks", "policy", "told"),
    [
        ([{}], {"database_size": "2Ti"}, "1 new OSD is to get 2.2 TB of it, and there are 998.9 GB"),
        ([{}, {"osds_per_device": 2}], {}, "do not have the same number of OSDs"),
        ([{}, {"device_class": "slow"}], {}, "several device classes"),
        ([{"metadata": f"{LINKS}none"}], {}, "for databases is not among its disks"),
    ],
)
def test_databases_that_cannot_be(disks: list[dict[str, Any]], policy: dict[str, Any], told: str) -> None:
    found = [disk("m1", f"D{n}", 4, **{"metadata": f"{LINKS}ata-X_DB", **facts}) for n, facts in enumerate(disks)] + [disk("m1", "DB", 1, use="metadata")]
    with pytest.raises(PlatformError, match=told):
        lay_out(disks=found, machines=1, **policy)


def test_a_new_disk_gets_its_osds_and_what_runs_stays() -> None:
    layout = lay_out("1 1 | 1", storage=runs(("m1", "M1-a"), ("m2", "M2-a")), running={"present": True, "osds": [osd(0, "M1-a"), osd(1, "M2-a")]})
    assert devices(layout, "m1") == ["ata-X_M1-a", "ata-X_M1-b"]
    assert layout.storage.kept == ()
    text = "\n".join(layout_text.lines(layout, judged=True))
    assert "3 OSDs on 2 machines; 2 run already, 1 to be made" in text


@pytest.mark.parametrize("drawing", ["1 1 | 1 | 1", "- | - | -"])
def test_a_second_plan_is_no_change(drawing: str) -> None:
    first = lay_out(drawing, encrypted=True).storage.section
    # As the API server returns it: with what it fills in.
    served = {**first, "store": {}, "nodes": [{**node, "resources": {}} for node in first["nodes"]]}
    again = lay_out(drawing, storage=served, encrypted=True)
    assert again.storage.section == first == layout_storage.comparable(served)
    assert again.storage.kept == ()


def test_an_entry_keeps_the_link_that_runs() -> None:
    storage = {"nodes": [{"name": "m1", "devices": [{"name": f"{LINKS}wwn-M1-a"}]}]}
    assert devices(lay_out("1", storage=storage, running={"present": True, "osds": [osd(0, "M1-a")]}), "m1") == ["wwn-M1-a"]


# Of what runs (m1 has a and b, m2 has a): the drawing that is left, Ceph's OSDs, and what is kept.
KEPT = [
    ("1 1 | 1", ["M1-a", "M1-b", "M2-a"], []),
    ("1 | 1", ["M1-a", "M1-b", "M2-a"], [("m1", "ata-X_M1-b", (1,))]),
    # Its OSD was removed, so it may go.
    ("1 | 1", ["M1-a", "M2-a"], []),
    # Ceph was not asked: nothing goes.
    ("1 | 1", None, [("m1", "ata-X_M1-b", ())]),
    ("1 1 | -", ["M1-a", "M1-b", "M2-a"], [("m2", "ata-X_M2-a", (2,))]),
    ("1 1", ["M1-a", "M1-b", "M2-a"], [("m2", "", (2,))]),
    ("1 1", ["M1-a", "M1-b"], []),
    ("1 1", None, [("m2", "", ())]),
]


@pytest.mark.parametrize(("drawing", "serials", "kept"), KEPT)
def test_nothing_that_runs_is_dropped(drawing: str, serials: list[str] | None, kept: list[tuple[str, str, tuple[int, ...]]]) -> None:
    running = {} if serials is None else {"present": True, "osds": [osd(number, serial) for number, serial in enumerate(serials)]}
    layout = lay_out(drawing, storage=runs(("m1", "M1-a"), ("m1", "M1-b"), ("m2", "M2-a")), running=running)
    assert [(entry.host, entry.device.removeprefix(LINKS), entry.osds) for entry in layout.storage.kept] == kept
    for host, device, _osds in kept:
        assert not device or device in devices(layout, host)
        assert host in [node["name"] for node in layout.storage.section["nodes"]]
    assert len([warning for warning in layout.warnings if "playbooks/osd_remove.yml" in warning]) == len(kept)


def test_options_of_a_disk_that_has_its_osds_stay_and_are_told() -> None:
    disks = [disk("m1", "M1-a", 1, osds_per_device=2)]
    layout = lay_out(disks=disks, machines=1, storage=runs(("m1", "M1-a")), running={"present": True, "osds": [osd(0, "M1-a")]})
    assert layout.storage.section["nodes"] == [{"name": "m1", "devices": [{"name": f"{LINKS}ata-X_M1-a"}]}]
    assert any("which only holds for OSDs made anew" in warning for warning in layout.warnings)


def test_a_pattern_that_ran_becomes_names_and_loses_no_disk() -> None:
    storage = {"nodes": [{"name": "m1", "devicePathFilter": f"^{LINKS}(?:[^/]+[-_]M1-a|[^/]+[-_]M1-b)$"}]}
    disks = [disk("m1", "M1-a", 1), disk("m1", "M1-b", 1, use="")]
    layout = lay_out(disks=disks, machines=1, storage=storage, running={"present": True, "osds": [osd(0, "M1-a"), osd(1, "M1-b")]})
    assert devices(layout, "m1") == ["ata-X_M1-a", "ata-X_M1-b"]
    assert [entry.osds for entry in layout.storage.kept] == [(1,)]


def test_a_network_is_not_changed_under_a_running_cluster() -> None:
    policy = {"network": {"public": ["192.0.2.0/24"], "cluster": ["198.51.100.0/24"]}}
    section = {"provider": "host", "addressRanges": {"public": ["192.0.2.0/24"], "cluster": ["198.51.100.0/24"]}}
    assert lay_out("1 | 1 | 1", **policy).network == section
    assert lay_out("1 | 1 | 1", storage=runs(("m1", "M1-a")), running_network={"provider": "host"}, **policy).network == section
    with pytest.raises(RefusedError, match="the running cluster uses the pods' network"):
        lay_out("1 | 1 | 1", storage=runs(("m1", "M1-a")), **policy)


def test_what_is_stored_is_held_against_what_fits() -> None:
    running = {"present": True, "osds": [], "capacity": {"used": int(5.5 * TB)}}
    assert any("are stored already" in warning for warning in lay_out("1 1 | 1 1 | 1 1", running=running).warnings)
    running["capacity"] = {"used": 3 * TB}
    told = [warning for warning in lay_out("1 1 | 1 1 | 1 1", running=running).warnings if "would not all get their copies again" in warning]
    assert len(told) == 3


def test_encryption_of_a_running_cluster_is_for_new_osds() -> None:
    assert any("for new OSDs only" in warning for warning in lay_out("1", storage=runs(("m1", "M1-a")), encrypted=True).warnings)


def test_the_plan_as_a_person_reads_it() -> None:
    lines = layout_text.lines(lay_out("4 4 | 4 4 | 2 4"), judged=True)
    assert lines[0] == "Ceph: 6 OSDs on 3 machines. Pools: 3 copies, each on another of the machines (min_size 2)."
    assert "m3       M3-a  2.0 TB  ssd   ssd    1     with the data  new" in lines
    assert "Room: 22.0 TB on disks, 6.0 TB of data with 3 copies at best. Ceph warns from 5.1 TB (85%) and takes no more at 5.7 TB (95%)." in lines
    assert "Every machine has a copy of everything, so the smallest one bounds: m3; 4.0 TB of the others stay unused." in lines
    assert any(line.startswith("  m1 or m2 (8.0 TB, 2 OSDs): data stays there and is read and written on; no place is left") for line in lines)
    assert "Monitors: 3, one a machine, on m1, m2 and m3: 1 machine may be away. Managers: 2, on different machines." in lines


def unjudged(*osd_disks: dict[str, Any], storage: dict[str, Any] | None = None, running: dict[str, Any] | None = None, **policy: Any) -> Layout:
    read = layout_input.read_policy({**DEFAULTS, **policy})
    objects = [{"kind": "CephCluster", "spec": {"storage": storage}}] if storage else []
    hosts = layout_input.read_hosts([], [{"name": "m1", "osd_disks": list(osd_disks)}], objects, read, judged=False)
    return plan(hosts, read, layout_input.read_running(running or {}, objects))


def test_disks_that_were_not_seen_are_taken_by_link_and_that_is_said() -> None:
    layout = unjudged({"by_id": "ata-X"}, {"wwid": "naa.5002538e40c3a5d2"})
    assert devices(layout, "m1") == ["ata-X", "wwn-0x5002538e40c3a5d2"]
    assert (layout.osds, layout.capacity) == (2, None)
    assert layout_text.UNJUDGED in layout_text.lines(layout, judged=False)


def test_no_disks_at_all_is_said() -> None:
    assert layout_text.lines(unjudged(), judged=False)[0] == layout_text.NO_DISKS


@pytest.mark.parametrize("given", [{"match": "transport == 'nvme'"}, {"size": ">= 1TB"}, {"wwid": "t10.ATA X"}, {"by_id": "a", "metadata": {"serial": "S"}}])
def test_what_may_be_another_disk_is_refused_unseen(given: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="machine_osd_disks of m1"):
        unjudged(given)
