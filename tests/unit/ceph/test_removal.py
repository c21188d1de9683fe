# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a removal, as tables: which OSDs may go, and which steps are left."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.ceph.removal import Daemon, Look, devices, find, nowhere, plan, refusals, without
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Ceph, Osd, PlacementGroups, Pool

GB = 10**9
BY_ID = "/dev/disk/by-id/ata-QEMU_"


def osd(number: int, **values: Any) -> Osd:
    """osd.0 and osd.3 are on m1, osd.1 and osd.4 on m2, osd.2 and osd.5 on m3."""
    host = f"m{number % 3 + 1}"
    common: dict[str, Any] = {"up": True, "in_": True, "device_class": "ssd", "size": 100 * GB, "used": 30 * GB, "placement_groups": 17}
    return Osd(**{"id": number, "host": host, **common, "serial": f"S{number}", "device_id": f"QEMU_S{number}", "bucket": host, **values})


SIX = tuple(osd(number) for number in range(6))
THREE = SIX[:3]
REPLICATED = Pool("rbd", 3, 2, "host")
STORAGE = {"nodes": [{"name": f"m{host + 1}", "devices": [{"name": f"{BY_ID}S{host}"}, {"name": f"{BY_ID}S{host + 3}"}]} for host in range(3)]}
DAEMONS = tuple(Daemon(number, 1, path=f"{BY_ID}S{number}") for number in range(6))


def look(
    osds: tuple[Osd, ...] = SIX, *, daemons: tuple[Daemon, ...] = DAEMONS, storage: dict[str, Any] | None = None, pools: Any = (REPLICATED,), **values: Any
) -> Look:
    ceph = Ceph("f", "20.2.4", "HEALTH_OK", (), (), osds, PlacementGroups(33, {"active+clean": 33}), pools=pools, destroyable=())
    return Look(replace(ceph, **values), daemons, STORAGE if storage is None else storage)


def changed(number: int, **values: Any) -> tuple[Osd, ...]:
    return tuple(replace(each, **values) if each.id == number else each for each in SIX)


GONE = tuple(each for each in SIX if each.id != 3)
FORGOTTEN = {"nodes": without(STORAGE, "m1", [f"{BY_ID}S3"])}
STOPPED = (*DAEMONS[:3], Daemon(3, 0, "S3"), *DAEMONS[4:])


@pytest.mark.parametrize(
    ("seen", "failed", "kinds"),
    [
        pytest.param(look(), False, ["out", "drain", "forget", "stop", "purge", "delete"], id="everything"),
        pytest.param(look(changed(3, in_=False)), False, ["drain", "forget", "stop", "purge", "delete"], id="out"),
        pytest.param(look(changed(3, in_=False), destroyable=(3,)), False, ["forget", "stop", "purge", "delete"], id="empty"),
        pytest.param(
            look(changed(3, in_=False), destroyable=(3,), groups=PlacementGroups(33, {"active+clean": 30, "active+recovering+degraded": 3})),
            False,
            ["drain", "forget", "stop", "purge", "delete"],
            id="nothing counts on it, and its copies are not made anew yet",
        ),
        pytest.param(look(changed(3, in_=False), destroyable=(3,), storage=FORGOTTEN), False, ["stop", "purge", "delete"], id="forgotten"),
        pytest.param(
            look(changed(3, in_=False), destroyable=(3,), storage=FORGOTTEN, daemons=STOPPED), False, ["stop", "purge", "delete"], id="scaled down, still up"
        ),
        pytest.param(look(changed(3, in_=False, up=False), destroyable=(3,), storage=FORGOTTEN, daemons=STOPPED), False, ["purge", "delete"], id="stopped"),
        pytest.param(
            look(changed(3, in_=False, up=False), storage=FORGOTTEN, daemons=STOPPED), False, ["drain", "purge", "delete"], id="another OSD has failed since"
        ),
        pytest.param(
            look(changed(3, in_=False, up=False), destroyable=(3,), storage=FORGOTTEN),
            False,
            ["stop", "purge", "delete"],
            id="somebody started its Deployment again",
        ),
        pytest.param(look(GONE, storage=FORGOTTEN, daemons=STOPPED), False, ["delete"], id="purged"),
        pytest.param(look(GONE, storage=FORGOTTEN), False, ["stop", "delete"], id="purged, and its Deployment was started again"),
        pytest.param(look(GONE, storage=FORGOTTEN, daemons=(*DAEMONS[:3], *DAEMONS[4:])), False, [], id="gone"),
        pytest.param(look(changed(3, up=False)), True, ["out", "drain", "forget", "stop", "purge", "delete"], id="failed, its host has another disk"),
    ],
)
def test_the_steps_that_are_left(seen: Look, failed: bool, kinds: list[str]) -> None:
    assert [step.kind for step in plan([3], seen, failed=failed)] == kinds


