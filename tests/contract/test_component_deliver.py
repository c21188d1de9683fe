# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""component_render and component_deliver against a real API server with its controllers: install, upgrade, hooks, interrupted runs, uninstall."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import component_cluster
import pytest
from component_charts import build, served
from component_cluster import Cluster, eventually
from test_helm_template import find_helm

from ansible_collections.trinode.platform.plugins.module_utils.errors import InputError, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import component_deliver, component_render
from ansible_collections.trinode.platform.tests.contract import api_server

pytestmark = [pytest.mark.slow, pytest.mark.newest_only]
CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"


@pytest.fixture(scope="module")
def helm() -> str:
    found = find_helm()
    if found is None:
        pytest.skip("no helm: run `tests/lab/lab build`, or set TRINODE_HELM")
    return found


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, helm: str) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("charts")
    build(directory, helm)
    with served(directory) as url:
        yield url


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if api_server.find_hyper() is None:
        pytest.skip("no kube-apiserver: run `tests/lab/lab build`, or set TRINODE_HYPER")
    with component_cluster.running(tmp_path_factory.mktemp("api")) as started:
        yield started


@dataclass
class Component:
    """One component of a test. Its name, and the namespace that it makes, are its own in the shared cluster."""

    cluster: Cluster
    name: str
    directory: Path
    repository: str
    helm: str
    definition: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def namespace(self) -> str:
        return self.name.replace("_", "-")

    @property
    def parent(self) -> dict[str, Any]:
        return self.cluster.get(f"{CONFIG_MAPS.format('kube-system')}/trinode-component-{self.namespace}")

    def define(self, *charts: str, version: str = "1.0.0", values: dict[str, Any] | None = None, **more: Any) -> Component:
        uses = [{"pin": chart, "version": version, "values": values or {}} for chart in charts]
        self.definition = {
            "name": self.name,
            "title": "Probe",
            "namespace": self.namespace,
            "namespaces": [{"name": self.namespace, "labels": {"level": "baseline"}}],
            "charts": uses,
            **more,
        }
        return self

    def render(self, *, check: bool = False, **options: Any) -> Outcome:
        run_directory = self.directory / "run"
        run_directory.mkdir(exist_ok=True)
        pins = {
            name: {"chart": name, "repository": self.repository, "version": "1.0.0"} for name in ("plain", "hooked", "kinds", "migrating", "once", "broken")
        }
        fixed = {
            "definition": self.definition,
            "pins": pins,
            "cache": str(self.directory / "cache"),
            "tree": str(self.directory / "tree"),
            "kubernetes_version": "v1.36.3",
            "helm": self.helm,
            "run_directory": str(run_directory),
        }
        return component_render.run(self._task(component_render, fixed | options, check))

    def deliver(self, *, check: bool = False, state: str = "present", **options: Any) -> Outcome:
        rendered = self.render(check=check, temporary=state == "absent", vault_password=options.get("vault_password", ""))
        fixed = {"definition": self.definition, "path": rendered.values["path"], "state": state, "kubeconfig": str(self.cluster.kubeconfig), "timeout": 300}
        return component_deliver.run(self._task(component_deliver, fixed | options, check))

    def _task(self, module: Any, options: dict[str, Any], check: bool) -> Task:
        defaults = {name: option.get("default") for name, option in module.ARGUMENT_SPEC.items()}
        return Task({**defaults, **options}, check_mode=check, diff_mode=True, warn=self.warnings.append)


@pytest.fixture
def component(cluster: Cluster, repository: str, helm: str, tmp_path: Path, request: pytest.FixtureRequest) -> Component:
    cluster.kubelets.ran.clear()
    cluster.kubelets.failing.clear()
    cluster.kubelets.stuck.clear()
    return Component(cluster, request.node.name.removeprefix("test_")[:40].strip("_"), tmp_path, repository, helm)


def shown(outcome: Outcome) -> dict[str, tuple[str, str]]:
    """The diff by object: what it was and what it is, without what the server and its controllers add."""
    return {entry["before_header"]: (entry["before"], entry["after"]) for entry in outcome.diff or []}


