"""The plan of a roll, by tables: who comes, in which order, and what is in the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError
from ansible_collections.trinode.platform.plugins.module_utils.kube.budgets import Blocker
from ansible_collections.trinode.platform.plugins.module_utils.rolling import show, target, versions
from ansible_collections.trinode.platform.plugins.module_utils.rolling.plan import Drain, Machine, Observed, plan
from ansible_collections.trinode.platform.plugins.module_utils.rolling.target import Target
from ansible_collections.trinode.platform.plugins.module_utils.talos.schematic import EMPTY_SCHEMATIC

A, B = "a" * 64, "b" * 64
OLD, NEW = "v1.13.8", "v1.13.9"
MARK = "upgrade_talos v1.13.9"
NEVER = Blocker("shop/web", "m1", ("shop/web-0",), "never", "minAvailable: 1 with 1 pods lets none of them go, ever", "Run 2 replicas.")
NOW = replace(NEVER, verdict="now")
LATER = replace(NEVER, verdict="later")


def machine(number: int, version: str = OLD, *, wanted: str = NEW, wants: str = "", reason: str = "", drain: Drain | None = None, **observed: Any) -> Machine:
    """Machine m1, m2, ...: as it is, and what it is to run."""
    name = f"m{number}"
    seen = Observed(**{"version": version, "kubelet": "v1.36.3", **observed})
    return Machine(name, f"192.0.2.1{number}", name, Target("image", wanted, wants) if wanted else Target(), reason, seen, drain or Drain())


HALF = {"cordoned": True, "mark": MARK}
GONE = {"trust": "unreachable", "stage": "", "problem": "no answer", **HALF}

PLANS: dict[str, tuple[list[Machine], list[str], list[str]]] = {
    "all need it: the order of the inventory": ([machine(1), machine(2), machine(3)], [], ["m1", "m2", "m3"]),
    "the leader of etcd is last": ([machine(1, leader=True), machine(2), machine(3)], [], ["m2", "m3", "m1"]),
    "the leader is in the middle": ([machine(1), machine(2, leader=True), machine(3)], [], ["m1", "m3", "m2"]),
    "what is up to date is left out": ([machine(1, NEW), machine(2), machine(3, NEW)], [], ["m2"]),
    "nothing to do": ([machine(1, NEW), machine(2, NEW), machine(3, NEW, leader=True)], [], []),
    "half done and in need: back first, then first of all": ([machine(1), machine(2), machine(3, **HALF)], ["m3"], ["m3", "m1", "m2"]),
    "half done and up to date: only brought back": ([machine(1), machine(2, NEW, **HALF), machine(3)], ["m2"], ["m1", "m3"]),
    "half done, nothing else to do": ([machine(1, NEW), machine(2, NEW, **HALF), machine(3, NEW)], ["m2"], []),
    "half done and the leader: still first": ([machine(1), machine(2), machine(3, leader=True, **HALF)], ["m3"], ["m3", "m1", "m2"]),
    "two are half done": ([machine(1), machine(2, **HALF), machine(3, **HALF)], ["m2", "m3"], ["m2", "m3", "m1"]),
    "half done and away: judged when it is back": ([machine(1, NEW), machine(2, "", **GONE), machine(3)], ["m2"], ["m2", "m3"]),
    "half done by another operation": ([machine(1, NEW), machine(2, NEW, cordoned=True, mark="reboot"), machine(3, NEW)], ["m2"], []),
    "a mark whose cordon is gone counts no more": ([machine(1, NEW), machine(2, NEW, mark=MARK), machine(3, NEW)], [], []),
    "only the schematic differs": ([machine(1, NEW, wants=A, schematic=B), machine(2, NEW, wants=A, schematic=A)], [], ["m1"]),
    "no schematic is the empty schematic": ([machine(1, NEW, wants=EMPTY_SCHEMATIC), machine(2, NEW, wants=A)], [], ["m2"]),
    "an image of one's own has no schematic": ([machine(1, NEW, schematic=B)], [], []),
    "other work, by its reason": ([machine(1, wanted="", reason="reboot"), machine(2, wanted="")], [], ["m1"]),
    "other work, leader last": ([machine(1, wanted="", reason="x", leader=True), machine(2, wanted="", reason="x")], [], ["m2", "m1"]),
    "other work, half done and away": ([machine(1, "", wanted="", **GONE), machine(2, wanted="")], ["m1"], []),
    "a worker that has no member": ([machine(1, NEW), machine(2, NEW), machine(3, NEW), machine(4)], [], ["m4"]),
    "a single machine": ([machine(1, leader=True)], [], ["m1"]),
    "machines that need nothing are no reason against it": ([machine(1, NEW, node_ready=False), machine(2, NEW)], [], []),
}


@pytest.mark.parametrize("case", PLANS)
def test_order(case: str) -> None:
    machines, recover, work = PLANS[case]
    made = plan(machines)
    assert not made.objections
    assert (list(made.recover), list(made.work)) == (recover, work)
    assert set(made.reasons) == set(work)
    assert made.empty == (not recover and not work)


OBJECTIONS: dict[str, tuple[list[Machine], list[tuple[str, str]]]] = {
    "a minor release is skipped": ([machine(1, "v1.11.5")], [("m1", "skip minor releases")]),
    "two are skipped": ([machine(1, "v1.12.4", wanted="v1.14.0"), machine(2, "v1.13.8", wanted="v1.14.0")], [("m1", "skip minor releases")]),
    "a downgrade": ([machine(1, "v1.13.9", wanted="v1.13.8")], [("m1", "go back from v1.13.9 to v1.13.8")]),
    "a downgrade by a minor": ([machine(1, "v1.14.0")], [("m1", "go back")]),
    "a downgrade to a pre-release": ([machine(1, "v1.13.9", wanted="v1.13.9-rc.1")], [("m1", "go back")]),
    "another major release": ([machine(1, wanted="v2.0.0")], [("m1", "another major"), ("cluster", "matrix")]),
    "the matrix": ([machine(1, kubelet="v1.30.2")], [("cluster", "Talos 1.13 does not go with Kubernetes 1.30.2")]),
    "a release that the matrix does not know": ([machine(1, "v1.14.2", wanted="v1.15.0")], [("cluster", "not in the compatibility matrix")]),
    "a machine is away": ([machine(1), machine(2, "", trust="unreachable", stage="", problem="no answer")], [("m2", "no answer")]),
    "a machine is booting": ([machine(1), machine(2, NEW, stage="booting")], [("m2", "booting, not running")]),
    "a machine is in maintenance": ([machine(1), machine(2, "", trust="maintenance", stage="maintenance")], [("m2", "in maintenance mode")]),
    "a machine is somebody else's": ([machine(1), machine(2, "", trust="foreign", problem="x509")], [("m2", "not this cluster's")]),
    "a node is not there": ([machine(1), machine(2, node_found=False, node_ready=False)], [("m2", "no node m2")]),
    "a node is not Ready": ([machine(1), machine(2, NEW, node_ready=False)], [("m2", "not Ready")]),
    "somebody else has cordoned a node": ([machine(1), machine(2, NEW, cordoned=True)], [("m2", "somebody has cordoned")]),
    "a budget that never lets go": ([machine(1, drain=Drain([NEVER]))], [("m1", "the disruption budget shop/web keeps shop/web-0")]),
    "a budget of a machine that stays": ([machine(1), machine(2, NEW, drain=Drain([NEVER]))], []),
    "a budget that lets go later": ([machine(1, drain=Drain([LATER]))], []),
    "a pod that would be lost": ([machine(1, drain=Drain(refused={"default/shell": "has no controller"}))], [("m1", "default/shell has no controller")]),
    "all at once": (
        [machine(1, "v1.11.5", drain=Drain([NEVER])), machine(2, cordoned=True), machine(3, stage="booting")],
        [("m2", "cordoned"), ("m3", "booting"), ("m1", "skip"), ("m1", "shop/web")],
    ),
    "half done by us is no objection, another that is away is": (
        [machine(1, **HALF), machine(2, "", trust="unreachable", stage="", problem="no answer"), machine(3)],
        [("m2", "no answer")],
    ),
    "half done and in maintenance, nothing else to do": ([machine(1, NEW), machine(2, "", trust="maintenance", wanted="", **HALF)], [("m2", "maintenance")]),
}


@pytest.mark.parametrize("case", OBJECTIONS)
def test_objections(case: str) -> None:
    machines, expected = OBJECTIONS[case]
    found = plan(machines).objections
    assert [finding.where for finding in found] == [where for where, _what in expected], [str(finding) for finding in found]
    for finding, (_where, what) in zip(found, expected, strict=True):
        assert what in finding.what
        assert finding.hint


def test_a_budget_that_blocks_only_now_is_a_warning() -> None:
    made = plan([machine(1, drain=Drain([NOW])), machine(2, NEW, **HALF)])
    assert [finding.where for finding in made.warnings] == ["m1", "m2"]
    assert MARK in made.warnings[1].what


PATHS = [
    ("v1.13.8", "v1.13.9", ""),
    ("v1.13.8", "v1.13.8", ""),
    ("v1.13.9-rc.9", "v1.13.9-rc.10", ""),
    ("v1.13.9-beta.0", "v1.13.9", ""),
    ("v1.12.1", "v1.13.9", ""),
    ("v1.11.5", "v1.14.0", "v1.11.5 → v1.12.x (its newest) → v1.13.x (its newest) → v1.14.0"),
    ("v1.13.9", "v1.13.8", "Downgrades are not carried out"),
    ("", "v1.13.8", "written like"),
    ("v1.13.8", "latest", "written like"),
]


@pytest.mark.parametrize(("running", "wanted", "hint"), PATHS)
def test_the_path_is_told(running: str, wanted: str, hint: str) -> None:
    objection = versions.step("Talos", running, wanted)
    assert (objection is None) == (not hint)
    if objection is not None:
        assert hint in objection.hint


IMAGES = [
    (f"factory.talos.dev/metal-installer/{A}:v1.13.9", "v1.13.9", A),
    (f"factory.talos.dev/metal-installer-secureboot/{A}:v1.14.0-rc.1", "v1.14.0-rc.1", A),
    (f"registry.example:5000/path/metal-installer/{A}:v1.13.9@sha256:{B}", "v1.13.9", A),
    ("ghcr.io/siderolabs/installer:v1.13.9", "v1.13.9", ""),
]


@pytest.mark.parametrize(("image", "version", "schematic"), IMAGES)
def test_an_image_says_what_it_holds(image: str, version: str, schematic: str) -> None:
    read = target.read(image, where="m1")
    assert (read.version, read.schematic, read.image) == (version, schematic, image)


@pytest.mark.parametrize("image", ["registry.example/installer", "registry.example:5000/installer", "registry.example/installer:latest", ""])
def test_an_image_without_a_version_is_refused(image: str) -> None:
    with pytest.raises(InputError, match="does not name its version"):
        target.read(image, where="m1")


def test_the_table_says_who_is_next_and_who_has_cordoned() -> None:
    machines = [machine(1, leader=True), machine(2, **HALF), machine(3, NEW, cordoned=True), machine(4, "", trust="unreachable", stage="")]
    lines = show.table(machines, plan(machines))
    assert [line.split()[:2] for line in lines[1:]] == [["1", "m2"], ["2", "m4"], ["3", "m1"], ["-", "m3"]]
    assert f"cordoned by {MARK}" in lines[1]
    assert "is brought back, then v1.13.8 → v1.13.9" in lines[1]
    assert "unreachable" in lines[2]
    assert "leader" in lines[3]
    assert "cordoned by somebody else" in lines[4]
    assert lines[4].endswith("nothing to do")
