# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which API server is asked."""

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.trinode.platform.plugins.module_utils.kube.servers import Servers, urls

A, B, C = "https://a:6443", "https://b:6443", "https://c:6443"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("192.0.2.11", "https://192.0.2.11:6443"),
        ("192.0.2.11:8443", "https://192.0.2.11:8443"),
        ("https://192.0.2.11/", "https://192.0.2.11:6443"),
        ("https://cp.example.org:443", "https://cp.example.org:443"),
        ("2001:db8::1", "https://[2001:db8::1]:6443"),
        ("[2001:db8::1]:443", "https://[2001:db8::1]:443"),
    ],
)
def test_addresses_as_urls(address: str, url: str) -> None:
    assert urls([address, f" {address}", ""]) == [url]


def test_each_in_turn_and_another_after_a_failure() -> None:
    servers = Servers([A, B, C])
    assert {servers.pick() for _ in range(3)} == {A, B, C}
    first = servers.pick()
    assert servers.pick([first]) != first
    servers.failed(A)
    assert A not in {servers.pick() for _ in range(6)}
    servers.failed(B)
    servers.failed(C)
    assert {servers.pick() for _ in range(6)} == {A, B, C}, "when all have failed, all may be asked"


def test_unhealthy_ones_and_stragglers_are_left_out() -> None:
    servers = Servers([A, B, C])
    late = threading.Event()
    started = time.monotonic()
    out = servers.keep_healthy(lambda server: server == A or (server == C and late.wait(10)))
    assert time.monotonic() - started < 5
    late.set()
    assert out == [B, C]
    assert {servers.pick() for _ in range(4)} == {A}


def test_all_stay_when_none_is_healthy() -> None:
    servers = Servers([A, B])
    assert servers.keep_healthy(lambda server: False) == []
    assert len(servers) == 2
