# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""argocd_admin against the real argocd-server, reached through a real kube-apiserver as in a cluster.

There is no kubelet: a thread starts the server again when its Pod is deleted. An API server passes requests on to no loopback address, so what comes to
another one, which lives on the loopback device for the time of the tests, is led to the server; that takes root.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import argocd_processes
import pytest
from argocd_processes import NAMESPACE, ArgoCd

from ansible_collections.trinode.platform.plugins.module_utils.argocd import admin
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.kube import apply, service_proxy
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client
from ansible_collections.trinode.platform.plugins.module_utils.kube.request import Request
from ansible_collections.trinode.platform.plugins.module_utils.task import Outcome, Task
from ansible_collections.trinode.platform.plugins.modules import argocd_admin

_MISSING = argocd_processes.missing() or ("" if os.geteuid() == 0 else "an address for the server takes root")
pytestmark = [pytest.mark.slow, pytest.mark.newest_only, pytest.mark.skipif(bool(_MISSING), reason=_MISSING or "all is there")]

ADDRESS = "198.51.100.77"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
OURS = "platform-password-of-32-letters1"


class WithServer(ArgoCd):
    """Argo CD with its server, of which the others that run besides need only Redis."""

    def _command(self, name: str) -> tuple[list[str], dict[str, str]]:
        if name != "server":
            return super()._command(name)
        options = [
            *("--kubeconfig", str(self.kubeconfig), "--namespace", NAMESPACE, "--insecure", "--redis", f"127.0.0.1:{self._port('redis')}"),
            *("--repo-server", f"127.0.0.1:{self._port('repo-server')}", "--repo-server-plaintext"),
            *(
                "--address",
                "127.0.0.1",
                "--port",
                str(self._port("server")),
                "--metrics-address",
                "127.0.0.1",
                "--metrics-port",
                str(self._port("server-metrics")),
            ),
        ]
        return [str(self.program), *options, "--loglevel", "info"], {"ARGOCD_BINARY_NAME": "argocd-server"}


class Way(socketserver.ThreadingTCPServer):
    """From the address that the API server may speak to, to the server's own."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as behind:
                    back = threading.Thread(target=copy, args=(behind, self.request), daemon=True)
                    back.start()
                    copy(self.request, behind)
                    back.join()

        super().__init__((ADDRESS, 8080), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@dataclass
class Kubelet:
    """Keeps the server's Pod: when it is deleted, the server ends, starts anew, and has a new Pod."""

    argo_cd: WithServer
    client: kube_client.Client
    restarts: int = 0

    def run(self) -> None:
        _items, version = self.client.list(PODS)
        while True:
            with contextlib.suppress(Exception):
                for event, _pod in self.client.watch(PODS, version, Deadline(3600)):
                    if event == "DELETED":
                        self.restarts += 1
                        self.argo_cd.stop("server")
                        self.start()
            if "redis" not in self.argo_cd.processes:
                return
            _items, version = self.client.list(PODS)

    def start(self) -> None:
        self.argo_cd.start("server")
        name = f"argocd-server-{self.restarts}"
        metadata = {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/name": "argocd-server"}}
        spec = {"containers": [{"name": "server", "image": "argocd"}], "automountServiceAccountToken": False}
        self.client.request("POST", PODS, {"metadata": metadata, "spec": spec})
        status = {"status": {"phase": "Running", "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]}}
        self.client.request("PATCH", f"{PODS}/{name}/status", status, content_type="application/merge-patch+json")
        address = {"ip": ADDRESS, "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": name}}
        subsets = [{"addresses": [address], "ports": [{"name": "http", "port": 8080}]}]
        endpoints = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "argocd-server", "namespace": NAMESPACE}, "subsets": subsets}
        apply.apply(self.client, [endpoints], Request(force=True, wait=False), Deadline(300))


@pytest.fixture(scope="module")
def kubelet(kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubelet]:
    directory = tmp_path_factory.mktemp("argocd")
    (directory / "home").mkdir()
    client = kube_client.connect(str(kubeconfig), deadline=Deadline(3600))
    program = argocd_processes.find_program()
    assert program is not None
    argo_cd = WithServer(program, directory, kubeconfig, client)
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    objects: list[Any] = [
        *argocd_processes.definitions(),
        *argocd_processes._settings(),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "argocd-server", "namespace": NAMESPACE}, "spec": {"ports": ports}},
    ]
    apply.apply(client, objects, Request(force=True, wait=False), Deadline(120))
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
    way = Way(argo_cd._port("server"))
    try:
        argo_cd.start("redis")
        started = Kubelet(argo_cd, client)
        started.start()
        threading.Thread(target=started.run, daemon=True).start()
        yield started
    finally:
        way.shutdown()
        way.server_close()
        for name in ("server", "redis"):
            if name in argo_cd.processes:
                argo_cd.stop(name)
        subprocess.run(["ip", "address", "del", f"{ADDRESS}/32", "dev", "lo"], check=True)


