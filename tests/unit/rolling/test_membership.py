"""Machines that come, go and are replaced, by tables: what is left to do, wherever a run ended, and what is in the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.filter.membership_machines import membership_machines
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Ceph, Mon, Osd, PlacementGroups, Pool
from ansible_collections.trinode.platform.plugins.module_utils.rolling import membership
from ansible_collections.trinode.platform.plugins.module_utils.rolling.membership import Cluster, Machine, Observed, Plan
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import EtcdMember
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_summary import EtcdSummary

UUID, OTHER = "5d1f4c7e-0000-4000-8000-000000000001", "5d1f4c7e-0000-4000-8000-000000000002"


def identity(number: int) -> str:
    return f"{number:016x}"


def machine(number: int, *, plane: bool = True, uuid: str = "", serial: str = "", **observed: Any) -> Machine:
    seen = {"disks": (f"S{number}A", f"S{number}B"), "member_id": identity(number) if plane else "", **observed}
    return Machine(f"m{number}", f"192.0.2.1{number}", f"m{number}", plane, uuid, serial, Observed(**seen))


def dead(number: int, **observed: Any) -> Machine:
    return machine(number, **{"trust": "unreachable", "problem": "no answer", "stage": "", "disks": (), "node_ready": False, **observed})


def bare(number: int, **observed: Any) -> Machine:
    return machine(number, **{"trust": "maintenance", "stage": "maintenance", "disks": ("NEW1", "NEW2"), "node_ready": False, **observed})


FORGOTTEN: dict[str, Any] = {"node_found": False, "node_ready": False, "member_id": ""}


def etcd(*voters: int, down: tuple[int, ...] = ()) -> EtcdSummary:
    members = tuple(EtcdMember(identity(number), f"m{number}", (), (), False) for number in voters)
    healthy = tuple(member for member in members if member.id not in map(identity, down))
    return EtcdSummary(members, members, (), healthy, identity(voters[0]) if voters else "", (), "")


def ceph(*hosts: int, down: int = 0, mons: int = 3, size: int = 3, states: dict[str, int] | None = None) -> Ceph:
    """Two OSDs on each of the hosts: 1 and 2 have osd.0 and osd.1, osd.2 and osd.3."""
    osds = tuple(
        Osd(index * 2 + disk, f"m{host}", host != down, True, "ssd", size=100, used=10, serial=f"S{host}{'AB'[disk]}")
        for index, host in enumerate(hosts)
        for disk in (0, 1)
    )
    return Ceph(
        fsid="f",
        version="20.2.4",
        health="HEALTH_OK",
        checks=(),
        mons=tuple(Mon("abcde"[number - 1], f"m{number}", number != down) for number in range(1, mons + 1)),
        osds=osds,
        groups=PlacementGroups(33, states or {"active+clean": 33}),
        pools=(Pool("p", size, 2, "host"),),
    )


def cluster(*machines: Machine, storage: Ceph | None = None, members: EtcdSummary | None = None, endpoint: str = "192.0.2.10") -> Cluster:
    known = [int(item.name[1:]) for item in machines if item.observed.member_id]
    away = tuple(int(item.name[1:]) for item in machines if item.observed.trust != "ours")
    return Cluster(machines, members or etcd(*known, down=away), storage, endpoint)


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        (machine(1), "member"),
        (machine(1, uuid=UUID), "member"),
        (machine(1, uuid=UUID, serial="A"), "member"),
        (replace(machine(1, uuid=UUID), observed=Observed(uuid=UUID.upper())), "member"),
        (replace(machine(1, uuid=UUID), observed=Observed(uuid=OTHER)), "old"),
        (replace(machine(1, serial="new"), observed=Observed(serial="OLD")), "old"),
        (replace(machine(1, serial="new"), observed=Observed(serial="NEW")), "member"),
        (replace(machine(1, serial="new"), observed=Observed(trust="maintenance", serial="OLD")), "retired"),
        (bare(1), "bare"),
        (dead(1), "absent"),
        (machine(1, trust="foreign"), "foreign"),
    ],
)
def test_who_answers(found: Machine, standing: str) -> None:
    assert found.standing == standing


def summary(plan: Plan) -> tuple[bool, str, tuple[int, ...], bool]:
    return plan.leave, plan.member_id, plan.osds, plan.delete_node


SIX = ceph(1, 2, 3)
SIX_DOWN = ceph(1, 2, 3, down=3)
OLD = replace(machine(3, uuid=UUID), observed=replace(machine(3).observed, uuid=OTHER))
RETIRED = replace(bare(3, member_id=""), uuid=UUID, observed=replace(bare(3, member_id="").observed, uuid=OTHER))

REPLACED: dict[str, tuple[Cluster, tuple[bool, str, tuple[int, ...], bool]]] = {
    "it is dead, and nobody answers yet: what is in the new machine is not known": (
        cluster(machine(1), machine(2), dead(3), storage=SIX_DOWN),
        (False, identity(3), (), True),
    ),
    "the new one is there": (cluster(machine(1), machine(2), bare(3), storage=SIX_DOWN), (False, identity(3), (4, 5), True)),
    "Ceph has not noticed yet": (cluster(machine(1), machine(2), bare(3), storage=SIX), (False, identity(3), (4, 5), True)),
    "one disk was moved into the new one": (
        cluster(machine(1), machine(2), bare(3, disks=("S3B", "NEW1")), storage=SIX_DOWN),
        (False, identity(3), (4,), True),
    ),
    "its member is removed already": (cluster(machine(1), machine(2), bare(3, member_id=""), storage=SIX_DOWN), (False, "", (4, 5), True)),
    "its OSDs, too": (cluster(machine(1), machine(2), bare(3, member_id=""), storage=ceph(1, 2)), (False, "", (), True)),
    "its node, too": (cluster(machine(1), machine(2), bare(3, **FORGOTTEN), storage=ceph(1, 2)), (False, "", (), False)),
    "it has joined": (cluster(machine(1), machine(2), machine(3), storage=ceph(1, 2)), (False, "", (), False)),
    "all is done": (cluster(machine(1), machine(2), machine(3), storage=SIX), (False, "", (), False)),
    "it has joined, and lost OSDs were left": (
        cluster(machine(1), machine(2), machine(3, disks=("NEW1", "NEW2")), storage=SIX_DOWN),
        (False, "", (4, 5), False),
    ),
    "it runs with disks that do not tell their serial numbers": (cluster(machine(1), machine(2), machine(3, disks=()), storage=SIX), (False, "", (), False)),
    "the old one lives": (cluster(machine(1), machine(2), OLD, storage=SIX), (True, "", (), True)),
    "the old one has left": (cluster(machine(1), machine(2), RETIRED, storage=SIX_DOWN), (False, "", (), True)),
    "a worker": (cluster(machine(1), machine(2), machine(3), bare(4, plane=False)), (False, "", (), True)),
    "without Ceph": (cluster(machine(1), machine(2), bare(3)), (False, identity(3), (), True)),
}


@pytest.mark.parametrize("case", REPLACED)
def test_what_is_left_of_a_replacement(case: str) -> None:
    found, expected = REPLACED[case]
    target = found.machine("m4") or found.machine("m3")
    assert target
    plan = membership.substitute(found, target)
    assert plan.objections == ()
    assert summary(plan) == expected
    assert bool(plan.steps) == (plan.standing != "member" or bool(plan.osds))


def test_the_steps_of_a_replacement() -> None:
    found = cluster(machine(1), machine(2), bare(3), storage=SIX_DOWN)
    assert membership.substitute(found, found.machines[2]).steps == (
        f"remove the member m3 ({identity(3)}) from etcd",
        "delete the node m3 from Kubernetes",
        "remove osd.4, osd.5 of m3, which are lost, from Ceph",
        "configure m3, which joins the cluster, and give its disks to Ceph",
    )
    found = cluster(machine(1), machine(2), OLD, storage=SIX)
    steps = membership.substitute(found, OLD).steps
    assert steps[0] == f"drain m3 (its UUID is {OTHER}, not {UUID}), let it leave etcd, and wipe the disk that Talos is on"
    assert steps[1].startswith("you: switch it off")


def test_who_has_to_put_the_new_machine_in_is_told() -> None:
    found = cluster(machine(1), machine(2), RETIRED, storage=SIX_DOWN)
    assert OTHER in membership.substitute(found, RETIRED).swap
    assert "run the same command again" in membership.substitute(found, RETIRED).swap
    for other in (bare(3), dead(3), machine(3)):
        assert membership.substitute(cluster(machine(1), machine(2), other), other).swap == ""


def test_one_that_runs_and_cannot_be_told_from_another_is_left_alone() -> None:
    found = cluster(machine(1), machine(2), machine(3), storage=SIX)
    assert "set the new one's machine_serial or machine_uuid" in membership.substitute(found, found.machines[2]).note
    described = replace(machine(3, uuid=UUID), observed=replace(machine(3).observed, uuid=UUID))
    assert "is the machine that the inventory describes" in membership.substitute(cluster(machine(1), machine(2), described), described).note


NOT_REPLACED: dict[str, tuple[Cluster, list[str]]] = {
    "another machine does not answer": (
        cluster(machine(1), dead(2), bare(3)),
        ["m2: no answer", "1 healthy voters would stay, 2 are needed"],
    ),
    "another node is not Ready": (cluster(machine(1), machine(2, node_ready=False), bare(3)), ["m2: its node is not Ready"]),
    "another machine is booting": (cluster(machine(1), machine(2, stage="booting"), bare(3)), ["m2: it is booting"]),
    "etcd does not answer": (cluster(machine(1), machine(2), bare(3), members=etcd()), ["none of its members answers"]),
    "etcd has no quorum": (cluster(machine(1), machine(2), bare(3), members=etcd(1, 2, 3, down=(2, 3))), ["1 healthy voters would stay, 2 are needed"]),
    "the only control plane": (cluster(bare(1), machine(2, plane=False), members=etcd(1)), ["it is the only control plane"]),
    "it is not dead": (cluster(machine(1), machine(2), dead(3, node_ready=True)), ["Kubernetes hears from its node, so it is not dead"]),
    "another cluster's": (cluster(machine(1), machine(2), machine(3, trust="foreign", problem="x")), ["is not this cluster's (x)"]),
    "its disks cannot be read": (cluster(machine(1), machine(2), bare(3, problem="no answer within 15 s")), ["it answers, and cannot be read: no answer"]),
    "it runs, and cannot be read": (cluster(machine(1), machine(2), machine(3, problem="refused")), ["it answers, and cannot be read: refused"]),
    "the API is there": (cluster(machine(1), machine(2), bare(3), endpoint="192.0.2.13"), ["reached at this machine's own address"]),
    "data is nowhere else": (
        cluster(machine(1), machine(2), bare(3), storage=ceph(1, 2, 3, down=3, states={"active+clean": 32, "down": 1})),
        ["1 placement groups are down or incomplete"],
    ),
}


def objections(plan: Plan, texts: list[str]) -> None:
    found = [str(finding) for finding in plan.objections]
    assert len(found) == len(texts), found
    for text in texts:
        assert any(text in line for line in found), found
    assert all(finding.hint or finding.where == "ceph" for finding in plan.objections)


@pytest.mark.parametrize("case", NOT_REPLACED)
def test_what_is_in_the_way_of_a_replacement(case: str) -> None:
    found, texts = NOT_REPLACED[case]
    target = found.machines[0] if case == "the only control plane" else found.machines[2]
    objections(membership.substitute(found, target), texts)


FOUR = ceph(1, 2, 3, 4)
WORKER = machine(4, plane=False)

REMOVED: dict[str, tuple[Cluster, tuple[bool, str, tuple[int, ...], bool]]] = {
    "a worker that lives": (cluster(machine(1), machine(2), machine(3), WORKER), (True, "", (), True)),
    "a worker with disks": (cluster(machine(1), machine(2), machine(3), WORKER, storage=FOUR), (True, "", (6, 7), True)),
    "its OSDs are gone": (cluster(machine(1), machine(2), machine(3), WORKER, storage=SIX), (True, "", (), True)),
    "it is reset": (cluster(machine(1), machine(2), machine(3), bare(4, plane=False), storage=SIX), (False, "", (), True)),
    "a worker that is dead": (
        cluster(machine(1), machine(2), machine(3), dead(4, plane=False), storage=ceph(1, 2, 3, 4, down=4)),
        (False, "", (6, 7), True),
    ),
    "all is done": (cluster(machine(1), machine(2), machine(3), bare(4, plane=False, **FORGOTTEN), storage=SIX), (False, "", (), False)),
    "all is done, and it is switched off": (cluster(machine(1), machine(2), machine(3), dead(4, plane=False, **FORGOTTEN)), (False, "", (), False)),
    "a fourth control plane": (cluster(machine(1), machine(2), machine(3), machine(4)), (True, "", (), True)),
    "a fourth control plane that is dead": (cluster(machine(1), machine(2), machine(3), dead(4)), (False, identity(4), (), True)),
    "the second of two": (cluster(machine(1), machine(4)), (True, "", (), True)),
}


@pytest.mark.parametrize("case", REMOVED)
def test_what_is_left_of_a_removal(case: str) -> None:
    found, expected = REMOVED[case]
    target = found.machine("m4")
    assert target
    plan = membership.remove(found, target)
    assert plan.objections == ()
    assert summary(plan) == expected
    assert bool(plan.steps) == (expected != (False, "", (), False))


NOT_REMOVED: dict[str, tuple[Cluster, list[str]]] = {
    "two control planes would be left": (
        cluster(machine(1), machine(2), machine(3)),
        ["2 control planes would be left. etcd needs more than half of them, 2 of 2, so with either of them away, nothing works"],
    ),
    "four would be left": (
        cluster(machine(1), machine(2), machine(3), machine(4), machine(5)),
        ["4 control planes would be left. etcd needs more than half of them, 3 of 4, so no more may be away than with 3"],
    ),
    "too few places for copies, and for monitors": (
        cluster(machine(1), machine(2), machine(3, plane=False), storage=SIX),
        ["2 hosts can take a copy", "it has 3 monitors, each on another machine, and 2 machines would be left"],
    ),
    "dead, and too few places for copies": (
        cluster(machine(1), machine(2), dead(3, plane=False), storage=SIX_DOWN),
        ["the copies that were on m3 have no other place", "it has 3 monitors"],
    ),
    "dead, and Ceph has not noticed": (
        cluster(machine(1), machine(2), dead(3, plane=False), storage=SIX),
        ["the copies that were on m3 have no other place", "it has 3 monitors"],
    ),
    "all of it at once": (
        cluster(machine(1), machine(2, stage="booting"), dead(3, node_ready=True), endpoint="m3"),
        ["m2: it is booting", "so it is not dead", "own address", "2 control planes would be left"],
    ),
    "the last one": (cluster(machine(3)), ["it is the only control plane"]),
}


@pytest.mark.parametrize("case", NOT_REMOVED)
def test_what_is_in_the_way_of_a_removal(case: str) -> None:
    found, texts = NOT_REMOVED[case]
    target = found.machine("m3")
    assert target
    objections(membership.remove(found, target), texts)


def test_an_even_number_is_left_where_that_is_wanted() -> None:
    found = cluster(machine(1), machine(2), machine(3))
    assert membership.remove(found, found.machines[2], even=True).objections == ()


ADDED: dict[str, tuple[Cluster, tuple[str, ...]]] = {
    "nothing is new": (cluster(machine(1), machine(2), machine(3)), ()),
    "a worker in maintenance mode": (cluster(machine(1), machine(2), machine(3), bare(4, plane=False, **FORGOTTEN)), ("m4",)),
    "one that is switched off": (cluster(machine(1), machine(2), machine(3), dead(4, plane=False, **FORGOTTEN)), ("m4",)),
    "two control planes": (cluster(machine(1), machine(2), machine(3), bare(4, **FORGOTTEN), bare(5, **FORGOTTEN)), ("m4", "m5")),
    "one that is configured, and has no node yet": (cluster(machine(1), machine(2), machine(3), machine(4, plane=False, **FORGOTTEN)), ("m4",)),
    "an even number of old, and a worker": (cluster(machine(1), machine(2), bare(4, plane=False, **FORGOTTEN)), ("m4",)),
}


@pytest.mark.parametrize("case", ADDED)
def test_who_is_new(case: str) -> None:
    found, new = ADDED[case]
    plan = membership.add(found)
    assert plan.objections == ()
    assert plan.new == new
    assert bool(plan.steps) == bool(new)


NOT_ADDED: dict[str, tuple[Cluster, list[str]]] = {
    "one that is known and dead": (cluster(machine(1), machine(2), dead(3)), ["the cluster knows it, and it does not answer"]),
    "one that is known and was wiped": (cluster(machine(1), machine(2), bare(3, node_found=False)), ["the cluster knows it, and it is in maintenance mode"]),
    "another cluster's": (cluster(machine(1), machine(2), machine(3), machine(4, trust="foreign", **FORGOTTEN)), ["is not this cluster's"]),
    "a fourth control plane": (cluster(machine(1), machine(2), machine(3), bare(4, **FORGOTTEN)), ["4 control planes. etcd needs more than half", ]),
    "no cluster": (cluster(bare(1, **FORGOTTEN), members=etcd()), ["there is none that could take a machine"]),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_ADDED)
def test_what_is_in_the_way_of_a_new_machine(case: str) -> None:
    found, texts = NOT_ADDED[case]
    objections(membership.add(found), texts)


def test_the_table() -> None:
    found = cluster(machine(1), WORKER, dead(3), storage=ceph(1, 3, down=3))
    assert membership.table(found) == [
        "MACHINE  ADDRESS     ROLE           STATE        ETCD                NODE      OSDS",
        "m1       192.0.2.11  control plane  running      voter               Ready     0, 1",
        "m4       192.0.2.14  worker         running      -                   Ready     -",
        "m3       192.0.2.13  control plane  unreachable  voter, not healthy  NotReady  2 down, 3 down",
    ]


def test_the_inventorys_machines() -> None:
    hostvars = {"m1": {"ansible_host": "192.0.2.11", "machine_serial": "S9"}, "m4": {"machine_address": "192.0.2.14", "machine_role": "worker"}}
    assert membership_machines(["m1", "m4"], hostvars) == [
        {"name": "m1", "address": "192.0.2.11", "node": "m1", "role": "controlplane", "uuid": "", "serial": "S9"},
        {"name": "m4", "address": "192.0.2.14", "node": "m4", "role": "worker", "uuid": "", "serial": ""},
    ]
