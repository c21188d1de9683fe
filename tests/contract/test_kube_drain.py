# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kube_drain against a real kube-apiserver with its Eviction API. A thread of ours is the kubelet; the tests write the budgets' statuses."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, InputError, PlatformError, RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client
from ansible_collections.trinode.platform.plugins.module_utils.kube import drain as drain_utils
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import kube_drain

pytestmark = pytest.mark.newest_only

MERGE = "application/merge-patch+json"
CONTAINER = {"name": "main", "image": "registry.example/main:1"}


class Site:
    """A node and a namespace of the test's own. ``kubelet`` takes away pods that are to go, as long as it runs."""

    def __init__(self, client: kube_client.Client, name: str) -> None:
        self.client = client
        self.node = self.namespace = name
        client.request("POST", "/api/v1/nodes", {"metadata": {"name": name}})
        client.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        client.request("POST", self.path("serviceaccounts"), {"metadata": {"name": "default"}})
        self.kubelet = threading.Event()
        self.kubelet.set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def path(self, plural: str, name: str = "") -> str:
        return f"/api/v1/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.1):
            if not self.kubelet.is_set():
                continue
            for pod in self.pods():
                if pod["metadata"].get("deletionTimestamp"):
                    try:
                        self.client.request("DELETE", self.path("pods", pod["metadata"]["name"]), {"gracePeriodSeconds": 0})
                    except ApiError as error:
                        if not error.not_found:
                            raise

    def pods(self) -> list[dict[str, Any]]:
        return self.client.list(self.path("pods"))[0]

    def names(self) -> list[str]:
        return sorted(pod["metadata"]["name"] for pod in self.pods())

    def pod(self, name: str, *, owner: str = "ReplicaSet", volumes: list[dict[str, Any]] | None = None, ready: bool = True) -> None:
        metadata: dict[str, Any] = {"name": name, "labels": {"app": "web"}}
        if owner:
            metadata["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": owner, "name": "owner", "uid": "0-0-0-0", "controller": True}]
        spec = {"nodeName": self.node, "containers": [CONTAINER], "terminationGracePeriodSeconds": 30, "volumes": volumes or []}
        self.client.request("POST", self.path("pods"), {"metadata": metadata, "spec": spec})
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
        self.client.request("PATCH", self.path("pods", f"{name}/status"), {"status": status}, content_type=MERGE)

    def budget(self, name: str, *, allowed: int, **spec: Any) -> None:
        path = f"/apis/policy/v1/namespaces/{self.namespace}/poddisruptionbudgets"
        self.client.request("POST", path, {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec}})
        self.allow(name, allowed)

    def allow(self, name: str, allowed: int) -> None:
        path = f"/apis/policy/v1/namespaces/{self.namespace}/poddisruptionbudgets/{name}/status"
        status = {"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 2, "desiredHealthy": 2 - allowed, "expectedPods": 2}
        self.client.request("PATCH", path, {"status": status}, content_type=MERGE)

    @property
    def cordoned(self) -> bool:
        return bool(self.client.get(f"/api/v1/nodes/{self.node}")["spec"].get("unschedulable"))


@pytest.fixture
def site(kubeconfig: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    client = kube_client.connect(str(kubeconfig), deadline=Deadline(120))
    made = Site(client, re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:50].strip("-"))
    yield made
    made.stop()
    client.close()


def drain(kubeconfig: Path, site: Site, *, check: bool = False, **params: Any) -> Outcome:
    defaults = {name: option.get("default") for name, option in kube_drain.ARGUMENT_SPEC.items()}
    filled = {**defaults, "kubeconfig": str(kubeconfig), "timeout": 300, "node": site.node, **params}
    return kube_drain.run(Task(filled, check_mode=check, diff_mode=True, warn=print))


def test_drained_and_again(kubeconfig: Path, site: Site) -> None:
    site.pod("web-0")
    site.pod("agent", owner="DaemonSet")
    outcome = drain(kubeconfig, site)
    assert outcome.changed
    assert outcome.values["evicted"] == [f"{site.namespace}/web-0"]
    assert outcome.values["left"] == {f"{site.namespace}/agent": "it belongs to the DaemonSet owner"}
    assert site.names() == ["agent"]
    assert site.cordoned
    again = drain(kubeconfig, site)
    assert not again.changed
    assert again.diff is None


def test_cordoned_and_uncordoned(kubeconfig: Path, site: Site) -> None:
    for state, cordoned in (("cordoned", True), ("uncordoned", False)):
        assert drain(kubeconfig, site, state=state, check=True).changed
        assert site.cordoned is not cordoned
        outcome = drain(kubeconfig, site, state=state)
        assert outcome.changed
        assert outcome.diff["after"] == f"cordoned: {str(cordoned).lower()}\n"  # type: ignore[index,call-overload]
        assert site.cordoned is cordoned
        assert not drain(kubeconfig, site, state=state).changed


def test_the_mark_says_who_cordoned(kubeconfig: Path, site: Site) -> None:
    def mark() -> str:
        return drain_utils.mark_of(site.client.get(f"/api/v1/nodes/{site.node}"))

    assert drain(kubeconfig, site, reason="upgrade_talos v1.13.9").changed
    assert (site.cordoned, mark()) == (True, "upgrade_talos v1.13.9")
    assert not drain(kubeconfig, site, reason="something else").changed
    assert mark() == "upgrade_talos v1.13.9"
    assert drain(kubeconfig, site, state="uncordoned", reason="upgrade_talos v1.13.9").changed
    assert (site.cordoned, mark()) == (False, "")
    # Somebody else's cordon bears no mark, gets none, and stays.
    assert drain(kubeconfig, site, state="cordoned").changed
    assert not drain(kubeconfig, site, reason="upgrade_talos v1.13.9").changed
    left = drain(kubeconfig, site, state="uncordoned", reason="upgrade_talos v1.13.9")
    assert (left.changed, site.cordoned, mark()) == (False, True, "")
    assert "somebody else" in left.message
    # A mark whose cordon was taken back by hand goes with the next call.
    assert drain(kubeconfig, site, state="uncordoned").changed
    drain(kubeconfig, site, state="cordoned", reason="x")
    site.client.request("PATCH", f"/api/v1/nodes/{site.node}", {"spec": {"unschedulable": None}}, content_type=MERGE)
    assert drain(kubeconfig, site, state="uncordoned", reason="x").changed
    assert mark() == ""


def test_nothing_is_touched_where_something_would_be_lost(kubeconfig: Path, site: Site) -> None:
    site.pod("web-0")
    site.pod("shell", owner="")
    site.pod("cache", volumes=[{"name": "data", "emptyDir": {}}])
    with pytest.raises(RefusedError, match=r"/cache would lose its emptyDir data; .*/shell has no controller.*Nothing was touched"):
        drain(kubeconfig, site)
    assert not site.cordoned
    assert site.names() == ["cache", "shell", "web-0"]
    drain(kubeconfig, site, delete_empty_dir_data=True, delete_unmanaged=True)
    assert site.names() == []


def test_a_budget_is_respected_and_waited_for(kubeconfig: Path, site: Site) -> None:
    site.pod("web-0")
    site.budget("web", allowed=0, minAvailable=1)
    threading.Timer(1.0, lambda: site.allow("web", 1)).start()
    started = time.monotonic()
    assert drain(kubeconfig, site).values["evicted"] == [f"{site.namespace}/web-0"]
    assert time.monotonic() - started >= 1.0


def test_a_budget_that_never_lets_go(kubeconfig: Path, site: Site) -> None:
    site.pod("web-0")
    site.pod("web-1")
    site.budget("web", allowed=0, minAvailable=2)
    with pytest.raises(DeadlineExceeded) as caught:
        drain(kubeconfig, site, timeout=3)
    text = str(caught.value)
    assert "2 pods are still there after 3 s" in text
    assert "The disruption budget web needs 2 healthy pods and has 2 currently" in text
    assert "minAvailable: 2 with 2 pods lets none of them go, ever. Set maxUnavailable: 1" in text
    assert "stays cordoned" in text
    assert caught.value.details["remaining"] == [f"{site.namespace}/web-0", f"{site.namespace}/web-1"]
    assert site.names() == ["web-0", "web-1"]


def test_two_budgets_of_one_pod(kubeconfig: Path, site: Site) -> None:
    site.pod("web-0")
    for name in ("a", "b"):
        site.budget(name, allowed=1, maxUnavailable=1)
    with pytest.raises(PlatformError, match=r"more than one PodDisruptionBudget.*they cover the same pods"):
        drain(kubeconfig, site)


def test_pods_that_do_not_end_are_told(kubeconfig: Path, site: Site) -> None:
    site.kubelet.clear()
    site.pod("web-0")
    with pytest.raises(DeadlineExceeded, match=r"1 pods are still there after 2 s: .*/web-0: it is being deleted"):
        drain(kubeconfig, site, timeout=2, grace_period=1)
    [pod] = site.pods()
    assert pod["metadata"]["deletionGracePeriodSeconds"] == 1


def test_check_mode_predicts(kubeconfig: Path, site: Site) -> None:
    site.pod("web-0")
    predicted = drain(kubeconfig, site, check=True)
    assert predicted.changed
    assert predicted.values["evicted"] == [f"{site.namespace}/web-0"]
    assert not site.cordoned
    assert site.names() == ["web-0"]
    done = drain(kubeconfig, site)
    assert done.diff == predicted.diff
    assert done.message == predicted.message


def test_a_simulation_of_every_node(kubeconfig: Path, site: Site) -> None:
    site.pod("web-0")
    site.pod("shell", owner="")
    site.budget("web", allowed=0, minAvailable=2)
    outcome = drain(kubeconfig, site, simulate=True, node=None)
    assert not outcome.changed
    [blocker] = [item for item in outcome.values["blockers"] if item["node"] == site.node]
    assert blocker["budget"] == f"{site.namespace}/web"
    assert blocker["verdict"] == "never"
    assert blocker["pods"] == [f"{site.namespace}/shell", f"{site.namespace}/web-0"]
    assert f"{site.namespace}/shell" in outcome.values["refused"]
    assert not site.cordoned


def test_a_node_that_is_not_there(kubeconfig: Path, site: Site) -> None:
    with pytest.raises(InputError, match=f"node none: there is no such node. The cluster has .*{site.node}"):
        drain(kubeconfig, site, node="none")
