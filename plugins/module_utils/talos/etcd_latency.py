# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long etcd's writes take to reach a disk: from etcd's own metric to a verdict. Pure; etcd_probe.py measures."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk

METRIC = "etcd_disk_wal_fsync_duration_seconds"
_LINE = re.compile(rf'^{METRIC}_(bucket|sum|count)(?:\{{le="([^"]+)"\}})? (\S+)$', re.MULTILINE)

Verdict = Literal["good", "slow", "refused", "unknown"]


@dataclass(frozen=True)
class Quantile:
    """A quantile in milliseconds. A histogram knows only between which bounds it lies; ``estimate`` is in the middle, by Prometheus's rule."""

    estimate: float
    lower: float
    upper: float

    def __str__(self) -> str:
        if not self.lower:
            return f"less than {_number(self.upper)} ms"
        if math.isinf(self.upper):
            return f"more than {_number(self.lower)} ms"
        return f"about {_number(self.estimate)} ms"


@dataclass(frozen=True)
class Histogram:
    """A histogram of Prometheus: upper bounds in seconds (the last is infinite), each with how many took at most as long, and the sum of all in seconds."""

    buckets: tuple[tuple[float, int], ...]
    total: float

    @property
    def count(self) -> int:
        return self.buckets[-1][1]

    @property
    def mean(self) -> float:
        """In milliseconds. Exact, other than the quantiles."""
        return 1000 * self.total / self.count if self.count else 0.0

    def since(self, earlier: Histogram) -> Histogram:
        """What was added after ``earlier``, a histogram with the same bounds."""
        before = dict(earlier.buckets)
        return Histogram(tuple((bound, count - before.get(bound, 0)) for bound, count in self.buckets), self.total - earlier.total)

    def quantile(self, share: float) -> Quantile:
        """The time within which ``share`` (0 to 1) of all ended. Raises ValueError when there is nothing."""
        if not self.count:
            raise ValueError("an empty histogram has no quantiles")
        rank, lower, below = share * self.count, 0.0, 0
        for bound, count in self.buckets:
            if count >= rank and count > below:
                estimate = lower if math.isinf(bound) else lower + (bound - lower) * (rank - below) / (count - below)
                return Quantile(1000 * estimate, 1000 * lower, 1000 * bound)
            lower, below = bound, count
        raise ValueError("the last bucket of a histogram holds all")


def parse_histogram(metrics: str) -> Histogram | None:
    """etcd's histogram of the syncs of its write-ahead log from a page of metrics; None when the page has none."""
    buckets: list[tuple[float, int]] = []
    total = 0.0
    for part, bound, value in _LINE.findall(metrics):
        if part == "bucket":
            buckets.append((float(bound), int(float(value))))
        elif part == "sum":
            total = float(value)
    buckets.sort()
    return Histogram(tuple(buckets), total) if buckets and math.isinf(buckets[-1][0]) else None


@dataclass(frozen=True)
class Limits:
    """Milliseconds that 99 of 100 syncs have to keep below: from ``warn`` on it is said, from ``refuse`` on etcd is not bootstrapped. 0 is no limit."""

    warn: float
    refuse: float


@dataclass(frozen=True)
class Probe:
    """What came out on one machine: how often its disk synced, and in what time; or the ``problem`` that kept it from being measured."""

    address: str
    name: str
    device: str = ""
    measured: Histogram | None = None
    problem: str = ""

    @property
    def where(self) -> str:
        """``m1 (192.0.2.11)``."""
        return f"{self.name} ({self.address})" if self.name != self.address else self.address

    @property
    def numbers(self) -> str:
        """``p99 about 1.5 ms, p50 less than 1 ms, mean 0.42 ms, of 551 syncs on /dev/sda (…)``."""
        if self.measured is None:
            return f"not measured: {self.problem}"
        half, most = self.measured.quantile(0.5), self.measured.quantile(0.99)
        return f"p99 {most}, p50 {half}, mean {_number(self.measured.mean)} ms, of {self.measured.count} syncs on {self.device}"

    def as_values(self, limits: Limits) -> dict[str, Any]:
        """As a module's return value."""
        values: dict[str, Any] = {"address": self.address, "name": self.name, "verdict": judge(self, limits), "problem": self.problem, "device": self.device}
        if self.measured is not None:
            half, most = self.measured.quantile(0.5), self.measured.quantile(0.99)
            values |= {
                "p50": round(half.estimate, 3),
                "p99": round(most.estimate, 3),
                "p99_between": [most.lower, most.upper if math.isfinite(most.upper) else None],
            }
            values |= {"mean": round(self.measured.mean, 3), "syncs": self.measured.count}
        return values


def judge(probe: Probe, limits: Limits) -> Verdict:
    """What to make of one machine. One that could not be measured is no reason not to go on, and none to be silent."""
    if probe.measured is None:
        return "unknown"
    most = probe.measured.quantile(0.99).estimate
    if limits.refuse and most >= limits.refuse:
        return "refused"
    return "slow" if limits.warn and most >= limits.warn else "good"


def warnings(probes: Sequence[Probe], limits: Limits) -> list[str]:
    """A line for each machine that is slow or was not measured."""
    lines = []
    for probe in probes:
        verdict = judge(probe, limits)
        if verdict == "unknown":
            lines.append(f"{probe.where}: the disk for etcd was not measured: {probe.problem}")
        elif verdict == "slow":
            lines.append(
                f"{probe.where}: the disk is slow for etcd: {probe.numbers}. etcd wants less than {_number(limits.warn)} ms (p99), or the cluster stalls under "
                "load. Better put Talos on flash with power-loss protection, which nothing else writes to; it is easy now, and not when there is data."
            )
    return lines


def refuse(probes: Sequence[Probe], limits: Limits) -> None:
    """Raise RefusedError for all machines whose disk is too slow."""
    refused = [probe for probe in probes if judge(probe, limits) == "refused"]
    if not refused:
        return
    found = "; ".join(f"{probe.where}: {probe.numbers}" for probe in refused)
    raise RefusedError(
        f"etcd is not bootstrapped, since it would not keep up on {'this disk' if len(refused) == 1 else 'these disks'}: {found}. The limit is "
        f"{_number(limits.refuse)} ms (p99)",
        hint="Put Talos on a faster disk (flash; no SD card, no USB stick, no disk that something else writes to), see that no RAID controller or hypervisor "
        "delays flushes, and run again. Or raise trinode_etcd_fsync_refuse; 0 refuses nothing.",
        details={"measured": [probe.as_values(limits) for probe in probes]},
    )


def place_of_data(volumes: Mapping[str, Mapping[str, Any]], disks: Sequence[Disk]) -> tuple[str, str]:
    """The disk that etcd's data will be on, in words, and why a container's files are not on the same one ("" when they are).

    ``volumes``: specs of Talos's VolumeStatus by name. Containers are on EPHEMERAL; etcd's volume is a directory there unless the user gave it one of its own.
    """
    ephemeral, own = (str(volumes.get(name, {}).get("parentLocation") or volumes.get(name, {}).get("location") or "") for name in ("EPHEMERAL", "ETCD"))
    path = own or ephemeral
    disk = next((disk for disk in disks if disk.path == path), None) or next((disk for disk in disks if disk.system and not path), None)
    words = f"{disk.path} ({', '.join(part for part in (disk.model, disk.serial, disk.transport) if part)})" if disk else path or "the system disk"
    if own and own != ephemeral:
        return words, f"etcd has a volume of its own on {words}, which cannot be reached before etcd runs"
    return words, ""


def _number(value: float) -> str:
    """Two digits that count: 0.42, 3.1, 12, 250."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
