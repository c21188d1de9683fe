"""Other API servers and schedulers: the machine that has the virtual address is the last, and gives it away before its API server starts again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError
from ansible_collections.trinode.platform.plugins.module_utils.talos import control_plane_upgrade
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import Resource
from ansible_collections.trinode.platform.plugins.module_utils.talos.control_plane_upgrade import ControlPlane, SharedAddress, turns, unsettled, upgrade
from ansible_collections.trinode.platform.plugins.module_utils.talos.kubernetes_plan import Component

VIP, OLD, NEW = "192.0.2.10", "v1.36.3", "v1.36.4"
PROGRAMS = {"kube-apiserver": "apiServer", "kube-scheduler": "scheduler"}


def pod(program: str, version: str, *, number: int, node: str = "", ready: bool = True) -> dict[str, Any]:
    """A static pod as Talos renders it, or as Kubernetes shows it for a node."""
    return {
        "metadata": {
            "name": f"{program}-{node}" if node else program,
            "labels": {"k8s-app": program},
            "annotations": {"talos.dev/config-version": str(number), **({"kubernetes.io/config.source": "http"} if node else {})},
        },
        "spec": {"nodeName": node, "containers": [{"name": program, "image": f"registry.k8s.io/{program}:{version}"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]} if node else {},
    }


@pytest.mark.parametrize(
    ("holder", "order"), [("m1", ["m2", "m3", "m1"]), ("m2", ["m1", "m3", "m2"]), ("", ["m1", "m2", "m3"]), ("m9", ["m1", "m2", "m3"])], ids=str
)
def test_the_machine_with_the_address_is_the_last(holder: str, order: list[str]) -> None:
    assert turns(["m3", "m1", "m2"], holder) == order


@pytest.mark.parametrize(
    ("rendered", "shown", "missing"),
    [
        ((NEW, 2, 2), (NEW, 2, 2, True, True), ""),
        ((OLD, 1, 2), (OLD, 1, 2, True, True), "kube-scheduler"),  # Talos has not rendered it yet
        ((NEW, 2, 2), (OLD, 1, 2, True, True), "kube-scheduler"),  # the kubelet has not taken it
        ((NEW, 2, 2), (NEW, 2, 2, False, True), "kube-scheduler"),
        ((NEW, 2, 3), (NEW, 2, 2, True, True), "kube-apiserver"),  # it has to start again
        ((NEW, 2, 3), (NEW, 2, 3, True, False), "kube-apiserver"),
    ],
)
def test_the_program_and_the_api_server_have_to_run_as_rendered(rendered: tuple[str, int, int], shown: tuple[str, int, int, bool, bool], missing: str) -> None:
    wanted = [pod("kube-scheduler", rendered[0], number=rendered[1]), pod("kube-apiserver", NEW, number=rendered[2])]
    version, scheduler, server, scheduler_ready, server_ready = shown
    pods = [
        pod("kube-scheduler", version, number=scheduler, node="m1", ready=scheduler_ready),
        pod("kube-apiserver", NEW, number=server, node="m1", ready=server_ready),
        pod("kube-apiserver", NEW, number=9, node="m2"),
    ]
    assert unsettled("m1", "kube-scheduler", f"registry.k8s.io/kube-scheduler:{NEW}", wanted, pods) == missing


def test_a_pod_that_is_not_there_is_missing() -> None:
    assert unsettled("m1", "kube-apiserver", "x", [], []) == "kube-apiserver"
    assert unsettled("m1", "kube-apiserver", f"registry.k8s.io/kube-apiserver:{NEW}", [pod("kube-apiserver", NEW, number=1)], []) == "kube-apiserver"


@dataclass
class World:
    """Three machines that do what they are told; the address goes to the one that waits longest."""

    queue: list[str]
    configured: list[str] = field(default_factory=lambda: ["m1", "m2", "m3"])
    """Those that have the address in their machine config."""
    story: list[str] = field(default_factory=list)
    versions: dict[tuple[str, str], str] = field(default_factory=dict)

    def pods(self) -> Iterator[dict[str, Any]]:
        for node in ("m1", "m2", "m3"):
            for program in PROGRAMS:
                yield pod(program, self.versions.get((node, program), OLD), number=1, node=node)

    def patch(self, node: str, text: str) -> None:
        for document in yaml.safe_load_all(text):
            if document.get("kind") == "Layer2VIPConfig":
                assert (document["name"], document["link"]) == (VIP, "eth0")
                if document.get("$patch") == "delete":
                    self.story.append(f"{node} without")
                    self.queue.remove(node)
                    self.configured.remove(node)
                elif node not in self.configured:
                    self.story.append(f"{node} with")
                    self.queue.append(node)
                    self.configured.append(node)
            else:
                for program, section in PROGRAMS.items():
                    if section in document["cluster"]:
                        assert self.queue[0] != node or not self.configured, "its API server starts again, and it has the address"
                        image = document["cluster"][section]["image"]
                        assert image == f"registry.k8s.io/{program}:{NEW}"
                        self.versions[node, program] = NEW
                        self.story.append(f"{node} {program}")


@dataclass
class Machine:
    """As much of talosctl as is needed."""

    world: World
    node: str

    def get(self, kind: str, *, deadline: Deadline) -> list[Resource]:
        if kind == "addresses":
            addresses = ["192.0.2.11/24"] + ([f"{VIP}/32"] if self.world.queue[:1] == [self.node] else [])
            return [Resource(address, {"address": address, "linkName": "eth0"}) for address in addresses]
        if kind == "machineconfig":
            shared = f"---\napiVersion: v1alpha1\nkind: Layer2VIPConfig\nname: {VIP}\nlink: eth0\n" if self.node in self.world.configured else ""
            return [Resource("v1alpha1", {"text": f"version: v1alpha1\n{shared}"})]
        assert kind == "staticpods"
        return [Resource(name, pod(name, self.world.versions.get((self.node, name), OLD), number=1)) for name in PROGRAMS]

    def patch_config(self, text: str, *, deadline: Deadline) -> None:
        self.world.patch(self.node, text)


def cluster(world: World) -> ControlPlane:
    machines = {node: Machine(world, node) for node in ("m1", "m2", "m3")}
    return ControlPlane(machines, SharedAddress(VIP, "eth0"), world.pods)  # type: ignore[arg-type]


ALL = [Component(program, node, OLD) for program in (*PROGRAMS, "kubelet") for node in ("m1", "m2", "m3")]


def test_the_address_moves_before_its_machine_is_touched() -> None:
    world = World(["m2", "m3", "m1"])
    upgrade(cluster(world), ALL, NEW, deadline=Deadline(300))
    servers = ["m1 kube-apiserver", "m3 kube-apiserver", "m2 without", "m2 kube-apiserver", "m2 with"]
    schedulers = ["m1 kube-scheduler", "m2 kube-scheduler", "m3 without", "m3 kube-scheduler", "m3 with"]
    assert world.story == servers + schedulers
    assert world.queue == ["m1", "m2", "m3"], "all have it in their configuration again"


def test_only_what_is_behind_is_touched() -> None:
    """As after an interrupted run, whose machine has lost the address: it gets that back too."""
    world = World(["m1", "m3"], ["m1", "m3"])
    upgrade(cluster(world), [Component("kube-scheduler", "m2", OLD)], NEW, deadline=Deadline(300))
    assert world.story == ["m2 kube-scheduler", "m2 with"]
    assert not control_plane_upgrade.is_needed([Component("kubelet", "m1", OLD)])


def test_an_address_that_is_configured_in_another_way_stays_as_it_is() -> None:
    world = World(["m1"], [])
    upgrade(cluster(world), [Component("kube-scheduler", node, OLD) for node in ("m1", "m2")], NEW, deadline=Deadline(300))
    assert world.story == ["m2 kube-scheduler", "m1 kube-scheduler"]


def test_the_address_may_be_written_in_another_way() -> None:
    assert SharedAddress("2001:DB8::0:10").is_at("2001:db8::10")
    assert not SharedAddress(VIP).is_at("192.0.2.11")
    with pytest.raises(InputError, match=r"vip: 'here' is not an address"):
        SharedAddress("here")


def test_an_address_that_nobody_takes_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_plane_upgrade, "_MOVE_SECONDS", 0.1)
    monkeypatch.setattr(control_plane_upgrade, "_PAUSE_SECONDS", 0.01)
    world = World(["m1"], ["m1"])
    with pytest.raises(DeadlineExceeded, match=r"m1: no other machine has taken the address 192\.0\.2\.10"):
        upgrade(cluster(world), [Component("kube-apiserver", "m1", OLD)], NEW, deadline=Deadline(300))
    assert world.story == ["m1 without", "m1 with"]