def test_install_again_and_upgrade(component: Component) -> None:
    cluster = component.cluster
    component.define("plain", values={"extra": True}, needs=["cilium"])
    predicted = component.deliver(check=True)
    with pytest.raises(ApiError):
        cluster.get(f"/api/v1/namespaces/{component.namespace}")
    installed = component.deliver()
    assert (predicted.changed, installed.changed) == (True, True)
    assert list(shown(predicted)) == list(shown(installed))
    assert cluster.names(CONFIG_MAPS.format(component.namespace)) == ["plain", "plain-extra"]
    assert component.parent["data"]["needs"] == "cilium"
    assert component.parent["data"]["versions"] == "plain=1.0.0"
    assert component.parent["metadata"]["labels"]["trinode.dev/component"] == component.name

    again = component.deliver()
    assert (again.changed, again.values["objects"]) == (False, {"unchanged": 5})
    assert not component.deliver(check=True).changed

    component.define("plain", version="1.1.0", needs=["cilium"])
    predicted = component.deliver(check=True)
    upgraded = component.deliver()
    key = f"ConfigMap {component.namespace}/plain"
    assert sorted(shown(upgraded)) == [f"{key}", f"{key}-extra", f"ConfigMap kube-system/trinode-component-{component.namespace}"]
    assert shown(predicted) == shown(upgraded)
    assert cluster.names(CONFIG_MAPS.format(component.namespace)) == ["plain"]
    assert not component.deliver().changed


def test_drift_is_corrected(component: Component) -> None:
    component.define("plain").deliver()
    path = f"{CONFIG_MAPS.format(component.namespace)}/plain"
    component.cluster.apply(path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "plain"}, "data": {"setting": "edited"}})
    predicted = component.deliver(check=True)
    assert list(shown(predicted)) == [f"ConfigMap {component.namespace}/plain"]
    assert shown(component.deliver()) == shown(predicted)
    assert component.cluster.get(path)["data"]["setting"] == "one"


def test_hooks_run_at_their_moments_and_only_then(component: Component) -> None:
    ran = component.cluster.kubelets.ran
    space = component.namespace
    component.define("hooked")
    before = [
        f"pre-install: Job {space}/admission-create",
        f"pre-install: ServiceAccount {space}/redis-secret-init",
        f"pre-install: Job {space}/redis-secret-init",
    ]
    predicted = component.deliver(check=True)
    assert ran == []
    installed = component.deliver()
    assert installed.values["hooks"] == [*before, f"post-install: Job {space}/startupapicheck"]
    assert shown(predicted)["hooks to run"] == shown(installed)["hooks to run"]
    assert ran == ["admission-create", "redis-secret-init", "startupapicheck"]
    # By their policies: those that succeeded are gone but for the one that stays until the next time.
    assert component.cluster.names(f"/apis/batch/v1/namespaces/{space}/jobs") == ["redis-secret-init"]
    first = component.cluster.get(f"/apis/batch/v1/namespaces/{space}/jobs/redis-secret-init")["metadata"]["uid"]

    again = component.deliver()
    assert (again.changed, again.values["hooks"], len(ran)) == (False, [], 3)

    component.define("hooked", version="1.1.0")
    upgraded = component.deliver()
    assert ran[3:] == ["admission-create", "redis-secret-init", "migrate-resources"]
    assert upgraded.values["hooks"][-1] == f"post-upgrade: Job {space}/migrate-resources"
    assert component.cluster.get(f"/apis/batch/v1/namespaces/{space}/jobs/redis-secret-init")["metadata"]["uid"] != first
    assert not component.deliver().changed


def test_a_hook_that_fails_fails_the_component(component: Component) -> None:
    cluster = component.cluster
    cluster.kubelets.failing.add("fails:1")
    component.define("broken")
    with pytest.raises(PlatformError, match=r"Job .*/fails: the pre-install hook failed: .*BackoffLimitExceeded"):
        component.deliver()
    assert cluster.names(CONFIG_MAPS.format(component.namespace)) == []
    assert component.name not in str(cluster.client.list(CONFIG_MAPS.format("kube-system"))[0])
    cluster.kubelets.failing.clear()
    assert component.deliver().changed
    assert not component.deliver().changed


