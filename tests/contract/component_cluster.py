# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster without machines for the tests of components: API server and controllers are real, and a thread plays all kubelets."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, connect
from ansible_collections.trinode.platform.tests.contract import api_server

_CONTROLLERS = (
    "deployment",
    "replicaset",
    "job",
    "namespace",
    "garbage-collector",
    "serviceaccount",
    "ttl-after-finished",
    "statefulset",
    "persistentvolumeclaim-protection",
)


@dataclass
class Kubelets:
    """Ends pods that run once well, and makes all others ready. Pods with an image in ``failing`` end badly; in ``stuck`` they never start."""

    client: Client
    failing: set[str] = field(default_factory=set)
    stuck: set[str] = field(default_factory=set)
    ran: list[str] = field(default_factory=list)
    """Names of the Jobs and single pods that have run, in their order."""

    def look(self) -> None:
        """Go once through the pods that have no state yet."""
        items, _version = self.client.list("/api/v1/pods", {"fieldSelector": "status.phase=Pending"})
        for pod in items:
            image = pod["spec"]["containers"][0]["image"]
            if image in self.stuck or pod["metadata"].get("deletionTimestamp"):
                continue
            status: dict[str, Any] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            if pod["spec"]["restartPolicy"] == "Never":
                self.ran.append((pod["metadata"].get("ownerReferences") or [pod["metadata"]])[0]["name"])
                ended = {"exitCode": 1 if image in self.failing else 0, "reason": "Error" if image in self.failing else "Completed"}
                state = {"name": "main", "state": {"terminated": ended}, "ready": False, "restartCount": 0, "image": image, "imageID": ""}
                status = {"phase": "Failed" if image in self.failing else "Succeeded", "containerStatuses": [state]}
            path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/status"
            with contextlib.suppress(PlatformError):  # it may be gone
                self.client.request("PATCH", path, {"status": status}, content_type="application/merge-patch+json")


@dataclass
class Cluster:
    kubeconfig: Path
    client: Client
    kubelets: Kubelets

    def get(self, path: str) -> dict[str, Any]:
        return self.client.get(path, deadline=Deadline(300))

    def names(self, path: str) -> list[str]:
        """The names in a collection."""
        return sorted(item["metadata"]["name"] for item in self.client.list(path, deadline=Deadline(300))[0])

    def apply(self, path: str, item: dict[str, Any]) -> None:
        """As a user would with kubectl."""
        self.client.request(
            "PATCH", path, item, content_type="application/apply-patch+yaml", params={"fieldManager": "kubectl", "force": "true"}, deadline=Deadline(300)
        )


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Cluster]:
    hyper = api_server.find_hyper()
    assert hyper is not None
    program = directory / "kube-controller-manager"
    program.symlink_to(hyper)
    with api_server.running(hyper, directory) as kubeconfig, (directory / "controllers.log").open("wb") as log:
        client = connect(str(kubeconfig), deadline=Deadline(3600))
        controllers = ",".join(f"{name}-controller" for name in _CONTROLLERS)
        argv = [
            program,
            f"--kubeconfig={kubeconfig}",
            f"--controllers={controllers}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]
        argv += [f"--service-account-private-key-file={directory / 'kube-apiserver.key'}"]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        stop = threading.Event()
        kubelets = Kubelets(client)
        thread = threading.Thread(target=_play, args=(kubelets, stop))
        thread.start()
        try:
            # The controllers are at work once each namespace has got its account.
            eventually(lambda: process.poll() is None and client.list("/api/v1/namespaces/default/serviceaccounts")[0], 60)
            yield Cluster(kubeconfig, client, kubelets)
        finally:
            stop.set()
            thread.join()
            process.terminate()
            process.wait(timeout=300)
            client.close()


def _play(kubelets: Kubelets, stop: threading.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(PlatformError):
            kubelets.look()
        stop.wait(0.1)


def eventually(condition: Any, seconds: float = 20) -> None:
    """Wait until a condition of the cluster is true that only its controllers bring about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.1)
