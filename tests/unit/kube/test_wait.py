# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits against a small server that drops connections, forgets versions and restarts: nothing is lost, and few watches do."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import DeadlineExceeded, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.kube import wait
from ansible_collections.trinode.platform.plugins.module_utils.kube.api_errors import ApiError
from ansible_collections.trinode.platform.plugins.module_utils.kube.client import Client, connect
from ansible_collections.trinode.platform.plugins.module_utils.kube.discovery import Resource

RESOURCES = {
    ("apps/v1", "Deployment"): Resource("apps/v1", "Deployment", "deployments", True),
    ("apps/v1", "DaemonSet"): Resource("apps/v1", "DaemonSet", "daemonsets", True),
    ("redis.redis.opstreelabs.in/v1beta2", "RedisSentinel"): Resource("redis.redis.opstreelabs.in/v1beta2", "RedisSentinel", "redissentinels", True),
    ("example.org/v1", "Widget"): Resource("example.org/v1", "Widget", "widgets", True),
}
DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments"
PODS = "/api/v1/namespaces/shop/pods"


class Server:
    """Lists and watches. ``faults`` are what the next watches of a path do in the place of what they should."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self.version = 1
        self.items: dict[str, dict[str, Any]] = {}
        self.log: dict[str, list[tuple[int, str, Any]]] = {}
        self.faults: dict[str, list[str]] = {}
        self.list_faults: dict[str, list[int]] = {}
        self.asked: Counter[str] = Counter()
        self.meanwhile: Callable[[], None] = lambda: None
        self.port = 0
        self.start()

    def start(self) -> None:
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def chunk(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                try:
                    server.watch(self, url.path, int(query["resourceVersion"])) if "watch" in query else server.list(self, url.path)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Not among the tests' output."""

        class Threading(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

        self.stopped = threading.Event()
        self.http = Threading(("127.0.0.1", self.port), Handler)
        self.port = self.http.server_port
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.stopped.set()
        with self.lock:
            self.lock.notify_all()
        self.http.shutdown()
        self.http.server_close()

    def put(self, path: str, item: dict[str, Any], event: str = "MODIFIED") -> None:
        with self.lock:
            self.version += 1
            item = {**item, "metadata": {"namespace": "shop", **item["metadata"], "resourceVersion": str(self.version)}}
            name = item["metadata"]["name"]
            if event == "DELETED":
                self.items.get(path, {}).pop(name, None)
            else:
                self.items.setdefault(path, {})[name] = item
            self.log.setdefault(path, []).append((self.version, event, item))
            self.lock.notify_all()

    def list(self, handler: http.server.BaseHTTPRequestHandler, path: str) -> None:
        with self.lock:
            self.asked[f"list {path}"] += 1
            code = self.list_faults[path].pop(0) if self.list_faults.get(path) else 200
            listing: dict[str, Any] = {"metadata": {"resourceVersion": str(self.version)}, "items": list(self.items.get(path, {}).values())}
            kind = next((item["kind"] for item in listing["items"]), "Thing")
            listing |= {"apiVersion": "apps/v1", "kind": f"{kind}List"}
        if code != 200:
            listing = {"kind": "Status", "code": code, "message": "no"}
        body = json.dumps(listing).encode()
        handler.send_response(code)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def watch(self, handler: Any, path: str, version: int) -> None:
        with self.lock:
            self.asked[f"watch {path}"] += 1
            fault = self.faults[path].pop(0) if self.faults.get(path) else ""
            if fault == "forgotten":
                self.meanwhile()
                self.log[path].clear()
        handler.close_connection = True
        if fault == "no answer":
            return
        handler.send_response(410 if fault == "gone" else 200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        old = {"kind": "Status", "code": 410, "message": "too old"}
        if fault in ("gone", "expired", "forgotten"):
            handler.chunk(json.dumps(old if fault == "gone" else {"type": "ERROR", "object": old}).encode() + b"\n")
            handler.chunk(b"")
            return
        while not self.stopped.is_set():
            with self.lock:
                news = [entry for entry in self.log.get(path, ()) if entry[0] > version]
                if not news:
                    self.lock.wait(0.2)
                    continue
            for number, event, item in news:
                line = json.dumps({"type": event, "object": item}).encode() + b"\n"
                if fault == "half a line":
                    handler.chunk(line[: len(line) // 2])
                    return
                handler.chunk(line)
                version = number


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.stop()


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[Client]:
    path = tmp_path / "kubeconfig"
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{server.port}"}}],
        "users": [{"name": "x", "user": {}}],
    }
    path.write_text(json.dumps(config))
    connected = connect(str(path), deadline=Deadline(300))
    yield connected
    connected.close()


def deployment(name: str = "web", available: int = 0) -> dict[str, Any]:
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": available}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}}
    metadata = {"name": name, "namespace": "shop", "generation": 1}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec, "status": status}


def soon(action: Callable[[], Any], seconds: float = 0.5) -> None:
    threading.Timer(seconds, action).start()


def until_ready(client: Client, *objects: dict[str, Any], seconds: float = 20) -> None:
    wait.until_ready(client, objects, RESOURCES, Deadline(seconds), grace=1)


@pytest.mark.parametrize("faults", [["expired"], ["gone"], ["no answer"], ["half a line"], ["expired", "no answer", "half a line", "gone"]])
def test_a_watch_that_breaks_loses_nothing(server: Server, client: Client, faults: list[str]) -> None:
    server.put(DEPLOYMENTS, deployment())
    server.faults[DEPLOYMENTS] = list(faults)
    soon(lambda: server.put(DEPLOYMENTS, deployment(available=1)))
    until_ready(client, deployment())
    assert server.asked[f"watch {DEPLOYMENTS}"] >= 1


def test_a_version_that_was_forgotten_while_it_became_ready(server: Server, client: Client) -> None:
    """The change itself is never sent: only the new list shows it."""
    server.put(DEPLOYMENTS, deployment())
    server.faults[DEPLOYMENTS] = ["forgotten"]
    server.meanwhile = lambda: server.put(DEPLOYMENTS, deployment(available=1))
    until_ready(client, deployment())
    assert server.asked[f"list {DEPLOYMENTS}"] == 2


def test_a_server_that_restarts(server: Server, client: Client) -> None:
    server.put(DEPLOYMENTS, deployment())

    def restart() -> None:
        server.stop()
        server.put(DEPLOYMENTS, deployment(available=1))
        time.sleep(1)  # it is away for a while, as a server is that restarts
        server.start()

    soon(restart)
    until_ready(client, deployment())


def test_a_server_that_is_busy(server: Server, client: Client) -> None:
    server.put(DEPLOYMENTS, deployment(available=1))
    server.list_faults[DEPLOYMENTS] = [503, 429]
    until_ready(client, deployment())
    assert server.asked[f"list {DEPLOYMENTS}"] == 3


def test_a_kind_that_this_server_does_not_know_yet(server: Server, client: Client) -> None:
    server.put(DEPLOYMENTS, deployment(available=1))
    server.list_faults[DEPLOYMENTS] = [404, 404]
    until_ready(client, deployment())


def test_who_may_not_list_is_told_at_once(server: Server, client: Client) -> None:
    server.list_faults[DEPLOYMENTS] = [403]
    with pytest.raises(ApiError) as caught:
        until_ready(client, deployment())
    assert caught.value.code == 403


def test_one_watch_for_a_kind_and_namespace(server: Server, client: Client) -> None:
    many = [deployment(f"web-{number}") for number in range(50)]
    for item in many:
        server.put(DEPLOYMENTS, item)

    def become_ready() -> None:
        for item in many:
            server.put(DEPLOYMENTS, deployment(item["metadata"]["name"], 1))

    soon(become_ready)
    until_ready(client, *many)
    assert server.asked == Counter({f"{verb} {path}": 1 for verb in ("list", "watch") for path in (DEPLOYMENTS, PODS)})


def test_what_is_deleted_meanwhile(server: Server, client: Client) -> None:
    server.put(DEPLOYMENTS, deployment())
    soon(lambda: server.put(DEPLOYMENTS, deployment(), "DELETED"))
    with pytest.raises(PlatformError, match="Deployment shop/web: it will not become ready: it was deleted while it was waited for"):
        until_ready(client, deployment())


def test_a_crash_is_given_up_in_the_pause_before_the_next_try(server: Server, client: Client) -> None:
    server.put(DEPLOYMENTS, deployment())
    ended = {"exitCode": 1, "reason": "Error", "message": "no configuration"}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 40s"}
    status = {"name": "main", "image": "i", "ready": False, "restartCount": 3, "state": {"waiting": waiting}, "lastState": {"terminated": ended}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "labels": {"app": "web"}}, "status": {"containerStatuses": [status]}}
    server.put(PODS, pod)
    started = time.monotonic()
    with pytest.raises(PlatformError, match=r"container web-0/main: crashed 3 times, last with exit code 1 \(Error\): no configuration"):
        until_ready(client, deployment())
    assert time.monotonic() - started < 15


def test_a_refused_pod_is_given_up(server: Server, client: Client) -> None:
    item = deployment()
    item["status"] |= {"replicas": 0, "updatedReplicas": 0}
    item["status"]["conditions"] = [{"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity baseline: hostNetwork"}]
    server.put(DEPLOYMENTS, item)
    with pytest.raises(PlatformError, match="its pods are refused: violates PodSecurity baseline: hostNetwork"):
        until_ready(client, item)


def test_pods_that_are_forbidden_are_given_up(server: Server, client: Client) -> None:
    path, kind = "/apis/apps/v1/namespaces/shop/daemonsets", {"apiVersion": "apps/v1", "kind": "DaemonSet"}
    spec = {"selector": {"matchLabels": {"app": "agent"}}}
    metadata = {"name": "agent", "namespace": "shop", "generation": 1}
    item = {**kind, "metadata": metadata, "spec": spec, "status": {"observedGeneration": 1, "desiredNumberScheduled": 3}}
    server.put(path, item)
    message = 'pods "agent-" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)'
    event = {"kind": "Event", "metadata": {"name": "e"}, "message": message, "involvedObject": {"kind": "DaemonSet", "name": "agent"}}
    server.put("/api/v1/namespaces/shop/events", event)
    with pytest.raises(PlatformError, match=r"DaemonSet shop/agent: it will not become ready: its pods are refused: pods .*violates PodSecurity"):
        until_ready(client, item)


def test_a_kind_that_stands_for_its_stateful_sets(server: Server, client: Client) -> None:
    path, sets = "/apis/redis.redis.opstreelabs.in/v1beta2/namespaces/shop/redissentinels", "/apis/apps/v1/namespaces/shop/statefulsets"
    item = {"apiVersion": "redis.redis.opstreelabs.in/v1beta2", "kind": "RedisSentinel", "metadata": {"name": "r", "namespace": "shop"}}
    server.put(path, item)
    with pytest.raises(DeadlineExceeded, match="RedisSentinel shop/r: its StatefulSet r-sentinel: not there yet"):
        until_ready(client, item, seconds=1)
    status = {"observedGeneration": 1, "readyReplicas": 3, "replicas": 3}
    stateful_set = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "r-sentinel", "generation": 1},
        "spec": {"replicas": 3},
        "status": status,
    }
    soon(lambda: server.put(sets, stateful_set))
    until_ready(client, item)


def test_what_is_ready_by_existing_is_not_even_read(server: Server, client: Client) -> None:
    until_ready(client, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "shop"}})
    until_ready(client, {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "x", "namespace": "shop"}})
    assert server.asked == Counter()