def test_a_pod_as_hook_has_to_end(component: Component) -> None:
    cluster = component.cluster
    cluster.kubelets.failing.add("once:1")
    component.define("once")
    with pytest.raises(PlatformError, match=r"Pod .*/once-once: the pre-install hook failed: "):
        component.deliver()
    cluster.kubelets.failing.clear()
    assert component.deliver().changed
    assert cluster.kubelets.ran == ["once-once", "once-once"]


def test_half_an_installation_is_not_taken_for_a_whole_one(component: Component) -> None:
    """The program never starts: the wait ends, and what was applied does not count as installed. The next run goes on, with the hooks of an installation."""
    cluster = component.cluster
    cluster.kubelets.stuck.add("plain:1")
    component.define("hooked")
    with pytest.raises(PlatformError, match=r"Deployment .*/hooked: 0 of 1 replicas available"):
        component.deliver(timeout=8)
    assert "revision" not in (component.parent.get("data") or {})
    cluster.kubelets.stuck.clear()
    finished = component.deliver()
    assert [line.partition(":")[0] for line in finished.values["hooks"]] == ["pre-install"] * 3 + ["post-install"]
    assert component.parent["data"]["revision"]
    assert not component.deliver().changed


@pytest.mark.parametrize("goes", ["on", "back"])
def test_half_an_upgrade_is_noted_until_it_is_finished_or_taken_back(component: Component, goes: str) -> None:
    """The new program never starts. Until the component is the one or the other, the cluster notes that an upgrade has begun."""
    new = {"version": "1.1.0", "values": {"image": "plain:2"}}
    component.define("plain").deliver()
    before = component.parent["data"]
    component.cluster.kubelets.stuck.add("plain:2")
    component.define("plain", **new)
    assert component.deliver(check=True).changed
    assert component.parent["data"] == before
    with pytest.raises(PlatformError, match=r"Deployment .*/plain: "):
        component.deliver(timeout=8)
    begun = component.parent["data"].get("begun")
    assert component.parent["data"] == {**before, "begun": begun}
    component.cluster.kubelets.stuck.clear()
    if goes == "back":
        component.define("plain")
    assert component.deliver(check=True).changed
    assert component.deliver().changed
    after = component.parent["data"]
    assert after["revision"] == (before["revision"] if goes == "back" else begun)
    assert "begun" not in after
    assert not component.deliver().changed


DELIVER = """
import json, sys
from ansible_collections.trinode.platform.plugins.module_utils.task import Task
from ansible_collections.trinode.platform.plugins.modules import component_deliver
options = json.loads(sys.argv[1])
print("begin", flush=True)
component_deliver.run(Task(options, check_mode=False, diff_mode=False, warn=print))
"""


def deliver_and_kill(component: Component, milliseconds: int, state: str = "present") -> None:
    """Deliver in a process of its own, and kill it so long after its beginning."""
    path = component.render(temporary=state == "absent").values["path"]
    defaults = {name: option.get("default") for name, option in component_deliver.ARGUMENT_SPEC.items()}
    options = {"definition": component.definition, "path": path, "state": state, "kubeconfig": str(component.cluster.kubeconfig)}
    argv = [sys.executable, "-c", DELIVER, json.dumps({**defaults, **options})]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begin\n"
        time.sleep(milliseconds / 1000)
        process.kill()


def test_killed_at_any_moment_it_is_completed_by_the_next_run(component: Component) -> None:
    """SIGKILL at moments all over an installation, an upgrade and an uninstallation; the next run leaves what one without kills leaves."""
    cluster, space = component.cluster, component.namespace
    for version in ("1.0.0", "1.1.0"):
        component.define("hooked", "kinds", "migrating", version=version, generated_secrets=[{"name": "admin", "generate": {"password": 12}}])
        for milliseconds in (300, 600, 1000, 1600, 2400):
            deliver_and_kill(component, milliseconds)
        component.deliver()
        assert not component.deliver().changed
        assert not component.deliver(check=True).changed
        assert component.parent["data"]["versions"] == f"hooked={version} kinds={version} migrating={version}"
        assert cluster.get(f"{CONFIG_MAPS.format(space)}/hooked")["data"]["version"] == version
        assert cluster.names(f"/apis/batch/v1/namespaces/{space}/jobs") == ["migrating-migrate", "redis-secret-init"]
    for milliseconds in (400, 800, 1500):
        deliver_and_kill(component, milliseconds, "absent")
    component.deliver(state="absent")
    assert space not in cluster.names("/api/v1/namespaces")
    assert f"trinode-component-{space}" not in cluster.names(CONFIG_MAPS.format("kube-system"))


