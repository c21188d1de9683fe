"""The measuring itself, with a program in place of talosctl that answers like the throw-away etcd."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.talos import etcd_probe
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import Unreachable
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_output import Resource, ServiceState
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_latency import Limits, Probe

# Each page has more syncs than the one before: SYNCS of them, all in one bucket; for the n-th page the n-th one, at last the last.
ETCD = """
import http.server, sys
port, syncs, buckets = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(",")
counts = dict.fromkeys(["0.001", "0.016", "0.512", "+Inf"], 0)
pages = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global pages
        counts[buckets[min(pages, len(buckets) - 1)]] += syncs
        pages += 1
        body, found = "", 0
        for bound, count in counts.items():
            found += count
            body += 'etcd_disk_wal_fsync_duration_seconds_bucket{le="%s"} %d\\n' % (bound, found)
        self.send_response(200)
        self.end_headers()
        self.wfile.write((body + "etcd_disk_wal_fsync_duration_seconds_sum 1\\n").encode())
    def log_message(self, *arguments):
        print("x" * 10000, flush=True)
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
FAILS = "import sys; sys.stderr.write(sys.argv[1]); sys.exit(1)"


class Client(Talosctl):
    """A machine at 127.0.0.1."""

    def __init__(self, *program: str, image: str = "registry.k8s.io/etcd:v3.6.12", silent: int = 0) -> None:
        super().__init__("127.0.0.1")
        self.command, self.image, self.silent = program, image, silent

    def argv(self, *arguments: str) -> list[str]:
        assert arguments[:4] == ("debug", self.image, "--namespace", "system")
        return [sys.executable, "-c", *self.command]

    def get(self, kind: str, identity: str = "", *, deadline: Deadline, seconds: float = 10) -> list[Resource]:
        self.busy()
        spec: dict[str, Any] = {"name": "m1", "image": self.image, "advertisedAddresses": ["127.0.0.1"]}
        return [Resource("etcd", spec)] if kind == "etcdspec" else []

    def busy(self) -> None:
        """A machine that has just booted does not answer at first."""
        self.silent -= 1
        if self.silent >= 0:
            raise Unreachable("no answer within 10 s")

    def services(self, *, deadline: Deadline) -> list[ServiceState]:
        self.busy()
        return [ServiceState("kubelet", "Running", "?", "")]


@pytest.fixture(autouse=True)
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    monkeypatch.setattr(etcd_probe, "METRICS_PORT", number)
    monkeypatch.setattr(etcd_probe, "START_SECONDS", 5.0)
    monkeypatch.setattr(etcd_probe, "SILENCE_SECONDS", 0.3)
    return number


def measure(client: Talosctl, seconds: float = 0.1) -> Probe:
    return etcd_probe.measure_all([client], seconds=seconds, limits=Limits(10, 100), deadline=Deadline(300))[0]


def listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("buckets", "p99"),
    [
        ("0.001", "less than 1 ms"),
        # The first page is what etcd's start took.
        ("0.512,0.001", "less than 1 ms"),
        # Slow once, and good when measured again.
        ("0.001,0.512,0.001", "less than 1 ms"),
        ("0.001,0.512,0.512", "about 507 ms"),
        ("0.001,0.512,0.016", "about 16 ms"),
    ],
)
def test_measured(port: int, buckets: str, p99: str) -> None:
    found = measure(Client(ETCD, str(port), "100", buckets))
    assert found.problem == ""
    assert found.measured is not None
    assert found.measured.count == 100
    assert str(found.measured.quantile(0.99)) == p99
    assert (found.name, found.device) == ("m1", "the system disk")
    assert not listens(port)


@pytest.mark.parametrize(
    ("client", "problem"),
    [
        (
            Client(FAILS, "failed to pull image: rpc error: code = Unimplemented desc = unknown service machine.ImageService"),
            "this version of Talos cannot run",
        ),
        (Client(FAILS, 'error: unknown command "debug" for "talosctl"'), 'unknown command "debug"'),
        (Client(FAILS, "failed to start task: exec: no such file: etcd"), "no such file: etcd"),
        (Client("import time; time.sleep(60)"), "did not answer on port"),
        (Client("", image=""), "no image of etcd"),
    ],
)
def test_not_measured(monkeypatch: pytest.MonkeyPatch, client: Client, problem: str) -> None:
    monkeypatch.setattr(etcd_probe, "START_SECONDS", 0.5)
    found = measure(client)
    assert found.measured is None
    assert problem in found.problem


def test_a_machine_that_answers_late_is_measured(port: int) -> None:
    assert measure(Client(ETCD, str(port), "100", "0.001", silent=2)).problem == ""
    assert "no answer" in measure(Client(ETCD, str(port), "100", "0.001", silent=3)).problem


def test_no_syncs_are_no_measurement(port: int) -> None:
    assert "nothing was synced within 0.1 s" in measure(Client(ETCD, str(port), "0", "0.001")).problem


def test_a_port_that_is_taken(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        assert "something else listens on its port" in measure(Client(ETCD, str(port), "100", "0.001")).problem
