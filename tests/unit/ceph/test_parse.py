# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's answers as recorded from a small real cluster (16.2.15: one monitor, six OSDs on three hosts), and what is read from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.ceph import parse
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Budget, Ceph, Stop
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed

SAMPLES = Path(__file__).parent / "samples"
GIB = 1024**3


def sample(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return loaded


def changed(answers: dict[str, Any], name: str, change: Any) -> dict[str, Any]:
    """Answers with one of them changed by a function that gets its JSON."""
    decoded = json.loads(answers[name]["output"])
    change(decoded)
    return {**answers, name: {**answers[name], "output": json.dumps(decoded)}}


def read(name: str, *objects: dict[str, Any]) -> Ceph:
    return parse.read(sample(name), objects)


def test_a_healthy_cluster() -> None:
    ceph = read("healthy")
    assert (ceph.health, ceph.checks, ceph.version) == ("HEALTH_OK", (), "16.2.15")
    assert [(mon.name, mon.in_quorum) for mon in ceph.mons] == [("a", True)]
    assert [(osd.id, osd.host, osd.up, osd.in_) for osd in ceph.osds] == [(number, f"m{number % 3 + 1}", True, True) for number in range(6)]
    assert all(osd.size == 3 * GIB and 0 < osd.used < GIB and osd.placement_groups and osd.device_class == "hdd" for osd in ceph.osds)
    assert (ceph.groups.total, ceph.groups.active_clean, ceph.groups.inactive, ceph.recovering) == (17, 17, 0, False)
    assert ceph.total == 18 * GIB
    assert ceph.used + ceph.available == ceph.total
    pool = ceph.pools[1]
    assert (pool.name, pool.size, pool.min_size, pool.failure_domain, pool.device_class, pool.erasure_coded) == ("rbd", 3, 2, "host", "", False)
    assert pool.used > pool.stored > 600 * 1024**2
    assert (ceph.ratios.near_full, ceph.ratios.backfill_full, ceph.ratios.full) == (0.85, 0.9, 0.95)
    assert ceph.ok_to_stop == Stop((0, 3), ok=True)
    assert ceph.destroyable == ()


def test_health_is_ok_while_copies_move() -> None:
    ceph = read("moving")
    assert (ceph.health, ceph.groups.total, ceph.groups.active_clean, ceph.recovering) == ("HEALTH_OK", 17, 15, True)
    assert ceph.groups.misplaced


def test_an_osd_that_is_down() -> None:
    ceph = read("down")
    assert [osd.id for osd in ceph.osds if not osd.up] == [4]
    assert {check.name for check in ceph.checks} == {"OSDMAP_FLAGS", "OSD_DOWN", "PG_DEGRADED"}
    assert next(check for check in ceph.checks if check.name == "OSD_DOWN").detail == ("osd.4 (root=default,host=m2) is down",)
    assert ceph.flags == ("noout",)
    assert ceph.recovering
    assert ceph.groups.degraded == 1305
    assert ceph.ok_to_stop == Stop((0, 3), ok=False, inactive=8)


def test_an_osd_that_is_out_and_empty_may_be_destroyed() -> None:
    ceph = read("drained")
    assert [(osd.id, osd.in_, osd.placement_groups, osd.size) for osd in ceph.osds if osd.id in (0, 3)] == [(0, True, 17, 3 * GIB), (3, False, 0, 3 * GIB)]
    assert ceph.destroyable == (3,)


def test_placement_groups_that_nobody_told_of_are_not_clean() -> None:
    ceph = read("host_down")
    assert ceph.groups.states["stale+active+clean"] == 2
    assert ceph.groups.active_clean == 1
    assert ceph.groups.inactive == 10


def test_without_a_manager_there_is_no_answer() -> None:
    with pytest.raises(ConnectionFailed, match=r"Ceph does not answer `ceph osd df`\. Are the pods rook-ceph-mgr"):
        read("no_manager")


def test_without_monitors_the_reason_is_told() -> None:
    with pytest.raises(ConnectionFailed, match="does not reach Ceph's monitors: ObjectNotFound"):
        parse.read({"problem": "ObjectNotFound: [errno 2] RADOS object not found (error connecting to the cluster)"})


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"code": -13, "output": "", "error": "access denied"}, r"`ceph osd tree` failed: access denied"),
        ({"code": 0, "output": "", "error": ""}, r"the answer of `ceph osd tree` is no JSON"),
        ({"code": 0, "output": "{}", "error": ""}, r"not as they are known: KeyError: 'nodes'"),
    ],
)
def test_an_answer_that_is_none(answer: dict[str, Any], message: str) -> None:
    with pytest.raises(ConnectionFailed, match=message):
        parse.read({**sample("healthy"), "osd tree": answer})