def test_a_plain_job_that_changed_is_replaced(component: Component) -> None:
    component.define("migrating").deliver()
    path = f"/apis/batch/v1/namespaces/{component.namespace}/jobs/migrating-migrate"
    first = component.cluster.get(path)
    component.define("migrating", version="1.1.0")
    predicted = component.deliver(check=True)
    key = f"Job {component.namespace}/migrating-migrate"
    assert "image: migrate:1.1.0" in shown(predicted)[key][1]
    upgraded = component.deliver()
    assert list(shown(upgraded)) == list(shown(predicted))
    second = component.cluster.get(path)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert second["spec"]["template"]["spec"]["containers"][0]["image"] == "migrate:1.1.0"
    assert not component.deliver().changed


def test_generated_secrets_are_made_once(component: Component) -> None:
    secret = {"name": "admin", "values": {"admin-user": "admin"}, "generate": {"admin-password": 32}}
    component.define("plain", generated_secrets=[secret])
    predicted = component.deliver(check=True)
    first = component.deliver()
    path = f"/api/v1/namespaces/{component.namespace}/secrets/admin"
    data = component.cluster.get(path)["data"]
    password = base64.b64decode(data["admin-password"]).decode()
    assert (base64.b64decode(data["admin-user"]), len(password)) == (b"admin", 32)
    assert password not in str(first) + str(predicted)
    assert list(shown(first)) == list(shown(predicted))
    assert not component.deliver().changed
    secret["generate"]["further-key"] = 12  # type: ignore[index]
    assert list(shown(component.deliver())) == [f"Secret {component.namespace}/admin"]
    now = component.cluster.get(path)["data"]
    assert now["admin-password"] == data["admin-password"]
    assert len(base64.b64decode(now["further-key"])) == 12
    assert not component.deliver().changed


def test_encrypted_secrets_arrive_in_clear(component: Component) -> None:
    component.define("plain", values={"password": "correct horse"})
    outcome = component.deliver(vault_password="hunter2hunter2")
    data = component.cluster.get(f"/api/v1/namespaces/{component.namespace}/secrets/plain")["data"]
    assert base64.b64decode(data["password"]) == b"correct horse"
    assert "correct horse" not in str(outcome)
    options = {"definition": component.definition, "path": str(component.directory / "tree" / component.name), "kubeconfig": "/nonexistent"}
    with pytest.raises(InputError, match="the file is encrypted, and the run has no vault password"):
        component_deliver.run(component._task(component_deliver, options, False))
    assert not component.deliver(vault_password="hunter2hunter2").changed


def test_a_namespace_of_another_component_is_refused(component: Component) -> None:
    component.define("plain").deliver()
    owner, component.name = component.name, "intruder"
    component.define("hooked", namespace=owner.replace("_", "-"), namespaces=[{"name": owner.replace("_", "-")}])
    with pytest.raises(RefusedError, match=f"Namespace .*: the namespace belongs to component {owner}"):
        component.deliver()


def test_no_cluster_yet(component: Component) -> None:
    component.define("hooked")
    outcome = component.deliver(check=True, kubeconfig="/nonexistent/kubeconfig")
    assert outcome.changed
    assert outcome.values["objects"] == {"created": 4}
    assert len(outcome.values["hooks"]) == 4
    with pytest.raises(InputError, match="the kubeconfig does not exist"):
        component.deliver(kubeconfig="/nonexistent/kubeconfig")


