# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The handover, and delivery by Git, with the real Argo CD against a real API server: what is applied is adopted with no difference, and is Git's then."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import argocd_processes
import component_cluster
import pytest
from argocd_processes import ArgoCd, Origin
from component_cluster import Cluster, eventually

from ansible_collections.trinode.platform.plugins.module_utils.argocd import arrival, commits, handover, platform, transfer
from ansible_collections.trinode.platform.plugins.module_utils.argocd.annotate import TRACKING, annotate, application_of
from ansible_collections.trinode.platform.plugins.module_utils.argocd.application import Repository, application
from ansible_collections.trinode.platform.plugins.module_utils.argocd.applications import Applications
from ansible_collections.trinode.platform.plugins.module_utils.component import contents, deliver, installed, tree, yaml_text
from ansible_collections.trinode.platform.plugins.module_utils.component import definition as definitions
from ansible_collections.trinode.platform.plugins.module_utils.component.run_log import RunLog
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.tests.contract import api_server

pytestmark = [pytest.mark.slow, pytest.mark.newest_only]
APPLICATION = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{}"
CONFIG_MAP = "/api/v1/namespaces/{}/configmaps/{}"
SECONDS = 150
PASSWORD = "a password"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if api_server.find_hyper() is None:
        pytest.skip("no kube-apiserver: run `tests/lab/lab build`, or set TRINODE_HYPER")
    if reason := argocd_processes.missing():
        pytest.skip(reason)
    with component_cluster.running(tmp_path_factory.mktemp("api")) as started:
        yield started


@pytest.fixture(scope="module")
def argo_cd(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArgoCd]:
    with argocd_processes.running(tmp_path_factory.mktemp("argocd"), cluster.kubeconfig, cluster.client) as started:
        yield started


@dataclass
class Component:
    """A component of a test: a namespace of its own, one object of each sort that matters."""

    name: str
    cluster: Cluster
    directory: Path
    text: dict[str, str] = field(default_factory=lambda: {"a": "1", "b": "2"})
    without: tuple[str, ...] = ()
    secret: bool = False

    @property
    def objects(self) -> list[dict[str, Any]]:
        pods = {"labels": {"app": self.name}}
        container = {"name": "main", "image": "registry.example.com/stub:1", "ports": [{"containerPort": 80}]}
        found = [
            _item("v1", "Namespace", self.name),
            _item("v1", "ConfigMap", "settings", self.name, data=dict(self.text)),
            _item("v1", "ConfigMap", "more", self.name, data={"x": "y"}),
            _item("v1", "Service", self.name, self.name, spec={"selector": {"app": self.name}, "ports": [{"port": 80}]}),
            _item(
                "apps/v1",
                "Deployment",
                self.name,
                self.name,
                spec={
                    "replicas": 1,
                    "selector": {"matchLabels": {"app": self.name}},
                    "template": {"metadata": pods, "spec": {"containers": [container]}},
                },
            ),
            _item("rbac.authorization.k8s.io/v1", "ClusterRole", f"{self.name}:reader", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]),
            _definition(self.name),
            _item(f"{self.name}.example.com/v1", "Thing", "one", self.name, spec={"size": 1}),
            _item("v1", "ConfigMap", "data", self.name, annotations={"helm.sh/resource-policy": "keep"}, data={"x": "y"}),
            _item("v1", "ServiceAccount", "setup", self.name, annotations={"helm.sh/hook": "pre-install"}),
            _item("batch/v1", "Job", "prepare", self.name, spec={"ttlSecondsAfterFinished": 1, "template": {"spec": {**_ONCE}}}),
        ]
        if self.secret:
            found.append(_item("v1", "Secret", "vaulted", self.name, stringData={"password": "hunter2"}))
        return [item for item in found if f"{item['kind']}/{item['metadata']['name']}" not in self.without]

    def render(self) -> None:
        files = tree.files(annotate(copy.deepcopy(self.objects), application_of(self.name, self.name)))
        tree.write(str(self.directory / self.name), files, base=str(self.directory / self.name), password=PASSWORD)

    def deliver(self) -> None:
        """As component_deliver does."""
        found = definitions.read({"name": self.name, "title": self.name, "namespace": self.name, "resources": [_item("v1", "ConfigMap", "x")]})
        rendered = contents.read(str(self.directory / self.name), password=PASSWORD)
        deliver.present(self.cluster.client, found, rendered, RunLog(""), Deadline(SECONDS), check=False)


_ONCE = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "registry.example.com/stub:1"}]}


