# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's judgement of Ceph, as a table: what is seen, what is allowed, and the findings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Budget, Ceph, Check, Mon, Osd, PlacementGroups, Stop
from ansible_collections.trinode.platform.plugins.module_utils.gate.checks.ceph import CephPolicy, CephView, judge, judge_ceph, seen, summary
from ansible_collections.trinode.platform.plugins.module_utils.gate.view import Policy

OSDS = tuple(Osd(number, f"m{number % 3 + 1}", True, True, "ssd", serial=f"S{number}") for number in range(6))
WELL = Ceph(
    fsid="f",
    version="20.2.4",
    health="HEALTH_OK",
    checks=(),
    mons=(Mon("a", "m1", True), Mon("b", "m2", True), Mon("c", "m3", True)),
    osds=OSDS,
    groups=PlacementGroups(33, {"active+clean": 32, "active+clean+scrubbing+deep": 1}),
    budgets=(Budget("rook-ceph-osd", 1, 1, 6), Budget("rook-ceph-mon-pdb", 1, 1, 3), Budget("rook-ceph-rgw-x", 1, 0, 0)),
    ok_to_stop=Stop((1, 4), ok=True),
    total=100,
    used=9,
)
GOING = CephPolicy(planned_loss="m2")


def warned(name: str, severity: str = "HEALTH_WARN", *, muted: bool = False) -> dict[str, Any]:
    return {"health": severity, "checks": (Check(name, severity, "something is so", muted),)}


def without(number: int, **state: bool) -> tuple[Osd, ...]:
    return tuple(replace(osd, **{"up": False, **state}) if osd.id == number else osd for osd in OSDS)


def groups(**states: int) -> PlacementGroups:
    found = {state.replace("_", "+"): count for state, count in states.items()}
    return PlacementGroups(sum(found.values()), found)


DEGRADED = groups(active_clean=20, active_undersized_degraded=13)
MISSING = {
    "osds": without(1),
    "groups": DEGRADED,
    "health": "HEALTH_WARN",
    "checks": (Check("OSD_DOWN", "HEALTH_WARN", "1 osds down"), Check("PG_DEGRADED", "HEALTH_WARN", "degraded")),
    "budgets": (Budget("rook-ceph-osd-host-m1", 0, 0, 2), Budget("rook-ceph-osd-host-m3", 0, 0, 2)),
}


DEAD = {
    "osds": tuple(replace(osd, up=False, in_=False) if osd.host == "m2" else osd for osd in OSDS),
    "mons": (WELL.mons[0], replace(WELL.mons[1], in_quorum=False), WELL.mons[2]),
    "groups": DEGRADED,
    "health": "HEALTH_WARN",
    "host_flags": (("m2", ("noout",)),),
    "checks": tuple(Check(name, "HEALTH_WARN", "x") for name in ("MON_DOWN", "OSD_FLAGS", "OSD_HOST_DOWN", "PG_DEGRADED", "MDS_INSUFFICIENT_STANDBY")),
    "budgets": MISSING["budgets"],
}