@pytest.fixture
def fresh(kubelet: Kubelet, client: kube_client.Client) -> Kubelet:
    """Argo CD as it is after an installation: it has made its first password. The platform has made its own."""
    put_secret(client, "argocd-admin", OURS)
    if not exists(client, admin.INITIAL) or not signs_in(client, read(client, admin.INITIAL)):
        admin._Admin(client, admin.Place(NAMESPACE, "argocd-admin", "password"), Deadline(120))._reset("x")
    return kubelet


def give(kubeconfig: Path, *, check: bool = False, timeout: int = 300) -> Outcome:
    params = {name: option.get("default") for name, option in argocd_admin.ARGUMENT_SPEC.items()}
    params |= {"kubeconfig": str(kubeconfig), "secret": "argocd-admin", "timeout": timeout}
    return argocd_admin.run(Task(params, check_mode=check, diff_mode=False, warn=print))


def put_secret(client: kube_client.Client, name: str, password: str) -> None:
    item = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}}
    apply.apply(client, [{**item, "data": {"password": base64.b64encode(password.encode()).decode()}}], Request(force=True, wait=False), Deadline(300))


def read(client: kube_client.Client, name: str) -> str:
    return base64.b64decode(client.get(f"{SECRETS}/{name}")["data"]["password"]).decode()


def exists(client: kube_client.Client, name: str) -> bool:
    items, _version = client.list(SECRETS)
    return name in {item["metadata"]["name"] for item in items}


def signs_in(client: kube_client.Client, password: str) -> bool:
    body = json.dumps({"username": "admin", "password": password}).encode()
    headers = {"Content-Type": "application/json"}
    request = service_proxy.Request(NAMESPACE, "argocd-server", "80", "/api/v1/session", method="POST", body=body, headers=headers)
    status, _body = service_proxy.exchange(client, request, Deadline(300))
    return status == 200


def test_the_first_password_is_replaced_and_its_secret_is_gone(kubeconfig: Path, client: kube_client.Client, fresh: Kubelet) -> None:
    first, restarts = read(client, admin.INITIAL), fresh.restarts
    predicted = give(kubeconfig, check=True)
    assert (predicted.changed, predicted.values) == (True, {"steps": ["set", "forget"]})
    assert exists(client, admin.INITIAL)
    done = give(kubeconfig)
    assert (done.changed, done.values) == (True, {"steps": ["set", "forget"]})
    assert not exists(client, admin.INITIAL)
    assert signs_in(client, OURS)
    assert not signs_in(client, first)
    assert fresh.restarts == restarts
    # Again, and there is nothing to do.
    for check in (True, False):
        again = give(kubeconfig, check=check)
        assert (again.changed, again.values) == (False, {"steps": []})


def test_a_run_that_was_killed_after_setting_it_is_completed(kubeconfig: Path, client: kube_client.Client, fresh: Kubelet) -> None:
    first = read(client, admin.INITIAL)
    give(kubeconfig)
    put_secret(client, admin.INITIAL, first)
    assert give(kubeconfig).values == {"steps": ["forget"]}
    assert not exists(client, admin.INITIAL)
    assert signs_in(client, OURS)


def test_a_password_that_was_made_anew_takes_the_place_of_the_old_one(kubeconfig: Path, client: kube_client.Client, fresh: Kubelet) -> None:
    give(kubeconfig)
    restarts = fresh.restarts
    put_secret(client, "argocd-admin", "another-password-1")
    assert give(kubeconfig).values == {"steps": ["reset", "set", "forget"]}
    assert fresh.restarts == restarts + 1
    assert not exists(client, admin.INITIAL)
    assert signs_in(client, "another-password-1")
    assert give(kubeconfig).values == {"steps": []}


def test_a_server_that_is_not_there_yet_is_waited_for(kubeconfig: Path, client: kube_client.Client, fresh: Kubelet) -> None:
    endpoints = f"/api/v1/namespaces/{NAMESPACE}/endpoints/argocd-server"
    subsets = client.get(endpoints)["subsets"]

    def put(value: Any) -> None:
        client.request("PATCH", endpoints, {"subsets": value}, content_type="application/merge-patch+json")

    put(None)
    timer = threading.Timer(4, lambda: put(subsets))
    timer.start()
    try:
        assert give(kubeconfig).values == {"steps": ["set", "forget"]}
    finally:
        timer.join()


def test_a_password_that_argo_cd_does_not_take_is_refused_before_anything_is_done(kubeconfig: Path, client: kube_client.Client, fresh: Kubelet) -> None:
    put_secret(client, "argocd-admin", "x" * 33)
    with pytest.raises(RefusedError, match="33 characters; Argo CD takes 8 to 32"):
        give(kubeconfig)
    assert exists(client, admin.INITIAL)
