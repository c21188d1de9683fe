# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A removal from beginning to end, and interrupted everywhere. Ceph and Kubernetes are simulated here; the lab's tests have the real ones."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.ceph import drain, remove, toolbox
from ansible_collections.trinode.platform.plugins.module_utils.ceph.view import Ceph, Osd, PlacementGroups
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, DeadlineExceeded, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.exec import Result

Broken = ConnectionFailed


class World:
    """Six OSDs on three hosts, in a cluster of one pool with three copies, and the API server before it. ``log`` is what was changed, in order.

    Data moves one placement group with each look. ``breaks`` is the number of the change after which the connection breaks off.
    """

    server = "https://api"

    def __init__(self) -> None:
        self.osds = {number: {"up": 1, "in": 1, "groups": 3} for number in range(6)}
        self.nodes = [{"name": f"m{host + 1}", "devices": [{"name": f"/dev/disk/by-id/ata-X_S{number}"} for number in (host, host + 3)]} for host in range(3)]
        self.deployments = {number: {"replicas": 1, "annotations": {}} for number in range(6)}
        self.log: list[str] = []
        self.breaks = 0
        self.degraded = 0
        self.application: dict[str, Any] | None = None

    def changed(self, what: str) -> None:
        self.log.append(what)
        if self.breaks and len(self.log) >= self.breaks:
            self.breaks = 0
            raise Broken("the connection broke off")

    # Kubernetes

    def get(self, path: str, **_: Any) -> dict[str, Any]:
        if self.application and path.endswith("/argocd/applications/rook-ceph"):
            return self.application
        assert path.endswith("/cephclusters/rook-ceph")
        return self.cluster()

    def cluster(self) -> dict[str, Any]:
        metadata: dict[str, Any] = {"namespace": "rook-ceph", "name": "rook-ceph", "resourceVersion": str(len(self.log))}
        if self.application:
            metadata["annotations"] = {"argocd.argoproj.io/tracking-id": "rook-ceph:ceph.rook.io/CephCluster:rook-ceph/rook-ceph"}
        return {"kind": "CephCluster", "metadata": metadata, "spec": {"storage": {"nodes": self.nodes}}, "status": {"ceph": {"health": "HEALTH_OK"}}}

    def list(self, path: str, *_: Any, **__: Any) -> tuple[list[dict[str, Any]], str]:
        if path.endswith("/cephclusters"):
            return [self.cluster()], "1"
        if path.endswith("/deployments"):
            return [self.deployment(number) for number in self.deployments], "1"
        return [], "1"

    def deployment(self, number: int) -> dict[str, Any]:
        environment = [{"name": "ROOK_BLOCK_PATH", "value": f"/dev/disk/by-id/ata-X_S{number}"}]
        return {
            "kind": "Deployment",
            "metadata": {
                "name": f"rook-ceph-osd-{number}",
                "labels": {"ceph-osd-id": str(number)},
                "annotations": self.deployments[number]["annotations"],
            },
            "spec": {"replicas": self.deployments[number]["replicas"], "template": {"spec": {"containers": [{"env": environment}]}}},
        }

    def request(self, method: str, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        if self.application and "/applications/" in path:
            self.application["metadata"]["annotations"] = body["metadata"]["annotations"]
            self.log.append("pause")
            return {}
        if "/cephclusters/" in path:
            if body["metadata"]["resourceVersion"] != str(len(self.log)):
                raise ApiError("conflict", code=409)
            self.nodes = body["spec"]["storage"]["nodes"]
            self.changed("forget")
            return {}
        number = int(path.rsplit("-", 1)[1])
        if number not in self.deployments:
            raise ApiError("not found", code=404)
        if method == "DELETE":
            assert number not in self.osds, "a Deployment is deleted last"
            del self.deployments[number]
            self.changed("delete")
            return {}
        self.deployments[number]["replicas"] = body["spec"]["replicas"]
        self.deployments[number]["annotations"] |= body["metadata"].get("annotations", {})
        self.osds[number]["up"] = 0
        assert not self.osds[number]["groups"] or self.degraded, "an OSD is stopped while it holds data"
        self.changed("stop")
        return {}

    # The toolbox

    def run(self, command: Any) -> Result:
        if command[0] == "python3":
            return Result(0, json.dumps(self.answers(json.loads(command[-1])["osds"])), "")
        arguments = command[3:]
        assert arguments[0] == "osd"
        numbers = [int(word) for word in arguments[2:] if word.isdigit()]
        for number in numbers:
            if arguments[1] == "out":
                self.osds[number]["in"] = 0
            else:
                if self.osds[number]["up"] or (self.osds[number]["groups"] and "--force" not in arguments):
                    return Result(16, "", f"Error EBUSY: osd.{number} is not safe to destroy")
                assert not any(f"S{number}" in device["name"] for node in self.nodes for device in node["devices"])
                del self.osds[number]
            self.changed(arguments[1])
        return Result(0, "", "")

    def answers(self, asked: list[int]) -> dict[str, Any]:
        for osd in self.osds.values():
            if not osd["in"] and osd["groups"] and not self.degraded:
                osd["groups"] -= 1
        moving = sum(osd["groups"] for osd in self.osds.values() if not osd["in"])
        states = {"active+clean": 9 - moving, "active+remapped+backfilling": moving}
        safe = [number for number in asked if number not in self.osds or (not self.osds[number]["in"] and not self.osds[number]["groups"])]
        children = {host: [number for number in self.osds if number % 3 == host] for host in range(3)}
        said = {
            "status": {
                "fsid": "f",
                "health": {"status": "HEALTH_OK"},
                "quorum_names": ["a"],
                "pgmap": {"num_pgs": 9, "pgs_by_state": [{"state_name": state, "count": count} for state, count in states.items() if count]},
            },
            "health": {"checks": {}},
            "osd dump": {
                "flags": "",
                "nearfull_ratio": 0.85,
                "backfillfull_ratio": 0.9,
                "full_ratio": 0.95,
                "pools": [{"pool_name": "p", "size": 3, "min_size": 2, "type": 1, "crush_rule": 0, "pg_num": 9}],
                "osds": [{"osd": number, "up": osd["up"], "in": osd["in"]} for number, osd in self.osds.items()],
            },
            "osd tree": {
                "nodes": [{"id": -host - 2, "type": "host", "name": f"m{host + 1}", "children": numbers} for host, numbers in children.items()]
                + [{"id": number, "type": "osd", "crush_weight": 1} for number in self.osds]
            },
            "osd crush rule dump": [{"rule_id": 0, "steps": [{"op": "take", "item_name": "default"}, {"op": "chooseleaf_firstn", "type": "host"}]}],
            "osd metadata": [],
            "mon dump": {"mons": [{"name": "a"}]},
            "mon metadata": [{"name": "a", "hostname": "m1", "ceph_version_short": "20.2.4"}],
            "df": {"stats": {"total_bytes": 1, "total_used_bytes": 0, "total_avail_bytes": 1}, "pools": []},
            "osd df": {"nodes": [{"id": number, "kb": 100, "kb_used": 10, "pgs": osd["groups"]} for number, osd in self.osds.items()]},
        }
        answers: dict[str, Any] = {name: {"code": 0, "output": json.dumps(value), "error": ""} for name, value in said.items()}
        if asked:
            answers["ok_to_stop"] = {"code": 0, "output": json.dumps({"ok_to_stop": True, "osds": asked}), "error": ""}
            answers["safe_to_destroy"] = {"code": 0, "output": json.dumps({"safe_to_destroy": safe}), "error": ""}
        return answers


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(toolbox.Toolbox, "_run", lambda _self, command, _deadline: made.run(command))
    monkeypatch.setattr(remove, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(remove, "_DRAIN_SECONDS", 0.001)
    return made


def work(world: World, **options: Any) -> remove.Removal:
    return remove.start(world, Deadline(300), **{"settle": 0.0, **options})  # type: ignore[arg-type]  as much of a client as is needed


ORDER = ["out", "forget", "stop", "purge", "delete"]


def test_a_disk_is_emptied_forgotten_stopped_and_removed(world: World) -> None:
    (removed,) = work(world).remove((3,))
    assert (removed.id, removed.host, removed.serial) == (3, "m1", "S3")
    assert world.log == ORDER
    assert 3 not in world.osds
    assert 3 not in world.deployments
    assert world.nodes[0]["devices"] == [{"name": "/dev/disk/by-id/ata-X_S0"}]


def test_argo_cd_does_not_put_back_what_git_still_names(world: World) -> None:
    world.application = {"metadata": {"name": "rook-ceph"}}
    remove_two = work(world)
    remove_two.remove((3,))
    remove_two.remove((4,))
    assert world.application["metadata"]["annotations"] == {"argocd.argoproj.io/skip-reconcile": "true"}
    assert [step for step in world.log if step in ("pause", "forget")] == ["pause", "forget", "forget"]


def test_again_there_is_nothing_to_do(world: World) -> None:
    work(world).remove((3,))
    again = work(world)
    assert again.remove((3,)) == []
    assert (again.done, world.log) == ([], ORDER)


@pytest.mark.parametrize("breaks", range(1, len(ORDER) + 1))
def test_interrupted_anywhere_the_next_run_finishes(world: World, breaks: int) -> None:
    world.breaks = breaks
    with pytest.raises(Broken):
        work(world).remove((3,))
    look = work(world).look()
    groups = remove.removal.find(look, [], ["S3"])
    assert groups == ([] if breaks == len(ORDER) else [(3,)]), "found by its disk, which Ceph has forgotten by the end"
    for group in groups:
        work(world).remove(group)
    assert world.log == ORDER
    assert 3 not in world.deployments


def test_the_last_disk_of_a_host_is_refused_before_anything_is_done(world: World) -> None:
    work(world).remove((3,))
    with pytest.raises(RefusedError, match=r"osd\.0 must not be removed.*\n.*2 hosts can take a copy"):
        work(world).remove((0,))
    assert world.log == ORDER


def test_two_disks_that_may_each_go_and_not_both_are_refused_together(world: World) -> None:
    removal = work(world)
    look = removal.look()
    removal.refuse((0,), look)
    removal.refuse((3,), look)
    with pytest.raises(RefusedError, match=r"osd\.0, osd\.3 must not be removed"):
        removal.refuse((0, 3), look)


def test_a_failed_disk_without_another_place_goes_without_a_wait(world: World) -> None:
    work(world).remove((3,))
    world.log.clear()
    world.osds[0]["up"], world.degraded = 0, 1
    work(world, failed=True).remove((0,))
    assert world.log == ORDER
    assert 0 not in world.osds


def test_nothing_that_is_up_has_failed(world: World) -> None:
    with pytest.raises(RefusedError, match=r"osd\.3 is up"):
        work(world, failed=True).remove((3,))
    assert world.log == []


def view(groups: int, misplaced: int = 0, speed: int = 0, **states: int) -> Ceph:
    osds = (Osd(3, "m1", True, False, placement_groups=groups),)
    return Ceph(
        "f",
        "20",
        "HEALTH_WARN",
        (),
        (),
        osds,
        PlacementGroups(33, {"active+clean": 33 - sum(states.values()), **states}, misplaced=misplaced, recovering_bytes=speed),
    )


def test_progress_tells_what_is_left_and_how_long_it_takes() -> None:
    clock = itertools.count(0, 60).__next__
    told = drain.Drain([3], 900, lambda: float(clock()))
    told.tell(view(17, 1000))
    told.tell(view(9, 500, 5 * 1024**2))
    assert told.text == "9 placement groups left on osd.3, 500 copies to make or move, 5.0 MiB/s, about 2 min to go"


def test_a_wait_in_which_nothing_moves_is_given_up_with_the_reason() -> None:
    clock = itertools.count(0, 400).__next__
    told = drain.Drain([3], 900, lambda: float(clock()))
    told.tell(view(17, 1000))
    told.tell(view(17, 1000))
    told.tell(view(16, 1000))
    told.tell(view(16, 1000))
    told.tell(view(16, 1000))
    with pytest.raises(DeadlineExceeded, match="nothing has moved for 15 min: 3 placement groups find their new OSD too full"):
        told.tell(view(16, 1000, **{"active+remapped+backfill_toofull": 3}))