def test_uninstall(component: Component) -> None:
    cluster, space = component.cluster, component.namespace
    component.define("hooked", "kinds", generated_secrets=[{"name": "admin", "generate": {"password": 12}}])
    component.deliver()
    cluster.kubelets.ran.clear()
    predicted = component.deliver(state="absent", check=True)
    assert cluster.kubelets.ran == []
    removed = component.deliver(state="absent")
    assert sorted(shown(predicted)) == sorted(shown(removed))
    assert removed.values["hooks"] == [f"pre-delete: Job {space}/scale-to-zero", f"post-delete: Job {space}/last"]
    assert cluster.kubelets.ran == ["scale-to-zero", "last"]
    assert space not in cluster.names("/api/v1/namespaces")
    assert "gadgets.example.org" not in cluster.names("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    assert f"trinode-component-{space}" not in cluster.names(CONFIG_MAPS.format("kube-system"))
    assert component.warnings == []
    assert not component.deliver(state="absent").changed
    assert not component.deliver(state="absent", check=True).changed


def test_uninstall_leaves_what_others_use(component: Component) -> None:
    cluster, space = component.cluster, component.namespace
    component.define("plain", "kinds").deliver()
    cluster.apply(f"{CONFIG_MAPS.format(space)}/mine", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}})
    mine = {"apiVersion": "example.org/v1", "kind": "Gadget", "metadata": {"name": "mine"}}
    cluster.apply("/apis/example.org/v1/namespaces/default/gadgets/mine", mine)
    removed = component.deliver(state="absent")
    assert removed.values["objects"]["kept"] == 2
    assert f"Namespace {space} stays, since others' objects are in it: ConfigMap {space}/mine" in component.warnings
    assert "CustomResourceDefinition gadgets.example.org stays, since there are 1 such objects: Gadget default/mine" in component.warnings
    assert cluster.names(CONFIG_MAPS.format(space)) == ["mine"]
    assert not component.deliver(state="absent").changed
    cluster.client.request("DELETE", f"{CONFIG_MAPS.format(space)}/mine")
    cluster.client.request("DELETE", "/apis/example.org/v1/namespaces/default/gadgets/mine")
    assert component.deliver(state="absent").changed
    assert space not in cluster.names("/api/v1/namespaces")
    # And it can be installed again.
    assert component.deliver().changed
    assert not component.deliver().changed
    component.deliver(state="absent")


def test_uninstall_is_refused_while_others_need_it(component: Component) -> None:
    component.define("plain").deliver()
    first = component.name
    component.name = "needing"
    component.define("plain", needs=[first]).deliver()
    component.name = first
    component.define("plain")
    for check in (False, True):
        with pytest.raises(RefusedError, match=f"component {first}: it is not uninstalled, since needing needs it. Uninstall needing first"):
            component.deliver(state="absent", check=check)
    assert not component.deliver().changed


def test_uninstall_is_refused_while_it_holds_data(component: Component) -> None:
    cluster, space = component.cluster, component.namespace
    component.define("plain").deliver()
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "disk"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    cluster.apply(f"/api/v1/namespaces/{space}/persistentvolumeclaims/disk", claim)
    with pytest.raises(RefusedError, match=rf"it holds data: PersistentVolumeClaim {space}/disk\. To delete that data for good: -e component_destroy_data="):
        component.deliver(state="absent")
    with pytest.raises(RefusedError, match="it holds data"):
        component.deliver(state="absent", destroy_data="another")
    assert not component.deliver().changed
    component.deliver(state="absent", destroy_data=component.name)
    eventually(lambda: space not in cluster.names("/api/v1/namespaces"))
    component.define("plain", data=True).deliver()
    with pytest.raises(RefusedError, match="it holds data"):
        component.deliver(state="absent")
    assert component.deliver(state="absent", destroy_data=component.name).changed


def test_an_uninstall_that_was_interrupted_is_completed(component: Component) -> None:
    """A custom resource is held by a finalizer: the wait ends, the component does not count as installed any more, and the next run completes it."""
    cluster, space = component.cluster, component.namespace
    component.define("hooked", "kinds").deliver()
    gadget = f"/apis/example.org/v1/namespaces/{space}/gadgets/kinds"
    cluster.client.request("PATCH", gadget, {"metadata": {"finalizers": ["example.org/hold"]}}, content_type="application/merge-patch+json")
    with pytest.raises(PlatformError, match=r"Gadget .*/kinds \(held by the finalizers example\.org/hold\)"):
        component.deliver(state="absent", timeout=300)
    assert "revision" not in component.parent["data"]
    cluster.client.request("PATCH", gadget, {"metadata": {"finalizers": None}}, content_type="application/merge-patch+json")
    assert component.deliver(state="absent").changed
    assert space not in cluster.names("/api/v1/namespaces")
    assert not component.deliver(state="absent").changed
