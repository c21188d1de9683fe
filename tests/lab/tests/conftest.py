"""Fixtures of the end-to-end tests. They need the built lab (``tests/lab/lab build``), Linux and root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ceph_disks import Storage, built
from driver import Lab


@pytest.fixture(scope="module")
def lab_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab") / "state"


@pytest.fixture(scope="module")
def lab(lab_state: Path) -> Iterator[Lab]:
    """Three machines in maintenance mode, in a lab of the tests' own, beside whatever lab stands already.

    One for each file: a cluster that runs on after its last test would slow down the next file's machines.
    """
    if os.geteuid() != 0:
        pytest.fail("the lab needs root")
    lab = Lab(name=os.environ.get("TRINODE_TEST_LAB", "tests"), network=os.environ.get("TRINODE_TEST_NETWORK", "10.8.0.0/24"), state=lab_state)
    try:
        lab.up()
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Lab:
    """Three machines that run Kubernetes and a network."""
    built = lab.playbook("site.yml")
    assert built.returncode == 0, built.output
    return lab


@pytest.fixture(scope="module")
def storage(lab: Lab) -> Storage:
    """A cluster on the lab's machines whose Ceph is whole."""
    return built(lab)
