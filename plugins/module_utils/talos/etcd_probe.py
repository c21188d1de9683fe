# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures, before there is a cluster, how fast the control planes' disks sync what etcd writes: an etcd that is thrown away runs there for some seconds.

It is the image that Talos runs as etcd anyway, in a container that Talos starts and removes with our call (``talosctl debug``, Talos 1.13): when the call
ends, or whoever made it dies, nothing is left. Its files are in the container's own file system, which lies on the volume of etcd's data; /var/lib/etcd itself
must stay empty, as Talos and we take that for "not bootstrapped". containerd mounts it without the option ``volatile``, so a sync is a sync.

It has one member of two, the other of which does not exist. So it stands for election again and again, and writes and syncs its vote each time, one sync
after the other: that is the load, about a hundred small records a second. As there never is a leader, it stores nothing for anybody. Only its metrics can be
reached from outside.
"""

from __future__ import annotations

import contextlib
import csv
import http.client
import io
import os
import socket
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from ansible_collections.trinode.platform.plugins.module_utils import command
from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.errors import ConnectionFailed, PlatformError
from ansible_collections.trinode.platform.plugins.module_utils.progress import progress
from ansible_collections.trinode.platform.plugins.module_utils.talos.client import Talosctl
from ansible_collections.trinode.platform.plugins.module_utils.talos.client_errors import explain_failure
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_latency import Histogram, Limits, Probe, judge, parse_histogram, place_of_data
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import describe

METRICS_PORT = 12381
# Inside the machine only.
_CLIENTS, _PEERS, _NOBODY = "http://127.0.0.1:12378", "http://127.0.0.1:12380", "http://127.0.0.1:12379"
# For the image, which Talos is pulling at this moment, and for etcd's first syncs on a very slow disk.
START_SECONDS = 90.0
# While the kubelet's image is unpacked, the disk has something else to do.
CALM_SECONDS = 60.0
SILENCE_SECONDS = 10.0
ANSWER_SECONDS = 2.0
LOOK_SECONDS = 0.2

_Found = TypeVar("_Found")


def measure_all(clients: Sequence[Talosctl], *, seconds: float, limits: Limits, deadline: Deadline) -> list[Probe]:
    """Every machine at once. A machine that cannot be measured is a result."""
    with ThreadPoolExecutor(max_workers=max(1, len(clients))) as pool:
        return list(pool.map(lambda client: _measure(client, seconds, limits, deadline), clients))


@dataclass(frozen=True)
class _Target:
    """A machine that can be measured: ``probe`` as far as it is known before, etcd's ``image``, where its metrics shall ``listen``."""

    client: Talosctl
    probe: Probe
    image: str
    listen: str


def _measure(client: Talosctl, seconds: float, limits: Limits, deadline: Deadline) -> Probe:
    probe = Probe(client.address, client.address)
    try:
        target, problem = _look(client, deadline)
        probe = replace(target.probe, problem=problem)
        if not problem:
            _await_calm(client, deadline.at_most(CALM_SECONDS))
            probe = replace(probe, measured=_run(target, seconds, limits, deadline))
    except (_CannotMeasure, PlatformError) as error:
        probe = replace(probe, problem=error.what if isinstance(error, PlatformError) else str(error))
    progress(f"{probe.where}: {probe.numbers}")
    return probe


def _look(client: Talosctl, deadline: Deadline) -> tuple[_Target, str]:
    """The target, and what speaks against measuring it."""
    found = _patiently(lambda: {kind: client.get(kind, deadline=deadline) for kind in ("etcdspec", "volumestatus", "disks", "systemdisk")}, deadline)
    spec = next((item.spec for item in found["etcdspec"]), {})
    device, problem = place_of_data({item.id: item.spec for item in found["volumestatus"]}, describe(found)["disks"])
    image = str(spec.get("image") or "")
    probe = Probe(client.address, str(spec.get("name") or client.address), device)
    return _Target(client, probe, image, _listen(client.address, spec.get("advertisedAddresses") or ())), problem or (
        "" if image else "it tells no image of etcd"
    )


def _listen(address: str, own: Sequence[str]) -> str:
    """The address by which we reach the machine, if it has that itself, and is not behind a translation of addresses."""
    try:
        family, *_others, sockaddr = socket.getaddrinfo(address, None)[0]
    except OSError as error:
        raise ConnectionFailed("this name does not resolve", where=address) from error
    ipv6 = family == socket.AF_INET6
    chosen = str(sockaddr[0]) if sockaddr[0] in own else str(IPv6Address(0) if ipv6 else IPv4Address(0))
    return f"[{chosen}]" if ipv6 else chosen


class _CannotMeasure(Exception):
    """Why this machine is not measured."""


def _patiently(read: Callable[[], _Found], deadline: Deadline) -> _Found:
    """Machines that have just booted, many at once, may be slow to answer: three attempts."""
    for _attempt in range(2):
        with contextlib.suppress(ConnectionFailed):
            return read()
        deadline.pause(LOOK_SECONDS)
    return read()