def test_a_failed_disk_whose_copies_have_no_other_place_is_not_waited_for() -> None:
    osds = (*THREE[:1], replace(THREE[1], up=False), *THREE[2:])
    seen = look(osds, daemons=DAEMONS[:3])
    assert nowhere([osds[1]], seen.ceph)
    assert [step.kind for step in plan([1], seen, failed=True)] == ["out", "forget", "stop", "purge", "delete"]
    assert "drain" in [step.kind for step in plan([1], seen, failed=False)], "only who says that it has failed may skip the wait"


def test_a_failed_disk_is_not_removed_while_data_cannot_be_used() -> None:
    osds = (*THREE[:1], replace(THREE[1], up=False), *THREE[2:])
    seen = look(osds, daemons=DAEMONS[:3], groups=PlacementGroups(33, {"active+undersized+degraded": 30, "peering": 3}))
    assert [step.kind for step in plan([1], seen, failed=True)] == ["out", "drain", "forget", "stop", "purge", "delete"]


def test_an_osd_that_is_up_is_never_lost() -> None:
    assert not nowhere([THREE[1]], look(THREE).ceph)


def test_the_texts_name_host_disk_and_device() -> None:
    texts = [step.text for step in plan([3], look(), failed=False)]
    assert texts == [
        "take osd.3 of m1 (disk S3) out, so that its data is copied elsewhere",
        "wait until nothing is on osd.3 that is not elsewhere (17 placement groups now)",
        f"take {BY_ID}S3 of m1 out of the CephCluster",
        "stop rook-ceph-osd-3",
        "remove osd.3 from Ceph for good",
        "delete rook-ceph-osd-3",
    ]


