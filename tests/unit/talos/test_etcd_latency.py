from __future__ import annotations

import csv
import io
import math
from typing import Any

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.errors import RefusedError
from ansible_collections.trinode.platform.plugins.module_utils.talos import etcd_latency
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_latency import Histogram, Limits, Probe, judge, parse_histogram, place_of_data
from ansible_collections.trinode.platform.plugins.module_utils.talos.etcd_probe import arguments
from ansible_collections.trinode.platform.plugins.module_utils.talos.machine import Disk, disk_from_values

# Bounds of etcd 3.6, and what it printed on a busy disk.
BOUNDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, math.inf)
PAGE = """# HELP etcd_disk_wal_fsync_duration_seconds The latency distributions of fsync called by WAL.
# TYPE etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 473
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.002"} 504
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.004"} 526
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.008"} 546
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.016"} 556
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.032"} 559
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.064"} 560
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.128"} 562
etcd_disk_wal_fsync_duration_seconds_bucket{le="8.192"} 562
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 562
etcd_disk_wal_fsync_duration_seconds_sum 0.8446586239999997
etcd_disk_wal_fsync_duration_seconds_count 562
etcd_disk_wal_write_duration_seconds_bucket{le="0.001"} 565
etcd_disk_wal_write_duration_seconds_sum 1.087e-03
"""
LIMITS = Limits(warn=10, refuse=100)


def histogram(**counts: int) -> Histogram:
    """How many ended within a bucket, by its upper bound in ms: ``ms1=90, ms16=10``; ``more`` took longer than all."""
    found, buckets = 0, []
    for bound in BOUNDS:
        found += counts.pop("more" if math.isinf(bound) else f"ms{bound * 1000:.0f}", 0)
        buckets.append((bound, found))
    assert not counts
    return Histogram(tuple(buckets), 0.001 * found)


def probe(number: int = 1, problem: str = "", **counts: int) -> Probe:
    return Probe(f"192.0.2.1{number}", f"m{number}", "/dev/sda", histogram(**counts) if counts else None, problem)


def test_a_page_of_etcd() -> None:
    found = parse_histogram(PAGE)
    assert found is not None
    assert found.count == 562
    assert found.buckets[0] == (0.001, 473)
    assert round(found.mean, 2) == 1.5
    assert str(found.quantile(0.5)) == "less than 1 ms"
    assert found.quantile(0.99).lower == 16
    assert 16 < found.quantile(0.99).estimate < 32


@pytest.mark.parametrize("page", ["", "etcd_server_has_leader 0\n", 'etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 3\n', "<html>404</html>"])
def test_a_page_without_the_metric(page: str) -> None:
    assert parse_histogram(page) is None


@pytest.mark.parametrize(
    ("counts", "share", "lower", "upper", "text"),
    [
        ({"ms1": 100}, 0.99, 0, 1, "less than 1 ms"),
        ({"ms1": 98, "ms2": 2}, 0.99, 1, 2, "about 1.5 ms"),
        ({"ms1": 99, "ms512": 1}, 0.99, 0, 1, "less than 1 ms"),
        ({"ms1": 98, "ms512": 2}, 0.99, 256, 512, "about 384 ms"),
        ({"ms4": 50, "ms8": 50}, 0.5, 2, 4, "about 4 ms"),
        ({"ms16": 1}, 0.99, 8, 16, "about 16 ms"),
        ({"ms1": 1, "more": 1}, 0.99, 8192, math.inf, "more than 8192 ms"),
        ({"ms128": 3, "ms256": 20}, 0.99, 128, 256, "about 255 ms"),
    ],
)
def test_quantiles(counts: dict[str, int], share: float, lower: float, upper: float, text: str) -> None:
    found = histogram(**counts).quantile(share)
    assert (found.lower, found.upper, str(found)) == (lower, upper, text)
    assert lower <= found.estimate <= upper


def test_nothing_has_no_quantiles() -> None:
    with pytest.raises(ValueError, match="empty"):
        histogram().quantile(0.5)
    assert histogram().mean == 0


def test_what_was_there_before_does_not_count() -> None:
    """etcd's start syncs a whole new file, which takes longer than a record."""
    before, after = histogram(ms64=9), histogram(ms1=200, ms64=9)
    assert after.since(before) == Histogram(histogram(ms1=200).buckets, after.total - before.total)
    assert str(after.since(before).quantile(0.99)) == "less than 1 ms"


@pytest.mark.parametrize(
    ("counts", "limits", "verdict"),
    [
        ({"ms1": 500}, LIMITS, "good"),
        ({"ms8": 500}, LIMITS, "good"),
        ({"ms1": 495, "ms64": 5}, LIMITS, "good"),
        ({"ms1": 490, "ms64": 10}, LIMITS, "slow"),
        ({"ms16": 300}, LIMITS, "slow"),
        ({"ms128": 50}, LIMITS, "refused"),
        ({"ms256": 20}, LIMITS, "refused"),
        ({"more": 1}, LIMITS, "refused"),
        ({"ms256": 20}, Limits(10, 0), "slow"),
        ({"ms256": 20}, Limits(0, 0), "good"),
        ({"ms256": 20}, Limits(0, 300), "good"),
        ({"ms1": 500}, Limits(0.1, 0), "slow"),
        ({"ms1": 500}, Limits(0.1, 0.5), "refused"),
        ({}, LIMITS, "unknown"),
    ],
)
def test_verdicts(counts: dict[str, int], limits: Limits, verdict: str) -> None:
    assert judge(probe(problem="" if counts else "no answer", **counts), limits) == verdict