def _item(api_version: str, kind: str, name: str, namespace: str = "", annotations: dict[str, str] | None = None, **content: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, **({"namespace": namespace} if namespace else {}), **({"annotations": annotations} if annotations else {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **copy.deepcopy(content)}


def _definition(group: str) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"kind": "Thing", "listKind": "ThingList", "plural": "things", "singular": "thing"}
    spec = {"group": f"{group}.example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    return _item("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"things.{group}.example.com", spec=spec)


@dataclass
class World:
    """What the tests of this file share: a platform of two components, delivered directly first."""

    cluster: Cluster
    argo_cd: ArgoCd
    origin: Origin
    directory: Path
    components: dict[str, Component] = field(default_factory=dict)

    @property
    def repository(self) -> Repository:
        return Repository(self.origin.url, "main")

    def access(self, seconds: float = SECONDS) -> Applications:
        return Applications(self.cluster.client, Deadline(seconds))

    def add(self, name: str, **more: Any) -> Component:
        component = Component(name, self.cluster, self.directory, **more)
        self.components[name] = component
        component.render()
        component.deliver()
        self.publish(component)
        return component

    def application(self, name: str) -> dict[str, Any]:
        return application(application_of(name, name), self.repository)

    def publish(self, component: Component) -> str:
        component.render()
        self.origin.commit({f"apps/{component.name}.yaml": yaml_text.text(self.application(component.name))})
        return self.origin.publish(self.directory / component.name, f"components/{component.name}")

    @property
    def wanted(self) -> handover.Wanted:
        objects = platform.cluster_objects(self.repository, "test", platform.UserRights())
        self.origin.commit({f"clusters/test/{item['kind'].lower()}-{item['metadata']['name']}.yaml": yaml_text.text(item) for item in objects})
        return handover.Wanted([self.application(name) for name in self.components], objects[:-1], objects[-1], str(self.directory))

    def arrive(self, name: str, commit: str = "", seconds: float = SECONDS, **more: Any) -> arrival.Arrived:
        deadline = Deadline(seconds)
        return arrival.present(self.access(seconds), name, commits.containing(commit, str(self.origin.directory), deadline), **more)

    def live(self, name: str) -> dict[str, Any]:
        return self.cluster.get(APPLICATION.format(name))

    def managers(self, path: str) -> dict[str, str]:
        return {entry["manager"]: entry["operation"] for entry in self.cluster.get(path)["metadata"]["managedFields"]}

    def there(self, path: str) -> bool:
        with contextlib.suppress(PlatformError):
            return bool(self.cluster.get(path))
        return False


@pytest.fixture(scope="module")
def world(cluster: Cluster, argo_cd: ArgoCd, tmp_path_factory: pytest.TempPathFactory) -> World:
    directory = tmp_path_factory.mktemp("platform")
    return World(cluster, argo_cd, Origin(directory / "origin.git"), directory / "components")


def test_what_was_applied_is_adopted_with_no_difference(world: World) -> None:
    for name in ("one", "two"):
        world.add(name, secret=name == "one")
    wanted = world.wanted
    predicted = handover.execute(world.access(), wanted, check=True)
    assert predicted.steps == {"one": "hand over", "two": "hand over", "platform": "hand over"}
    assert world.access().all() == {}
    found = handover.execute(world.access(), wanted)
    assert found.steps == predicted.steps
    assert found.objects["one"] > 5
    for name in ("one", "two", "platform"):
        live = world.live(name)
        assert (live["status"]["sync"]["status"], live["status"]["health"]["status"]) == ("Synced", "Healthy"), json.dumps(live["status"])
        # The root Application may meet itself before it has been told that it is there, and then applies itself.
        operation = live["status"].get("operationState") or {}
        touched = [entry["name"] for entry in (operation.get("syncResult") or {}).get("resources") or []]
        assert touched in ([], ["platform"] if name == "platform" else []), json.dumps(operation)
    for name in ("one", "two"):
        assert world.cluster.get(CONFIG_MAP.format("kube-system", installed.parent_name(name)))["data"]["delivery"] == "argo_cd"
        assert world.managers(CONFIG_MAP.format(name, "settings")) == {transfer.ARGO_CD: "Apply"}
    # An encrypted Secret is not Argo CD's business.
    assert world.managers("/api/v1/namespaces/one/secrets/vaulted") == {"trinode": "Apply"}


def test_a_second_handover_writes_nothing(world: World) -> None:
    # Argo CD itself writes into the status now and then.
    before = {name: (item["spec"], item["status"].get("history")) for name, item in world.access().all().items()}
    found = handover.execute(world.access(), world.wanted)
    assert (found.changed, found.written) == (False, [])
    assert {name: (item["spec"], item["status"].get("history")) for name, item in world.access().all().items()} == before


def test_the_root_has_the_newest_commit_when_a_handover_ends(world: World) -> None:
    wanted = world.wanted
    commit = world.origin.commit({"README.md": "a commit that nobody has told Argo CD of\n"})
    knows = commits.containing(commit, str(world.origin.directory), Deadline(SECONDS))
    assert not handover.execute(world.access(), wanted, knows=knows).changed
    assert world.live("platform")["status"]["sync"] | {"comparedTo": None} == {"status": "Synced", "revision": commit, "comparedTo": None}


def test_ids_are_those_that_argo_cd_writes(world: World) -> None:
    """The same objects, without anything of ours, delivered by Argo CD alone: it writes what we would have written."""
    component = Component("plain", world.cluster, world.directory)
    plain = {item["kind"] + item["metadata"]["name"]: item for item in component.objects}
    world.origin.commit({f"components/plain/{number}.yaml": yaml_text.text(item) for number, item in enumerate(plain.values())})
    item = world.application("plain")
    # The root Application would prune it: Git does not have it.
    item["metadata"]["annotations"].pop(TRACKING)
    world.access().apply(item)
    world.arrive("plain")
    expected = {item["kind"] + item["metadata"]["name"]: item for item in annotate(component.objects, application_of("plain", "plain"))}
    for key, path in {
        "Namespaceplain": "/api/v1/namespaces/plain",
        "ConfigMapsettings": CONFIG_MAP.format("plain", "settings"),
        "Deploymentplain": "/apis/apps/v1/namespaces/plain/deployments/plain",
        "ClusterRoleplain:reader": "/apis/rbac.authorization.k8s.io/v1/clusterroles/plain:reader",
        "CustomResourceDefinitionthings.plain.example.com": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.plain.example.com",
        "Thingone": "/apis/plain.example.com/v1/namespaces/plain/things/one",
    }.items():
        live = world.cluster.get(path)["metadata"].get("annotations") or {}
        assert live.get(TRACKING) == (expected[key]["metadata"].get("annotations") or {}).get(TRACKING), key


def test_a_commit_arrives_and_a_field_that_git_drops_goes(world: World) -> None:
    component = world.components["one"]
    component.text = {"a": "3"}
    commit = world.publish(component)
    assert world.arrive("one", commit, check=True).changed
    found = world.arrive("one", commit)
    assert found.changed
    assert world.cluster.get(CONFIG_MAP.format("one", "settings"))["data"] == {"a": "3"}
    history = world.live("one")["status"]["history"]
    assert not world.arrive("one", commit).changed
    assert world.live("one")["status"]["history"] == history


def test_a_later_commit_is_as_good(world: World) -> None:
    earlier = world.publish(world.components["one"])
    world.origin.commit({"README.md": "somebody else's\n"})
    assert not world.arrive("one", earlier).changed


def test_what_git_has_no_more_is_pruned_unless_it_holds_data(world: World) -> None:
    component = world.components["one"]
    component.without = ("ConfigMap/more", "ConfigMap/data")
    world.arrive("one", world.publish(component))
    assert not world.there(CONFIG_MAP.format("one", "more"))
    assert world.there(CONFIG_MAP.format("one", "data"))
    assert world.there("/api/v1/namespaces/one/secrets/vaulted")
    assert world.live("one")["status"]["sync"]["status"] == "Synced"


def test_a_change_by_hand_is_healed(world: World) -> None:
    path = CONFIG_MAP.format("two", "settings")
    world.cluster.apply(path, _item("v1", "ConfigMap", "settings", "two", data={"a": "by hand"}))
    eventually(lambda: world.cluster.get(path)["data"]["a"] == "1", 60)


def test_a_broken_manifest_is_told_in_argo_cd_s_words_and_corrected_by_a_commit(world: World) -> None:
    component = world.components["two"]
    path = "components/two/deployment-two-two.yaml"
    good = (world.directory / "two" / "deployment-two-two.yaml").read_text()
    commit = world.origin.commit({path: good.replace("replicas: 1", "replicas: -1")})
    with pytest.raises(PlatformError) as caught:
        world.arrive("two", commit)
    assert "Deployment" in str(caught.value)
    assert "must be greater than or equal to 0" in str(caught.value)
    assert world.live("one")["status"]["health"]["status"] == "Healthy"
    assert world.arrive("two", world.publish(component)).revision


def test_text_that_is_no_yaml_is_told(world: World) -> None:
    commit = world.origin.commit({"components/two/broken.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x\n"})
    with pytest.raises(PlatformError) as caught:
        world.arrive("two", commit)
    assert "broken.yaml" in str(caught.value)
    world.arrive("two", world.origin.commit({"components/two/broken.yaml": None}))


def test_a_deleted_application_leaves_what_it_delivered_and_comes_back(world: World) -> None:
    uid = world.cluster.get("/apis/one.example.com/v1/namespaces/one/things/one")["metadata"]["uid"]
    world.cluster.client.request("DELETE", APPLICATION.format("one"))
    eventually(lambda: world.there(APPLICATION.format("one")), 60)
    world.arrive("one")
    assert world.cluster.get("/apis/one.example.com/v1/namespaces/one/things/one")["metadata"]["uid"] == uid


def test_a_difference_stops_the_handover_and_is_shown(world: World) -> None:
    component = world.add("three")
    root = world.live("platform")
    # The root Application would switch the automation on, as Git has it.
    world.access().pause("platform", paused=True)
    component.text = {"a": "1", "b": "other"}
    world.origin.commit({"components/three/configmap-three-settings.yaml": (_rendered(component, "ConfigMap", "settings"))})
    component.render()
    with pytest.raises(PlatformError) as caught:
        handover.execute(world.access(), world.wanted)
    assert "-  b: '2'" in str(caught.value)
    assert "+  b: other" in str(caught.value)
    assert [item["object"] for item in caught.value.details["differences"]] == ["ConfigMap three/settings"]
    assert "automated" not in world.live("three")["spec"]["syncPolicy"]
    assert world.cluster.get(CONFIG_MAP.format("three", "settings"))["data"]["b"] == "2"
    assert world.live("platform")["metadata"]["uid"] == root["metadata"]["uid"]
    world.access().pause("platform", paused=False)


def _rendered(component: Component, kind: str, name: str) -> str:
    items = annotate(component.objects, application_of(component.name, component.name))
    return yaml_text.text(next(item for item in items if (item["kind"], item["metadata"]["name"]) == (kind, name)))


def test_a_killed_handover_is_completed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    component = world.components["three"]
    component.deliver()
    world.publish(component)
    original = transfer._one

    def killed(*arguments: Any) -> str:
        if arguments[1].key.kind == "Service":
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(transfer, "_one", killed)
    with pytest.raises(KeyboardInterrupt):
        handover.execute(world.access(), world.wanted)
    monkeypatch.undo()
    found = handover.execute(world.access(), world.wanted)
    assert found.changed
    assert world.managers("/api/v1/namespaces/three/services/three") == {transfer.ARGO_CD: "Apply"}
    assert not handover.execute(world.access(), world.wanted).changed


def test_what_was_delivered_directly_since_becomes_argo_cd_s_again(world: World) -> None:
    component = world.components["three"]
    component.text = {"a": "1", "b": "direct"}
    component.render()
    world.argo_cd.freeze("application-controller")
    component.deliver()
    world.argo_cd.freeze("application-controller", thaw=True)
    world.arrive("three", world.publish(component))
    data = world.cluster.get(CONFIG_MAP.format("kube-system", installed.parent_name("three")))["data"]
    assert data["delivery"] == "argo_cd"
    assert handover.execute(world.access(), world.wanted).objects["three"] > 0
    assert world.managers(CONFIG_MAP.format("three", "settings")) == {transfer.ARGO_CD: "Apply"}


def test_an_application_whose_file_is_gone_goes(world: World) -> None:
    world.origin.commit({"apps/three.yaml": None})
    assert arrival.absent(world.access(), "three").changed
    assert not arrival.absent(world.access(), "three").changed
    assert world.there(CONFIG_MAP.format("three", "settings"))


def test_argo_cd_that_is_down_is_named_with_the_way_around_it(world: World) -> None:
    world.argo_cd.stop("application-controller")
    component = world.components["two"]
    component.text = {"a": "9"}
    with pytest.raises(PlatformError) as caught:
        world.arrive("two", world.publish(component), silence=3)
    assert "Argo CD does not react" in str(caught.value)
    assert "component_delivery=direct" in str(caught.value)
    world.argo_cd.start("application-controller")
    world.arrive("two", world.origin.commit({}))