def test_the_disk_of_an_osd_whose_database_is_on_another() -> None:
    def change(metadata: Any) -> None:
        metadata[0] |= {"device_ids": "nvme0n1=Samsung_SSD_980_S1,sdb=ATA_ST4000_ZC1", "devices": "nvme0n1,sdb", "bluestore_bdev_devices": "sdb"}

    osd = parse.read(changed(sample("healthy"), "osd metadata", change)).osds[0]
    assert (osd.device, osd.serial, osd.device_id) == ("sdb", "ZC1", "ATA_ST4000_ZC1")


@pytest.mark.parametrize(
    ("path", "serial"),
    [
        ("/dev/disk/by-id/ata-QEMU_HARDDISK_LAB-M1-OSD1", "LAB-M1-OSD1"),
        ("/dev/disk/by-id/virtio-S1", "S1"),
        ("/dev/disk/by-id/wwn-0x5002538e40000000", ""),
        ("/dev/disk/by-id/nvme-eui.0025388b91b0c3a1", ""),
        ("/dev/sdb", ""),
        ("", ""),
    ],
)
def test_a_disk_that_ceph_does_not_know_is_known_by_the_name_that_rook_was_given(path: str, serial: str) -> None:
    environment = [{"name": "ROOK_BLOCK_PATH", "value": path}]
    deployment = {
        "kind": "Deployment",
        "metadata": {"labels": {"ceph-osd-id": "0"}},
        "spec": {"template": {"spec": {"containers": [{"env": environment}]}}},
    }
    assert read("healthy", deployment).osds[0].serial == serial


def test_a_node_whose_name_has_dots() -> None:
    def tree(answer: Any) -> None:
        next(node for node in answer["nodes"] if node["name"] == "m1")["name"] = "m1-example-com"

    nodes = [{"kind": "Node", "metadata": {"name": "m1.example.com"}}]
    osd = parse.read(changed(sample("healthy"), "osd tree", tree), nodes).osds[0]
    assert (osd.host, osd.bucket) == ("m1.example.com", "m1-example-com")


def test_an_osd_that_never_started() -> None:
    def change(metadata: Any) -> None:
        metadata[5] = {"id": 5}

    osd = parse.read(changed(sample("healthy"), "osd metadata", change)).osds[5]
    assert (osd.host, osd.serial, osd.device) == ("m3", "", "")


def test_a_pool_of_one_device_class_with_coded_chunks() -> None:
    def rules(answer: Any) -> None:
        answer[0]["steps"] = [
            {"op": "set_chooseleaf_tries", "num": 5},
            {"op": "take", "item": -2, "item_name": "default~ssd"},
            {"op": "chooseleaf_indep", "num": 0, "type": "host"},
            {"op": "emit"},
        ]

    def dump(answer: Any) -> None:
        answer["pools"][1]["type"] = 3

    pool = parse.read(changed(changed(sample("healthy"), "osd crush rule dump", rules), "osd dump", dump)).pools[1]
    assert (pool.device_class, pool.erasure_coded, pool.failure_domain) == ("ssd", True, "host")


def test_monitors_and_their_hosts() -> None:
    def dump(answer: Any) -> None:
        answer["mons"] += [{"name": "b"}, {"name": "c"}]

    def metadata(answer: Any) -> None:
        answer[0]["hostname"] = "m1"
        answer.append({"name": "b", "hostname": "m2", "ceph_version_short": "16.2.9"})

    ceph = parse.read(changed(changed(sample("healthy"), "mon dump", dump), "mon metadata", metadata))
    assert [(mon.name, mon.host, mon.in_quorum) for mon in ceph.mons] == [("a", "m1", True), ("b", "m2", False), ("c", "", False)]
    assert ceph.version == "16.2.9"


def test_rooks_objects() -> None:
    ceph = read(
        "healthy",
        {"kind": "CephCluster", "metadata": {"name": "rook-ceph"}, "spec": {"disruptionManagement": {"managePodBudgets": True}}},
        {
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "rook-ceph-osd"},
            "spec": {"maxUnavailable": 1},
            "status": {"disruptionsAllowed": 1, "expectedPods": 6},
        },
        {"kind": "PodDisruptionBudget", "metadata": {"name": "rook-ceph-osd-host-m2"}, "spec": {"maxUnavailable": 0}},
        {"kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "spec": {"minAvailable": "50%"}},
        {"kind": "CephFilesystem", "metadata": {"name": "fs"}, "status": {"phase": "Ready"}},
        {"kind": "CephObjectStore", "metadata": {"name": "store"}},
    )
    assert ceph.manages_budgets
    assert ceph.budgets == (Budget("rook-ceph-osd", 1, 1, 6), Budget("rook-ceph-osd-host-m2", 0, 0, 0))
    assert ceph.filesystems == ({"name": "fs", "phase": "Ready", "active": 0, "standby": 0},)
    assert ceph.object_stores == ({"name": "store", "phase": ""},)
