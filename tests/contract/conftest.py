# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real kube-apiserver for each file of tests that asks for one, a client of it, and a namespace for each test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import api_server
import pytest

from ansible_collections.trinode.platform.plugins.module_utils.deadline import Deadline
from ansible_collections.trinode.platform.plugins.module_utils.kube import client as kube_client


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    hyper = api_server.find_hyper()
    if hyper is None:
        pytest.skip("no kube-apiserver: run `tests/lab/lab build`, or set TRINODE_HYPER")
    with api_server.running(hyper, tmp_path_factory.mktemp("api")) as path:
        yield path


@pytest.fixture
def client(kubeconfig: Path) -> Iterator[kube_client.Client]:
    # For the whole test, on a busy computer too.
    connected = kube_client.connect(str(kubeconfig), deadline=Deadline(180))
    yield connected
    connected.close()


@pytest.fixture
def namespace(client: kube_client.Client, request: pytest.FixtureRequest) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[:60].strip("-")
    client.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name