@pytest.mark.parametrize(
    ("change", "policy", "problems"),
    [
        pytest.param({}, CephPolicy(), [], id="all is well"),
        pytest.param({}, GOING, [], id="all is well, and a host may go"),
        pytest.param(warned("POOL_APP_NOT_ENABLED"), CephPolicy(), [], id="a warning that is allowed"),
        pytest.param(warned("MON_DISK_LOW"), CephPolicy(), ["Ceph warns: something is so (MON_DISK_LOW)"], id="a warning"),
        pytest.param(warned("MON_DISK_LOW"), CephPolicy(allowed=["MON_DISK_LOW"]), [], id="a warning that the user allows"),
        pytest.param(warned("MON_DISK_LOW", muted=True), CephPolicy(), [], id="a warning that somebody muted"),
        pytest.param(warned("OSD_FULL", "HEALTH_ERR"), CephPolicy(allowed=["OSD_FULL"]), ["Ceph has an error"], id="an error cannot be allowed"),
        pytest.param(warned("OSD_FULL", "HEALTH_ERR", muted=True), CephPolicy(), ["Ceph has an error"], id="an error cannot be muted"),
        pytest.param({"health": "HEALTH_ERR"}, CephPolicy(), ["health is HEALTH_ERR"], id="an error without a word"),
        pytest.param({"mons": (*WELL.mons[:2], Mon("c", "m3", False))}, CephPolicy(), ["the monitor is not in quorum"], id="a monitor is missing"),
        pytest.param(
            {"mons": (*WELL.mons[:2], Mon("c", "m3", False))},
            GOING,
            ["the monitor is not in quorum", "without this host 1 of 3 monitors would stay, the quorum is 2"],
            id="a monitor is missing, and another one would go",
        ),
        pytest.param({"mons": (Mon("a", "m2", True),)}, GOING, ["0 of 1 monitors would stay"], id="the only monitor would go"),
        pytest.param({"mons": (Mon("a", "m1", True),)}, GOING, [], id="the only monitor stays"),
        pytest.param({"osds": without(1)}, CephPolicy(), ["the OSD is down"], id="an OSD is down"),
        pytest.param({"osds": without(1, in_=False)}, CephPolicy(), ["the OSD is down and out"], id="an OSD is down and out"),
        pytest.param({"osds": without(1, up=True, in_=False)}, CephPolicy(), ["the OSD is out"], id="an OSD is out"),
        pytest.param({"osds": OSDS[:5]}, CephPolicy(osds=6), ["5 OSDs are up and in, expected are 6"], id="an OSD has not come"),
        pytest.param({"osds": OSDS}, CephPolicy(osds=6), [], id="all OSDs have come"),
        pytest.param(
            {"groups": DEGRADED},
            CephPolicy(),
            ["13 of 33 placement groups have not all copies where they belong (13 active+undersized+degraded)"],
            id="copies are missing",
        ),
        pytest.param({"groups": groups(active_clean=20, active_clean_remapped=1)}, CephPolicy(), ["1 active+clean+remapped"], id="copies are elsewhere"),
        pytest.param(
            {"groups": groups(active_clean=20, stale_active_clean=1)}, CephPolicy(), ["1 of 21 placement groups are not active"], id="nobody tells of a group"
        ),
        pytest.param(
            {"groups": groups(active_clean=20, undersized_degraded_peered=2, active_recovering=1)},
            CephPolicy(),
            ["2 of 23 placement groups are not active", "1 of 23 placement groups have not all copies"],
            id="data cannot be used",
        ),
        pytest.param({"groups": replace(WELL.groups, recovering_bytes=5 * 1024**2)}, CephPolicy(), ["copies are being made, 5.0 MiB/s"], id="recovery"),
        pytest.param({"groups": replace(WELL.groups, unfound=2)}, CephPolicy(), ["2 objects are nowhere to be found"], id="unfound"),
        pytest.param({"flags": ("noout",)}, CephPolicy(), ["the flag noout is set"], id="a flag"),
        pytest.param({"host_flags": (("m2", ("noout",)),)}, CephPolicy(), ["the flag noout is set for this host"], id="a flag of a host"),
        pytest.param(MISSING, CephPolicy(), ["the OSD is down", "13 of 33", "Rook lets no OSD go on other hosts"], id="said once, by who says it best"),
        pytest.param(MISSING, CephPolicy(without=[1]), [], id="an OSD that is known to be missing, and what follows from it"),
        pytest.param(MISSING, CephPolicy(without=[4]), ["the OSD is down"], id="another OSD than the known one"),
        pytest.param(
            {**MISSING, "groups": groups(active_clean=20, undersized_degraded_peered=13)},
            CephPolicy(without=[1]),
            ["13 of 33 placement groups are not active"],
            id="an OSD that is known to be missing, and data that cannot be used",
        ),
        pytest.param(DEAD, CephPolicy(gone=["m2"]), [], id="a machine that is dead, and what follows from it"),
        pytest.param({**DEAD, "mons": (*WELL.mons[::2], Mon("b", "", False))}, CephPolicy(gone=["m2"]), [], id="its monitor does not tell where it was"),
        pytest.param(
            {**DEAD, "osds": (*without(1)[:4], replace(OSDS[4], up=True), OSDS[5])},
            CephPolicy(gone=["m2"]),
            ["its machine is gone, and Ceph takes the OSD for up"],
            id="Ceph has not noticed yet that it is dead",
        ),
        pytest.param(
            DEAD,
            CephPolicy(gone=["m3"]),
            ["the monitor is not in quorum", "the OSD is down", "Ceph takes the OSD", "the OSD is down", "Ceph takes the OSD", "the flag noout"],
            id="another machine is dead than the known one",
        ),
        pytest.param(
            {**DEAD, "groups": groups(active_clean=20, undersized_degraded_peered=13)},
            CephPolicy(gone=["m2"]),
            ["13 of 33 placement groups are not active"],
            id="a machine that is dead, and data that cannot be used",
        ),
        pytest.param({"budgets": ()}, CephPolicy(), ["the disruption budget rook-ceph-osd is not there"], id="no budget"),
        pytest.param({"budgets": (), "manages_budgets": False}, CephPolicy(), [], id="no budgets are wanted"),
        pytest.param({"budgets": (Budget("rook-ceph-osd", 2, 1, 6),)}, CephPolicy(), ["lets 2 pods go at once, not 1"], id="a raised budget"),
        pytest.param(
            {"budgets": (*WELL.budgets, Budget("rook-ceph-osd-host-m1", 0, 0, 2))},
            CephPolicy(),
            ["Rook lets no OSD go on other hosts (rook-ceph-osd-host-m1)"],
            id="a blocking budget",
        ),
        pytest.param(
            {"budgets": (WELL.budgets[0], Budget("rook-ceph-mon-pdb", 1, 0, 3))},
            CephPolicy(),
            ["rook-ceph-mon-pdb lets no pod go now"],
            id="a pod of Ceph is missing",
        ),
        pytest.param({"ok_to_stop": Stop((1, 4), ok=False, inactive=8)}, GOING, ["without its OSDs 1, 4, the data of 8 placement groups"], id="not ok to stop"),
        pytest.param({"ok_to_stop": Stop((), ok=False, problem="timed out")}, GOING, ["does not say whether its OSDs may stop: timed out"], id="no word"),
        pytest.param({"ok_to_stop": None}, GOING, ["does not say whether its OSDs may stop"], id="not in the map"),
        pytest.param({"ok_to_stop": None}, CephPolicy(planned_loss="m4"), [], id="a host without OSDs"),
        pytest.param({"ok_to_stop": Stop((1, 4), ok=False, inactive=8)}, CephPolicy(), [], id="nobody is about to go"),
    ],
)
def test_ceph(change: dict[str, Any], policy: CephPolicy, problems: list[str]) -> None:
    if "manages_budgets" not in change:
        change = {**change, "manages_budgets": True}
    findings = judge_ceph(replace(WELL, **change), policy)
    assert len(findings) == len(problems), [finding.line() for finding in findings]
    for finding, problem in zip(findings, problems, strict=True):
        assert problem in finding.problem
        assert finding.advice
        assert "\n" not in finding.line()


def test_where_no_ceph_runs_there_is_nothing_wrong() -> None:
    assert judge(CephView(None), Policy(planned_loss="192.0.2.12")) == []
    assert seen(CephView(None)) == "not installed, or not running yet"


def test_the_policy_is_the_gates() -> None:
    warned_of = replace(WELL, **warned("MON_DISK_LOW"))
    assert len(judge(CephView(warned_of), Policy())) == 1
    assert judge(CephView(warned_of), Policy(ceph_allowed=["MON_DISK_LOW"])) == []
    (finding,) = judge(CephView(replace(WELL, ok_to_stop=Stop((1, 4), ok=False, inactive=8)), "m2"), Policy())
    assert finding.where == "m2"


def test_an_osd_is_named_with_its_host_and_disk() -> None:
    (finding,) = judge_ceph(replace(WELL, osds=without(1)), CephPolicy())
    assert finding.where == "osd.1 (m2, disk S1)"


def test_the_summary() -> None:
    expected = "Ceph 20.2.4: HEALTH_OK, 3 of 3 monitors in quorum, 6 of 6 OSDs up and in, 33 of 33 placement groups active+clean, 9% used"
    assert summary(WELL) == expected
    assert seen(CephView(WELL)) == expected