def _await_calm(client: Talosctl, limit: Deadline) -> None:
    """Until the kubelet runs: then no image is unpacked any more but etcd's, which the start of the container waits for."""
    while not limit.expired:
        with contextlib.suppress(ConnectionFailed):
            if any(service.id == "kubelet" and service.state == "Running" for service in client.services(deadline=limit)):
                return
        limit.pause(LOOK_SECONDS)


def _run(target: _Target, seconds: float, limits: Limits, deadline: Deadline) -> Histogram:
    """What a throw-away etcd measured. Where that is over a limit it measures a second time, and the better one counts: a disk may be busy for a moment."""
    client, probe = target.client, target.probe
    _await_silence(client.address, deadline.at_most(SILENCE_SECONDS))
    progress(f"{probe.where}: measures how fast {probe.device} syncs what etcd writes")
    with command.started(client.argv("debug", target.image, "--namespace", "system", *arguments(target.listen))) as process:
        output = _Output(process)
        before = _await_metrics(client, output, deadline.at_most(START_SECONDS))
        results: list[Histogram] = []
        while not results or (len(results) < 2 and judge(replace(probe, measured=results[0]), limits) != "good"):
            output.watch(deadline.at_most(seconds), client)
            after = _metrics(client.address)
            if after is None:
                raise _CannotMeasure(f"its metrics on port {METRICS_PORT} do not answer any more")
            results.append(after.since(before))
            before = after
            if not results[-1].count:
                raise _CannotMeasure(f"nothing was synced within {seconds:g} s: either the disk does not answer, or this version of etcd works another way")
    # Talos removes the container as soon as it notices that nobody listens.
    _await_silence(client.address, deadline.at_most(SILENCE_SECONDS))
    return min(results, key=lambda result: result.quantile(0.99).estimate)


def arguments(listen: str) -> list[str]:
    """Options of ``talosctl debug`` that make it run the throw-away etcd, with its metrics at this address. talosctl cuts each option at its commas."""
    words = (
        "/usr/local/bin/etcd",
        "--name=probe",
        "--data-dir=/trinode-etcd-probe",
        "--log-level=error",
        "--heartbeat-interval=1",
        "--election-timeout=5",
        "--pre-vote=false",
        f"--listen-client-urls={_CLIENTS}",
        f"--advertise-client-urls={_CLIENTS}",
        f"--listen-peer-urls={_PEERS}",
        f"--initial-advertise-peer-urls={_PEERS}",
        f"--initial-cluster=probe={_PEERS},absent={_NOBODY}",
        f"--listen-metrics-urls=http://{listen}:{METRICS_PORT}",
    )
    return [f"--args={_quoted(word)}" for word in words]


def _quoted(word: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow([word])
    return text.getvalue()


class _Output:
    """What talosctl prints, read all the time: a full pipe would stop etcd."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.text = ""
        self._handles = [stream.fileno() for stream in (process.stdout, process.stderr) if stream is not None]
        for handle in self._handles:
            os.set_blocking(handle, False)

    def watch(self, limit: Deadline, client: Talosctl) -> None:
        """Until the limit. Raises when the container ends before."""
        while True:
            ended = self.process.poll() is not None
            for handle in self._handles:
                with contextlib.suppress(BlockingIOError):
                    self.text = (self.text + os.read(handle, 65536).decode("utf-8", "replace"))[-4096:]
            if ended:
                raise explain_failure(self.text, address=client.address, action="run a throw-away etcd")
            if limit.expired:
                return
            limit.pause(LOOK_SECONDS)


def _await_metrics(client: Talosctl, output: _Output, limit: Deadline) -> Histogram:
    while True:
        output.watch(limit.at_most(LOOK_SECONDS), client)
        found = _metrics(client.address)
        if found is not None:
            return found
        if limit.expired:
            raise _CannotMeasure(
                f"a throw-away etcd did not answer on port {METRICS_PORT} within {limit.seconds:.0f} s; is the port open from here (NetworkRuleConfig)?"
            )


def _metrics(address: str) -> Histogram | None:
    connection = http.client.HTTPConnection(address, METRICS_PORT, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/metrics")
        return parse_histogram(connection.getresponse().read().decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _await_silence(address: str, limit: Deadline) -> None:
    """Until nothing listens on our port: an earlier probe, whose run was killed, is being removed."""
    while True:
        try:
            socket.create_connection((address, METRICS_PORT), timeout=ANSWER_SECONDS).close()
        except ConnectionRefusedError:
            return
        except OSError as error:
            raise _CannotMeasure(
                f"its port {METRICS_PORT} cannot be reached from here ({error}); a firewall (NetworkRuleConfig) has to let it through"
            ) from error
        if limit.expired:
            raise _CannotMeasure(f"something else listens on its port {METRICS_PORT}")
        limit.pause(LOOK_SECONDS)