def test_one_line_for_each_machine_that_is_slow_or_unknown() -> None:
    lines = etcd_latency.warnings([probe(1, ms1=500), probe(2, ms4=200, ms32=100), probe(3, "port 12381 is not open")], LIMITS)
    assert len(lines) == 2
    for text in ("m2 (192.0.2.12)", "p99 about 32 ms, p50 about 3.5 ms", "300 syncs on /dev/sda", "less than 10 ms", "power-loss"):
        assert text in lines[0]
    assert lines[1] == "m3 (192.0.2.13): the disk for etcd was not measured: port 12381 is not open"


def test_all_machines_that_are_too_slow_are_refused_at_once() -> None:
    probes = [probe(1, ms1=500), probe(2, ms256=30), probe(3, ms512=20)]
    with pytest.raises(RefusedError) as error:
        etcd_latency.refuse(probes, LIMITS)
    text = str(error.value)
    for part in ("not bootstrapped", "m2 (192.0.2.12): p99 about 255 ms", "m3 (192.0.2.13)", "The limit is 100 ms", "trinode_etcd_fsync_refuse"):
        assert part in text
    assert "m1" not in text
    assert [entry["verdict"] for entry in error.value.details["measured"]] == ["good", "refused", "refused"]
    etcd_latency.refuse(probes, Limits(10, 0))


def test_values_are_json() -> None:
    assert probe(1, ms1=98, ms2=2).as_values(LIMITS) == {
        "address": "192.0.2.11", "name": "m1", "device": "/dev/sda", "verdict": "good", "problem": "",
        "p50": 0.51, "p99": 1.5, "p99_between": [1.0, 2.0], "mean": 1.0, "syncs": 100,
    }  # fmt: skip
    assert probe(1, more=1).as_values(LIMITS)["p99_between"] == [8192.0, None]
    assert "p99" not in probe(1, "no answer").as_values(LIMITS)


def disk(name: str, **changes: Any) -> Disk:
    return disk_from_values({"name": name, "path": f"/dev/{name}", "model": "SSD", "serial": f"S-{name}", "transport": "sata", **changes})


EPHEMERAL = {"location": "/dev/sda6", "parentLocation": "/dev/sda", "type": "partition"}
DIRECTORY = {"type": "directory", "parentID": "EPHEMERAL"}


@pytest.mark.parametrize(
    ("volumes", "place", "elsewhere"),
    [
        ({"EPHEMERAL": EPHEMERAL, "ETCD": DIRECTORY}, "/dev/sda (SSD, S-sda, sata)", False),
        ({"EPHEMERAL": EPHEMERAL}, "/dev/sda (SSD, S-sda, sata)", False),
        ({"EPHEMERAL": {**EPHEMERAL, "parentLocation": "/dev/sdb"}, "ETCD": DIRECTORY}, "/dev/sdb (SSD, S-sdb, sata)", False),
        ({"EPHEMERAL": EPHEMERAL, "ETCD": {"location": "/dev/sda7", "parentLocation": "/dev/sda"}}, "/dev/sda (SSD, S-sda, sata)", False),
        ({"EPHEMERAL": EPHEMERAL, "ETCD": {"location": "/dev/sdb1", "parentLocation": "/dev/sdb"}}, "/dev/sdb (SSD, S-sdb, sata)", True),
        ({"EPHEMERAL": {"location": "/dev/vda6", "parentLocation": "/dev/vda"}}, "/dev/vda", False),
        ({}, "/dev/sda (SSD, S-sda, sata)", False),
    ],
)
def test_where_the_data_will_be(volumes: dict[str, dict[str, str]], place: str, elsewhere: bool) -> None:
    words, problem = place_of_data(volumes, [disk("sda", system=True), disk("sdb")])
    assert words == place
    assert bool(problem) is elsewhere


def test_without_any_disk_known() -> None:
    assert place_of_data({}, []) == ("the system disk", "")


def test_arguments_survive_being_cut_at_commas() -> None:
    words = [word for option in arguments("192.0.2.11") for word in next(csv.reader(io.StringIO(option.removeprefix("--args="))))]
    assert words[0] == "/usr/local/bin/etcd"
    assert "--initial-cluster=probe=http://127.0.0.1:12380,absent=http://127.0.0.1:12379" in words
    assert "--listen-metrics-urls=http://192.0.2.11:12381" in words


def test_only_the_metrics_are_reached_from_outside() -> None:
    urls = [option for option in arguments("192.0.2.11") if "http" in option and "metrics" not in option]
    assert len(urls) == 5
    assert all("192.0.2.11" not in option and "127.0.0.1" in option for option in urls)
    assert not any("/var/lib/etcd" in option for option in arguments("192.0.2.11"))