@pytest.mark.parametrize(
    ("seen", "group", "failed", "reasons"),
    [
        pytest.param(look(), [3], False, [], id="one of two disks"),
        pytest.param(look(THREE), [1], False, ["2 hosts can take a copy. Add a disk to m2 first"], id="the only disk of its host"),
        pytest.param(look(), [0, 3], False, ["pool rbd has 3 copies, each on another of the hosts"], id="both disks of a host"),
        pytest.param(look(changed(0, up=False)), [3], False, ["Add a disk to m1 first"], id="the other disk of the host is down"),
        pytest.param(look(THREE, pools=(replace(REPLICATED, size=2),)), [1], False, [], id="two copies, three hosts"),
        pytest.param(look(THREE, pools=(Pool("ec", 3, 2, "host", erasure_coded=True),)), [1], False, ["3 pieces"], id="coded chunks"),
        pytest.param(look(THREE[:2], pools=(Pool("x", 2, 1, "osd"),)), [1], False, ["1 OSDs can take a copy"], id="copies on OSDs"),
        pytest.param(look(THREE, pools=(Pool("x", 3, 2, "host", "hdd"),)), [1], False, [], id="a pool of another class of disks"),
        pytest.param(look(THREE, pools=()), [1], False, [], id="no pools"),
        pytest.param(
            look(changed(3, used=60 * GB)),
            [3],
            False,
            ["90.0 GB are stored on m1, where as many copies as hosts have to stay, and 100.0 GB would be left for them: 90% full, and Ceph warns from 85%"],
            id="too full",
        ),
        pytest.param(look(changed(3, used=55 * GB)), [3], False, [], id="just not too full"),
        pytest.param(
            look((*(replace(each, used=70 * GB) for each in SIX), osd(6, host="m4", used=70 * GB))),
            [6],
            False,
            [],
            id="a fourth host: its data goes to all, 490 GB on 600 GB",
        ),
        pytest.param(
            look((*(replace(each, used=80 * GB) for each in SIX), osd(6, host="m4", used=80 * GB))),
            [6],
            False,
            ["560.0 GB are stored in the cluster and 600.0 GB would be left"],
            id="a fourth host, too full",
        ),
        pytest.param(look(changed(3, in_=False, used=0)), [3], False, [], id="on its way already"),
        pytest.param(look((*SIX, replace(SIX[3], id=6))), [3], False, ["osd.3 shares the disk S3 with osd.6"], id="two OSDs on a disk, one named"),
        pytest.param(look(), [3], True, ["osd.3 is up, so its disk has not failed"], id="not failed at all"),
        pytest.param(look(changed(3, up=False)), [3], True, [], id="failed"),
        pytest.param(look((*THREE[:1], replace(THREE[1], up=False), THREE[2])), [1], True, [], id="failed, the only one of its host"),
        pytest.param(
            look(changed(3, up=False), groups=PlacementGroups(33, {"active+clean": 30, "down": 3})),
            [3],
            True,
            ["3 placement groups are down or incomplete"],
            id="failed, and perhaps the only copy",
        ),
        pytest.param(
            look(changed(3, up=False), groups=PlacementGroups(33, {"active+clean": 30, "peering": 3})), [3], True, [], id="failed, and peering passes"
        ),
        pytest.param(
            look(changed(3, up=False), groups=PlacementGroups(33, {"active+degraded": 33}, unfound=2)),
            [3],
            True,
            ["2 objects are nowhere to be found"],
            id="failed, and objects are missing",
        ),
    ],
)
def test_what_must_not_go(seen: Look, group: list[int], failed: bool, reasons: list[str]) -> None:
    found = refusals(group, seen, failed=failed)
    assert len(found) == len(reasons), found
    for reason, expected in zip(found, reasons, strict=True):
        assert expected in reason


@pytest.mark.parametrize(
    ("osds", "disks", "seen", "groups"),
    [
        ([3], [], look(), [(3,)]),
        ([], ["S3"], look(), [(3,)]),
        ([3], ["S3"], look(), [(3,)]),
        ([4, 3], [], look(), [(3,), (4,)]),
        ([99], ["S99"], look(), []),
        ([], ["S3"], look((*SIX, replace(SIX[3], id=6))), [(3, 6)]),
        ([3], [], look(GONE), [(3,)]),
        ([], ["S3"], look(GONE, daemons=STOPPED), [(3,)]),
        ([], ["S3"], look(GONE, daemons=(*STOPPED[:3], *STOPPED[4:])), []),
        ([], ["WD 10 X"], look(changed(3, serial="X", device_id="QEMU_WD_10_X")), [(3,)]),
        ([], ["3"], look(), []),
        ([], [""], look(changed(3, serial="")), []),
    ],
)
def test_which_osds_are_meant(osds: list[int], disks: list[str], seen: Look, groups: list[tuple[int, ...]]) -> None:
    assert find(seen, osds, disks) == groups


def test_an_osd_without_a_serial_is_found_by_the_device_that_rook_was_given() -> None:
    seen = look(changed(3, serial="", device_id=""))
    assert devices(seen.ceph.osds[3], seen) == [f"{BY_ID}S3"]


def test_a_node_whose_last_disk_goes_is_left_out() -> None:
    assert [node["name"] for node in without(STORAGE, "m1", [f"{BY_ID}S0", f"{BY_ID}S3"])] == ["m2", "m3"]
    assert without(STORAGE, "m1", [f"{BY_ID}S3"])[0] == {"name": "m1", "devices": [{"name": f"{BY_ID}S0"}]}
    assert without({"nodes": [{"name": "m1", "devicePathFilter": "x"}]}, "m1", ["y"]) == [{"name": "m1", "devicePathFilter": "x", "devices": []}]
